/**
 * The participant that makes sure that no two Networks have one number or one chosen range. What a Network was given
 * stands in a record of its own, written in the transaction that writes the Network; its status mirrors it, for people
 * and nodes. Only the control plane proposes allocations: whatever else a write says of them is put back.
 */
import { formatCidr, rangesOverlap, readCidr } from '../../../proto/base/cidr.ts'
import { copyObject } from '../../../proto/codec/copy.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Network, NetworkBlock, NetworkStatus } from '../../../proto/gen/types.ts'
import { ClaimAttempt } from '../../api/claims/claim-attempt.ts'
import { ClaimTable, type ClaimTableParts } from '../../api/claims/claim-table.ts'
import { CLAIMS_PREFIX, ClaimScheme, ownerName, type Claim } from '../../api/claims/claim.ts'
import type {
  Participant,
  Participation,
  Preparation,
  ProposedWrite,
  TransactionOutcome,
} from '../../api/participant.ts'
import type { Entry, Operation, Store } from '../../store/contract.ts'
import { FIRST_VNI, isPart, LAST_VNI, poolRanges } from './network-allocation.ts'

/** The fields of a Network's status that mirror its record. */
const ALLOCATED_FIELDS = ['cidrs', 'vni', 'blocks'] as const satisfies readonly (keyof NetworkStatus)[]

/** What a Network was given. */
interface AllocationRecord {
  readonly uid: string
  readonly cidrs?: readonly string[] | undefined
  readonly vni?: number | undefined
  readonly blocks?: readonly NetworkBlock[] | undefined
}

export function networkRecordKey({ metadata: { namespace, name } }: Pick<Network, 'metadata'>): string {
  return `${CLAIMS_PREFIX}network/${namespace}/${name}`
}

function vniKey(vni: number): string {
  return `${CLAIMS_PREFIX}vni/${vni}`
}

function rangeKey(cidr: string): string {
  return `${CLAIMS_PREFIX}network-range/${cidr}`
}

export const NETWORK_CLAIMS = new ClaimScheme<'Network'>({
  kind: 'Network',
  owner: 'network',
  prefixes: ['network/', 'vni/', 'network-range/'],
  recordKey: networkRecordKey,
  claimsOf({ spec, status: { vni, cidrs = [] } }) {
    const claims: Claim[] = []
    if (vni !== undefined) claims.push({ key: vniKey(vni), field: 'status.vni', value: String(vni) })
    // Ranges that Networks ask for may be the same: their packets never meet.
    if (asked(spec) === undefined)
      for (const value of cidrs) claims.push({ key: rangeKey(value), field: 'status.cidrs', value })
    return new Map(claims.map((claim) => [claim.key, claim]))
  },
})

function asked({ cidrs = [] }: Network['spec']): readonly string[] | undefined {
  return cidrs.length === 0 ? undefined : cidrs
}

export interface NetworkAllocatorParts extends Omit<ClaimTableParts<'Network'>, 'scheme'> {
  readonly store: Pick<Store, 'get'>
  /** Ranges that pods and Services have their addresses from. */
  readonly clusterRanges: readonly string[]
}

export class NetworkAllocator implements Participant<'Network'> {
  readonly #parts: NetworkAllocatorParts
  readonly #table: ClaimTable<'Network'>

  constructor(parts: NetworkAllocatorParts) {
    this.#parts = parts
    this.#table = new ClaimTable({ ...parts, scheme: NETWORK_CLAIMS })
  }

  begin(): Participation<'Network'> {
    return new NetworkParticipation(this.#parts, new ClaimAttempt(this.#table))
  }
}

class NetworkParticipation implements Participation<'Network'> {
  readonly #parts: NetworkAllocatorParts
  readonly #claims: ClaimAttempt<'Network'>
  /** How many of the operations of this try, the first ones, are the claims'. */
  #claiming = 0

  constructor(parts: NetworkAllocatorParts, claims: ClaimAttempt<'Network'>) {
    this.#parts = parts
    this.#claims = claims
  }

  prepare(write: ProposedWrite<'Network'>): Preparation<'Network'> | Promise<Preparation<'Network'>> {
    const { next, previous, author, dryRun } = write
    this.#claiming = 0
    if (next === undefined) {
      const freed = this.#claims.operations(undefined, previous, dryRun)
      this.#claiming = freed.length
      return {
        object: undefined,
        operations: [...freed, { kind: 'delete', key: networkRecordKey(previous!), expect: { is: 'any' } }],
      }
    }
    // A new one has nothing; the reconciler gives it what it needs as soon as it sees it.
    if (previous === undefined || author === 'user')
      return { object: mirroring(next, previous?.status ?? {}), operations: [] }
    return this.#allocate(next, previous, dryRun)
  }

  settle(outcome: TransactionOutcome): void | Promise<void> {
    // Where somebody else wrote the record it is read again.
    return this.#claims.settle(
      outcome.is === 'refused'
        ? { ...outcome, conflicts: outcome.conflicts.filter(({ index }) => index < this.#claiming) }
        : outcome,
    )
  }

  async #allocate(next: Network, previous: Network, dryRun: boolean): Promise<Preparation<'Network'>> {
    const entry = await this.#parts.store.get(networkRecordKey(next))
    const record = readRecord(entry, next.metadata.uid)
    try {
      const allocation = this.#allocation(next, record)
      const object = mirroring(next, allocation)
      const claims = this.#claims.operations(object, mirroring(previous, record ?? {}), dryRun)
      this.#claiming = claims.length
      const put = writeRecord(object, record, entry)
      return { object, operations: put === undefined ? claims : [...claims, put] }
    } catch (thrown) {
      this.#claims.undo()
      throw thrown
    }
  }

  /** What the record says, and of what is proposed the rest, as far as nobody else has it. */
  #allocation(next: Network, record: AllocationRecord | undefined): Pick<NetworkStatus, 'cidrs' | 'vni' | 'blocks'> {
    const { status } = next
    const cidrs = this.#ranges(next, record)
    const vni = record?.vni ?? (status.vni === undefined ? undefined : this.#number(next, status.vni))
    const whole = (cidrs ?? []).flatMap((cidr) => readCidr(cidr) ?? [])
    const seen = new Set<string>()
    const blocks = status.blocks?.filter(({ cidr }) => isPart(cidr, whole) && !seen.has(cidr) && seen.add(cidr))
    return { cidrs: cidrs === undefined ? undefined : [...cidrs], vni, blocks }
  }

  #ranges(next: Network, record: AllocationRecord | undefined): readonly string[] | undefined {
    const { spec, status } = next
    const given = asked(spec)
    if (record?.cidrs !== undefined && (given === undefined || sameJson(record.cidrs, given))) return record.cidrs
    if (status.cidrs === undefined || given !== undefined) return status.cidrs === undefined ? undefined : given
    const proposed = status.cidrs.length === 1 ? status.cidrs[0]! : ''
    if (this.#isFree(rangeKey(proposed), next) && poolRanges().some((range) => formatCidr(range) === proposed))
      return [this.#choose(rangeKey(proposed), proposed)]
    const { informer, clusterRanges } = this.#parts
    const others = informer
      .lister('Network')
      .list()
      .filter(({ metadata: { uid } }) => uid !== next.metadata.uid)
      .flatMap((other) => other.status.cidrs ?? other.spec.cidrs ?? [])
    const used = [...others, ...clusterRanges].flatMap((cidr) => readCidr(cidr) ?? [])
    const free = poolRanges().find(
      (range) =>
        !this.#claims.isTaken(rangeKey(formatCidr(range))) && !used.some((other) => rangesOverlap(other, range)),
    )
    return free === undefined ? undefined : [this.#choose(rangeKey(formatCidr(free)), formatCidr(free))]
  }

  #number(next: Network, proposed: number): number | undefined {
    if (proposed >= FIRST_VNI && proposed <= LAST_VNI && this.#isFree(vniKey(proposed), next))
      return this.#choose(vniKey(proposed), proposed)
    for (let vni = FIRST_VNI; vni <= LAST_VNI; vni++)
      if (!this.#claims.isTaken(vniKey(vni))) return this.#choose(vniKey(vni), vni)
    return undefined
  }

  /** Nobody else has it, as far as is known. */
  #isFree(key: string, next: Network): boolean {
    return !this.#claims.isAvoided(key) && (!this.#claims.isTaken(key) || this.#claims.holder(key) === ownerName(next))
  }

  #choose<T>(key: string, value: T): T {
    this.#claims.choose(key)
    return value
  }
}

/** The Network with what it was given, whatever it says itself. */
function mirroring(network: Network, given: Pick<AllocationRecord, 'cidrs' | 'vni' | 'blocks'>): Network {
  if (ALLOCATED_FIELDS.every((field) => sameJson(network.status[field] ?? null, given[field] ?? null))) return network
  const mirror = copyObject(network)
  for (const field of ALLOCATED_FIELDS) delete mirror.status[field]
  const { cidrs, vni, blocks } = given
  if (cidrs !== undefined) mirror.status.cidrs = [...cidrs]
  if (vni !== undefined) mirror.status.vni = vni
  if (blocks !== undefined) mirror.status.blocks = blocks.map((block) => ({ ...block }))
  return mirror
}

/** Undefined for one of a Network of the same name that is gone. */
function readRecord(entry: Entry | undefined, uid: string): AllocationRecord | undefined {
  if (entry === undefined) return undefined
  const record = JSON.parse(Buffer.from(entry.value).toString()) as AllocationRecord
  return record.uid === uid ? record : undefined
}

/** Undefined if the record says so already, or there is nothing to say. */
function writeRecord(
  network: Network,
  record: AllocationRecord | undefined,
  entry: Entry | undefined,
): Operation | undefined {
  const { cidrs, vni, blocks } = network.status
  if (record === undefined && cidrs === undefined && vni === undefined) return undefined
  const { uid } = network.metadata
  if (record !== undefined && sameJson([record.cidrs, record.vni, record.blocks], [cidrs, vni, blocks]))
    return undefined
  return {
    kind: 'put',
    key: networkRecordKey(network),
    value: Buffer.from(JSON.stringify({ network: ownerName(network), uid, cidrs, vni, blocks })),
    expect: entry === undefined ? { is: 'absent' } : { is: 'at', revision: entry.revision },
  }
}
