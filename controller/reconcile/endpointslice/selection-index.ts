/**
 * Who selects whom, without looking at everything: pods by each of their labels, Services by one label of their
 * selector. A pod's change costs as much as it has labels, a Service's pass as much as its rarest label has pods.
 */
import type { Pod, Service } from '../../../proto/gen/types.ts'
import type { Change, Informer } from '../../informer/contract.ts'
import { keyOf, splitKey } from '../../runner/key.ts'

type Labels = Readonly<Record<string, string>>

const NONE: Labels = {}

export class SelectionIndex {
  readonly #informer: Informer
  /** Keys of pods by "namespace/label=value". */
  readonly #pods = new Map<string, Set<string>>()
  /** Keys of Services by the same of their selector's first label. */
  readonly #services = new Map<string, Set<string>>()

  constructor(informer: Informer) {
    this.#informer = informer
  }

  /** To be told every change. */
  notePod({ type, cached, previous }: Change<'Pod'>): void {
    const key = keyOf(cached.object)
    const before = pairs(previous?.object)
    const after = type === 'deleted' ? [] : pairs(cached.object)
    for (const pair of before) if (!after.includes(pair)) remove(this.#pods, pair, key)
    for (const pair of after) if (!before.includes(pair)) add(this.#pods, pair, key)
  }

  /** To be told every change. */
  noteService({ type, cached, previous }: Change<'Service'>): void {
    const key = keyOf(cached.object)
    const before = entryPair(previous?.object)
    const after = type === 'deleted' ? undefined : entryPair(cached.object)
    if (before === after) return
    if (before !== undefined) remove(this.#services, before, key)
    if (after !== undefined) add(this.#services, after, key)
  }

  /** Keys of the Services that select a pod. */
  servicesOf(pod: Pod): string[] {
    const { labels = NONE } = pod.metadata
    const lister = this.#informer.lister('Service')
    return pairs(pod).flatMap((pair) =>
      [...(this.#services.get(pair) ?? [])].filter((key) => {
        const { namespace, name } = splitKey(key)
        const selector = lister.get(namespace, name)?.spec.selector
        return selector !== undefined && matches(selector, labels)
      }),
    )
  }

  /** The pods that a Service selects; none without a selector. */
  podsOf({ metadata: { namespace }, spec: { selector = NONE } }: Service): Pod[] {
    const sets = Object.entries(selector).map(([label, value]) => this.#pods.get(pairOf(namespace, label, value)))
    if (sets.length === 0 || sets.includes(undefined)) return []
    const smallest = (sets as Set<string>[]).reduce((least, set) => (set.size < least.size ? set : least))
    const lister = this.#informer.lister('Pod')
    return [...smallest].sort().flatMap((key) => {
      const pod = lister.get(namespace, splitKey(key).name)
      return pod !== undefined && matches(selector, pod.metadata.labels ?? NONE) ? [pod] : []
    })
  }
}

function matches(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([label, value]) => labels[label] === value)
}

function pairOf(namespace: string, label: string, value: string): string {
  return `${namespace}/${label}=${value}`
}

function pairs(pod: Pod | undefined): string[] {
  return pod === undefined
    ? []
    : Object.entries(pod.metadata.labels ?? NONE).map(([label, value]) => pairOf(pod.metadata.namespace, label, value))
}

/** Undefined for a Service that selects nothing. */
function entryPair(service: Service | undefined): string | undefined {
  const label = Object.keys(service?.spec.selector ?? NONE).sort()[0]
  return label === undefined ? undefined : pairOf(service!.metadata.namespace, label, service!.spec.selector![label]!)
}

function add(sets: Map<string, Set<string>>, pair: string, key: string): void {
  const set = sets.get(pair)
  if (set === undefined) sets.set(pair, new Set([key]))
  else set.add(key)
}

function remove(sets: Map<string, Set<string>>, pair: string, key: string): void {
  const set = sets.get(pair)
  set?.delete(key)
  if (set?.size === 0) sets.delete(pair)
}
