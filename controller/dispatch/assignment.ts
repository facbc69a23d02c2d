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
}

/**
 * A node's own status reports come back as new revisions of the pod; only what a user or the control plane changed is
 * told. Of the status that is the conditions that the pod's readiness waits for, which others write.
 */
function podVersion(pod: Pod): string {
  const { uid, generation, deletionTimestamp, deletionGracePeriodSeconds, labels, annotations } = pod.metadata
  const gates = pod.spec.readinessGates?.map(
    ({ conditionType }) => findCondition(pod.status.conditions, conditionType)?.status,
  )
  return JSON.stringify([uid, generation, deletionTimestamp, deletionGracePeriodSeconds, labels, annotations, gates])
}

/**
 * The bytes are made when the message is encoded: what sends messages may hold the last one until the next, and
 * a node's first one would be a copy of all that it has.
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
  /** What the node has, by key: the version that it was told, which is another when the node must be told again. */
  readonly #told = new Map<string, string>()
  /** Keys of the config that each of its pods uses, by "namespace/name" of the pod, be the config there or not. */
  readonly #used = new Map<string, readonly string[]>()
  /** How many of its pods use a config, by its key. */
  readonly #uses = new Map<string, number>()

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
   * complete. `changed`: "namespace/name" of the pods that may have changed since the last one, when nothing else has;
   * undefined: all is looked at.
   */
  next(
    changed?: Iterable<string>,
  ): { readonly message: Input<Assignments>; readonly pods: readonly string[] } | undefined {
    const complete = this.#sequence === 0
    const set: Assigned[] = []
    const removed: string[] = []
    const configs = new Set(changed === undefined ? this.#uses.keys() : [])
    for (const pod of changed ?? this.#pods()) this.#lookAtPod(pod, set, removed, configs)
    for (const key of configs) this.#tell(key, this.#config(key), set, removed)
    const tokens = this.#tokens?.next(changed) ?? []
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

  /** Those that the node has, and those that it is to have. */
  #pods(): Set<string> {
    const assigned = this.#informer.lister('Pod').byIndex('node', this.#node)
    return new Set([...this.#used.keys(), ...assigned.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)])
  }

  /** `configs` gets the keys of those that more or fewer pods use than before. */
  #lookAtPod(pod: string, set: Assigned[], removed: string[], configs: Set<string>): void {
    const [namespace, name] = pod.split('/') as [string, string]
    const found = this.#informer.lister('Pod').cached(namespace, name)
    const cached = found?.object.spec.nodeName === this.#node ? found : undefined
    // What a pod uses is in its spec, and so in its version.
    if (!this.#tell(`Pod/${pod}`, cached, set, removed)) return
    const before = this.#used.get(pod) ?? []
    const now = cached === undefined ? [] : configKeys(cached.object)
    if (cached === undefined) this.#used.delete(pod)
    else this.#used.set(pod, now)
    for (const key of now) this.#count(key, 1, configs)
    for (const key of before) this.#count(key, -1, configs)
  }

  #count(key: string, by: 1 | -1, configs: Set<string>): void {
    const count = (this.#uses.get(key) ?? 0) + by
    if (count > 0) this.#uses.set(key, count)
    else this.#uses.delete(key)
    configs.add(key)
  }

  /** Undefined: it is not there, or no pod uses it. */
  #config(key: string): CachedObject<AssignedKind> | undefined {
    if (!this.#uses.has(key)) return undefined
    const [kind, namespace, name] = key.split('/') as ['ConfigMap' | 'Secret', string, string]
    return this.#informer.lister(kind).cached(namespace, name)
  }

  /** Notes what the node is to be told of one object; false if it knows. Undefined: it is to have it no longer. */
  #tell(key: string, cached: CachedObject<AssignedKind> | undefined, set: Assigned[], removed: string[]): boolean {
    if (cached === undefined) {
      if (!this.#told.delete(key)) return false
      removed.push(key)
      return true
    }
    const { object, revision } = cached
    const version = object.kind === 'Pod' ? podVersion(object) : String(revision)
    if (this.#told.get(key) === version) return false
    this.#told.set(key, version)
    set.push({ kind: object.kind, cached })
    return true
  }
}

function configKeys(pod: Pod): string[] {
  const { namespace } = pod.metadata
  const { configMaps, secrets } = podReferences(pod)
  return [
    ...[...configMaps].map((name) => `ConfigMap/${namespace}/${name}`),
    ...[...secrets].map((name) => `Secret/${namespace}/${name}`),
  ]
}
