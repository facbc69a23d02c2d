/** An agent as the dispatcher sees it, scripted by a test. */
import type { Dispatcher, DispatcherParts } from '../../../controller/dispatch/dispatcher.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import { decodeResource } from '../../../proto/codec/wire.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type {
  Assignments,
  ControllerMessage,
  Event,
  NetworkUpdate,
  Node,
  NodeMessage,
  Pod,
} from '../../../proto/gen/types.ts'

export type Recorded = Parameters<DispatcherParts['events']['record']>[0]

/** Keeps what nodes publish and what the dispatcher records itself. */
export function sink(published: Event[], recorded: Recorded[] = []): DispatcherParts['events'] {
  return { publish: (event) => void published.push(event), record: (event) => void recorded.push(event) }
}

/** Of a cluster that has one controller. */
export const CLUSTER_NETWORK = { podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' }
export const NO_PEERS: DispatcherParts['peers'] = {
  client: (name) => Promise.reject(new GantryError('Unavailable', `controller ${name} is not present`)),
}

export function caller(name: string, peer = 'test'): CallContext & { abort: () => void } {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    user: { name, groups: [] },
    peer,
    abort: () => controller.abort(new GantryError('Cancelled', 'gone')),
  }
}

export class TestNode {
  readonly sent = new Channel<NodeMessage>()
  readonly received: ControllerMessage[] = []
  readonly ended: Promise<unknown>
  /** Whether it says at once that it follows what it is told of the network. */
  follows = true

  /**
   * `change` is of what the node says it is; `peer` is where its session comes from, the address that it reports if not
   * given.
   */
  constructor(
    dispatcher: Dispatcher,
    name: string,
    certificate = name,
    change: { labels?: Record<string, string>; spec?: Node['spec']; status?: Node['status']; peer?: string } = {},
    hello = true,
  ) {
    const node: Node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        namespace: '',
        uid: '',
        resourceVersion: '',
        labels: { 'kubernetes.io/hostname': name, ...change.labels },
      },
      spec: { ...change.spec },
      status: { capacity: { cpu: '2' }, ...change.status },
    }
    const address = change.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
    const peer =
      change.peer ?? (address === undefined ? undefined : `${address.includes(':') ? `[${address}]` : address}:40000`)
    if (hello) this.sent.push({ message: { case: 'hello', value: { agentId: 'a', version: '1', node } } })
    this.ended = (async () => {
      for await (const message of dispatcher.session(
        certificate,
        this.sent,
        caller(`system:node:${certificate}`, peer),
      ))
        this.#receive(message as ControllerMessage)
    })().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
  }

  #receive(received: ControllerMessage): void {
    this.received.push(received)
    if (this.follows && received.message?.case === 'network' && !received.message.value.more)
      this.confirm(received.message.value.revision)
  }

  confirm(revision: number): void {
    this.sent.push({ message: { case: 'networkApplied', value: { revision } } })
  }

  /** What it has been told of the network. */
  get network(): NetworkUpdate[] {
    return this.received.flatMap(({ message }) => (message?.case === 'network' ? message.value : []))
  }

  /** Uids of pods that it may end, as told. */
  get withdrawn(): string[] {
    return this.received.flatMap(({ message }) => (message?.case === 'withdrawn' ? message.value.podUids : []))
  }

  get assignments(): Assignments[] {
    return this.received.flatMap(({ message }) => (message?.case === 'assignments' ? message.value : []))
  }

  /** Kinds and names that the node holds after all messages. */
  get holds(): string[] {
    const held = new Set<string>()
    for (const { complete, set = [], removed = [] } of this.assignments) {
      if (complete) held.clear()
      for (const item of set) held.add(`${item.kind}/${decodeResource(item.kind as 'Pod', item.raw).metadata.name}`)
      for (const item of removed) held.delete(`${item.kind}/${item.name}`)
    }
    return [...held].sort()
  }

  /** The node as the control plane welcomed it. */
  get welcomed(): Node | undefined {
    return this.received.flatMap(({ message }) => (message?.case === 'welcome' ? (message.value.node ?? []) : []))[0]
  }

  report(pod: Pod, status: Pod['status'], released = false): void {
    const { namespace, name, uid } = pod.metadata
    this.sent.push({ message: { case: 'statuses', value: { pods: [{ namespace, name, uid, status, released }] } } })
  }
}
