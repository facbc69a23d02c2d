/**
 * Tells of the files that conmon leaves when a container ends: each named by the container, with the exit code as its
 * text.
 */
import { watch, type FSWatcher } from 'node:fs'
import { readFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../../../proto/base/logger.ts'

export interface ExitFile {
  readonly exitCode: number
  /** Milliseconds since 1970. */
  readonly finishedAt: number
}

export class ExitWatch {
  readonly directory: string
  readonly #logger: Logger
  #watcher: FSWatcher | undefined

  constructor(directory: string, logger: Logger) {
    this.directory = directory
    this.#logger = logger
  }

  /**
   * Calls with the name of each file that appears from now on, and of files that it knows nothing about: look before
   * acting.
   */
  start(appeared: (name: string) => void): void {
    this.#watcher = watch(this.directory, (_, name) => {
      if (name !== null) appeared(name)
    })
    this.#watcher.on('error', (error) => {
      this.#logger.error({ err: error }, 'the watch for ended containers failed; watching again')
      this.stop()
      this.start(appeared)
      this.list().then(
        (names) => names.forEach(appeared),
        (failure: unknown) => this.#logger.error({ err: failure }, 'cannot list ended containers'),
      )
    })
  }

  stop(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  list(): Promise<string[]> {
    return readdir(this.directory)
  }

  async read(name: string): Promise<ExitFile | undefined> {
    const path = join(this.directory, name)
    try {
      const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)])
      return /^\d+$/.test(text.trim()) ? { exitCode: Number(text), finishedAt: Math.round(mtimeMs) } : undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.directory, name), { force: true })
  }
}
