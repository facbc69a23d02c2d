/**
 * What a rig consists of, written down before each part is made, so that whatever happens, and in whichever process,
 * `down` finds it all. /var/lib/gantry/rigs/NAME/rig.json; NAME.lock beside the folder is held for each change.
 */
import { mkdir, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { nearest } from '../../proto/base/nearest.ts'
import type { ProcessIdentity } from '../../proto/base/process.ts'
import type { DriverName, MachineRecord, NetworkRecord } from './contract.ts'
import type { FaultRecord } from './faults/contract.ts'
import { withLock } from './record-lock.ts'

export const RIGS = '/var/lib/gantry/rigs'

/** Raised whenever a rig made by an older version could not be worked with; it can still be removed. */
export const RECORD_VERSION = 2

/** What was asked for when the rig was made; machines that are added later are made by it too. */
export interface RecordedOptions {
  readonly controllers: number
  readonly nodes: number
  /** Bytes of each machine's disk. */
  readonly diskBytes: number
  /** Bytes and number, for each machine; undefined: the host's. */
  readonly memoryBytes?: number
  readonly cpus?: number
  /** Addresses of the etcd and NATS that the controllers use instead of their own. */
  readonly etcd?: readonly string[]
  readonly nats?: readonly string[]
  readonly settings?: RigSettings
}

/** Settings of the rig's programs beside those that the rig itself gives them; in their files' words. */
export interface RigSettings {
  readonly controller?: Readonly<Record<string, unknown>>
  readonly agent?: Readonly<Record<string, unknown>>
}

export type Phase =
  /** `up` is under way, in the process `maker`; left half-made if that has died. */
  | 'making'
  | 'ready'
  /** `down` is under way, or was broken off. */
  | 'removing'

export interface RigRecord {
  readonly version: number
  readonly name: string
  readonly driver: DriverName
  /** RFC 3339. */
  readonly created: string
  readonly phase: Phase
  /** The process that is making or removing it, or did. */
  readonly maker: ProcessIdentity
  /** Why its removal failed; whoever wants may try again, whether `maker` lives or not. */
  readonly stuck?: string
  /** Ephemeral rigs only: the process it lives with, and the one that removes the rig when that ends. */
  readonly owner?: ProcessIdentity
  readonly companion?: ProcessIdentity
  readonly options: RecordedOptions
  /** The context file that has the rig's context. */
  readonly contextFile?: string
  /** Undefined until one was chosen. */
  readonly network?: NetworkRecord
  readonly machines: readonly MachineRecord[]
  /** Nodes that processes are adding: their names are taken. */
  readonly joining?: readonly { readonly name: string; readonly by: ProcessIdentity }[]
  /** In force, and the latest that have ended. */
  readonly faults: readonly FaultRecord[]
}

/** A record that another version of this program wrote, or that cannot be read. */
export interface ForeignRecord {
  readonly name: string
  /** Undefined: from before records had one. */
  readonly version: number | undefined
  readonly content: Readonly<Record<string, unknown>>
  /** Why it cannot be read. */
  readonly problem?: string
}

export function rigDirectory(name: string): string {
  return join(RIGS, name)
}

function lockFile(name: string): string {
  return join(RIGS, `${name}.lock`)
}

/** Held by who begins or ends faults of a rig, and by who removes its machines. */
export function faultsLockFile(name: string): string {
  return join(RIGS, `${name}.faults.lock`)
}

/**
 * The rig of this name, undefined if there is none. FailedPrecondition, with the remedy, for one that another version
 * made.
 */
export async function readRig(name: string): Promise<RigRecord | undefined> {
  const record = await readAnyRig(name)
  if (record !== undefined && isForeign(record)) throw foreignRig(record)
  return record
}

/** As readRig; NotFound, with the nearest name, if there is none. */
export async function requireRig(name: string): Promise<RigRecord> {
  const rig = await readRig(name)
  if (rig !== undefined) return rig
  const names = await rigNames()
  const meant = nearest(name, names)
  throw new GantryError(
    'NotFound',
    `there is no rig "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    {
      details: [
        {
          field: 'name',
          value: name,
          remedy: names.length === 0 ? `\`gantry rig up ${name}\` makes one` : '`gantry rig list` lists them',
        },
      ],
    },
  )
}

/** A record of whatever version. */
export async function readAnyRig(name: string): Promise<RigRecord | ForeignRecord | undefined> {
  const file = recordFile(name)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw GantryError.from(thrown)
  }
  try {
    const content = JSON.parse(text) as Record<string, unknown>
    return content.version === RECORD_VERSION
      ? (content as unknown as RigRecord)
      : { name, version: typeof content.version === 'number' ? content.version : undefined, content }
  } catch (thrown) {
    const driver = /"driver":\s*"(\w+)"/.exec(text)?.[1] // it stands near the beginning
    return {
      name,
      version: undefined,
      content: driver === undefined ? {} : { driver },
      problem: `${file}: ${(thrown as Error).message}`,
    }
  }
}

export function isForeign(record: RigRecord | ForeignRecord): record is ForeignRecord {
  return 'content' in record
}

function foreignRig({ name, version, problem }: ForeignRecord): GantryError {
  const remedy = `\`gantry rig down ${name}\` removes it`
  if (problem !== undefined)
    return new GantryError('FailedPrecondition', `the record of the rig "${name}" cannot be read: ${problem}`, {
      details: [{ field: 'name', value: name, remedy }],
    })
  const by = version !== undefined && version > RECORD_VERSION ? 'a newer' : 'an older'
  return new GantryError('FailedPrecondition', `the rig "${name}" was made by ${by} version of Gantry`, {
    details: [{ field: 'version', value: String(version ?? ''), remedy }],
  })
}

function recordFile(name: string): string {
  return join(rigDirectory(name), 'rig.json')
}

/** Names of all rigs on this host, sorted. */
export async function rigNames(): Promise<string[]> {
  try {
    return (await readdir(RIGS, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw GantryError.from(thrown)
  }
}

/** Every rig on this host by its record, those of other versions as they are. */
export async function listRigs(): Promise<(RigRecord | ForeignRecord)[]> {
  return (await Promise.all((await rigNames()).map(readAnyRig))).filter((record) => record !== undefined)
}

/**
 * Changes a rig's record: read, changed and written whole while nobody else does. NotFound if there is none; what
 * `change` throws leaves it as it was.
 */
export function updateRig(name: string, change: (rig: RigRecord) => RigRecord): Promise<RigRecord> {
  return withLock(lockFile(name), async () => write(change(await requireRig(name))))
}

/** The record; Conflict once the rig is being removed: whatever comes into being then would be left. */
export function requireNotRemoving(rig: RigRecord): RigRecord {
  if (rig.phase !== 'removing') return rig
  throw new GantryError('Conflict', `the rig "${rig.name}" is being removed`)
}

/**
 * Writes the first record of a rig. AlreadyExists if there is one, of whatever version; `admit` decides which may be
 * replaced by throwing or not.
 */
export function claimRig(record: RigRecord, admit: (present: RigRecord | ForeignRecord) => void): Promise<RigRecord> {
  return withLock(lockFile(record.name), async () => {
    const present = await readAnyRig(record.name)
    if (present !== undefined) admit(present)
    const written = await write(record)
    await writeFile(reserveFile(record.name), Buffer.alloc(RESERVE_BYTES), { mode: 0o600 })
    return written
  })
}

/** Enough for the locks and records that a removal writes. */
const RESERVE_BYTES = 256 * 1024

function reserveFile(name: string): string {
  return join(rigDirectory(name), 'reserve')
}

/** Gives up what was put by for the rig's removal: on a disk that is full, nothing could be written else. */
export async function freeReserve(name: string): Promise<void> {
  await rm(reserveFile(name), { force: true })
}

async function write(record: RigRecord): Promise<RigRecord> {
  const file = recordFile(record.name)
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await writeFile(`${file}.new`, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.new`, file)
  return record
}

/**
 * Removes the folder of a rig without a record, once `removeParts` has removed what else there is of it; nothing if
 * there is a record.
 */
export async function forgetRemains(name: string, removeParts: () => Promise<void>): Promise<void> {
  await withLock(lockFile(name), async () => {
    if ((await readAnyRig(name)) !== undefined) return
    await removeParts()
    await rm(rigDirectory(name), { recursive: true, force: true })
  })
}

/** Removes the rig's files, and the folders above them that are then empty. */
export async function forgetRig(name: string): Promise<void> {
  await withLock(lockFile(name), () => rm(rigDirectory(name), { recursive: true, force: true }))
  for (const folder of [RIGS, dirname(RIGS)]) if (!(await removeIfEmpty(folder))) return
}

async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder)
    return true
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    // Another file system is mounted there.
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EBUSY') return false
    throw GantryError.from(thrown)
  }
}
