/**
 * Overlay mounts, made and removed by mount(8) and umount(8). What is asked for while one of them runs is done by the
 * next in one process: a hundred containers that start together cost a few processes, not a hundred.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Run } from '../../host/launcher.ts'

export interface OverlayMount {
  /** Absolute path of an empty directory. */
  readonly path: string
  /** Options of the overlay file system; paths in them are relative to the folder of all mounts. */
  readonly options: string
}

interface Waiting<T> {
  readonly item: T
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Gathers what is asked for while the work before it runs. */
class BatchQueue<T> {
  readonly #work: (items: readonly T[]) => Promise<readonly (GantryError | undefined)[]>
  #waiting: Waiting<T>[] = []
  #running = false

  /** `work` gives one outcome for each item. */
  constructor(work: (items: readonly T[]) => Promise<readonly (GantryError | undefined)[]>) {
    this.#work = work
  }

  add(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) {
      const batch = this.#waiting
      this.#waiting = []
      try {
        const outcomes = await this.#work(batch.map(({ item }) => item))
        for (const [place, { resolve, reject }] of batch.entries())
          if (outcomes[place] === undefined) resolve()
          else reject(outcomes[place])
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#running = false
  }
}

/**
 * The newer mount calls take options of 255 characters at most; mount(8) is told to use the older one, which takes a
 * page.
 */
const ENVIRONMENT = { PATH: process.env.PATH, LIBMOUNT_FORCE_MOUNT2: 'always' }

export class OverlayMounter {
  readonly #folder: string
  readonly #tables: string
  readonly #run: Run
  readonly #mounting = new BatchQueue<OverlayMount>((mounts) => this.#mountAll(mounts))
  readonly #unmounting = new BatchQueue<string>((paths) => this.#unmountAll(paths))

  /** `folder`: what relative paths in options are relative to. `tables`: where lists for mount(8) may be written. */
  constructor(folder: string, tables: string, run: Run) {
    this.#run = run
    this.#folder = folder
    this.#tables = tables
  }

  /** Mounts, unless something is mounted there. FailedPrecondition: the kernel refuses. */
  async mount(mount: OverlayMount): Promise<void> {
    if (!isMountPoint(mount.path)) await this.#mounting.add(mount)
  }

  /** Unmounts if something is mounted there; what is still in use goes as soon as it is not. */
  async unmount(path: string): Promise<void> {
    if (isMountPoint(path)) await this.#unmounting.add(path)
  }

  async #mountAll(mounts: readonly OverlayMount[]): Promise<readonly (GantryError | undefined)[]> {
    if (mounts.length === 1) return [await this.#mountOne(mounts[0]!)]
    const table = join(this.#tables, 'mounts')
    try {
      writeFileSync(
        table,
        mounts
          .map(({ path, options }) => `overlay ${escapeField(path)} overlay ${escapeField(options)} 0 0\n`)
          .join(''),
      )
      // Whatever its exit code, each mount is looked at; one that is not there is tried alone, for its own error.
      await this.#run('mount', ['--no-mtab', '--internal-only', '--all', '--fstab', table], {
        cwd: this.#folder,
        env: ENVIRONMENT,
        allow: MOUNT_FAILURES,
      })
    } finally {
      rmSync(table, { force: true })
    }
    return Promise.all(mounts.map(async (mount) => (isMountPoint(mount.path) ? undefined : this.#mountOne(mount))))
  }

  async #mountOne({ path, options }: OverlayMount): Promise<GantryError | undefined> {
    return outcome(
      `cannot mount ${path}`,
      this.#run(
        'mount',
        ['--no-mtab', '--internal-only', '--types', 'overlay', '--options', options, 'overlay', path],
        { cwd: this.#folder, env: ENVIRONMENT },
      ),
    )
  }

  async #unmountAll(paths: readonly string[]): Promise<readonly (GantryError | undefined)[]> {
    await this.#run('umount', ['--no-mtab', '--lazy', ...paths], { allow: MOUNT_FAILURES })
    return Promise.all(
      paths.map(async (path) =>
        isMountPoint(path)
          ? outcome(`cannot unmount ${path}`, this.#run('umount', ['--no-mtab', '--lazy', path]))
          : undefined,
      ),
    )
  }
}

/** 0: all done; 32: none; 64: some; 1 is umount's own for some. See mount(8). */
const MOUNT_FAILURES = [0, 1, 32, 64]

async function outcome(what: string, running: Promise<unknown>): Promise<GantryError | undefined> {
  try {
    await running
    return undefined
  } catch (thrown) {
    const error = GantryError.from(thrown)
    return new GantryError(
      error.code === 'Internal' || error.code === 'NotFound' ? 'FailedPrecondition' : error.code,
      `${what}: ${error.message}`,
      { cause: thrown },
    )
  }
}

/** A field of fstab(5): blanks and backslashes as octal numbers. */
function escapeField(text: string): string {
  return text.replace(/[\s\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`)
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
