/** What the agent offers to whoever administers its machine: a socket that only the agent's own user may open. */
import { chmod, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { Server, type CallContext, type Handlers } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { ImagesService, LoadChunk, LocalImage, LocalImages } from '../../proto/gen/types.ts'
import type { Image, ImageService } from '../images/contract.ts'

/** In the runDir, which is closed to other users. */
const SOCKET = 'agent.sock'

export function socketPath(runDir: string): string {
  return join(runDir, SOCKET)
}

/** Serves until the signal is aborted. A socket left over from an earlier run gives way. */
export async function serveLocally(runDir: string, images: ImageService, signal: AbortSignal): Promise<void> {
  const path = socketPath(runDir)
  await rm(path, { force: true })
  const server = new Server({ address: `unix:${path}` })
  server.add('Images', new ImagesHandlers(images))
  await server.start()
  await chmod(path, 0o600)
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  await server.stop()
  await rm(path, { force: true })
}

class ImagesHandlers implements Handlers<ImagesService> {
  readonly #images: ImageService

  constructor(images: ImageService) {
    this.#images = images
  }

  async *load(requests: AsyncIterable<LoadChunk>, call: CallContext): AsyncGenerator<Input<LocalImage>> {
    const chunks = requests[Symbol.asyncIterator]()
    const first = await chunks.next()
    if (first.done === true) throw new GantryError('InvalidArgument', 'the archive is empty')
    const { name } = first.value
    async function* content(): AsyncGenerator<Uint8Array> {
      for (let next: IteratorResult<LoadChunk> = first; next.done !== true; next = await chunks.next())
        yield next.value.content
    }
    for (const image of await this.#images.load(content(), {
      name: name === '' ? undefined : name,
      signal: call.signal,
    }))
      yield localImage(image)
  }

  async list(): Promise<Input<LocalImages>> {
    return { images: (await this.#images.list()).map(localImage) }
  }
}

function localImage({ reference, digest, size }: Image): LocalImage {
  return { reference, digest, size }
}
