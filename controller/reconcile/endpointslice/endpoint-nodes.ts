/** What endpoints have to know of nodes: whether they are heard from, and where they are. */
import type { Clock } from '../../../proto/base/clock.ts'
import type { Node } from '../../../proto/gen/types.ts'
import { healthOf } from '../../nodehealth/health.ts'
import type { Informer } from '../../informer/contract.ts'
import { disruptionStateOf, hasVanished, heldOf, type DisruptionState } from '../../nodehealth/disruption-state.ts'
import type { EndpointNode } from './desired-endpoints.ts'

/** https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone */
const ZONE = 'topology.kubernetes.io/zone'

/**
 * Milliseconds for which the brake's verdict is not looked at again while no node changes: it depends on time in
 * seconds.
 */
const VERDICT_LASTS = 500

const UNKNOWN: EndpointNode = { reachability: 'here', zone: undefined, addresses: [] }

export class EndpointNodes {
  readonly #informer: Informer
  readonly #clock: Clock
  #brake: { readonly verdict: DisruptionState; readonly until: number } | undefined

  constructor(informer: Informer, clock: Clock) {
    this.#informer = informer
    this.#clock = clock
  }

  /** To be called when a node has changed. */
  changed(): void {
    this.#brake = undefined
  }

  get brake(): DisruptionState {
    const at = this.#clock.monotonic()
    if (this.#brake === undefined || at >= this.#brake.until)
      this.#brake = {
        verdict: disruptionStateOf(this.#informer.lister('Node').list(), this.#clock.now()),
        until: at + VERDICT_LASTS,
      }
    return this.#brake.verdict
  }

  /** A node whose object is gone says nothing of its pods: they are collected. */
  of(name: string): EndpointNode {
    const node = name === '' ? undefined : this.#informer.lister('Node').get('', name)
    return node === undefined
      ? UNKNOWN
      : { reachability: this.#standing(node), zone: node.metadata.labels?.[ZONE], addresses: internalAddresses(node) }
  }

  #standing(node: Node): EndpointNode['reachability'] {
    switch (healthOf(node).is) {
      case 'ready':
      case 'unknown':
        return 'here'
      case 'suspect':
      case 'lost':
        return this.brake.is === 'held' && hasVanished(node, this.#clock.now()) ? 'held' : 'silent'
    }
  }
}

/** By which other nodes reach it, the preferred first. */
export function internalAddresses({ status }: Node): string[] {
  return (status.addresses ?? []).flatMap(({ type, address }) =>
    type === 'InternalIP' && address !== undefined ? [address] : [],
  )
}

/** All that its pods' endpoints depend on: agents report of other things often. */
export function looksOfNode(node: Node): unknown {
  return [healthOf(node).is, heldOf(node)?.reason, node.metadata.labels?.[ZONE], internalAddresses(node)]
}
