/**
 * What a pod's containers share beside the network: an IPC and a UTS namespace, /dev/shm, and a place for the pod's own
 * files, pinned in a directory and made ahead.
 */
import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { mkdir, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import { mountsUnder } from '../../host/mount-table.ts'
import {
  CLONE_NEWIPC,
  CLONE_NEWUTS,
  MS_BIND,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  NOT_MOUNTED,
  type SystemCall,
  type SystemCaller,
} from '../../host/system-calls.ts'
import { Semaphore } from '../../../proto/base/semaphore.ts'

const READY_PREFIX = 'ready-'
/** Milliseconds from taking a ready one to making another: the pod that took it is started first. */
const REFILL_DELAY = 100
/** Made at once. */
const MAX_CONCURRENT_CREATES = 4
/** Without these a sandbox is none. */
const PINNED_NAMESPACES = ['ipc', 'uts', 'shm'] as const
const FILES = 'files'
const MOUNT_POINTS = [...PINNED_NAMESPACES, FILES] as const
const SHM_BYTES = 64 * 1024 * 1024
/**
 * Containers may write to files in this place, such as /etc/hosts and the termination message, and must not fill the
 * agent's memory by it. The inodes are for files that the agent itself makes: a container sees single files, and can
 * make none beside them.
 */
const FILES_BYTES = 4 * 1024 * 1024
const FILES_INODES = 8192

/**
 * A directory `sandboxes/<id>` with the mounts `ipc`, `uts`, `shm` and `files`. Taking one made ahead is a rename of
 * the directory, which the mounts inside follow.
 */
export class SandboxDirectories {
  readonly #stateDir: string
  readonly #prepared: number
  readonly #calls: SystemCaller
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #slots = new Semaphore(MAX_CONCURRENT_CREATES)
  readonly #ready: string[] = []
  #root = ''
  #count = 0
  #filling: Promise<void> | undefined
  #refill: Timer | undefined
  #stopped = true

  constructor(stateDir: string, prepared: number, calls: SystemCaller, clock: Clock, logger: Logger) {
    this.#calls = calls
    this.#clock = clock
    this.#stateDir = stateDir
    this.#prepared = prepared
    this.#logger = logger
  }

  /** Removes what was made ahead by an earlier process. The ids of those that are somebody's. */
  async start(): Promise<readonly string[]> {
    const root = join(this.#stateDir, 'sandboxes')
    await mkdir(root, { recursive: true, mode: 0o700 })
    this.#root = await realpath(root)
    const names = await readdir(this.#root)
    await this.#removeAll(names.filter((name) => name.startsWith(READY_PREFIX)))
    this.#stopped = false
    this.#fill()
    return names.filter((name) => !name.startsWith(READY_PREFIX))
  }

  /** Removes those made ahead. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#refill?.cancel()
    this.#refill = undefined
    await this.#filling
    await this.#removeAll(this.#ready.splice(0))
  }

  path(id: string): string {
    return join(this.#root, id)
  }

  /** The bounded place for files of the pod that its containers may write to. */
  files(id: string): string {
    return join(this.path(id), FILES)
  }

  async take(id: string): Promise<string> {
    const name = this.#ready.shift() ?? (await this.#slots.run(() => this.#make()))
    renameSync(join(this.#root, name), this.path(id))
    if (!this.#stopped) this.#fillLater()
    return this.path(id)
  }

  /** False after a reboot: the directory is there, its namespaces are not. */
  async isWhole(id: string): Promise<boolean> {
    const mounted = new Set(await mountsUnder(this.path(id)))
    return PINNED_NAMESPACES.every((pin) => mounted.has(join(this.path(id), pin)))
  }

  async remove(id: string): Promise<void> {
    await this.#removeAll([id])
  }

  #fillLater(): void {
    this.#refill ??= this.#clock.after(REFILL_DELAY, () => {
      this.#refill = undefined
      this.#fill()
    })
  }

  #fill(): void {
    if (this.#filling !== undefined || this.#stopped || this.#ready.length >= this.#prepared) return
    this.#filling = this.#fillUp().finally(() => (this.#filling = undefined))
  }

  async #fillUp(): Promise<void> {
    try {
      while (!this.#stopped && this.#ready.length < this.#prepared) this.#ready.push(await this.#make())
    } catch (error) {
      this.#logger.warn({ err: error }, 'cannot make a sandbox ahead')
    }
  }

  async #make(): Promise<string> {
    const name = READY_PREFIX + String(++this.#count)
    const directory = join(this.#root, name)
    for (const point of ['shm', FILES]) mkdirSync(join(directory, point), { recursive: true, mode: 0o711 })
    for (const namespace of ['ipc', 'uts']) closeSync(openSync(join(directory, namespace), 'a'))
    try {
      await this.#calls.make([
        { call: 'unshare', flags: CLONE_NEWIPC | CLONE_NEWUTS },
        pin('ipc', directory),
        pin('uts', directory),
        mountTmpfs('shm', directory, MS_NOSUID | MS_NOEXEC | MS_NODEV, `mode=1777,size=${SHM_BYTES}`),
        mountTmpfs(
          FILES,
          directory,
          MS_NOSUID | MS_NOEXEC | MS_NODEV,
          `mode=0711,size=${FILES_BYTES},nr_inodes=${FILES_INODES}`,
        ),
      ])
    } catch (error) {
      await this.#removeAll([name])
      throw GantryError.from(error)
    }
    return name
  }

  async #removeAll(names: readonly string[]): Promise<void> {
    if (names.length === 0) return
    const points = names.flatMap((name) => MOUNT_POINTS.map((point) => join(this.#root, name, point)))
    const results = await this.#calls.makeEach(points.map((target) => ({ call: 'umount', target, flags: 0 })))
    for (const { errno, error } of results) if (error !== undefined && !NOT_MOUNTED.includes(errno!)) throw error
    for (const name of names) await rm(join(this.#root, name), { recursive: true, force: true })
  }
}

function pin(namespace: 'ipc' | 'uts', directory: string): SystemCall {
  const source = `/proc/self/ns/${namespace}`
  return { call: 'mount', source, target: join(directory, namespace), type: 'none', flags: MS_BIND, options: '' }
}

function mountTmpfs(name: string, directory: string, flags: number, options: string): SystemCall {
  return { call: 'mount', source: name, target: join(directory, name), type: 'tmpfs', flags, options }
}
