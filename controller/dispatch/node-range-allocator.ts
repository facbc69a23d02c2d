/**
 * The participant that gives nodes their ranges of pod addresses, in the write by which a node registers: one range for
 * each family of the cluster. What a node says that it has is claimed in any other write, too.
 */
import { familyOf, type AddressFamily } from '../../proto/base/cidr.ts'
import { copyObject } from '../../proto/codec/copy.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Node } from '../../proto/gen/types.ts'
import { ClaimAttempt } from '../api/claims/claim-attempt.ts'
import { ClaimTable, type ClaimTableParts } from '../api/claims/claim-table.ts'
import { CLAIMS_PREFIX, ClaimScheme, type Claim } from '../api/claims/claim.ts'
import type { Participant, Participation, Preparation, ProposedWrite, TransactionOutcome } from '../api/participant.ts'
import { sessionOf } from '../nodehealth/node-session.ts'
import { PodCidrAllocator } from './pod-cidr-allocator.ts'

export const DEFAULT_POD_CIDR = '10.244.0.0/16'

/**
 * Annotation with ranges that a node would like to have, separated by commas, until the write that registers it is
 * stored: those that it had before its object was deleted. Taken off in that write, granted or not.
 */
export const RANGE_ANNOTATION = 'gantry.dev/pod-range'

/** The ranges that a node's spec says, the preferred family first. */
export function podCidrsOf({ spec: { podCIDR, podCIDRs = [] } }: Pick<Node, 'spec'>): readonly string[] {
  return podCIDRs.length > 0 ? podCIDRs : podCIDR === undefined ? [] : [podCIDR]
}

function rangeKey(range: string): string {
  return `${CLAIMS_PREFIX}pod-range/${range}`
}

export const NODE_CLAIMS = new ClaimScheme<'Node'>({
  kind: 'Node',
  owner: 'node',
  prefixes: ['pod-range/'],
  claimsOf: (node) =>
    new Map(
      podCidrsOf(node).map((value, index): [string, Claim] => {
        const key = rangeKey(value)
        return [key, { key, field: index === 0 ? 'spec.podCIDR' : `spec.podCIDRs[${index}]`, value }]
      }),
    ),
})

export interface NodeRangeAllocatorParts extends Omit<ClaimTableParts<'Node'>, 'scheme'> {
  /** One range, or one of each family separated by a comma, the preferred first. */
  readonly podCidr?: string | undefined
}

export class NodeRangeAllocator implements Participant<'Node'> {
  readonly #table: ClaimTable<'Node'>
  readonly #ranges: PodCidrAllocator

  /** InvalidArgument for a podCidr that is none. */
  constructor({ informer, reads, podCidr = DEFAULT_POD_CIDR }: NodeRangeAllocatorParts) {
    this.#table = new ClaimTable({ scheme: NODE_CLAIMS, informer, reads })
    this.#ranges = new PodCidrAllocator(podCidr)
  }

  begin(): Participation<'Node'> {
    return new NodeParticipation(this.#table, this.#ranges)
  }
}

class NodeParticipation implements Participation<'Node'> {
  readonly #table: ClaimTable<'Node'>
  readonly #claims: ClaimAttempt<'Node'>
  readonly #ranges: PodCidrAllocator

  constructor(table: ClaimTable<'Node'>, ranges: PodCidrAllocator) {
    this.#table = table
    this.#claims = new ClaimAttempt(table)
    this.#ranges = ranges
  }

  /** FailedPrecondition if the node registers with a range that is another's, too; ResourceExhausted. */
  prepare({ next, previous, author, dryRun }: ProposedWrite<'Node'>): Preparation<'Node'> {
    const registers =
      next !== undefined &&
      author === 'control-plane' &&
      previous !== undefined &&
      sessionOf(next) !== undefined &&
      sessionOf(next) !== sessionOf(previous)
    try {
      const node = registers ? this.#given(next) : next
      return { object: node, operations: this.#claims.operations(node, previous, dryRun) }
    } catch (thrown) {
      this.#claims.undo()
      throw thrown
    }
  }

  settle(outcome: TransactionOutcome): void | Promise<void> {
    return this.#claims.settle(outcome)
  }

  #given(next: Node): Node {
    const had = podCidrsOf(next)
    const { name } = next.metadata
    for (const range of had) {
      const holder = this.#table.holder(rangeKey(range))
      if (holder !== undefined && holder !== name) throw sharedRange(name, range, holder)
    }
    const { [RANGE_ANNOTATION]: wanted, ...annotations } = next.metadata.annotations ?? {}
    // All families for a new node, one when the cluster was given a second family.
    const lacking = this.#ranges.families.filter((family) => !had.some((range) => familyOf(range) === family))
    if (lacking.length === 0 && wanted === undefined) return next
    const node = copyObject(next)
    node.metadata.annotations = annotations
    const ranges = [...had, ...lacking.map((family) => this.#choose(family, wanted?.split(',') ?? []))]
    node.spec.podCIDR = ranges[0]
    node.spec.podCIDRs = ranges
    return node
  }

  /** What it would like to have if that is free, else the first that is. */
  #choose(family: AddressFamily, wanted: readonly string[]): string {
    const asked = wanted.find((range) => familyOf(range) === family && this.#ranges.includes(range))
    const isTaken = (range: string): boolean => this.#claims.isTaken(rangeKey(range))
    const range = asked !== undefined && !isTaken(asked) ? asked : this.#ranges.free(family, isTaken)
    this.#claims.choose(rangeKey(range))
    return range
  }
}

function sharedRange(name: string, range: string, holder: string): GantryError {
  return new GantryError(
    'FailedPrecondition',
    `the address range ${range} of node ${name} is also that of node ${holder}`,
    {
      details: [
        {
          field: 'spec.podCIDR',
          value: range,
          message: 'is not its alone',
          remedy: `gantry delete node ${name}: it registers again and gets another`,
        },
      ],
    },
  )
}
