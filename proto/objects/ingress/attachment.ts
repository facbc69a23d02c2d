/**
 * Which listeners of a Gateway are served, and which routes attach to them.
 * https://gateway-api.sigs.k8s.io/reference/spec/#listener
 */
import { ownerOfHostPort } from '../reserved-ports.ts'
import type { Gateway, HTTPRoute, Listener, ParentReference } from '../../gen/types.ts'
import { labelSelectorMatcher } from '../selector.ts'
import { byAge } from './classes.ts'
import { commonHostname } from './hostnames.ts'

export const GATEWAY_GROUP = 'gateway.networking.k8s.io'

/** Why something does not hold, in the words of the specification. */
export interface ConditionProblem {
  readonly reason: string
  readonly message: string
}

/** Labels of a namespace; undefined for one that is not there. */
export type NamespaceLabels = (namespace: string) => Readonly<Record<string, string>> | undefined

/** Port → the protocol spoken there. */
export type PortProtocols = ReadonlyMap<number, string>

/** What the ingress proxy does not do at all. */
export function listenerProblem({ protocol, port, tls }: Listener): ConditionProblem | undefined {
  if (protocol !== 'HTTP' && protocol !== 'HTTPS')
    return { reason: 'UnsupportedProtocol', message: `Protocol ${protocol} is not served, HTTP and HTTPS are` }
  if (tls?.mode === 'Passthrough')
    return { reason: 'UnsupportedProtocol', message: 'TLS mode Passthrough is not served, Terminate is' }
  // A listener has its port on every address of the ingress nodes.
  const owner = ownerOfHostPort({ protocol: 'TCP', port, address: '' })
  if (owner !== undefined)
    return { reason: 'PortUnavailable', message: `Port ${port} of nodes is reserved for ${owner}` }
  return undefined
}

/** One port speaks one protocol: that of `reserved`, else of the first listener of the oldest Gateway. */
export function portProtocols(gateways: readonly Gateway[], reserved: PortProtocols): Map<number, string> {
  const protocols = new Map(reserved)
  for (const { spec } of [...gateways].sort(byAge)) {
    for (const listener of spec.listeners) {
      if (listenerProblem(listener) === undefined && !protocols.has(listener.port))
        protocols.set(listener.port, listener.protocol)
    }
  }
  return protocols
}

/** Undefined for a listener that may have its port. */
export function listenerConflict({ port, protocol }: Listener, protocols: PortProtocols): ConditionProblem | undefined {
  const spoken = protocols.get(port)
  return spoken === undefined || spoken === protocol
    ? undefined
    : { reason: 'ProtocolConflict', message: `Port ${port} speaks ${spoken} already` }
}

/** Kinds of routes that the listener takes and the ingress proxy knows; others asked for are told. */
export function routeKinds({ allowedRoutes }: Listener): {
  readonly httpRoutes: boolean
  readonly unknown: readonly string[]
} {
  const kinds = allowedRoutes.kinds ?? []
  if (kinds.length === 0) return { httpRoutes: true, unknown: [] }
  const known = ({ group, kind }: (typeof kinds)[number]): boolean => group === GATEWAY_GROUP && kind === 'HTTPRoute'
  return {
    httpRoutes: kinds.some(known),
    unknown: kinds.filter((kind) => !known(kind)).map(({ group, kind }) => (group === '' ? kind : `${kind}.${group}`)),
  }
}

/** A listener and the hostnames of the route that it takes, '*' for all. */
export interface Attachment {
  readonly listener: Listener
  readonly hostnames: readonly string[]
}

/** True if the parent is this Gateway. */
export function isParent(
  { group, kind, namespace, name }: ParentReference,
  route: HTTPRoute,
  gateway: Gateway,
): boolean {
  return (
    group === GATEWAY_GROUP &&
    kind === 'Gateway' &&
    name === gateway.metadata.name &&
    (namespace ?? route.metadata.namespace) === gateway.metadata.namespace
  )
}

/**
 * The listeners of the Gateway that a parentRef of the route attaches to, or why there are none. Conflicts and missing
 * certificates are not looked at.
 */
export function attach(
  route: HTTPRoute,
  parent: ParentReference,
  gateway: Gateway,
  labelsOf: NamespaceLabels,
): readonly Attachment[] | ConditionProblem {
  const { sectionName = '', port } = parent
  const named = gateway.spec.listeners.filter(
    (listener) =>
      (sectionName === '' || listener.name === sectionName) && (port === undefined || listener.port === port),
  )
  if (named.length === 0)
    return {
      reason: 'NoMatchingParent',
      message: `The Gateway has no listener${sectionName === '' ? '' : ` named ${sectionName}`}${port === undefined ? '' : ` at port ${port}`}`,
    }
  const allowed = named.filter(
    (listener) =>
      routeKinds(listener).httpRoutes &&
      takesNamespace(listener, gateway.metadata.namespace, route.metadata.namespace, labelsOf),
  )
  if (allowed.length === 0)
    return {
      reason: 'NotAllowedByListeners',
      message: `No listener takes HTTPRoutes of the namespace ${route.metadata.namespace}`,
    }
  const hostnames = route.spec.hostnames ?? []
  const attached = allowed
    .map((listener): Attachment => {
      const common = (hostnames.length === 0 ? [undefined] : hostnames).map((hostname) =>
        commonHostname(listener.hostname, hostname),
      )
      return { listener, hostnames: [...new Set(common.filter((hostname) => hostname !== undefined))] }
    })
    .filter((attachment) => attachment.hostnames.length > 0)
  return attached.length > 0
    ? attached
    : { reason: 'NoMatchingListenerHostname', message: `No listener takes any of ${hostnames.join(', ')}` }
}

function takesNamespace(
  { allowedRoutes }: Listener,
  own: string,
  namespace: string,
  labelsOf: NamespaceLabels,
): boolean {
  const { from, selector = {} } = allowedRoutes.namespaces
  switch (from) {
    case 'All':
      return true
    case 'Same':
      return namespace === own
    case 'Selector': {
      const labels = labelsOf(namespace)
      return labels !== undefined && labelSelectorMatcher(selector).matches(labels)
    }
  }
}
