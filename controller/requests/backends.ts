/**
 * What stands behind requests that are not about objects of the store. A face holds none of it: an authorized request
 * hands it out.
 */
import type { Input } from '../../proto/codec/wire.ts'
import type {
  Event,
  NetCheckInput,
  NetCheckOutput,
  NetCheckRequest,
  NetCheckResult,
  NodeUsage,
  Page,
  PortForwardStart,
  WhyResponse,
} from '../../proto/gen/types.ts'
import type { CallContext } from '../../proto/rpc/rpc.ts'
import type { AccountTokens } from '../accounts/tokens.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { Dispatcher } from '../dispatch/dispatcher.ts'
import type { PodStreams } from '../dispatch/pod-streams.ts'
import type { Peers } from '../election/peers.ts'
import type { EventLog, NamedEventStore } from '../events/contract.ts'
import type { Informer } from '../informer/contract.ts'

/** Streams to and from pods, carried to the node that runs them. */
export type PodBackend = Pick<PodStreams, 'logs' | 'exec' | 'attach' | 'portForward' | 'copy'>

/** The sessions of nodes, and the streams that they open when asked. */
export type NodeBackend = Pick<Dispatcher, 'session' | 'stream'>

export interface Backends {
  /** What a node and its containers use. */
  readonly usage: { of(node: string, user: CallContext['user']): Promise<NodeUsage> }
  readonly nodePages: { read(node: string, path: string, call: Pick<CallContext, 'user' | 'signal'>): Promise<Page> }
  /** The stream of events. */
  readonly events: Pick<EventLog, 'list' | 'follow' | 'read'>
  readonly namedEvents: Pick<NamedEventStore, 'available' | 'find' | 'put'>
  readonly publish: (event: Event) => void
  readonly tokens: Pick<AccountTokens, 'issue' | 'issuer'>
  /** For what a request builds on beside the object that it names, such as the pod that a token is bound to. */
  readonly reads: Pick<ConsistentReads, 'get' | 'find'>
  readonly informer: Pick<Informer, 'lister' | 'revision'>
  /** Where a Service's connections go; see controller/dispatch/service-pods. */
  readonly readyPods: (namespace: string, service: string, port: string | undefined) => PortForwardStart[]
  readonly cluster: ClusterBackend
}

/** What is known of the cluster as a whole. */
export interface ClusterBackend {
  /** Gantry's version and this controller's name. */
  readonly version: string
  readonly controller: string
  /** The leading controller's name, empty if none leads now. */
  readonly leader: () => string
  readonly peers: Pick<Peers, 'client'>
  /** The verdicts on a pod of this controller's scheduler, which looks at pods only while this one leads; NotFound. */
  readonly why: (namespace: string, pod: string) => Input<WhyResponse> | Promise<Input<WhyResponse>>
  /** Resolves once the nodes that name this controller follow a revision of the network. */
  readonly waitForNetwork: (revision: number, signal: AbortSignal) => Promise<void>
  /** Tries the network, and has one node do so; see controller/dispatch/netcheck. */
  readonly netCheck: {
    run(request: NetCheckRequest, call: CallContext): AsyncIterable<Input<NetCheckResult>>
    node(inputs: AsyncIterable<NetCheckInput>, call: CallContext): AsyncIterable<Input<NetCheckOutput>>
  }
}
