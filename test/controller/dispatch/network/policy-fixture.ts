/**
 * Pods, namespaces and policies as an informer shows them, the source that follows them, and what nodes are told over
 * the wire.
 */
import { ClusterView } from '../../../../agent/network/cluster-view.ts'
import type { NetworkView } from '../../../../agent/network/contract.ts'
import type { CachedObject, Change, Informer } from '../../../../controller/informer/contract.ts'
import { NetworkFeed } from '../../../../controller/dispatch/network/feed.ts'
import { PoliciesSource } from '../../../../controller/dispatch/network/policies/policies-source.ts'
import { NetworkStream } from '../../../../controller/dispatch/network/stream.ts'
import { applyDefaults } from '../../../../proto/codec/defaults.ts'
import type { PolicySnapshot as Stated } from '../../../../proto/objects/network-policy.ts'
import { describeProblem } from '../../../../proto/base/problem.ts'
import { validate } from '../../../../proto/validation/validation.ts'
import { decode, decodeResource, encode, encodeResource } from '../../../../proto/codec/wire.ts'
import type {
  AnyResource,
  Kind,
  Namespace,
  NetworkPolicy,
  NetworkPolicySpec,
  NetworkUpdate,
  Pod,
} from '../../../../proto/gen/types.ts'

export interface WorldPod {
  readonly namespace?: string
  readonly labels?: Record<string, string>
  readonly node?: string
  readonly addresses?: readonly string[]
  readonly ports?: readonly {
    readonly name?: string
    readonly containerPort: number
    readonly protocol?: 'TCP' | 'UDP' | 'SCTP'
  }[]
  readonly hostNetwork?: boolean
  readonly phase?: string
  readonly uid?: string
  readonly deletionTimestamp?: string
}

/** What one node has been told, and the keys of its last update. */
export interface ObservedNode {
  readonly view: NetworkView & Pick<ClusterView, 'keys'>
  keys: ReadonlySet<string>
  updates: NetworkUpdate[]
}

type Handler = (change: Change) => void

export class PolicyWorld {
  readonly source: PoliciesSource
  readonly #feed: NetworkFeed
  readonly #objects = new Map<string, AnyResource>()
  readonly #handlers = new Map<Kind, Set<Handler>>()
  readonly #batches = new Set<(revision: number) => void>()
  readonly #nodes = new Map<string, ObservedNode>()
  readonly #informer: Informer
  #revision = 1

  /** `objects`: there from the beginning. */
  constructor(objects: Iterable<AnyResource> = []) {
    this.source = new PoliciesSource()
    this.#feed = new NetworkFeed([this.source])
    for (const object of objects) this.#objects.set(keyOf(object), object)
    const on = (kind: Kind, handler: Handler): (() => void) => {
      const handlers = this.#handlers.get(kind) ?? new Set()
      handlers.add(handler)
      this.#handlers.set(kind, handlers)
      for (const object of this.#objects.values())
        if (object.kind === kind)
          handler({ type: 'added', cached: this.#cached(object), previous: undefined, revision: this.#revision })
      return () => handlers.delete(handler)
    }
    const onBatch = (handler: (revision: number) => void): (() => void) => {
      this.#batches.add(handler)
      return () => this.#batches.delete(handler)
    }
    this.#informer = { on, onBatch, revision: this.#revision } as unknown as Informer
    this.#feed.start(this.#informer)
  }

  get objects(): readonly AnyResource[] {
    return [...this.#objects.values()]
  }

  /** What there is, for the plain reading of policies. */
  get stated(): Stated {
    const policies = this.objects.filter((object) => object.kind === 'NetworkPolicy')
    const namespaces = this.objects.filter((object) => object.kind === 'Namespace')
    return {
      policies,
      namespaces: new Map(
        namespaces.map(({ metadata: { name, labels = {} } }) => [
          name,
          { ...labels, 'kubernetes.io/metadata.name': name },
        ]),
      ),
    }
  }

  pod(namespace: string, name: string): Pod {
    return this.#objects.get(`Pod/${namespace}/${name}`) as Pod
  }

  put(...objects: readonly AnyResource[]): void {
    for (const object of objects) {
      const before = this.#objects.get(keyOf(object))
      const generation = object.kind === 'NetworkPolicy' ? (before?.metadata.generation ?? 0) + 1 : undefined
      const stored =
        generation === undefined ? object : ({ ...object, metadata: { ...object.metadata, generation } } as AnyResource)
      this.#objects.set(keyOf(object), stored)
      this.#emit(before === undefined ? 'added' : 'modified', stored, before)
    }
  }

  remove(object: AnyResource): void {
    this.#objects.delete(keyOf(object))
    this.#emit('deleted', object, object)
  }

  /** Ends the batch: nodes are told. */
  flush(): void {
    for (const call of this.#batches) call(this.#revision)
  }

  /** A node that has a session from now on. */
  node(name: string): ObservedNode {
    const known = this.#nodes.get(name)
    if (known !== undefined) return known
    const view = new ClusterView({ podCidrs: [], cluster: { podCidrs: [], serviceCidrs: [], domain: '' } })
    const node: ObservedNode = { view, keys: new Set(), updates: [] }
    this.#nodes.set(name, node)
    let parts: NetworkUpdate[] = []
    this.#feed.open(
      new NetworkStream({
        node: name,
        feed: this.#feed,
        send: (update) => {
          const read = decode('NetworkUpdate', encode('NetworkUpdate', update))
          parts.push(read)
          node.updates.push(read)
          if (read.more) return
          node.keys = view.update(parts)
          parts = []
        },
      }),
    )
    return node
  }

  #emit(type: Change['type'], object: AnyResource, before: AnyResource | undefined): void {
    this.#revision++
    const change = {
      type,
      cached: this.#cached(object),
      previous: before === undefined ? undefined : this.#cached(before),
      revision: this.#revision,
    } as Change
    for (const handler of this.#handlers.get(object.kind) ?? []) handler(change)
  }

  #cached(object: AnyResource): CachedObject {
    return { object, bytes: new Uint8Array(), revision: this.#revision }
  }
}

function keyOf({ kind, metadata: { namespace, name } }: AnyResource): string {
  return `${kind}/${namespace}/${name}`
}

export function namespaceOf(name: string, labels: Record<string, string> = {}): Namespace {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, namespace: '', uid: `ns-${name}`, resourceVersion: '', labels },
    spec: {},
    status: {},
  } as unknown as Namespace
}

export function podOf(
  name: string,
  {
    namespace = 'default',
    labels,
    node = 'a',
    addresses = [],
    ports = [],
    hostNetwork,
    phase = 'Running',
    uid = `uid-${namespace}-${name}`,
    deletionTimestamp,
  }: WorldPod = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, uid, resourceVersion: '', labels, deletionTimestamp },
    spec: { nodeName: node, hostNetwork, containers: [{ name: 'main', image: 'busybox', ports }], securityContext: {} },
    status: { phase, podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) },
  } as unknown as Pod
}

/** Through the wire, defaults and validation, as the API stores it. */
export function policyOf(name: string, spec: Partial<NetworkPolicySpec>, namespace = 'default'): NetworkPolicy {
  const draft = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace, uid: `uid-${namespace}-${name}`, resourceVersion: '' },
    spec: { podSelector: {}, ...spec },
  } as unknown as NetworkPolicy
  const policy = applyDefaults(decodeResource('NetworkPolicy', encodeResource(draft)))
  const problems = validate(policy)
  if (problems.length > 0) throw new Error(problems.map(describeProblem).join('; '))
  return policy
}
