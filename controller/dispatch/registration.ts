/** A node's object: made when the node first dials in, and kept current with what the machine says. */
import { GantryError } from '../../proto/base/errors.ts'
import { mayNodeSetLabel } from '../../proto/objects/node-labels.ts'
import { describeProblem } from '../../proto/base/problem.ts'
import { formatTime } from '../../proto/base/time.ts'
import { validateStatus } from '../../proto/validation/validation.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Node, NodeStatus } from '../../proto/gen/types.ts'
import type { ObjectApi } from '../api/contract.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { reachableStatus, mergeNodeStatus } from '../nodehealth/health.ts'
import { CONTROLLER_ANNOTATION, SESSION_ANNOTATION, sessionOf } from '../nodehealth/node-session.ts'
import { NodeAddressTable, withoutAddresses, type NodeAddressParts } from './node-address-table.ts'
import { mergeLabels } from './node-labels.ts'
import { podCidrsOf, RANGE_ANNOTATION } from './node-range-allocator.ts'

export const DISPATCH_CONTEXT = { fieldManager: 'gantry-dispatch' }

/** Reason of the event that tells of an address that a node cannot have. */
const ADDRESS_REFUSED = 'NodeAddressRefused'

/** Tries of a registration that meets a deletion of its node. */
const ATTEMPTS = 10

export interface NodeRegistryParts {
  readonly api: ObjectApi
  readonly informer: Informer
  readonly clock: Clock
  /** This controller's name. */
  readonly controller: string
  readonly addresses?: NodeAddressParts
  /** Told of what a node says of itself that is not so; `message`: a sentence. */
  readonly refused?: (node: string, reason: string, message: string) => void
}

export class NodeRegistry {
  readonly #api: ObjectApi
  readonly #informer: Informer
  readonly #clock: Clock
  readonly #controller: string
  readonly #addresses: NodeAddressTable
  readonly #refused: NodeRegistryParts['refused']

  constructor(parts: NodeRegistryParts) {
    this.#api = parts.api
    this.#informer = parts.informer
    this.#clock = parts.clock
    this.#controller = parts.controller
    this.#addresses = new NodeAddressTable(parts.informer, parts.addresses ?? { given: [] })
    this.#refused = parts.refused
  }

  /** Takes every change of a node, in order, before the first registration. */
  note(change: Change<'Node'>): void {
    this.#addresses.note(change)
  }

  /**
   * Makes or updates the object of a node that has dialled in with a session of this id; the object as stored, with
   * address ranges that are its alone, one per family: those it asks for in spec.podCIDRs if they are free. Labels that
   * users put there stay, taints are set only on a new node. Forbidden for labels that only administrators may give,
   * and for an address that the node cannot have. `peer`: the address that its session comes from.
   */
  async register(reported: Node, session: string, peer?: string): Promise<Node> {
    const { name } = reported.metadata
    refuseRestricted(reported)
    this.#requireForm(reported)
    this.#requireAddresses(reported, peer)
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#create(reported)
        const known = await this.#identify(reported, session)
        await this.#informer.waitForRevision(Number(known.metadata.resourceVersion))
        await this.#takeOver(name, reported.status)
        const registered = await this.#api.mutate(
          'Node',
          '',
          name,
          'status',
          (node) => {
            node.status = reachableStatus(mergeNodeStatus(node.status, reported.status), formatTime(this.#clock.now()))
          },
          DISPATCH_CONTEXT,
        )
        return await this.#settled(registered)
      } catch (thrown) {
        // Deleted by somebody since it was made.
        if (!GantryError.is(thrown, 'NotFound') || attempt === ATTEMPTS) throw thrown
      }
    }
  }

  /**
   * Writes what a node reports of itself, unless it has registered with another session since. Addresses that it cannot
   * have stay what they were.
   */
  async report(name: string, session: string, status: NodeStatus, peer?: string): Promise<void> {
    const flaw = this.#addresses.validate(name, status.addresses ?? [], peer)
    try {
      const node = await this.#api.mutate(
        'Node',
        '',
        name,
        'status',
        (stored) => {
          if (sessionOf(stored) !== session) return false
          stored.status = mergeNodeStatus(
            stored.status,
            flaw === undefined ? status : { ...status, addresses: stored.status.addresses },
          )
        },
        DISPATCH_CONTEXT,
      )
      if (flaw !== undefined) this.#refused?.(name, ADDRESS_REFUSED, addressMessage(name, flaw))
      else if (status.addresses !== undefined && sessionOf(node) === session) await this.#settled(node)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown
    }
  }

  /** InvalidArgument for a status that could not be stored, before anything is. */
  #requireForm(reported: Node): void {
    const flaws = validateStatus(reported)
    if (flaws.length === 0) return
    const message = `node ${reported.metadata.name} reports a status of itself that cannot be stored: ${flaws.slice(0, 10).map(describeProblem).join('; ')}`
    this.#refused?.(reported.metadata.name, 'NodeStatusRefused', message)
    throw new GantryError('InvalidArgument', message, { details: flaws })
  }

  /** Forbidden for an address that the node cannot have: other nodes would send to it what is meant for another. */
  #requireAddresses({ metadata: { name }, status: { addresses = [] } }: Node, peer: string | undefined): void {
    const flaw = this.#addresses.validate(name, addresses, peer)
    if (flaw === undefined) return
    const message = addressMessage(name, flaw)
    this.#refused?.(name, ADDRESS_REFUSED, message)
    throw new GantryError('Forbidden', message, {
      details: [
        {
          field: 'status.addresses',
          message: 'is not an address that the node may have',
          remedy:
            "give the agent the address that it reaches the controllers from (setting address), or list the range in the controllers' setting nodeAddresses",
        },
      ],
    })
  }

  /** Nodes that are lost, in whose place this one has come, have the addresses no more. */
  async #takeOver(name: string, { addresses = [] }: NodeStatus): Promise<void> {
    for (const { metadata } of this.#addresses.holders(name, addresses)) {
      const left = await this.#api.mutate(
        'Node',
        '',
        metadata.name,
        'status',
        ({ status }) => void (status.addresses = withoutAddresses(status.addresses ?? [], addresses)),
        DISPATCH_CONTEXT,
      )
      await this.#informer.waitForRevision(Number(left.metadata.resourceVersion))
      this.#refused?.(
        metadata.name,
        'NodeAddressTaken',
        `node ${name} has taken the place of node ${metadata.name}, which is lost, and has its address now`,
      )
    }
  }

  /**
   * The node, if its addresses are its alone: another may have said the same at another controller at the same time.
   * FailedPrecondition.
   */
  async #settled(node: Node): Promise<Node> {
    const {
      metadata: { name, resourceVersion },
      status: { addresses = [] },
    } = node
    await this.#informer.waitForRevision(Number(resourceVersion))
    const [other] = this.#addresses.holders(name, addresses)
    if (other === undefined) return node
    await this.#api.mutate(
      'Node',
      '',
      name,
      'status',
      ({ status }) => void (status.addresses = withoutAddresses(status.addresses ?? [], addresses)),
      DISPATCH_CONTEXT,
    )
    const message = `an address of node ${name} is that of node ${other.metadata.name}, too`
    this.#refused?.(name, ADDRESS_REFUSED, message)
    throw new GantryError('FailedPrecondition', message)
  }

  async #create({ metadata: { name, labels }, spec: { taints } }: Node): Promise<void> {
    if (this.#informer.lister('Node').get('', name) !== undefined) return
    try {
      await this.#api.create<'Node'>({ kind: 'Node', metadata: { name, labels }, spec: { taints } }, DISPATCH_CONTEXT)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
    }
  }

  /**
   * Says which session counts. In the same transaction the node gets the ranges that it lacks, if they are free those
   * that its agent remembers (node-range-allocator).
   */
  #identify(reported: Node, session: string): Promise<Node> {
    const { name, labels } = reported.metadata
    const remembered = podCidrsOf(reported)
    return this.#api.mutate(
      'Node',
      '',
      name,
      '',
      (node) => {
        node.metadata.labels = mergeLabels(node.metadata, labels ?? {}, DISPATCH_CONTEXT.fieldManager)
        node.metadata.annotations = {
          ...node.metadata.annotations,
          [SESSION_ANNOTATION]: session,
          [CONTROLLER_ANNOTATION]: this.#controller,
          ...(remembered.length > 0 && { [RANGE_ANNOTATION]: remembered.join() }),
        }
      },
      DISPATCH_CONTEXT,
    )
  }
}

function addressMessage(name: string, flaw: string): string {
  return `node ${name} cannot have the address that it reports: its ${flaw}`
}

/**
 * Users direct pods to nodes by other labels, and the control plane directs keys of TLS: a node that could give them to
 * itself would draw these to it.
 */
function refuseRestricted({ metadata: { labels } }: Node): void {
  const given = Object.keys(labels ?? {}).filter((key) => !mayNodeSetLabel(key))
  if (given.length === 0) return
  throw new GantryError('Forbidden', `a node cannot give itself the label ${given.join(', ')}`, {
    details: given.map((value) => ({
      field: 'metadata.labels',
      value,
      message: 'is for administrators to give',
      remedy: "take it out of the agent's configuration and use gantry label node",
    })),
  })
}
