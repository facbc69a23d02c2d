/** What stacked overlayfs layers show at a path, read without a mount. */
import { lstat, readlink } from 'node:fs/promises'
import type { LowerLayers, LowerNode } from '../unpack/layer-tree.ts'

export interface LayerFolder {
  /** Absolute. */
  readonly path: string
  /** Directories that hide what is below them, '.' for the root, as byte strings. */
  readonly opaque: ReadonlySet<string>
}

export class LowerView implements LowerLayers {
  readonly #layers: readonly LayerFolder[]

  /** Topmost first. */
  constructor(layers: readonly LayerFolder[]) {
    this.#layers = layers
  }

  async lookup(path: string): Promise<LowerNode | undefined> {
    for (const layer of this.#layers) {
      const found = await lookupIn(layer, path)
      if (found === 'hidden') return undefined
      if (found !== 'absent') return found
    }
    return undefined
  }
}

/** 'absent': ask the layer below; 'hidden': what the layers below have does not show. */
async function lookupIn({ path: root, opaque }: LayerFolder, path: string): Promise<LowerNode | 'absent' | 'hidden'> {
  const names = path === '' ? [] : path.split('/')
  let covered = opaque.has('.')
  for (let depth = names.length === 0 ? 0 : 1; depth <= names.length; depth++) {
    const prefix = names.slice(0, depth).join('/')
    const hostPath = Buffer.concat([Buffer.from(root), Buffer.from(prefix === '' ? '' : `/${prefix}`, 'latin1')])
    const status = await lstat(hostPath).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (status === undefined) return covered ? 'hidden' : 'absent'
    if (status.isCharacterDevice() && status.rdev === 0) return 'hidden'
    if (depth < names.length) {
      if (!status.isDirectory()) return 'hidden'
      covered ||= opaque.has(prefix)
      continue
    }
    const bytes = hostPath.toString('latin1')
    if (status.isSymbolicLink())
      return { type: 'symlink', target: (await readlink(hostPath, 'buffer')).toString('latin1'), hostPath: bytes }
    if (!status.isDirectory()) return { type: 'other', hostPath: bytes }
    return {
      type: 'directory',
      mode: status.mode & 0o7777,
      uid: status.uid,
      gid: status.gid,
      mtime: String(Math.floor(status.mtimeMs / 1000)),
    }
  }
  return 'absent'
}
