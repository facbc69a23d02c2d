/**
 * What ingress nodes are told: the Ingresses and Gateways that Gantry serves, the routes of those, and
 * exactly the Secrets with certificates that they name. Other nodes are told nothing of it.
 */
import { isParent } from '../../../proto/objects/ingress/attachment.ts'
import {
  INGRESS_NODE_LABEL,
  ingressNodes,
  servesGateway,
  servesIngress,
} from '../../../proto/objects/ingress/classes.ts'
import { gatewaySecrets, ingressSecrets } from '../../../proto/objects/ingress/references.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import type { CachedObject, Change, Informer } from '../../informer/contract.ts'
import type { EntryContent, EntrySink, NetworkSource } from './contract.ts'
import { objectContent, objectKey } from './objects-source.ts'

type Entries = ReadonlyMap<string, { readonly version: string; readonly content: () => EntryContent }>

const NONE: Entries = new Map()
const WATCHED_KINDS = [
  'Ingress',
  'IngressClass',
  'Gateway',
  'GatewayClass',
  'HTTPRoute',
  'ReferenceGrant',
  'Namespace',
  'Secret',
] as const satisfies readonly Kind[]

export class IngressSource implements NetworkSource {
  readonly name = 'ingress'
  #informer: Informer | undefined
  /** Names of the nodes, and what they are told; worked out again after a change. */
  #nodes: ReadonlySet<string> | undefined
  #entries: Entries | undefined

  start(informer: Informer, sink: EntrySink): () => void {
    this.#informer = informer
    const changed = (change: Change): void => {
      if (!this.#concerns(change)) return
      this.#entries = undefined
      for (const node of this.#nodes ?? []) sink.node(node)
    }
    const stops = [
      ...WATCHED_KINDS.map((kind) => informer.on(kind, (change) => changed(change as Change))),
      informer.on('Node', ({ type, cached, previous }) => {
        const label = (node: CachedObject<'Node'> | undefined): string | undefined =>
          node?.object.metadata.labels?.[INGRESS_NODE_LABEL]
        if (this.#nodes === undefined || (type === 'modified' && label(cached) === label(previous))) return
        const before = this.#nodes
        this.#nodes = namesOf(informer)
        for (const node of new Set([...before, ...this.#nodes]))
          if (before.has(node) !== this.#nodes.has(node)) sink.node(node)
      }),
    ]
    return () => stops.forEach((stop) => stop())
  }

  entriesOf(node: string): Entries {
    if (this.#informer === undefined) return NONE
    this.#nodes ??= namesOf(this.#informer)
    if (!this.#nodes.has(node)) return NONE
    return (this.#entries ??= entries(this.#informer))
  }

  /**
   * Secrets are many, and few of them are served certificates; namespaces are told only where labels of theirs
   * are asked for. Entries that are not there have not been told to anybody since the change before, which has said so.
   */
  #concerns({ type, cached }: Change): boolean {
    if (this.#entries === undefined) return false
    const { kind } = cached.object
    if (kind === 'Namespace') return [...this.#entries.keys()].some((key) => key.startsWith('Namespace/'))
    if (kind !== 'Secret') return true
    return (
      this.#entries.has(objectKey(kind, cached)) ||
      (type === 'added' &&
        wantedSecrets(this.#informer!).has(`${cached.object.metadata.namespace}/${cached.object.metadata.name}`))
    )
  }
}

function namesOf(informer: Informer): ReadonlySet<string> {
  return new Set(ingressNodes(informer.lister('Node').list()).map(({ metadata }) => metadata.name))
}

function served(informer: Informer) {
  const ingressClasses = informer.lister('IngressClass').list()
  const gatewayClasses = informer.lister('GatewayClass').list()
  return {
    ingresses: informer
      .lister('Ingress')
      .cachedList()
      .filter(({ object }) => servesIngress(object, ingressClasses)),
    gateways: informer
      .lister('Gateway')
      .cachedList()
      .filter(({ object }) => servesGateway(object, gatewayClasses)),
  }
}

/** "namespace/name". */
function wantedSecrets(informer: Informer): Set<string> {
  const { ingresses, gateways } = served(informer)
  const grants = informer.lister('ReferenceGrant').list()
  return new Set([
    ...ingresses.flatMap(({ object }) => ingressSecrets(object)),
    ...gateways.flatMap(({ object }) => gatewaySecrets(object, grants)),
  ])
}

function entries(informer: Informer): Entries {
  const { ingresses, gateways } = served(informer)
  if (ingresses.length + gateways.length === 0) return NONE
  const found = new Map<string, { readonly version: string; readonly content: () => EntryContent }>()
  const add = (cached: CachedObject): void => {
    const { kind } = cached.object
    found.set(objectKey(kind, cached), { version: String(cached.revision), content: () => objectContent(kind, cached) })
  }
  ingresses.forEach((cached) => add(cached as CachedObject))
  gateways.forEach((cached) => add(cached as CachedObject))
  for (const kind of ['IngressClass', 'GatewayClass'] as const)
    for (const cached of informer.lister(kind).cachedList()) add(cached as CachedObject)
  if (gateways.length > 0) {
    for (const cached of informer.lister('ReferenceGrant').cachedList()) add(cached as CachedObject)
    for (const cached of informer.lister('HTTPRoute').cachedList()) {
      const parents = cached.object.spec.parentRefs ?? []
      if (parents.some((parent) => gateways.some(({ object }) => isParent(parent, cached.object, object))))
        add(cached as CachedObject)
    }
    const byLabels = gateways.some(({ object }) =>
      object.spec.listeners.some(({ allowedRoutes }) => allowedRoutes.namespaces.from === 'Selector'),
    )
    if (byLabels) for (const cached of informer.lister('Namespace').cachedList()) add(cached as CachedObject)
  }
  for (const key of wantedSecrets(informer)) {
    const [namespace = '', name = ''] = key.split('/')
    const cached = informer.lister('Secret').cached(namespace, name)
    if (cached !== undefined) add(cached as CachedObject)
  }
  return found
}
