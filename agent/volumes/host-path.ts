/** hostPath volumes. https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types */
import { mkdir, open, stat } from 'node:fs/promises'
import type { Stats } from 'node:fs'
import { GantryError } from '../../proto/base/errors.ts'
import type { HostPathVolumeSource } from '../../proto/gen/types.ts'

/** Checks, or makes, what the volume says stands at the path. FailedPrecondition: something else does, or nothing. */
export async function prepareHostPath({ path, type }: HostPathVolumeSource): Promise<void> {
  const found = await status(path)
  switch (type) {
    case '':
      return
    case 'DirectoryOrCreate':
      if (found === undefined) await mkdir(path, { recursive: true, mode: 0o755 })
      else expect(path, found.isDirectory(), 'a directory')
      return
    case 'FileOrCreate':
      if (found === undefined) await (await open(path, 'a', 0o644)).close()
      else expect(path, found.isFile(), 'a file')
      return
    case 'Directory':
      return expect(path, found?.isDirectory(), 'a directory')
    case 'File':
      return expect(path, found?.isFile(), 'a file')
    case 'Socket':
      return expect(path, found?.isSocket(), 'a socket')
    case 'CharDevice':
      return expect(path, found?.isCharacterDevice(), 'a character device')
    case 'BlockDevice':
      return expect(path, found?.isBlockDevice(), 'a block device')
  }
}

function expect(path: string, holds: boolean | undefined, what: string): void {
  if (holds !== true)
    throw new GantryError(
      'FailedPrecondition',
      holds === undefined ? `hostPath ${path} does not exist on the node` : `hostPath ${path} is not ${what}`,
    )
}

async function status(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'NotFound') return undefined
    throw error
  }
}
