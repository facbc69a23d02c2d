/** Says in a Gateway what holds of it. Keys are Gateways. */
import { ingressNodes, servesGateway } from '../../../proto/objects/ingress/classes.ts'
import { sameJson } from '../../../proto/base/json.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import type { Gateway, HTTPRoute } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { keyOf, makeKey, splitKey } from '../../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../../runner/runner.ts'
import { ingressAddresses } from './addresses.ts'
import { ingressNodesWatch } from './ingress-nodes.ts'
import { planGatewayStatus } from './gateway-plan.ts'

export class GatewayStatusReconciler implements Reconciler {
  readonly name = 'gateway-status'
  readonly concurrency = 4
  readonly watches
  readonly #parts: ReconcileParts
  readonly #context: WriteContext

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#context = writeContext(parts, this.name)
    const all = (): string[] => parts.informer.lister('Gateway').list().map(keyOf)
    this.watches = [
      // Another Gateway may want the same port.
      watchSource('Gateway', ({ type, cached, previous }) =>
        type === 'modified' && sameJson(cached.object.spec, previous?.object.spec)
          ? [keyOf(cached.object)]
          : [keyOf(cached.object), ...all()],
      ),
      watchSource('GatewayClass', all),
      watchSource('ReferenceGrant', all),
      ingressNodesWatch(all),
      watchSource('HTTPRoute', ({ type, cached, previous }) =>
        type === 'modified' && sameJson(cached.object.spec, previous?.object.spec)
          ? []
          : [...parents(cached.object), ...(previous === undefined ? [] : parents(previous.object))],
      ),
      watchSource('Namespace', ({ type, cached, previous }) =>
        type === 'modified' && sameJson(cached.object.metadata.labels, previous?.object.metadata.labels)
          ? []
          : parts.informer.lister('Gateway').list().filter(asksForLabels).map(keyOf),
      ),
      watchSource(
        'Secret',
        ({
          cached: {
            object: { metadata },
          },
        }) =>
          parts.informer
            .lister('Gateway')
            .list()
            .filter((gateway) => names(gateway, metadata.namespace, metadata.name))
            .map(keyOf),
      ),
    ]
  }

  async reconcile(key: string): Promise<undefined> {
    const { namespace, name } = splitKey(key)
    const { informer, api, clock } = this.#parts
    const gateway = informer.lister('Gateway').get(namespace, name)
    const classes = informer.lister('GatewayClass').list()
    if (gateway === undefined || isDeleting(gateway) || !servesGateway(gateway, classes)) return undefined
    const nodes = informer.lister('Node').list()
    const status = planGatewayStatus(
      gateway,
      {
        gateways: informer
          .lister('Gateway')
          .list()
          .filter((candidate) => servesGateway(candidate, classes)),
        routes: informer.lister('HTTPRoute').list(),
        grants: informer.lister('ReferenceGrant').list(),
        secretOf: (place) => informer.lister('Secret').get(...partsOf(place)),
        labelsOf: (place) => labelsOf(informer.lister('Namespace').get('', place)),
        addresses: ingressAddresses(nodes),
        hasIngressNodes: ingressNodes(nodes).length > 0,
      },
      clock.now(),
    )
    if (sameJson(status, gateway.status)) return undefined
    await api.mutate(
      'Gateway',
      namespace,
      name,
      'status',
      (stored) => {
        if (stored.metadata.uid !== gateway.metadata.uid) return false
        stored.status = status
        return undefined
      },
      this.#context,
    )
    return undefined
  }
}

/** Labels of a namespace; undefined if it is not there. */
export function labelsOf(
  namespace: { readonly metadata: { readonly labels?: Readonly<Record<string, string>> | undefined } } | undefined,
): Readonly<Record<string, string>> | undefined {
  return namespace === undefined ? undefined : (namespace.metadata.labels ?? {})
}

/** "namespace/name" in its parts. */
export function partsOf(place: string): [namespace: string, name: string] {
  const { namespace, name } = splitKey(place)
  return [namespace, name]
}

function parents({ metadata, spec }: HTTPRoute): string[] {
  return (spec.parentRefs ?? [])
    .filter(({ kind }) => kind === 'Gateway')
    .map(({ namespace = metadata.namespace, name }) => makeKey(namespace, name))
}

function asksForLabels({ spec }: Gateway): boolean {
  return spec.listeners.some(({ allowedRoutes }) => allowedRoutes.namespaces.from === 'Selector')
}

function names({ metadata, spec }: Gateway, namespace: string, name: string): boolean {
  return spec.listeners.some(
    ({ tls }) =>
      tls?.certificateRefs?.some((ref) => ref.name === name && (ref.namespace ?? metadata.namespace) === namespace) ===
      true,
  )
}
