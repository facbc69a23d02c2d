/** A node's object: made when the node first dials in, kept current with what the machine says, and its Ready condition. */
import { GantryError } from '../../proto/api/errors.ts'
import { formatTime } from '../../proto/api/time.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Node, NodeCondition } from '../../proto/gen/types.ts'
import type { ObjectApi } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { PodRanges } from './pod-ranges.ts'

const CONTEXT = { fieldManager: 'gantry-dispatch' }

type Readiness = { readonly status: 'True'; readonly reason: 'SessionOpen' } | { readonly status: 'Unknown'; readonly reason: 'SessionLost' }

const MESSAGES = { SessionOpen: 'the node has an open session', SessionLost: 'the node has no session with the control plane' }

/** The conditions with Ready set; its transition time moves only when its status does. */
function withReady(conditions: readonly NodeCondition[] | undefined, ready: Readiness, now: string): NodeCondition[] {
  const before = conditions?.find((condition) => condition.type === 'Ready')
  const lastTransitionTime = before?.status === ready.status ? before.lastTransitionTime : now
  const condition: NodeCondition = { type: 'Ready', ...ready, message: MESSAGES[ready.reason], lastHeartbeatTime: now, lastTransitionTime }
  return [...(conditions ?? []).filter((other) => other.type !== 'Ready'), condition]
}

export class NodeRegistry {
  readonly #api: ObjectApi
  readonly #informer: Informer
  readonly #clock: Clock
  readonly #ranges: PodRanges
  #registering: Promise<unknown> = Promise.resolve()

  constructor(parts: { api: ObjectApi; informer: Informer; clock: Clock; podCidr: string }) {
    this.#api = parts.api
    this.#informer = parts.informer
    this.#clock = parts.clock
    this.#ranges = new PodRanges(parts.podCidr)
  }

  /** Makes or updates the object of a node that has dialled in; the object as stored. One at a time, so that no address range is given twice. */
  register(reported: Node): Promise<Node> {
    const turn = this.#registering.then(() => this.#register(reported))
    this.#registering = Promise.allSettled([turn])
    return turn
  }

  async #register(reported: Node): Promise<Node> {
    const { name, labels } = reported.metadata
    const stored = await this.#find(name) ?? await this.#create(reported)
    if (Object.entries(labels ?? {}).some(([key, value]) => stored.metadata.labels?.[key] !== value)) {
      await this.#api.mutate('Node', '', name, '', (node) => void (node.metadata.labels = { ...node.metadata.labels, ...labels }), CONTEXT)
    }
    return this.#api.mutate('Node', '', name, 'status', (node) => {
      const conditions = [...(reported.status.conditions ?? []), ...(node.status.conditions ?? []).filter(({ type }) => type === 'Ready')]
      node.status = { ...node.status, ...reported.status, conditions: withReady(conditions, { status: 'True', reason: 'SessionOpen' }, this.#now()) }
    }, CONTEXT)
  }

  /** Writes that a node is out of reach. A node that is gone or already so marked is left alone. */
  async markLost(name: string): Promise<void> {
    try {
      await this.#api.mutate('Node', '', name, 'status', (node) => {
        if (node.status.conditions?.find(({ type }) => type === 'Ready')?.reason === 'SessionLost') return false
        node.status.conditions = withReady(node.status.conditions, { status: 'Unknown', reason: 'SessionLost' }, this.#now())
      }, CONTEXT)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound')) throw thrown
    }
  }

  async #find(name: string): Promise<Node | undefined> {
    try {
      return await this.#api.get('Node', '', name)
    } catch (thrown) {
      if (GantryError.is(thrown, 'NotFound')) return undefined
      throw thrown
    }
  }

  async #create(reported: Node): Promise<Node> {
    const taken = this.#informer.lister('Node').list().flatMap((node) => node.spec.podCIDR ?? [])
    const podCIDR = this.#ranges.free(taken)
    const node = await this.#api.create<'Node'>({
      kind: 'Node',
      metadata: { name: reported.metadata.name, labels: reported.metadata.labels },
      spec: { ...reported.spec, podCIDR, podCIDRs: [podCIDR] },
    }, CONTEXT)
    await this.#informer.reached(Number(node.metadata.resourceVersion))
    return node
  }

  #now(): string {
    return formatTime(this.#clock.now())
  }
}
