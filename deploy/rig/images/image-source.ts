/**
 * Images to be loaded onto machines, whatever a person names them by: an archive, an OCI image layout in a folder, or
 * an image of the Docker engine here. Each becomes a stream of an archive, anew for every machine.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pack, type Pack } from 'tar-stream'
import { GantryError } from '../../../proto/base/errors.ts'
import { run } from '../../../proto/base/command.ts'

export interface ImageSource {
  /** For people: "the archive app.tar". */
  readonly says: string
  /** The archive from its beginning. */
  open(): Readable
  /** Removes what was made for it. */
  close(): Promise<void>
}

/** Milliseconds for `docker save`. */
const SAVE_PATIENCE = 300_000

/** NotFound, with what was looked for, for a word that names no image; InvalidArgument for a folder that is none. */
export async function openImage(word: string, signal: AbortSignal): Promise<ImageSource> {
  const found = await kindOf(word)
  switch (found) {
    case 'file':
      return {
        says: `the archive ${word}`,
        open: () => createReadStream(word, { highWaterMark: 1 << 20 }),
        close: () => Promise.resolve(),
      }
    case 'folder':
      return openLayout(word)
    case 'none':
      return saveFromEngine(word, signal)
  }
}

async function kindOf(path: string): Promise<'file' | 'folder' | 'none'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file'
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return 'none'
    throw GantryError.from(thrown)
  }
}

/** https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md */
async function openLayout(folder: string): Promise<ImageSource> {
  const names = await readdir(folder)
  for (const needed of ['oci-layout', 'index.json', 'blobs']) {
    if (!names.includes(needed))
      throw new GantryError('InvalidArgument', `the folder ${folder} is no OCI image layout: it has no "${needed}"`, {
        details: [
          {
            field: 'image',
            value: folder,
            remedy:
              'name an archive, a folder that `skopeo copy … oci:FOLDER` wrote, or an image of the Docker engine here',
          },
        ],
      })
  }
  const blobs = (await readdir(join(folder, 'blobs', 'sha256'))).map((blob) => `blobs/sha256/${blob}`)
  return {
    says: `the layout in ${folder}`,
    open() {
      const tar = pack()
      writeFiles(tar, folder, ['oci-layout', 'index.json', ...blobs]).then(
        () => tar.finalize(),
        (thrown: unknown) => tar.destroy(thrown as Error),
      )
      return Readable.from(tar)
    },
    close: () => Promise.resolve(),
  }
}

async function writeFiles(tar: Pack, folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths)
    await pipeline(
      createReadStream(join(folder, path)),
      tar.entry({ name: path, size: (await stat(join(folder, path))).size }),
    )
}

/** The engine saves once; the machines read the file. */
async function saveFromEngine(image: string, signal: AbortSignal): Promise<ImageSource> {
  const looksLikePath = /[/.]/.test(image) && /\.(tar|tgz|gz|zst)$|^[./]/.test(image)
  if (looksLikePath)
    throw new GantryError('NotFound', `there is no file or folder ${image}`, {
      details: [{ field: 'image', value: image }],
    })
  const folder = await mkdtemp(join(tmpdir(), 'gantry-image-'))
  const file = join(folder, 'image.tar')
  try {
    await run('docker', ['save', '--output', file, image], { timeout: SAVE_PATIENCE, signal })
  } catch (cause) {
    await rm(folder, { recursive: true, force: true })
    if (GantryError.is(cause, 'Cancelled')) throw cause
    const reason = GantryError.is(cause, 'NotFound')
      ? 'no Docker engine is installed'
      : (GantryError.from(cause).message.split('\n').at(-1) ?? '').replace(/^docker save .* exited with \d+: /, '')
    throw new GantryError(
      'NotFound',
      `"${image}" is neither a file nor a folder here, nor an image of a Docker engine: ${reason}`,
      {
        cause,
        details: [
          {
            field: 'image',
            value: image,
            remedy:
              'name an archive (`docker save`, `skopeo copy … oci-archive:FILE`), an OCI layout, or an image that `docker images` shows',
          },
        ],
      },
    )
  }
  return {
    says: `the image ${image} of the Docker engine`,
    open: () => createReadStream(file, { highWaterMark: 1 << 20 }),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}
