/**
 * crun, where nothing can write to it. A container's process that gets hold of the program that makes it (by
 * /proc/PID/exe) could change it for all others (CVE-2019-5736), so at each call crun mounts a copy of itself that is
 * read-only, and becomes that: half of what a call costs. Here the program is mounted so once, and told that it is.
 */
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { mountsUnder } from '../../host/mount-table.ts'
import type { Run } from '../../host/launcher.ts'

/** Without it, crun would not believe what it finds: a program on a read-only mount (libcrun's cloned_binary.c). */
export const READ_ONLY_PROGRAM: Readonly<Record<string, string>> = { _LIBCONTAINER_CLONED_BINARY: '1' }

export class ReadOnlyProgram {
  readonly path: string
  readonly #run: Run

  /** `directory`: where it may be mounted; it need not let programs be executed. */
  constructor(directory: string, run: Run) {
    this.path = join(directory, 'crun')
    this.#run = run
  }

  /** Mounts it anew, since what an earlier process mounted may be of an older version. */
  async mount(program: string): Promise<void> {
    await this.unmount()
    closeSync(openSync(this.path, 'a', 0o600))
    await this.#run('mount', ['--no-mtab', '--bind', '--options', 'ro', program, this.path])
  }

  /** Calls that are under way go on. */
  async unmount(): Promise<void> {
    const mounts = await mountsUnder(this.path)
    if (mounts.length > 0) await this.#run('umount', ['--no-mtab', '--lazy', ...mounts])
  }
}
