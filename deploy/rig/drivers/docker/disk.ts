/**
 * A machine's own disk: ext4 in a sparse file on the container's volume, on a loop device that goes when it is
 * unmounted. machine-boot mounts it.
 */
import { join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { Machine, MachineDisk } from '../../contract.ts'
import { THROTTLE } from './cgroups.ts'
import type { DiskSettings } from './container.ts'

/** Takes up the space of a full disk. */
const BALLAST = '.ballast'

/**
 * Lets no more than $2 bytes be free below $1, by a file of that size; what cannot be had because it is full already is
 * no failure. What is free is looked at again, because a file needs blocks for itself.
 */
const FILL = `cd "$1"; for round in 1 2 3 4; do
over=$(( $(stat -f -c '%a * %S' .) - $2 )); size=$(stat -c %s ${BALLAST} 2> /dev/null || echo 0)
[ "$over" -ne 0 ] || exit 0
if [ "$over" -gt 0 ]; then fallocate -l $((size + over)) ${BALLAST} || :; elif [ "$size" -gt 0 ] && [ "$round" = 1 ]; then truncate -s $((size + over > 0 ? size + over : 0)) ${BALLAST}; else exit 0; fi
done`

/**
 * EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from then on nothing is written, not even the journal.
 * include/uapi/linux/ext4.h
 */
export const CUT_POWER =
  'open(my $top, "<", $ARGV[0]) or die "open: $!\\n"; my $flags = pack("L", 2); ioctl($top, 0x8004587D, $flags) or die "shutdown: $!\\n"'

/** What machine-boot reads before it mounts, as assignments of the shell. */
export function settingsFile({ full = false, readOnly = false, bytesPerSecond = 0 }: DiskSettings): string {
  return `full=${full ? 1 : ''}\nread_only=${readOnly ? 1 : ''}\nbytes_per_second=${Math.round(bytesPerSecond)}\n`
}

export interface DiskOwner {
  readonly machine: Machine
  readonly group: string
  isOff(): Promise<boolean>
  /** FailedPrecondition if it is off. */
  requireOn(): Promise<void>
  /** Until it is said otherwise; also for the machine's next start. */
  remember(change: Partial<DiskSettings>): Promise<void>
}

export class ContainerDisk implements MachineDisk {
  readonly #owner: DiskOwner

  constructor(owner: DiskOwner) {
    this.#owner = owner
  }

  get #stateDir(): string {
    return this.#owner.machine.spec.stateDir
  }

  async fill(freeBytes: number): Promise<void> {
    await this.#owner.requireOn()
    await this.#owner.remember({ full: true })
    await this.#owner.machine.run(['sh', '-euc', FILL, 'sh', this.#stateDir, String(Math.round(freeBytes))])
  }

  async release(): Promise<void> {
    await this.#owner.remember({ full: false })
    if (!(await this.#owner.isOff())) await this.#owner.machine.run(['rm', '-f', join(this.#stateDir, BALLAST)])
  }

  /**
   * While programs have files open for writing, the kernel refuses to make a file system read-only; then it is aborted,
   * as after a write error: writes fail with EROFS, and only a restart makes it writable again.
   */
  async setReadOnly(on: boolean): Promise<void> {
    const { machine, remember, isOff } = this.#owner
    await remember({ readOnly: on })
    if (await isOff()) return
    const remount = async (options: string): Promise<boolean> =>
      (await machine.run(['mount', '-o', `remount,${options}`, this.#stateDir], { allow: [0, 32] })).code === 0
    if (on) {
      if (await remount('ro')) return
      await machine.run(['sync', '--file-system', this.#stateDir])
      if (!(await remount('abort')))
        throw new GantryError('Internal', `the disk of ${machine.spec.name} cannot be made read-only`)
    } else if (!(await remount('rw'))) {
      await machine.kill()
      await machine.start()
    }
  }

  async throttle(bytesPerSecond: number | undefined): Promise<void> {
    await this.#owner.remember({ bytesPerSecond })
    if (await this.#owner.isOff()) return
    await this.#owner.machine.run([
      'sh',
      '-euc',
      THROTTLE,
      this.#owner.group,
      this.#stateDir,
      String(Math.round(bytesPerSecond ?? 0)),
    ])
  }
}
