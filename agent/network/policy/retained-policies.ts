/**
 * What was told last of pods that this node still has and the control plane tells nothing of any more. It has deleted
 * them, by force or while the node was not heard from; until they have ended here they are guarded as before.
 */
import type { AddressSet, GuardedPod, PolicyRules } from '../../../proto/gen/types.ts'
import type { NetworkView } from '../contract.ts'

type Entries = Pick<NetworkView, 'entries'>

interface PolicyEntries {
  readonly guarded: ReadonlyMap<string, GuardedPod>
  readonly rules: ReadonlyMap<string, PolicyRules>
  readonly addresses: ReadonlyMap<string, AddressSet>
}

/** A pod's guard: entries by their keys. */
interface PodPolicies {
  readonly key: string
  readonly pod: GuardedPod
  readonly rules: ReadonlyMap<string, PolicyRules>
  readonly addresses: ReadonlyMap<string, AddressSet>
}

export class RetainedPolicies {
  #before: PolicyEntries = { guarded: new Map(), rules: new Map(), addresses: new Map() }
  /** By the pod's uid. */
  readonly #kept = new Map<string, PodPolicies>()

  /**
   * The view with what is kept; the next call begins from this one. `given`: the node's pods, by uid. Of a kept pod's
   * policies and sets those that are still told say what they say now.
   */
  mergedWith(view: Entries, given: ReadonlyMap<string, unknown>): Entries {
    const now: PolicyEntries = {
      guarded: view.entries('guarded'),
      rules: view.entries('rules'),
      addresses: view.entries('addresses'),
    }
    const told = new Set([...now.guarded.values()].map(({ uid }) => uid))
    for (const uid of [...this.#kept.keys()]) if (told.has(uid) || !given.has(uid)) this.#kept.delete(uid)
    for (const [key, pod] of this.#before.guarded)
      if (!told.has(pod.uid) && given.has(pod.uid)) this.#kept.set(pod.uid, policiesOf(key, pod, this.#before))
    // The view goes on changing.
    this.#before = { guarded: new Map(now.guarded), rules: new Map(now.rules), addresses: new Map(now.addresses) }
    return this.#kept.size === 0 ? view : merged(this.#before, [...this.#kept.values()])
  }
}

function policiesOf(key: string, pod: GuardedPod, { rules, addresses }: PolicyEntries): PodPolicies {
  const own = new Map([...rules].filter(([, { name }]) => pod.rules.includes(name)))
  const sets = new Set(
    [...own.values()].flatMap(({ ingress, egress }) =>
      [...ingress, ...egress].flatMap((rule) => [...rule.sets, ...rule.endpoints]),
    ),
  )
  return { key, pod, rules: own, addresses: new Map([...addresses].filter(([, { name }]) => sets.has(name))) }
}

function merged(now: PolicyEntries, kept: readonly PodPolicies[]): Entries {
  const sets = new Set([...now.addresses.values()].map(({ name }) => name))
  const all: PolicyEntries = {
    guarded: new Map([...now.guarded, ...kept.map(({ key, pod }) => [key, pod] as const)]),
    rules: new Map([...kept.flatMap(({ rules }) => [...rules]), ...now.rules]),
    addresses: new Map([
      ...kept.flatMap(({ addresses }) => [...addresses].filter(([, { name }]) => !sets.has(name))),
      ...now.addresses,
    ]),
  }
  return { entries: (entry) => all[entry as keyof PolicyEntries] as never }
}
