/** What one node is to have, and what has to be told to it since the last message. */
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import { withResourceVersion, type Input } from '../../proto/codec/wire.ts'
import type { Assignments, ObjectBytes, ObjectRef, Pod } from '../../proto/gen/types.ts'
import type { CachedObject, Informer } from '../informer/contract.ts'
import { PodTokens, type TokenIssuer } from './pod-tokens.ts'
import { podReferences } from '../../proto/objects/pod-references.ts'
import { findCondition } from '../../proto/objects/conditions.ts'

type AssignedKind = 'Pod' | 'ConfigMap' | 'Secret'

interface Assigned {
  readonly kind: AssignedKind
  readonly cached: CachedObject<AssignedKind>
  /** Changes when the node must be told. */
  readonly version: string
}

/** By pod: a pass looks at all pods of a node, of which few have changed. */
const podVersions = new WeakMap<Pod, string>()

/**
 * A node's own status reports come back as new revisions of the pod; only what a user or the control plane changed is
 * told. Of the status that is the conditions that the pod's readiness waits for, which others write.
 */
function podVersion(pod: Pod): string {
  let version = podVersions.get(pod)
  if (version === undefined) podVersions.set(pod, (version = makePodVersion(pod)))
  return version
}

function makePodVersion(pod: Pod): string {
  const { uid, generation, deletionTimestamp, deletionGracePeriodSeconds, labels, annotations } = pod.metadata
  const gates = pod.spec.readinessGates?.map(
    ({ conditionType }) => findCondition(pod.status.conditions, conditionType)?.status,
  )
  return JSON.stringify([uid, generation, deletionTimestamp, deletionGracePeriodSeconds, labels, annotations, gates])
}

/** Everything that a node is to have, by key. */
function desired(informer: Informer, node: string): Map<string, Assigned> {
  const result = new Map<string, Assigned>()
  const pods = informer.lister('Pod')
  const configMaps = informer.lister('ConfigMap')
  const secrets = informer.lister('Secret')
  const addConfig = (
    kind: 'ConfigMap' | 'Secret',
    namespace: string,
    name: string,
    cached: CachedObject<'ConfigMap' | 'Secret'> | undefined,
  ): void => {
    if (cached !== undefined)
      result.set(`${kind}/${namespace}/${name}`, { kind, cached, version: String(cached.revision) })
  }
  for (const cached of pods.cachedByIndex('node', node)) {
    const pod = cached.object
    const { namespace, name } = pod.metadata
    const used = podReferences(pod)
    for (const configMap of used.configMaps)
      addConfig('ConfigMap', namespace, configMap, configMaps.cached(namespace, configMap))
    for (const secret of used.secrets) addConfig('Secret', namespace, secret, secrets.cached(namespace, secret))
    result.set(`Pod/${namespace}/${name}`, { kind: 'Pod', cached, version: podVersion(pod) })
  }
  return result
}

/**
 * The bytes are made when the message is encoded: what sends messages may hold the last one until the next, and a node's
 * first one would be a copy of all that it has.
 */
function objectBytes({ kind, cached }: Assigned): Input<ObjectBytes> {
  return {
    apiVersion: apiVersionOf(resourceOf(kind)),
    kind,
    get raw() {
      return withResourceVersion(cached.bytes, String(cached.revision))
    },
  }
}

function objectRef(key: string): Input<ObjectRef> {
  const [kind, namespace, name] = key.split('/') as [AssignedKind, string, string]
  return { apiVersion: apiVersionOf(resourceOf(kind)), kind, namespace, name }
}

/** Config and secrets come before the pods that use them. */
const ORDER: Record<AssignedKind, number> = { ConfigMap: 0, Secret: 0, Pod: 1 }

export class AssignmentStream {
  readonly #informer: Informer
  readonly #node: string
  readonly #tokens: PodTokens | undefined
  #sequence = 0
  #told: ReadonlyMap<string, Assigned> = new Map()

  /** Without an issuer pods get no tokens. */
  constructor(informer: Informer, node: string, issuer: TokenIssuer | undefined) {
    this.#informer = informer
    this.#node = node
    this.#tokens = issuer === undefined ? undefined : new PodTokens(informer, node, issuer)
  }

  /** When the node is to be given new tokens, in milliseconds since 1970; undefined: it has none. */
  get tokensDue(): number | undefined {
    return this.#tokens?.due
  }

  /**
   * The next message and the uids of the pods in it, or undefined when the node knows everything. The first one is
   * complete.
   */
  next(): { readonly message: Input<Assignments>; readonly pods: readonly string[] } | undefined {
    const wanted = desired(this.#informer, this.#node)
    const complete = this.#sequence === 0
    const set: Assigned[] = []
    for (const [key, item] of wanted) if (this.#told.get(key)?.version !== item.version) set.push(item)
    const removed: string[] = []
    for (const key of this.#told.keys()) if (!wanted.has(key)) removed.push(key)
    // Not what it was: that is nobody's any more.
    this.#told = wanted
    const tokens = this.#tokens?.next() ?? []
    if (!complete && set.length === 0 && removed.length === 0 && tokens.length === 0) return undefined
    set.sort((a, b) => ORDER[a.kind] - ORDER[b.kind])
    return {
      message: {
        complete,
        sequence: ++this.#sequence,
        set: set.map(objectBytes),
        removed: removed.map(objectRef),
        tokens,
      },
      pods: set.flatMap(({ kind, cached }) => (kind === 'Pod' ? cached.object.metadata.uid : [])),
    }
  }
}
