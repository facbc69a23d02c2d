/**
 * Snapshots as overlayfs layers (https://docs.kernel.org/filesystems/overlayfs.html).
 *
 *     committed/<12 digits of the chain id>/   snapshot.json  fs/
 *     active/<key>/                            snapshot.json  upper/  work/  rootfs/ (where it is mounted)
 *     spare/                                   what is left of active ones that were removed, to be used again
 *     staging/  trash/                         what is half made, half removed
 */
import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rename, rmdir, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { run } from '../../../proto/base/command.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import { writeDurably } from '../durable-file.ts'
import type { SystemCaller } from '../../host/system-calls.ts'
import { removeTree } from '../../host/remove-tree.ts'
import { Leases } from '../leases.ts'
import { KeyedLock } from '../../../proto/base/semaphore.ts'
import { digestHex } from '../reference.ts'
import type { ApplyLayer, Snapshotter } from './contract.ts'
import { LowerView, type LayerFolder } from './lower-view.ts'
import { OverlayMounter } from './overlay-mounter.ts'

interface CommittedRecord {
  readonly chainId: string
  /** '' if there is none. */
  readonly parent: string
  readonly opaque: readonly string[]
  /**
   * The boot (/proc/sys/kernel/random/boot_id) in which it was written, until its files are synced: lost if the machine
   * stops before.
   */
  readonly unsyncedIn: string | undefined
}

interface ActiveRecord {
  readonly key: string
  readonly chainId: string
}

/** What every snapshot shows, unless its layers say otherwise: absolute paths without links in them. */
export interface Base {
  /** Those that lead to others come before them. */
  readonly directories: readonly string[]
  /** Empty ones. */
  readonly files: readonly string[]
}

const RECORD = 'snapshot.json'
const KEY = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
/** The base: stands below all layers. */
const EMPTY = 'empty'
/** Characters of the record of an active snapshot, with blanks behind it. */
const ACTIVE_RECORD_LENGTH = 512
/** Folders of removed snapshots that are kept. */
const MAX_SPARE = 128
/** statfs(2) */
const OVERLAY_MAGIC = 0x794c7630

export class OverlaySnapshotter implements Snapshotter {
  readonly leases = new Leases()
  readonly #root: string
  readonly #bootIdFile: string
  readonly #log: Logger
  readonly #committed = new Map<string, CommittedRecord>()
  readonly #active = new Map<string, string>()
  readonly #lock = new KeyedLock()
  readonly #mounts: OverlayMounter
  readonly #base: Base
  /**
   * Paths of folders without what was written in them. Some file systems (ext4) are slow at making files where many
   * were removed lately, and a folder that is used again is neither made nor removed.
   */
  readonly #spare: string[] = []
  #bootId = ''
  #syncing: Promise<void> = Promise.resolve()
  #syncQueued = false

  /** `bootIdFile` tells one boot of the machine from another. */
  constructor(
    root: string,
    log: Logger,
    calls: SystemCaller,
    base: Base = { directories: [], files: [] },
    bootIdFile = '/proc/sys/kernel/random/boot_id',
  ) {
    this.#root = root
    this.#log = log
    this.#base = base
    this.#bootIdFile = bootIdFile
    this.#mounts = new OverlayMounter(join(root, 'committed'), calls)
  }

  async start(): Promise<void> {
    this.#bootId = (await readFile(this.#bootIdFile, 'utf8')).trim()
    for (const folder of ['committed', 'active', 'spare', 'staging', 'trash'])
      await mkdir(join(this.#root, folder), { recursive: true, mode: 0o700 })
    await this.#makeBase()
    if ((await statfs(this.#root)).type === OVERLAY_MAGIC)
      throw new GantryError(
        'FailedPrecondition',
        `${this.#root} is on an overlay file system, which cannot carry another: put the state directory on ext4, xfs or btrfs`,
      )
    for (const folder of ['spare', 'staging', 'trash'])
      for (const name of await readdir(join(this.#root, folder))) await this.#erase(join(this.#root, folder, name))
    for (const name of await readdir(join(this.#root, 'committed'))) {
      if (name === EMPTY) continue
      const record = await this.#read<CommittedRecord>(join('committed', name))
      const lost = record === undefined || (record.unsyncedIn !== undefined && record.unsyncedIn !== this.#bootId)
      if (lost) await this.#discard(join(this.#root, 'committed', name))
      else this.#committed.set(record.chainId, record)
    }
    for (const { chainId } of [...this.#committed.values()].filter((record) => !this.#isWhole(record)))
      await this.#drop(chainId)
    for (const name of await readdir(join(this.#root, 'active'))) {
      const record = await this.#read<ActiveRecord>(join('active', name))
      // Of another key: that of the folder's user before, if the machine lost its power.
      if (record?.key !== name) await this.#discard(join(this.#root, 'active', name))
      else this.#active.set(record.key, record.chainId)
    }
    if ([...this.#committed.values()].some((record) => record.unsyncedIn !== undefined)) this.#sync()
  }

  stop(): Promise<void> {
    return this.#syncing
  }

  committed(chainId: string): boolean {
    return chainId === '' || this.#committed.has(chainId)
  }

  commit(chainId: string, parent: string, fill: ApplyLayer): Promise<void> {
    return this.#lock.run(chainId, async () => {
      if (this.#committed.has(chainId)) return
      if (!this.committed(parent))
        throw new GantryError('FailedPrecondition', `the layer below, ${parent}, is not unpacked`)
      const folder = shortName(chainId)
      const rival = [...this.#committed.keys()].find((other) => shortName(other) === folder)
      if (rival !== undefined) throw new GantryError('Internal', `snapshots ${chainId} and ${rival} have names alike`)
      const staging = this.#unfinished('staging')
      try {
        await mkdir(join(staging, 'fs'), { recursive: true })
        copyAttributes(this.#layerPath(parent), join(staging, 'fs'))
        const { opaque } = await fill(join(staging, 'fs'), new LowerView(this.#layers(parent)))
        const record: CommittedRecord = { chainId, parent, opaque, unsyncedIn: this.#bootId }
        await writeFile(join(staging, RECORD), JSON.stringify(record), { mode: 0o600 })
        await rename(staging, join(this.#root, 'committed', folder))
        this.#committed.set(chainId, record)
      } catch (error) {
        await this.#erase(staging)
        throw error
      }
      this.#sync()
    })
  }

  mount(key: string, chainId: string): Promise<{ readonly path: string }> {
    if (!KEY.test(key))
      return Promise.reject(
        new GantryError(
          'InvalidArgument',
          `"${key}" is no name for a root file system: up to 128 letters, digits, "_", "." and "-"`,
        ),
      )
    return this.#lock.run(key, async () => {
      const known = this.#active.get(key)
      if (known !== undefined && known !== chainId)
        throw new GantryError('AlreadyExists', `root file system ${key} stands on ${known}, not on ${chainId}`)
      if (!this.committed(chainId))
        throw new GantryError('NotFound', `layers ${chainId} of root file system ${key} are not unpacked`)
      // From here on a sweep leaves its layers alone.
      this.#active.set(key, chainId)
      const path = join(this.#root, 'active', key, 'rootfs')
      try {
        if (known === undefined) await this.#prepare(key, chainId)
        await this.#mounts.mount({ path, options: this.#options(key, chainId) })
      } catch (error) {
        if (known === undefined) await this.#removeActive(key)
        throw error
      }
      return { path }
    })
  }

  remove(key: string): Promise<void> {
    return this.#lock.run(key, async () => {
      if (this.#active.has(key)) await this.#removeActive(key)
    })
  }

  active(): ReadonlyMap<string, string> {
    return this.#active
  }

  async sweep(live: ReadonlySet<string>): Promise<void> {
    const dead = (chainId: string): boolean => !this.#used(live).has(chainId)
    // Topmost first: nothing ever stands on what is gone.
    for (let found = [...this.#committed.keys()].filter(dead); found.length > 0;) {
      const parents = new Set(found.map((chainId) => this.#committed.get(chainId)!.parent))
      for (const chainId of found.filter((one) => !parents.has(one))) {
        await this.#lock.run(chainId, async () => {
          if (this.#committed.has(chainId) && dead(chainId)) await this.#drop(chainId)
        })
      }
      const left = [...this.#committed.keys()].filter(dead)
      found = left.length < found.length ? left : []
    }
  }

  /** What is there of an earlier base is in use, perhaps, and stays. */
  async #makeBase(): Promise<void> {
    const base = this.#layerPath('')
    for (const path of ['', ...this.#base.directories]) {
      await mkdir(join(base, path), { recursive: true })
      await chmod(join(base, path), 0o755)
    }
    for (const path of this.#base.files) {
      await writeFile(join(base, path), '', { flag: 'a' })
      await chmod(join(base, path), 0o644)
    }
  }

  /** Everything that something needed stands on. */
  #used(live: ReadonlySet<string>): ReadonlySet<string> {
    const used = new Set<string>()
    const needed = [...this.#committed.keys()].filter((chainId) => live.has(chainId) || this.leases.has(chainId))
    for (const top of [...needed, ...this.#active.values()])
      for (let at = top; at !== '' && !used.has(at); at = this.#committed.get(at)?.parent ?? '') used.add(at)
    return used
  }

  /** Few small steps, which a container waits for: done without handing each to another thread. */
  async #prepare(key: string, chainId: string): Promise<void> {
    const spare = this.#spare.pop()
    const staging = spare ?? this.#unfinished('staging')
    try {
      for (const folder of ['upper', 'work', 'rootfs']) mkdirSync(join(staging, folder), { recursive: true })
      copyAttributes(this.#layerPath(chainId), join(staging, 'upper'))
      const record = JSON.stringify({ key, chainId } satisfies ActiveRecord).padEnd(ACTIVE_RECORD_LENGTH)
      // Written over the one before, of the same length: to cut a file may mean to wait for the disk.
      writeFileSync(join(staging, RECORD), record, { mode: 0o600, flag: spare === undefined ? 'w' : 'r+' })
      renameSync(staging, join(this.#root, 'active', key))
    } catch (error) {
      await this.#erase(staging)
      throw error
    }
  }

  /** The layers are named from their own folder, as all options together may take one page (4 KiB) at most. */
  #options(key: string, chainId: string): string {
    const folders = [...this.#chain(chainId).map((one) => shortName(one.chainId)), EMPTY]
    const active = join('..', 'active', key)
    return `lowerdir=${folders.map((folder) => `${folder}/fs`).join(':')},upperdir=${active}/upper,workdir=${active}/work`
  }

  async #removeActive(key: string): Promise<void> {
    const path = join(this.#root, 'active', key)
    if (this.#spare.length < MAX_SPARE) await this.#keep(path)
    await this.#discard(path)
    this.#active.delete(key)
  }

  /** Moves the folder of an active snapshot away and empties it, to be used again. Not there: nothing happens. */
  async #keep(path: string): Promise<void> {
    await this.#mounts.unmount(join(path, 'rootfs'))
    const spare = this.#unfinished('spare')
    try {
      await rename(path, spare)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    // What a process may still write to is never another's: only the place where it was mounted is.
    for (const folder of ['upper', 'work']) await removeTree(join(spare, folder))
    const { size } = await stat(join(spare, RECORD))
    if (size === ACTIVE_RECORD_LENGTH) this.#spare.push(spare)
    else await this.#erase(spare)
  }

  async #drop(chainId: string): Promise<void> {
    this.#committed.delete(chainId)
    await this.#discard(join(this.#root, 'committed', shortName(chainId)))
  }

  /** Renamed first, so that a stop in between leaves nothing that looks whole. */
  async #discard(path: string): Promise<void> {
    await this.#mounts.unmount(join(path, 'rootfs'))
    const trash = this.#unfinished('trash')
    try {
      await rename(path, trash)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
      throw error
    }
    await this.#erase(trash)
  }

  /**
   * Never through a mount: the mount point, if there is one, must go as an empty directory before anything else does.
   */
  async #erase(path: string): Promise<void> {
    const rootfs = join(path, 'rootfs')
    await this.#mounts.unmount(rootfs)
    await rmdir(rootfs).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
    await removeTree(path)
  }

  #unfinished(folder: 'spare' | 'staging' | 'trash'): string {
    return join(this.#root, folder, randomBytes(8).toString('hex'))
  }

  /** From the top down. */
  #chain(chainId: string): readonly CommittedRecord[] {
    const chain: CommittedRecord[] = []
    for (let at = chainId; at !== ''; at = chain.at(-1)!.parent) chain.push(this.#committed.get(at)!)
    return chain
  }

  #layers(chainId: string): readonly LayerFolder[] {
    return this.#chain(chainId).map((record) => ({
      path: this.#layerPath(record.chainId),
      opaque: new Set(record.opaque),
    }))
  }

  #layerPath(chainId: string): string {
    return join(this.#root, 'committed', chainId === '' ? EMPTY : shortName(chainId), 'fs')
  }

  #isWhole(record: CommittedRecord): boolean {
    for (let at: CommittedRecord | undefined = record; at !== undefined; at = this.#committed.get(at.parent))
      if (at.parent === '') return true
    return false
  }

  /** The record of a folder; undefined if it is missing or was cut short by a power loss. */
  async #read<T>(folder: string): Promise<T | undefined> {
    const text = await readFile(join(this.#root, folder, RECORD), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    try {
      return JSON.parse(text) as T
    } catch (error) {
      this.#log.warn({ folder, error }, 'removing a snapshot without a whole record')
      return undefined
    }
  }

  /**
   * Syncs what was committed since the last time, in the background: nobody waits for the disk to start a container.
   */
  #sync(): void {
    if (this.#syncQueued) return
    this.#syncQueued = true
    this.#syncing = this.#syncing
      .then(async () => {
        this.#syncQueued = false
        const records = [...this.#committed.values()].filter((record) => record.unsyncedIn !== undefined)
        await run('sync', ['--file-system', this.#root], { timeout: 600_000 })
        for (const { chainId } of records) await this.#lock.run(chainId, () => this.#markSynced(chainId))
      })
      .catch((error: unknown) =>
        this.#log.warn(
          { error },
          'unpacked layers are not synced to disk; they are unpacked again if the machine stops now',
        ),
      )
  }

  async #markSynced(chainId: string): Promise<void> {
    const record = this.#committed.get(chainId)
    if (record === undefined) return
    const synced = { ...record, unsyncedIn: undefined }
    await writeDurably(join(this.#root, 'committed', shortName(chainId), RECORD), JSON.stringify(synced))
    this.#committed.set(chainId, synced)
  }
}

function shortName(chainId: string): string {
  return digestHex(chainId).slice(0, 12)
}

/** The root of a stack of layers has the attributes that its topmost one has. */
function copyAttributes(from: string, to: string): void {
  const { mode, uid, gid } = statSync(from)
  chownSync(to, uid, gid)
  chmodSync(to, mode & 0o7777)
}
