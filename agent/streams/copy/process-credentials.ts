/**
 * Who a process is to the file system: what it may read and write is decided as the kernel would, credentials(7) and
 * path_resolution(7).
 */
import type { Stats } from 'node:fs'
import { GantryError } from '../../../proto/base/errors.ts'
import { readProcess } from '../../../proto/base/process.ts'

export interface ProcessCredentials {
  readonly uid: number
  readonly gid: number
  readonly groups: ReadonlySet<number>
  /** CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_CHOWN, capabilities(7). */
  readonly dacOverride: boolean
  readonly dacReadSearch: boolean
  readonly canChown: boolean
}

export const READ = 4
export const WRITE = 2
export const SEARCH = 1

const CAP_CHOWN = 0n
const CAP_DAC_OVERRIDE = 1n
const CAP_DAC_READ_SEARCH = 2n

/** FailedPrecondition: the process has ended. */
export function processCredentials(pid: number): ProcessCredentials {
  const status = readProcess(pid, 'status')
  if (status === undefined) throw new GantryError('FailedPrecondition', 'the container has just ended')
  return parseIdentity(status)
}

export function parseIdentity(status: string): ProcessCredentials {
  const words = (name: string): string[] =>
    (new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '')
      .trim()
      .split(/\s+/)
      .filter((word) => word !== '')
  const capabilities = BigInt(`0x${words('CapEff')[0] ?? '0'}`)
  const has = (bit: bigint): boolean => ((capabilities >> bit) & 1n) === 1n
  const gid = Number(words('Gid')[1])
  return {
    uid: Number(words('Uid')[1]),
    gid,
    groups: new Set([gid, ...words('Groups').map(Number)]),
    dacOverride: has(CAP_DAC_OVERRIDE),
    dacReadSearch: has(CAP_DAC_OVERRIDE) || has(CAP_DAC_READ_SEARCH),
    canChown: has(CAP_CHOWN),
  }
}

/** READ, WRITE, SEARCH or their sum. */
export function mayAccess(
  identity: ProcessCredentials,
  { uid, gid, mode }: Pick<Stats, 'uid' | 'gid' | 'mode'>,
  wanted: number,
): boolean {
  if (identity.dacOverride || (identity.dacReadSearch && (wanted & WRITE) === 0)) return true
  const shift = identity.uid === uid ? 6 : identity.groups.has(gid) ? 3 : 0
  return ((mode >> shift) & wanted) === wanted
}
