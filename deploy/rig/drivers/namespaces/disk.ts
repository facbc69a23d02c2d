/**
 * A machine's own disk: ext4 in a sparse file, on a loop device that goes when it is unmounted. It is mounted in the
 * machine's mount namespace only, so it is unmounted by the kernel when the last process there has ended, whatever
 * ended it.
 */
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, stat, statfs, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'
import { isAlive, type ProcessIdentity } from '../../../../proto/base/process.ts'
import type { Machine, MachineDisk } from '../../contract.ts'
import type { CgroupTree } from './cgroup-tree.ts'
import { within, type Handle } from './machine-paths.ts'
import { runProgram } from './programs.ts'

/**
 * Nothing kept back for root, and nothing written that the kernel need not find: inode tables are empty by being holes
 * in the file.
 */
const FORMAT = [
  '-q',
  '-F',
  '-m',
  '0',
  '-J',
  'size=32',
  '-O',
  '^resize_inode',
  '-E',
  'nodiscard,lazy_itable_init=1,lazy_journal_init=1',
]
/**
 * What the machine has synced is in the file; that the host has too is not waited for (nobarrier), since it is the
 * machine that loses its power and not the host: a sync takes a third of the time it takes on the host's own file
 * system. Files removed give their space back to the host (discard).
 */
const MOUNT = ['loop', 'noatime', 'noinit_itable', 'nobarrier', 'discard']

/** Takes up the space of a full disk. */
const BALLAST = '.ballast'

/**
 * EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: from then on nothing is written, not even the journal.
 * include/uapi/linux/ext4.h Looks at what it has opened whether that is the disk meant: should the machine end in
 * between, its path might lead to the host's own.
 */
const SHUTDOWN = `
open(my $top, "<", $ARGV[0]) or die "open: $!\n";
(stat $top)[0] == $ARGV[1] or die "another disk is mounted there\n";
my $flags = pack("L", 2);
ioctl($top, 0x8004587D, $flags) or die "shutdown: $!\n";
`

export function mountOptions(readOnly: boolean): string {
  return [...MOUNT, ...(readOnly ? ['ro'] : [])].join(',')
}

/** Makes the file of an empty disk. */
export async function makeImage(image: string, bytes: number): Promise<void> {
  await mkdir(dirname(image), { recursive: true })
  const file = await open(image, 'w', 0o600)
  try {
    await file.truncate(bytes)
  } finally {
    await file.close()
  }
  await runProgram('mkfs.ext4', [...FORMAT, image])
}

/**
 * Cuts a machine's disk off its power: what was not synced is lost. Nothing happens to one that is not mounted, or
 * whose machine has just ended.
 */
export async function cutPower(init: ProcessIdentity, image: string, stateDir: string): Promise<void> {
  const device = await deviceOf(image)
  if (device === undefined || !isAlive(init)) return
  const [major = 0, minor = 0] = (await readFile(`/sys/block/${device}/dev`, 'utf8')).trim().split(':').map(Number)
  try {
    await runProgram('perl', ['-e', SHUTDOWN, within(init.pid, stateDir), String(encodeDevice(major, minor))])
  } catch (thrown) {
    if (isAlive(init)) throw thrown
  }
}

/** Resolves when no loop device holds the file any more; DeadlineExceeded after `timeout` milliseconds. */
export async function awaitUnmounted(image: string, timeout = 10_000): Promise<void> {
  const deadline = systemClock.monotonic() + timeout
  for (;;) {
    const device = await deviceOf(image)
    if (device === undefined) return
    if (systemClock.monotonic() > deadline)
      throw new GantryError('DeadlineExceeded', `the disk ${image} is still in use, as ${device}`)
    await delay(systemClock, 5)
  }
}

/** What the kernel says after the name of a file that has been removed meanwhile. */
const REMOVED = ' (deleted)'

/** The loop device of a file, e.g. "loop3", also of one that has been removed. */
async function deviceOf(image: string): Promise<string | undefined> {
  const names = (await readdir('/sys/block')).filter((name) => name.startsWith('loop'))
  const backing = await Promise.all(
    names.map(async (name) => {
      const file = `/sys/block/${name}/loop/backing_file`
      if (!existsSync(file)) return undefined
      try {
        return (await readFile(file, 'utf8')).trim().replace(REMOVED, '')
      } catch (thrown) {
        if (['ENOENT', 'ENODEV', 'ENXIO'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return undefined
        throw thrown
      }
    }),
  )
  return names[backing.indexOf(image)]
}

/** A device's number as stat(2) tells it. https://man7.org/linux/man-pages/man3/makedev.3.html */
function encodeDevice(major: number, minor: number): number {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)
}

/** The block device under a machine's disk, as "7:3". */
async function deviceNumber(pid: number, stateDir: string): Promise<string> {
  const { dev } = await stat(within(pid, stateDir))
  return `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & ~0xff)}`
}

/**
 * Brings a disk that has just been mounted to the state it is remembered in; what is to be remembered of it from now
 * on.
 */
export async function restoreDisk(tree: CgroupTree, group: string, stateDir: string, handle: Handle): Promise<Handle> {
  const { init, full = false, readOnly = false, throttle } = handle
  if (!full && !readOnly) await rm(join(within(init.pid, stateDir), BALLAST), { force: true })
  const device = await deviceNumber(init.pid, stateDir)
  // Also where there is no limit: the one that had the device before may have left its own, having ended by itself.
  await tree.throttle(group, device, throttle?.bytesPerSecond)
  return throttle === undefined ? handle : { ...handle, throttle: { ...throttle, device } }
}

/** Lifts a limit on the device of a disk that is unmounted; not if another disk has it since. */
export async function liftThrottle(tree: CgroupTree, group: string, { throttle }: Handle): Promise<void> {
  if (throttle !== undefined && !existsSync(`/sys/dev/block/${throttle.device}/loop/backing_file`))
    await tree.throttle(group, throttle.device, undefined)
}

/** Of a disk that is not mounted. */
const NO_DEVICE = '0:0'

/** What a disk asks of its machine. */
export interface DiskOwner {
  readonly machine: Machine
  readonly group: string
  readonly tree: CgroupTree
  /** Host pid of the machine's init; undefined while it is off. */
  pid(): number | undefined
  remember(change: Partial<Handle>): Promise<void>
}

export class LoopDisk implements MachineDisk {
  readonly #owner: DiskOwner

  constructor(owner: DiskOwner) {
    this.#owner = owner
  }

  async fill(freeBytes: number): Promise<void> {
    const { machine, remember } = this.#owner
    const stateDir = within(this.#running(), machine.spec.stateDir)
    const ballast = join(stateDir, BALLAST)
    await remember({ full: true })
    for (let before = Infinity; ;) {
      const { bavail, bsize } = await statfs(stateDir)
      const over = bavail * bsize - freeBytes
      const size = existsSync(ballast) ? (await stat(ballast)).size : 0
      if (over < 0 && size > 0 && before === Infinity) await truncate(ballast, Math.max(0, size + over))
      if (over <= 0 || over >= before) return
      before = over
      // Out of space half-way is what is wanted; the file keeps what it got.
      await machine.run(['fallocate', '--length', String(size + over), join(machine.spec.stateDir, BALLAST)], {
        allow: [0, 1],
      })
    }
  }

  async release(): Promise<void> {
    const pid = this.#owner.pid()
    await this.#owner.remember({ full: false })
    if (pid !== undefined) await rm(join(within(pid, this.#owner.machine.spec.stateDir), BALLAST), { force: true })
  }

  /**
   * While programs have files open for writing, the kernel refuses to make a file system read-only; then it is aborted,
   * as after a write error: writes fail with EROFS, and, as on any machine, only a restart makes it writable again.
   */
  async setReadOnly(on: boolean): Promise<void> {
    const { machine, remember } = this.#owner
    const { stateDir } = machine.spec
    await remember({ readOnly: on })
    if (this.#owner.pid() === undefined) return
    const remount = async (options: string): Promise<boolean> =>
      (await machine.run(['mount', '-o', `remount,${options}`, stateDir], { allow: [0, 32] })).code === 0
    if (on) {
      if (await remount('ro')) return
      await machine.run(['sync', '--file-system', stateDir])
      if (!(await remount('abort')))
        throw new GantryError('Internal', `the disk of ${machine.spec.name} cannot be made read-only`)
    } else if (!(await remount('rw'))) {
      await machine.kill()
      await machine.start()
    }
  }

  async throttle(bytesPerSecond: number | undefined): Promise<void> {
    const { machine, group, tree, remember } = this.#owner
    const pid = this.#owner.pid()
    const device = pid === undefined ? NO_DEVICE : await deviceNumber(pid, machine.spec.stateDir)
    await remember({ throttle: bytesPerSecond === undefined ? undefined : { device, bytesPerSecond } })
    if (pid !== undefined) await tree.throttle(group, device, bytesPerSecond)
  }

  #running(): number {
    const pid = this.#owner.pid()
    if (pid === undefined)
      throw new GantryError('FailedPrecondition', `machine ${this.#owner.machine.spec.name} is off`)
    return pid
  }
}
