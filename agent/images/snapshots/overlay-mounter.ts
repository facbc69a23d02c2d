/** Overlay mounts (https://docs.kernel.org/filesystems/overlayfs.html), made and removed by calls of the kernel. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { MNT_DETACH, type SystemCall, type SystemCaller } from '../../host/system-calls.ts'

export interface OverlayMount {
  /** Absolute path of an empty directory. */
  readonly path: string
  /** Options of the overlay file system, one page at most; paths in them are relative to the folder of all mounts. */
  readonly options: string
}

export class OverlayMounter {
  readonly #folder: string
  readonly #calls: SystemCaller

  /** `folder`: what relative paths in options are relative to. */
  constructor(folder: string, calls: SystemCaller) {
    this.#folder = folder
    this.#calls = calls
  }

  /** Mounts, unless something is mounted there. FailedPrecondition: the kernel refuses. */
  async mount({ path, options }: OverlayMount): Promise<void> {
    if (isMountPoint(path)) return
    await this.#make(`cannot mount ${path}`, [
      { call: 'chdir', path: this.#folder },
      { call: 'mount', source: 'overlay', target: path, type: 'overlay', flags: 0, options },
    ])
  }

  /** Unmounts if something is mounted there; what is still in use goes as soon as it is not. */
  async unmount(path: string): Promise<void> {
    if (isMountPoint(path))
      await this.#make(`cannot unmount ${path}`, [{ call: 'umount', target: path, flags: MNT_DETACH }])
  }

  async #make(what: string, calls: readonly SystemCall[]): Promise<void> {
    try {
      await this.#calls.make(calls)
    } catch (thrown) {
      const { code, message } = GantryError.from(thrown)
      const told = code === 'Internal' || code === 'NotFound' ? 'FailedPrecondition' : code
      throw new GantryError(told, `${what}: ${message}`, { cause: thrown })
    }
  }
}

/** Whether something is mounted on a directory; false if it is not there. */
function isMountPoint(path: string): boolean {
  try {
    return statSync(path).dev !== statSync(join(path, '..')).dev
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
