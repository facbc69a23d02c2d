/**
 * Who a process is to the file system: what it may read and write is decided as the kernel would, credentials(7) and
 * path_resolution(7).
 */
import type { Stats } from 'node:fs'
import { GantryError } from '../../../proto/base/errors.ts'
import { readProcess } from '../../../proto/base/process.ts'

export interface Identity {
  readonly uid: number
  readonly gid: number
  readonly groups: ReadonlySet<number>
  /** CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_CHOWN, capabilities(7). */
  readonly writesAll: boolean
  readonly readsAll: boolean
  readonly chowns: boolean
}

export const READ = 4
export const WRITE = 2
export const SEARCH = 1

const CAP_CHOWN = 0n
const CAP_DAC_OVERRIDE = 1n
const CAP_DAC_READ_SEARCH = 2n

/** FailedPrecondition: the process has ended. */
export function identityOf(pid: number): Identity {
  const status = readProcess(pid, 'status')
  if (status === undefined) throw new GantryError('FailedPrecondition', 'the container has just ended')
  return parseIdentity(status)
}

export function parseIdentity(status: string): Identity {
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
    writesAll: has(CAP_DAC_OVERRIDE),
    readsAll: has(CAP_DAC_OVERRIDE) || has(CAP_DAC_READ_SEARCH),
    chowns: has(CAP_CHOWN),
  }
}

/** READ, WRITE, SEARCH or their sum. */
export function mayAccess(
  identity: Identity,
  { uid, gid, mode }: Pick<Stats, 'uid' | 'gid' | 'mode'>,
  wanted: number,
): boolean {
  if (identity.writesAll || (identity.readsAll && (wanted & WRITE) === 0)) return true
  const shift = identity.uid === uid ? 6 : identity.groups.has(gid) ? 3 : 0
  return ((mode >> shift) & wanted) === wanted
}
