/**
 * A place on this machine for a real runtime driver in tests: directories, a busybox root filesystem, a control group;
 * and its full removal.
 */
import { chmod, copyFile, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { tmpdir } from 'node:os'
import { Launcher } from '../../../agent/host/launcher.ts'
import { SystemCalls } from '../../../agent/host/system-calls.ts'
import { Cgroups } from '../../../agent/runtime/oci/cgroups.ts'
import { OciDriver, type OciDriverOptions } from '../../../agent/runtime/oci/driver.ts'
import type { RuntimeName } from '../../../agent/runtime/oci/runtime-program.ts'
import { delay, systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { silentLogger } from '../../../proto/base/logger.ts'

const APPLETS = [
  'sh',
  'sleep',
  'echo',
  'cat',
  'true',
  'false',
  'stty',
  'tty',
  'id',
  'hostname',
  'mount',
  'ps',
  'kill',
  'env',
  'pwd',
  'head',
  'dd',
  'ls',
  'touch',
  'seq',
  'wc',
  'grep',
  'tail',
  'mkdir',
  'readlink',
  'ipcs',
  'unshare',
]

export class RuntimeMachine {
  readonly directory: string
  readonly rootfs: string
  readonly cgroupParent: string
  readonly launcher: Launcher
  readonly calls = new SystemCalls(systemClock)
  readonly #runtime: RuntimeName

  private constructor(directory: string, runtime: RuntimeName) {
    this.directory = directory
    this.rootfs = join(directory, 'rootfs')
    this.cgroupParent = `/${basename(directory)}`
    this.launcher = new Launcher(join(directory, 'launch'), systemClock)
    this.#runtime = runtime
  }

  static async make(runtime: RuntimeName): Promise<RuntimeMachine> {
    const machine = new RuntimeMachine(await mkdtemp(join(tmpdir(), 'gantry-rt-')), runtime)
    // Users other than root reach the root filesystem through it.
    await chmod(machine.directory, 0o711)
    await mkdir(join(machine.rootfs, 'bin'), { recursive: true })
    const busybox = (await run('sh', ['-c', 'command -v busybox'])).stdout.trim()
    await copyFile(busybox, join(machine.rootfs, 'bin/busybox'))
    for (const applet of APPLETS) await symlink('busybox', join(machine.rootfs, 'bin', applet))
    await mkdir(join(machine.rootfs, 'tmp'))
    await chmod(join(machine.rootfs, 'tmp'), 0o1777)
    await writeFile(join(machine.rootfs, 'not-executable'), 'text')
    return machine
  }

  driver(change: Partial<OciDriverOptions> = {}): OciDriver {
    return new OciDriver({
      stateDir: join(this.directory, 'state'),
      runDir: join(this.directory, 'run'),
      cgroupParent: this.cgroupParent,
      runtime: this.#runtime,
      prepared: 0,
      launcher: this.launcher,
      calls: this.calls,
      clock: systemClock,
      logger: silentLogger,
      ...change,
    })
  }

  logPath(id: string): string {
    return join(this.directory, 'logs', `${id}.log`)
  }

  /** What a container wrote, without the CRI log's prefixes. */
  async log(id: string): Promise<string> {
    const text = await readIfThere(this.logPath(id))
    return text
      .split('\n')
      .map((line) => line.split(' '))
      .map(([, , tag, ...words]) => words.join(' ') + (tag === 'F' ? '\n' : ''))
      .join('')
  }

  pass(): Promise<void> {
    return delay(systemClock, 10)
  }

  /**
   * Everything that the driver started and that still runs: what is in its control groups, and what was told of its
   * directories (conmon).
   */
  async processes(): Promise<number[]> {
    return [...new Set([...(await this.#contained()), ...(await this.#called())])]
  }

  async #contained(): Promise<number[]> {
    const { layout } = await Cgroups.detect(systemClock)
    const found: number[] = []
    const visit = async (directory: string): Promise<void> => {
      found.push(
        ...(await readIfThere(join(directory, 'cgroup.procs')))
          .split('\n')
          .filter((line) => line !== '')
          .map(Number),
      )
      const entries = (await exists(directory)) ? await readdir(directory, { withFileTypes: true }) : []
      for (const entry of entries) if (entry.isDirectory()) await visit(join(directory, entry.name))
    }
    await visit(join(layout.version === 2 ? layout.mount : layout.controllers.get('pids')!, this.cgroupParent))
    return found
  }

  async #called(): Promise<number[]> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    const lines = await Promise.all(pids.map((pid) => readIfThere(`/proc/${pid}/cmdline`)))
    return pids.filter((_, index) => lines[index]!.includes(`${this.directory}/`)).map(Number)
  }

  async mounts(): Promise<string[]> {
    const table = await readFile('/proc/self/mountinfo', 'utf8')
    return table
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((point) => point.startsWith(`${this.directory}/`))
  }

  /** Kills and removes everything, also what a failed test left. */
  async cleanUp(): Promise<void> {
    this.launcher.stop()
    this.calls.stop()
    const deadline = systemClock.monotonic() + 10_000
    for (let pids = await this.processes(); pids.length > 0; pids = await this.processes()) {
      if (systemClock.monotonic() > deadline) throw new Error(`processes ${pids.join(' ')} do not end`)
      for (const pid of pids) killIfThere(pid)
      await this.pass()
    }
    await (await Cgroups.detect(systemClock)).remove(this.cgroupParent)
    const mounts = await this.mounts()
    if (mounts.length > 0) await run('umount', mounts.reverse())
    await rm(this.directory, { recursive: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return readdir(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function readIfThere(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (['ENOENT', 'ENODEV', 'ESRCH'].includes(error.code!)) return ''
    throw error
  })
}
