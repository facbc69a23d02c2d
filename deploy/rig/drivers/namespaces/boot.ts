/** A machine's start: namespaces, cgroup, disk, cable and files, then its program. */
import { spawn, type ChildProcess } from 'node:child_process'
import { chmod, mkdir, open, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import { systemClock } from '../../../../proto/base/clock.ts'
import { identify, readProcess } from '../../../../proto/base/process.ts'
import type { MachineFile, MachineSpec } from '../../contract.ts'
import type { CgroupTree } from './cgroup-tree.ts'
import { mountOptions, restoreDisk } from './disk.ts'
import type { VethConnector } from './host-network.ts'
import { readTail } from './log-tail.ts'
import { within, type Handle, type MachinePaths } from './machine-paths.ts'
import { searchPath } from './programs.ts'

/** Milliseconds for all of it. */
const PATIENCE = 20_000

export interface Boot {
  readonly spec: MachineSpec
  readonly place: MachinePaths
  readonly address: string
  readonly gateway: string
  readonly tree: CgroupTree
  readonly cables: VethConnector
  /** Folder of machine-boot and machine-init. */
  readonly scripts: string
  /** Its program starts only when this has resolved. */
  readonly record: (handle: Handle) => Promise<void>
}

/**
 * Starts a machine whose disk's file is there. Internal, with the last lines of its log, if it does not start: then
 * nothing of it runs.
 */
export async function boot(
  { spec, place, address, gateway, tree, cables, scripts, record }: Boot,
  before: Pick<Handle, 'ownDisk' | 'full' | 'readOnly' | 'throttle'>,
): Promise<Handle> {
  await rm(spec.runDir, { recursive: true, force: true })
  await Promise.all(
    [spec.runDir, spec.stateDir, dirname(spec.log)].map((directory) => mkdir(directory, { recursive: true })),
  )
  await tree.create(`${place.group}/system`)
  await tree.limit(place.group, spec)
  const log = await open(spec.log, 'a')
  const init = [
    join(scripts, 'machine-init'),
    spec.name,
    join(spec.runDir, `hold-${spec.program.name}`),
    ...spec.program.command,
  ]
  const holder = spawn(
    'unshare',
    [
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--net',
      '--uts',
      '--ipc',
      '--mount',
      join(scripts, 'machine-boot'),
      spec.name,
      before.ownDisk ? place.image : '-',
      mountOptions(before.readOnly === true),
      spec.stateDir,
      `${address}/24`,
      gateway,
      ...init,
    ],
    { detached: true, stdio: ['pipe', 'pipe', log.fd], env: environment() },
  )
  const talk = new InitHandshake(holder)
  try {
    await talk.hear('mounted')
    const pid = Number(readProcess(holder.pid!, `task/${holder.pid}/children`)?.trim())
    const [holding, initial] = [identify(holder.pid!), identify(pid)]
    if (holding === undefined || initial === undefined) throw new GantryError('Internal', 'it ended at once')
    let handle: Handle = { ...before, holder: holding, init: initial }
    await allOf(
      tree.join(`${place.group}/system`, pid),
      cables.plugIn(place.cable, spec.name, pid),
      ...spec.files.map((file) => writeMissing(within(pid, file.path), file)),
    )
    if (before.ownDisk) handle = await restoreDisk(tree, place.group, spec.stateDir, handle)
    await record(handle)
    talk.say('go')
    await talk.hear('ready')
    return handle
  } catch (cause) {
    await endProcesses(holder)
    const tail = (await readTail(spec.log, 2_000)).trim().split('\n').slice(-5).join('\n')
    throw new GantryError(
      'Internal',
      `machine ${spec.name} did not start: ${(cause as Error).message}${tail === '' ? '' : `\n${tail}`}`,
      { cause },
    )
  } finally {
    talk.end()
    await log.close()
  }
}

/** Machines take from whoever starts them only this: another one may start them again. */
function environment(): NodeJS.ProcessEnv {
  const { LANG, TZ, GANTRY_LOG_LEVEL } = process.env
  return Object.fromEntries(
    Object.entries({ PATH: searchPath(), HOME: '/root', LANG, TZ, GANTRY_LOG_LEVEL }).filter(
      ([, value]) => value !== undefined,
    ),
  )
}

/** As Promise.all, but nothing goes on when it has failed. */
async function allOf(...parts: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(parts)).find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** A file that is there has been changed by whoever uses the machine, and stays. */
async function writeMissing(path: string, { content, mode = 0o600 }: MachineFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(path, content, { mode, flag: 'wx' })
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return
    throw thrown
  }
  await chmod(path, mode) // whatever the umask
}

async function endProcesses(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null || holder.pid === undefined) return
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()))
  holder.kill('SIGKILL')
  await ended
}

/** Lines to and from machine-boot. */
class InitHandshake {
  readonly #holder: ChildProcess
  readonly #deadline = systemClock.monotonic() + PATIENCE
  #heard = ''
  #failure: GantryError | undefined
  #wake: () => void = () => undefined

  constructor(holder: ChildProcess) {
    this.#holder = holder
    const fail = (message: string, cause?: unknown): void => {
      this.#failure ??= new GantryError('Internal', message, { cause })
      this.#wake()
    }
    holder.stdout!.on('data', (chunk: Buffer) => {
      this.#heard += chunk.toString()
      this.#wake()
    })
    holder.stdin!.on('error', (cause) => fail(`its boot does not listen: ${cause.message}`, cause))
    holder.on('error', (cause) => fail(`cannot start unshare: ${cause.message}`, cause))
    holder.on('exit', (code, signal) => fail(`its boot ended with ${code ?? signal}`))
  }

  /** Resolves when the line was said; what it says later is read by the next call. */
  async hear(line: string): Promise<void> {
    while (!this.#heard.startsWith(`${line}\n`)) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve, reject) => {
        const timer = systemClock.after(this.#deadline - systemClock.monotonic(), () =>
          reject(new GantryError('DeadlineExceeded', `its boot did not say "${line}" in ${PATIENCE} ms`)),
        )
        this.#wake = () => {
          timer.cancel()
          resolve()
        }
      })
    }
    this.#heard = this.#heard.slice(line.length + 1)
  }

  say(line: string): void {
    this.#holder.stdin!.end(`${line}\n`)
  }

  /** Lets go of the machine: it lives on by itself. */
  end(): void {
    this.#holder.stdin!.destroy()
    this.#holder.stdout!.destroy()
    this.#holder.unref()
  }
}
