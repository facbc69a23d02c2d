/**
 * Which controllers run etcd and NATS together, seen from one of them, and how they prove to each other what they are.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import type { Member, TlsFiles } from '../config.ts'
import { hostPortOf } from './child.ts'
import { writePrivate } from './private-file.ts'

export interface Membership {
  readonly self: Member
  /** `self` among them. */
  readonly members: readonly Member[]
  /**
   * Of the controller: of the cluster's authority, for CONTROLLER_HOST (proto/rpc/rpc.ts) and the own address. Absolute
   * paths.
   */
  readonly tls: TlsFiles
}

export function othersOf({ self, members }: Membership): Member[] {
  return members.filter(({ name }) => name !== self.name)
}

/** In a program's data directory: the members that its data was made with, NAME=URL, one a line. */
const RECORD = 'members'

function recordOf(membership: Membership | undefined, port: number): string {
  return membership === undefined
    ? ''
    : membership.members
        .map(({ name, address }) => `${name}=${urlOf(address, port)}\n`)
        .sort()
        .join('')
}

/** Where a member's etcd is reached by the others. */
export function urlOf(address: string, port: number): string {
  return `https://${hostPortOf({ host: address, port })}`
}

/**
 * FailedPrecondition if the data in a directory was made with other members than these (undefined: alone): it would go
 * on as it was, and the others would wait for it in vain. `exists` says whether there are data.
 */
export async function checkRecord(
  dataDir: string,
  exists: boolean,
  membership: Membership | undefined,
  port: number,
): Promise<void> {
  const file = join(dataDir, RECORD)
  const kept = exists ? await readOr(file, '') : undefined
  const wanted = recordOf(membership, port)
  if (kept !== undefined && kept !== wanted) {
    const before = kept === '' ? 'one controller alone' : kept.trim().split('\n').join(', ')
    throw new GantryError(
      'FailedPrecondition',
      `the data in ${dataDir} are of ${before}, not of ${wanted === '' ? 'one controller alone' : wanted.trim().split('\n').join(', ')}`,
      {
        details: [
          {
            field: 'members',
            message: 'do not fit the data',
            remedy: 'set members and ports.etcdPeer as they were, or give a new cluster new data directories',
          },
        ],
      },
    )
  }
  if (kept !== undefined) return
  if (wanted === '') await rm(file, { force: true })
  else await writePrivate(file, wanted)
}

async function readOr(file: string, absent: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return absent
    throw GantryError.from(thrown)
  }
}
