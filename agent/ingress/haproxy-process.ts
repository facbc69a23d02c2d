/**
 * The HAProxy of this node: a master process that outlives the agent, and the directory that it reads.
 *
 *   <directory>/pid   its master's process, known again by the directory in its command line; <directory>/master.sock
 * its master's socket
 *   <directory>/current ──▶ g<N>/   the configuration in force, and its `structure`
 *
 * A new configuration is written beside the one in force, tried by `haproxy -c`, put in its place by one rename, and
 * loaded. One that cannot be loaded is taken back, so that a start of HAProxy, too, finds the one that worked.
 */
import { createServer } from 'node:net'
import { lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import { identify, isAlive, readProcess, signalProcess, type ProcessIdentity } from '../../proto/base/process.ts'
import type { Run } from '../host/launcher.ts'
import { CONFIGURATION_FILE, type HaproxyConfig } from './haproxy-config.ts'
import { alertsIn, MasterSocket, type Master } from './master-socket.ts'

/** Milliseconds for HAProxy to start, or to check a configuration. */
const START_TIMEOUT_MS = 30_000
/** Milliseconds between looks at a process that is to end, and looks at most. */
const EXIT_POLL_INTERVAL_MS = 20
const EXIT_POLL_LIMIT = 250

export interface HaproxyProcessOptions {
  readonly directory: string
  readonly run: Run
  readonly clock: Clock
}

/** Lines that HAProxy does not understand, and what it says of each. */
export class ConfigRejectedError extends GantryError {
  readonly lines: ReadonlyMap<number, string>

  constructor(message: string, lines: ReadonlyMap<number, string>) {
    super('InvalidArgument', message)
    this.lines = lines
  }
}

export class HaproxyProcess {
  readonly master: Master
  readonly #options: HaproxyProcessOptions
  #process: ProcessIdentity | undefined

  constructor(options: HaproxyProcessOptions) {
    this.#options = options
    this.master = new MasterSocket(this.#path('master.sock'), options.clock)
  }

  /** Takes up the process that an earlier agent has left, if it still runs. */
  async adopt(): Promise<void> {
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 })
    const pid = Number(((await readIfThere(this.#path('pid'))) ?? '').split('\n')[0])
    const process = pid > 0 ? identify(pid) : undefined
    const own =
      process !== undefined &&
      readProcess(pid, 'cmdline')?.split('\0').includes(this.#path('current', CONFIGURATION_FILE)) === true
    this.#process = own ? process : undefined
  }

  get running(): boolean {
    return this.#process !== undefined && isAlive(this.#process)
  }

  /** Of the configuration in force, if there is one. */
  structure(): Promise<string | undefined> {
    return readIfThere(this.#path('current', 'structure'))
  }

  /** The ports that it listens at. */
  async ports(): Promise<ReadonlySet<number>> {
    if (!this.running) return new Set()
    const text = (await readIfThere(this.#path('current', CONFIGURATION_FILE))) ?? ''
    return new Set([...text.matchAll(/^ {2}bind \S*:(\d+)/gm)].map(([, port]) => Number(port)))
  }

  /**
   * Puts a configuration into force, and starts HAProxy if it does not run. Refusal, or the start's error: what was in
   * force stays so.
   */
  async load(configuration: HaproxyConfig): Promise<void> {
    const before = await linkTarget(this.#path('current'))
    const name = `g${Number(before?.slice(1) ?? 0) + 1}`
    await this.#write(name, configuration)
    await this.#check(name)
    await this.#switch(name)
    try {
      if (this.running) await this.master.reload()
      else await this.#start()
    } catch (thrown) {
      if (before !== undefined) await this.#switch(before)
      else await rm(this.#path('current'))
      throw thrown
    }
    await this.#removeOthers(name)
  }

  /** Ends HAProxy at once; nothing of it stays. */
  async end(): Promise<void> {
    const process = this.#process
    if (process !== undefined) {
      signalProcess(process, 15)
      for (let looks = 0; isAlive(process); looks++) {
        if (looks === EXIT_POLL_LIMIT) signalProcess(process, 9)
        await delay(this.#options.clock, EXIT_POLL_INTERVAL_MS)
      }
    }
    this.#process = undefined
    await rm(this.#path('pid'), { force: true })
    await rm(this.#path('current'), { force: true })
    await this.#removeOthers('')
  }

  #path(...names: string[]): string {
    return join(this.#options.directory, ...names)
  }

  async #write(name: string, { files, structure }: HaproxyConfig): Promise<void> {
    const root = this.#path(name)
    await rm(root, { recursive: true, force: true })
    await mkdir(join(root, 'certificates'), { recursive: true, mode: 0o700 })
    for (const [file, content] of files) await writeFile(join(root, file), content, { mode: 0o600 })
    await writeFile(join(root, 'structure'), structure)
  }

  async #check(name: string): Promise<void> {
    const { code, stderr } = await this.#options.run('haproxy', ['-c', '-f', this.#path(name, CONFIGURATION_FILE)], {
      timeout: START_TIMEOUT_MS,
      allow: [0, 1],
    })
    if (code === 0) return
    const lines = new Map(
      [...stderr.matchAll(/\[[^\]\s]*haproxy\.cfg:(\d+)\]\s*:?\s*(.*)/g)].map(([, line, words]) => [
        Number(line),
        words!,
      ]),
    )
    throw new ConfigRejectedError(
      `haproxy refuses the configuration: ${alertsIn(stderr) || stderr.trim().slice(-500)}`,
      lines,
    )
  }

  async #switch(name: string): Promise<void> {
    const next = this.#path('next')
    await rm(next, { force: true })
    await symlink(name, next)
    await rename(next, this.#path('current'))
  }

  /** HAProxy goes into the background by itself, once its ports are bound. */
  async #start(): Promise<void> {
    const pidFile = this.#path('pid')
    await rm(pidFile, { force: true })
    await this.#options.run(
      'haproxy',
      ['-W', '-D', '-S', this.#path('master.sock'), '-p', pidFile, '-f', this.#path('current', CONFIGURATION_FILE)],
      { timeout: START_TIMEOUT_MS },
    )
    const process = await this.#begun(pidFile)
    this.#process = process
    await this.#answering(process)
  }

  /**
   * What is started returns when its ports are bound; the process in the background, which has them, then writes who it
   * is.
   */
  async #begun(pidFile: string): Promise<ProcessIdentity> {
    for (let looks = 0; ; looks++) {
      const text = (await readIfThere(pidFile)) ?? ''
      const process = text.includes('\n') ? identify(Number(text.split('\n')[0])) : undefined
      if (process !== undefined) return process
      if (looks === EXIT_POLL_LIMIT || text.includes('\n'))
        throw new GantryError('Internal', 'haproxy ended as soon as it had begun')
      await delay(this.#options.clock, EXIT_POLL_INTERVAL_MS)
    }
  }

  /** The process in the background takes a moment to answer at its socket. */
  async #answering(process: ProcessIdentity): Promise<void> {
    for (let looks = 0; ; looks++) {
      try {
        return void (await this.master.workers())
      } catch (thrown) {
        if (!GantryError.is(thrown, 'Unavailable') || looks === EXIT_POLL_LIMIT || !isAlive(process)) throw thrown
      }
      await delay(this.#options.clock, EXIT_POLL_INTERVAL_MS)
    }
  }

  async #removeOthers(name: string): Promise<void> {
    const old = (await readdir(this.#options.directory)).filter((entry) => /^g\d+$/.test(entry) && entry !== name)
    await Promise.all(old.map((entry) => rm(this.#path(entry), { recursive: true, force: true })))
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw GantryError.from(thrown)
  }
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw GantryError.from(thrown)
  }
}

/** Undefined if the port could be listened at, else why not. */
export function portUnavailableReason(port: number, host: string | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRINUSE' ? 'another program listens there' : error.message),
    )
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
