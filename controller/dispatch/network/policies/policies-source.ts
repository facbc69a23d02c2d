/**
 * Tells each node how its pods are guarded, those too that no policy selects: what the policies allow, and the
 * addresses of those that they name.
 *
 *   pod ──labels──▶ SelectorIndex ─▶ policies that select it ─▶ its node: GuardedPod, PolicyRules
 *    └────────────▶ SelectorIndex ─▶ sets that it is in ──────▶ nodes whose policies name the set: AddressSet
 *
 * A pod's change costs what the selectors do that demand a label of its own, and the nodes that follow the sets which
 * it enters or leaves.
 */
import type { Namespace, NetworkPolicy, Pod } from '../../../../proto/gen/types.ts'
import type { Informer } from '../../../informer/contract.ts'
import type { EntrySink, FeedEntry, NetworkSource } from '../contract.ts'
import { compilePolicy, type CompiledPolicy, type PeerSelector } from './compile.ts'
import { PeerSet } from './peer-set.ts'
import { podFacts, sameFacts, type PodFacts } from './pod-facts.ts'
import type { GuardedNode, PolicyPod, PolicyState } from './policy-graph.ts'
import { ALL_NAMESPACES, LabelIndex, SelectorIndex, type Labels } from './selector-index.ts'

const NAME_LABEL = 'kubernetes.io/metadata.name'

export class PoliciesSource implements NetworkSource {
  readonly name = 'policies'
  readonly #namespaces = new Map<string, Labels>()
  readonly #pods = new Map<string, PolicyPod>()
  readonly #policies = new Map<string, PolicyState>()
  readonly #sets = new Map<string, PeerSet>()
  /** Sets that look at namespaces by their labels. */
  readonly #roaming = new Set<PeerSet>()
  readonly #nodes = new Map<string, GuardedNode>()
  readonly #podIndex = new LabelIndex<PolicyPod>()
  readonly #policyIndex = new SelectorIndex<PolicyState>()
  readonly #setIndex = new SelectorIndex<PeerSet>()
  /** By node, until something of it changes that is not about one pod only. */
  readonly #sentEntries = new Map<string, Map<string, FeedEntry>>()
  #sink: EntrySink | undefined
  #versions = 0

  start(informer: Informer, sink: EntrySink): () => void {
    this.#sink = sink
    const stops = [
      informer.on('Namespace', ({ type, cached: { object } }) => this.#namespaceChanged(object, type === 'deleted')),
      informer.on('Pod', ({ type, cached: { object } }) => this.#podChanged(object, type === 'deleted')),
      informer.on('NetworkPolicy', ({ type, cached: { object }, previous }) => {
        if (
          type !== 'deleted' &&
          previous !== undefined &&
          previous.object.metadata.uid === object.metadata.uid &&
          previous.object.metadata.generation === object.metadata.generation
        )
          return
        this.#policyChanged(object, type === 'deleted')
      }),
    ]
    return () => stops.forEach((stop) => stop())
  }

  entriesOf(node: string): ReadonlyMap<string, FeedEntry> {
    let told = this.#sentEntries.get(node)
    if (told === undefined) this.#sentEntries.set(node, (told = this.#entries(node)))
    return told
  }

  #touch(node: string): void {
    this.#sentEntries.delete(node)
    this.#sink?.node(node)
  }

  /** Nothing of the node has changed but whether it has the pod, and how the pod is guarded. */
  #touchPod(node: string, pod: PolicyPod, present: boolean): void {
    const key = guardedKey(pod)
    const entries = this.#sentEntries.get(node)
    if (present) entries?.set(key, (pod.entry ??= guardedEntry(pod)))
    else entries?.delete(key)
    this.#sink?.node(node, key)
  }

  #entries(name: string): Map<string, FeedEntry> {
    const entries = new Map<string, FeedEntry>()
    const node = this.#nodes.get(name)
    if (node === undefined) return entries
    const sets = new Set<PeerSet>()
    for (const policy of node.policies.keys()) {
      const { rules } = policy.compiled
      entries.set(`PolicyRules/${rules.name}`, {
        version: policy.version,
        content: () => ({ case: 'rules', value: rules }),
      })
      for (const set of policy.sets) sets.add(set)
    }
    for (const set of sets) set.addTo(entries)
    for (const pod of node.pods) entries.set(guardedKey(pod), (pod.entry ??= guardedEntry(pod)))
    return entries
  }

  #namespaceChanged({ metadata: { name, labels } }: Namespace, deleted: boolean): void {
    const before = this.#namespaces.get(name)
    const now = { ...labels, [NAME_LABEL]: name }
    if (deleted) this.#namespaces.delete(name)
    else this.#namespaces.set(name, now)
    if (JSON.stringify(before) === JSON.stringify(deleted ? undefined : now)) return
    for (const set of this.#roaming) {
      const { namespaces } = set.selector
      if (set.namespaces.has(ALL_NAMESPACES) || 'name' in namespaces) continue
      const wanted = !deleted && namespaces.matcher.matches(now)
      if (wanted === set.namespaces.has(name)) continue
      if (wanted) this.#trackNamespace(set, name)
      else this.#untrackNamespace(set, name)
    }
  }

  /** Takes in what a namespace has for the set. */
  #trackNamespace(set: PeerSet, namespace: string): void {
    const { pods } = set.selector
    set.namespaces.add(namespace)
    this.#setIndex.add(namespace, pods, set)
    for (const pod of this.#podIndex.candidates(namespace, pods)) if (pods.matches(pod.labels)) this.#enter(set, pod)
  }

  #untrackNamespace(set: PeerSet, namespace: string): void {
    const { pods } = set.selector
    set.namespaces.delete(namespace)
    this.#setIndex.remove(namespace, pods, set)
    for (const pod of this.#podIndex.candidates(namespace, pods)) if (pod.sets.has(set)) this.#leave(set, pod)
  }

  #enter(set: PeerSet, pod: PolicyPod): void {
    pod.sets.add(set)
    if (set.put(pod)) for (const node of set.nodes.keys()) this.#touch(node)
  }

  #leave(set: PeerSet, pod: PolicyPod): void {
    pod.sets.delete(set)
    if (set.drop(pod.key)) for (const node of set.nodes.keys()) this.#touch(node)
  }

  #podChanged(object: Pod, deleted: boolean): void {
    const key = `${object.metadata.namespace}/${object.metadata.name}`
    const before = this.#pods.get(key)
    if (deleted) {
      if (before !== undefined) this.#removePod(before)
      return
    }
    const facts = podFacts(object)
    if (facts.node === undefined && facts.addresses.length === 0) {
      // Nobody guards it, and nobody is let in by it: until it has a node it is as if it were not there.
      if (before !== undefined) this.#removePod(before)
      return
    }
    if (before !== undefined && sameFacts(before, facts)) return
    this.#putPod(key, facts, before)
  }

  #removePod(pod: PolicyPod): void {
    this.#pods.delete(pod.key)
    this.#podIndex.remove(pod.namespace, pod.labels, pod)
    this.#leaveNode(pod)
    for (const set of pod.sets) this.#leave(set, pod)
  }

  /** Sets that a pod stays in see only what differs; the rest of them would be told for nothing. */
  #putPod(key: string, facts: PodFacts, before: PolicyPod | undefined): void {
    const pod: PolicyPod = { ...facts, key, guards: new Set(), sets: new Set(), entry: undefined }
    if (before !== undefined) {
      this.#podIndex.remove(before.namespace, before.labels, before)
      this.#leaveNode(before)
    }
    this.#pods.set(key, pod)
    this.#podIndex.add(pod.namespace, pod.labels, pod)
    this.#enterNode(pod)
    for (const policy of this.#policyIndex.candidates(pod.namespace, pod.labels))
      if (policy.compiled.pods.matches(pod.labels)) this.#guard(policy, pod)
    for (const set of this.#setIndex.candidates(pod.namespace, pod.labels))
      if (set.selector.pods.matches(pod.labels)) this.#enter(set, pod)
    for (const set of before?.sets ?? []) if (!pod.sets.has(set)) this.#leave(set, before!)
  }

  #enterNode(pod: PolicyPod): void {
    if (pod.node === undefined) return
    let node = this.#nodes.get(pod.node)
    if (node === undefined) this.#nodes.set(pod.node, (node = { pods: new Set(), policies: new Map() }))
    node.pods.add(pod)
    this.#touchPod(pod.node, pod, true)
  }

  /** And no policy selects it any more. */
  #leaveNode(pod: PolicyPod): void {
    for (const policy of pod.guards) this.#unguard(policy, pod)
    const node = pod.node === undefined ? undefined : this.#nodes.get(pod.node)
    if (pod.node === undefined || node === undefined) return
    node.pods.delete(pod)
    if (node.pods.size === 0) this.#nodes.delete(pod.node)
    this.#touchPod(pod.node, pod, false)
  }

  /** On its node, where it is already. */
  #guard(policy: PolicyState, pod: PolicyPod): void {
    pod.guards.add(policy)
    pod.entry = undefined
    policy.pods.add(pod)
    if (pod.node === undefined) return
    const node = this.#nodes.get(pod.node)!
    const count = node.policies.get(policy) ?? 0
    node.policies.set(policy, count + 1)
    this.#touchPod(pod.node, pod, true)
    if (count > 0) return
    for (const set of policy.sets) set.nodes.set(pod.node, (set.nodes.get(pod.node) ?? 0) + 1)
    this.#touch(pod.node)
  }

  #unguard(policy: PolicyState, pod: PolicyPod): void {
    pod.guards.delete(policy)
    pod.entry = undefined
    policy.pods.delete(pod)
    const node = pod.node === undefined ? undefined : this.#nodes.get(pod.node)
    if (pod.node === undefined || node === undefined) return
    const count = node.policies.get(policy)! - 1
    this.#touchPod(pod.node, pod, true)
    if (count > 0) return void node.policies.set(policy, count)
    node.policies.delete(policy)
    for (const set of policy.sets) lessen(set.nodes, pod.node)
    this.#touch(pod.node)
  }

  #policyChanged(object: NetworkPolicy, deleted: boolean): void {
    const key = `${object.metadata.namespace}/${object.metadata.name}`
    const before = this.#policies.get(key)
    // The new one first: sets that both name stay as they are.
    if (!deleted) this.#addPolicy(compilePolicy(object))
    else this.#policies.delete(key)
    if (before !== undefined) this.#removePolicy(before)
  }

  #addPolicy(compiled: CompiledPolicy): void {
    const policy: PolicyState = {
      compiled,
      version: String(++this.#versions),
      sets: new Set(compiled.selectors.map((selector) => this.#useSet(selector))),
      pods: new Set(),
    }
    this.#policies.set(compiled.name, policy)
    this.#policyIndex.add(compiled.namespace, compiled.pods, policy)
    for (const pod of this.#podIndex.candidates(compiled.namespace, compiled.pods))
      if (compiled.pods.matches(pod.labels)) this.#guard(policy, pod)
  }

  #removePolicy(policy: PolicyState): void {
    this.#policyIndex.remove(policy.compiled.namespace, policy.compiled.pods, policy)
    for (const pod of policy.pods) this.#unguard(policy, pod)
    for (const set of policy.sets) this.#unuseSet(set)
  }

  #useSet(selector: PeerSelector): PeerSet {
    let set = this.#sets.get(selector.id)
    if (set === undefined) {
      set = new PeerSet(selector, () => String(++this.#versions))
      this.#sets.set(selector.id, set)
      for (const namespace of this.#namespacesOf(set)) this.#trackNamespace(set, namespace)
    }
    set.uses++
    return set
  }

  #namespacesOf(set: PeerSet): string[] {
    const { namespaces } = set.selector
    if ('name' in namespaces) return [namespaces.name]
    this.#roaming.add(set)
    if (namespaces.matcher.requirements.length === 0) return [ALL_NAMESPACES]
    return [...this.#namespaces].filter(([, labels]) => namespaces.matcher.matches(labels)).map(([name]) => name)
  }

  #unuseSet(set: PeerSet): void {
    if (--set.uses > 0) return
    for (const namespace of [...set.namespaces]) this.#untrackNamespace(set, namespace)
    this.#sets.delete(set.selector.id)
    this.#roaming.delete(set)
  }
}

const guardedKey = (pod: PolicyPod): string => `GuardedPod/${pod.uid}`

/** Worked out when it is read: a pod that many policies select meets each of them by itself before it is told once. */
function guardedEntry(pod: PolicyPod): FeedEntry {
  let made: FeedEntry | undefined
  const entry = (): FeedEntry => (made ??= makeGuardedEntry(pod))
  return {
    get version() {
      return entry().version
    },
    content: () => entry().content(),
  }
}

function makeGuardedEntry(pod: PolicyPod): FeedEntry {
  const policies = [...pod.guards].map(({ compiled }) => compiled).sort((a, b) => (a.name < b.name ? -1 : 1))
  const guarded = {
    uid: pod.uid,
    addresses: [...pod.addresses],
    ingress: policies.some(({ ingress }) => ingress),
    egress: policies.some(({ egress }) => egress),
    rules: policies.map((policy) => policy.name),
  }
  return { version: JSON.stringify(guarded), content: () => ({ case: 'guarded', value: guarded }) }
}

/** Takes one from a count, and the count away when nothing is left. */
function lessen(counts: Map<string, number>, key: string): void {
  const count = counts.get(key) ?? 0
  if (count > 1) counts.set(key, count - 1)
  else counts.delete(key)
}
