/** The users and groups that images know: read once for each image, from the first fresh root filesystem made of it. */
import type { Image } from '../../images/contract.ts'
import { readWithin } from '../../volumes/safe-path.ts'

export interface Accounts {
  /** Texts of /etc/passwd and /etc/group, '' where the image has none: passwd(5), group(5). */
  readonly passwd: string
  readonly group: string
}

/** Images remembered; beyond them the one read first is forgotten. */
const MAX_CACHED_IMAGES = 64

export class ImageUserCache {
  /** By the image's digest. */
  readonly #known = new Map<string, Promise<Accounts>>()

  /**
   * `rootfs`: a root filesystem of the image that nobody has written to. Errors: those of readWithin; they are not
   * remembered.
   */
  read({ digest }: Image, rootfs: string): Promise<Accounts> {
    const known = this.#known.get(digest)
    if (known !== undefined) return known
    const reading = readUserFiles(rootfs)
    this.#known.set(digest, reading)
    reading.catch(() => {
      if (this.#known.get(digest) === reading) this.#known.delete(digest)
    })
    if (this.#known.size > MAX_CACHED_IMAGES) this.#known.delete(this.#known.keys().next().value!)
    return reading
  }
}

async function readUserFiles(rootfs: string): Promise<Accounts> {
  const [passwd, group] = await Promise.all([readWithin(rootfs, 'etc/passwd'), readWithin(rootfs, 'etc/group')])
  return { passwd, group }
}
