/** A node's object: made when the node first dials in, kept current with what the machine says, and its Ready condition. */
import { GantryError } from '../../proto/api/errors.ts'
import { formatTime } from '../../proto/api/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Node, NodeStatus } from '../../proto/gen/types.ts'
import type { ObjectApi } from '../api/contract.ts'
import type { Change, Informer } from '../informer/contract.ts'
import { mergeLabels } from './node-labels.ts'
import { mergeNodeStatus, withReady } from './node-status.ts'
import { PodRanges } from './pod-ranges.ts'
import { RANGE_ANNOTATION, RangeOwners, rangeOf } from './range-owners.ts'

const CONTEXT = { fieldManager: 'gantry-dispatch' }

/** Annotation with the id of the session that the node registered with last: of whoever has another, no word on the node counts any more. */
export const SESSION_ANNOTATION = 'gantry.dev/session'

/** https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction */
const RESTRICTED = /(^|\.)node-restriction\.kubernetes\.io\//

/** Tries of a registration that meets others: a node deleted meanwhile, a range that another controller gave away first. */
const ATTEMPTS = 10

export function sessionOf(node: Node): string | undefined {
  return node.metadata.annotations?.[SESSION_ANNOTATION]
}

export class NodeRegistry {
  readonly #api: ObjectApi
  readonly #informer: Informer
  readonly #clock: Clock
  readonly #ranges: PodRanges
  readonly #owners = new RangeOwners()
  #choosing: Promise<unknown> = Promise.resolve()

  constructor(parts: { api: ObjectApi; informer: Informer; clock: Clock; podCidr: string }) {
    this.#api = parts.api
    this.#informer = parts.informer
    this.#clock = parts.clock
    this.#ranges = new PodRanges(parts.podCidr)
  }

  /** Takes every change of a node, in order, before the first registration. */
  note(change: Change<'Node'>): void {
    this.#owners.note(change)
  }

  /**
   * Makes or updates the object of a node that has dialled in with a session of this id; the object as stored, with an address range that is
   * its alone: the one it asks for in spec.podCIDR if that is free. Labels that users put there stay, taints are set only on a new node.
   * Forbidden for labels that only users may give.
   */
  async register(reported: Node, session: string): Promise<Node> {
    const { name } = reported.metadata
    refuseRestricted(reported)
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#create(reported)
        const known = await this.#identify(reported, session)
        await this.#informer.reached(Number(known.metadata.resourceVersion))
        await this.#requireRange(known, reported.spec.podCIDR)
        return await this.#api.mutate('Node', '', name, 'status', (node) => {
          const status = mergeNodeStatus(node.status, reported.status)
          node.status = { ...status, conditions: withReady(status.conditions, { status: 'True', reason: 'SessionOpen' }, this.#now()) }
        }, CONTEXT)
      } catch (thrown) {
        // Deleted by somebody since it was made.
        if (!GantryError.is(thrown, 'NotFound') || attempt === ATTEMPTS) throw thrown
      }
    }
  }

  /** Writes what a node reports of itself, unless it has registered with another session since. */
  async report(name: string, session: string, status: NodeStatus): Promise<void> {
    await this.#write(name, (node) => {
      if (sessionOf(node) !== session) return false
      node.status = mergeNodeStatus(node.status, status)
    })
  }

  /** Writes that a node is out of reach, unless it has registered with another session since. A node that is gone or already so marked is left alone. */
  async markLost(name: string, session: string | undefined): Promise<void> {
    await this.#write(name, (node) => {
      if (sessionOf(node) !== session || node.status.conditions?.find(({ type }) => type === 'Ready')?.reason === 'SessionLost') return false
      node.status.conditions = withReady(node.status.conditions, { status: 'Unknown', reason: 'SessionLost' }, this.#now())
    })
  }

  async #write(name: string, change: (node: Node) => false | void): Promise<void> {
    try {
      await this.#api.mutate('Node', '', name, 'status', change, CONTEXT)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown
    }
  }

  async #create({ metadata: { name, labels }, spec: { taints } }: Node): Promise<void> {
    if (this.#informer.lister('Node').get('', name) !== undefined) return
    try {
      await this.#api.create<'Node'>({ kind: 'Node', metadata: { name, labels }, spec: { taints } }, CONTEXT)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
    }
  }

  #identify({ metadata: { name, labels } }: Node, session: string): Promise<Node> {
    return this.#api.mutate('Node', '', name, '', (node) => {
      node.metadata.labels = mergeLabels(node.metadata, labels ?? {}, CONTEXT.fieldManager)
      node.metadata.annotations = { ...node.metadata.annotations, [SESSION_ANNOTATION]: session }
    }, CONTEXT)
  }

  /** FailedPrecondition if its range is another node's too. */
  async #requireRange(node: Node, wanted: string | undefined): Promise<void> {
    const { metadata: { name }, spec: { podCIDR } } = node
    if (podCIDR === undefined) {
      // One at a time here; whether another controller chose the same shows when the cache has the write.
      const turn = this.#choosing.then(() => this.#chooseRange(node, wanted))
      this.#choosing = Promise.allSettled([turn])
      return turn
    }
    if (this.#owners.has(node)) return
    throw new GantryError('FailedPrecondition', `the address range ${podCIDR} of node ${name} is also that of node ${this.#owners.owner(podCIDR)}`, { details: [{ field: 'spec.podCIDR', value: podCIDR, message: 'is not its alone', remedy: `gantry delete node ${name}: it registers again and gets another` }] })
  }

  async #chooseRange(known: Node, wanted: string | undefined): Promise<void> {
    const { name } = known.metadata
    let node = known
    for (let attempt = 0; !this.#owners.has(node); attempt++) {
      if (attempt === ATTEMPTS) throw new GantryError('Unavailable', `no address range could be settled for node ${name}: other controllers gave away the same ones ${ATTEMPTS} times`)
      const asked = attempt === 0 && wanted !== undefined && this.#ranges.includes(wanted) && this.#owners.owner(wanted) === undefined
      const range = asked ? wanted : this.#ranges.free(this.#owners.taken)
      node = await this.#api.mutate('Node', '', name, '', ({ metadata }) => void (metadata.annotations = { ...metadata.annotations, [RANGE_ANNOTATION]: range }), CONTEXT)
      await this.#informer.reached(Number(node.metadata.resourceVersion))
    }
    const range = rangeOf(node)!
    await this.#api.mutate('Node', '', name, '', ({ metadata, spec }) => {
      const { [RANGE_ANNOTATION]: _settled, ...annotations } = metadata.annotations ?? {}
      metadata.annotations = annotations
      spec.podCIDR = range
      spec.podCIDRs = [range]
    }, CONTEXT)
  }

  #now(): string {
    return formatTime(this.#clock.now())
  }
}

/** Users direct pods to nodes by these labels; a node that could give them to itself could draw pods, and their secrets, to it. */
function refuseRestricted({ metadata: { labels } }: Node): void {
  const given = Object.keys(labels ?? {}).find((key) => RESTRICTED.test(key))
  if (given === undefined) return
  throw new GantryError('Forbidden', `a node cannot give itself the label ${given}`, { details: [{ field: 'metadata.labels', value: given, message: 'is for users to give', remedy: "take it out of the agent's configuration and use gantry label node" }] })
}
