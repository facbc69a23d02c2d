/** The pages of Ingresses and of the Gateway API's kinds. */
import {
  INGRESS_CLASS_ANNOTATION,
  ingressNodes,
  NO_INGRESS_NODE_MESSAGE,
  servesIngress,
} from '../../objects/ingress/classes.ts'
import type {
  EndpointSlice,
  Gateway,
  GatewayClass,
  HTTPBackendRef,
  HTTPRoute,
  HTTPRouteMatch,
  Ingress,
  IngressBackend,
  IngressClass,
  IngressServiceBackend,
  ParentReference,
  ReferenceGrant,
  Service,
} from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import { ingressAddresses } from '../../objects/columns/ingress.ts'
import { someOf } from '../../objects/columns/service.ts'
import { conditionEntry, deletionEntries, markEntries, nameEntries, tableEntry } from './metadata.ts'
import { entry, optional, type Entry } from './page.ts'
import { endpointsOf } from './service.ts'

/** As many endpoints as a page names for each backend. */
const ENDPOINTS = 3

/** What belongs to an Ingress: the classes that there are, and what is behind the Services that it names. */
export interface IngressSurroundings {
  readonly classes: readonly IngressClass[]
  /** By name; undefined for one that does not exist. */
  readonly services: ReadonlyMap<
    string,
    { readonly service: Service; readonly slices: readonly EndpointSlice[] } | undefined
  >
  /** False where it has no address since there is no ingress node. */
  readonly hasIngressNodes: boolean
}

export async function ingressSurroundings(cluster: ClusterClient, ingress: Ingress): Promise<IngressSurroundings> {
  const {
    metadata: { namespace },
    spec,
  } = ingress
  const backends = [
    spec.defaultBackend,
    ...(spec.rules ?? []).flatMap(({ http }) => (http?.paths ?? []).map(({ backend }) => backend)),
  ]
  const names = [...new Set(backends.flatMap((backend) => backend?.service?.name ?? []))]
  const behind = async (name: string) => {
    const [service, { items }] = await Promise.all([
      cluster.find('Service', namespace, name),
      cluster.list('EndpointSlice', { namespace, labelSelector: `kubernetes.io/service-name=${name}` }),
    ])
    return [name, service === undefined ? undefined : { service, slices: items }] as const
  }
  const nodes = ingressAddresses(ingress) === '' ? cluster.list('Node', { namespace: '' }) : undefined
  const [classes, services, listed] = await Promise.all([
    cluster.list('IngressClass', { namespace: '' }),
    Promise.all(names.map(behind)),
    nodes,
  ])
  return {
    classes: classes.items,
    services: new Map(services),
    hasIngressNodes: listed === undefined || ingressNodes(listed.items).length > 0,
  }
}

export function ingressEntries(ingress: Ingress, { classes, services, hasIngressNodes }: IngressSurroundings): Entry[] {
  const { spec } = ingress
  const nowhere = hasIngressNodes || !servesIngress(ingress, classes) ? '<none>' : `<none> (${NO_INGRESS_NODE_MESSAGE})`
  const backend = (of: IngressBackend): string =>
    `${backendWord(of)}${of.service === undefined ? '' : ` (${behindWord(of.service, services.get(of.service.name))})`}`
  const rules = (spec.rules ?? []).flatMap(({ host = '*', http }) =>
    (http?.paths ?? []).map(({ path = '/', pathType, backend: of }) => [host, path, pathType, backend(of)]),
  )
  return [
    ...nameEntries(ingress),
    ...markEntries(ingress),
    ...deletionEntries(ingress),
    entry('Ingress Class', classWord(ingress, classes)),
    entry('Address', ingressAddresses(ingress) || nowhere),
    entry('Default Backend', spec.defaultBackend === undefined ? '<none>' : backend(spec.defaultBackend)),
    ...(spec.tls === undefined
      ? []
      : [
          tableEntry(
            'TLS',
            ['Secret', 'Hosts'],
            spec.tls.map(({ secretName = "(the entrance's own)", hosts = [] }) => [
              secretName,
              hosts.join(',') || "(the certificate's)",
            ]),
          ),
        ]),
    tableEntry('Rules', ['Host', 'Path', 'Type', 'Backend'], rules),
  ]
}

/** The class, and why nobody serves it: an Ingress of another cluster often names a class that is not here. */
function classWord(ingress: Ingress, classes: readonly IngressClass[]): string {
  const name = ingress.spec.ingressClassName ?? ingress.metadata.annotations?.[INGRESS_CLASS_ANNOTATION] ?? ''
  if (servesIngress(ingress, classes)) return name || '<default>'
  if (name === '') return "<none> (not served here: the default IngressClass is another controller's)"
  const known = classes.find(({ metadata }) => metadata.name === name)
  return `${name} (not served here: ${known === undefined ? `there is no IngressClass ${name}, only ${classes.map(({ metadata }) => metadata.name).join(', ') || 'none'}` : `IngressClass ${name} is for the controller ${known.spec.controller}`})`
}

/** "web:80" */
function backendWord({ service }: IngressBackend): string {
  return service === undefined ? '<none>' : `${service.name}:${service.port.name ?? service.port.number ?? ''}`
}

/** "10.244.1.7:8080,10.244.2.3:8080", or why there is nobody. */
function behindWord(
  { name, port: { name: portName, number } }: IngressServiceBackend,
  behind: { readonly service: Service; readonly slices: readonly EndpointSlice[] } | undefined,
): string {
  if (behind === undefined) return `there is no Service ${name}`
  const {
    service: { spec },
    slices,
  } = behind
  const port = (spec.ports ?? []).find((candidate) =>
    portName === undefined ? candidate.port === number : candidate.name === portName,
  )
  if (port === undefined)
    return `Service ${name} has no port ${portName ?? number}; it has ${(spec.ports ?? []).map((candidate) => (portName === undefined ? candidate.port : (candidate.name ?? candidate.port))).join(', ') || 'none'}`
  return spec.type === 'ExternalName'
    ? (spec.externalName ?? '')
    : someOf(endpointsOf(port.name ?? '', slices), `no endpoints: see \`gantry describe svc ${name}\``, ENDPOINTS)
}

export function ingressClassEntries(ingressClass: IngressClass): Entry[] {
  return [
    ...nameEntries(ingressClass),
    ...markEntries(ingressClass),
    ...deletionEntries(ingressClass),
    entry('Controller', ingressClass.spec.controller),
  ]
}

export function gatewayClassEntries(gatewayClass: GatewayClass): Entry[] {
  const { spec, status } = gatewayClass
  return [
    ...nameEntries(gatewayClass),
    ...markEntries(gatewayClass),
    ...deletionEntries(gatewayClass),
    entry('Controller', spec.controllerName),
    ...optional('Description', spec.description),
    conditionEntry(status.conditions),
  ]
}

export function gatewayEntries(gateway: Gateway): Entry[] {
  const { spec, status } = gateway
  const listeners = spec.listeners.map(({ name, protocol, port, hostname = '*', allowedRoutes }) => {
    const seen = status.listeners?.find((listener) => listener.name === name)
    const wrong = (seen?.conditions ?? []).filter(
      (condition) => (condition.type === 'Conflicted') === (condition.status === 'True'),
    )
    return [
      name,
      protocol,
      String(port),
      hostname,
      allowedRoutes.namespaces.from,
      String(seen?.attachedRoutes ?? 0),
      wrong.map(({ type, reason = '' }) => `${type}: ${reason}`).join(', ') || 'ok',
    ]
  })
  return [
    ...nameEntries(gateway),
    ...markEntries(gateway),
    ...deletionEntries(gateway),
    entry('Gateway Class', spec.gatewayClassName),
    entry('Addresses', (status.addresses ?? []).map(({ value }) => value).join(', ') || '<none>'),
    tableEntry('Listeners', ['Name', 'Protocol', 'Port', 'Hostname', 'From', 'Routes', 'State'], listeners),
    conditionEntry(status.conditions),
  ]
}

export function httpRouteEntries(route: HTTPRoute): Entry[] {
  const { spec, status } = route
  const rules = (spec.rules ?? []).map(({ matches = [], filters = [], backendRefs = [] }) => [
    matches.map(matchWord).join(' | ') || '/',
    filters.map(({ type }) => type).join(', ') || '<none>',
    backendRefs
      .map((ref) =>
        refWord(
          ref,
          backendRefs.some(({ weight }) => weight !== 1),
        ),
      )
      .join(', ') || '<none>',
  ])
  const parents = (status.parents ?? []).flatMap(({ parentRef, conditions = [] }) =>
    conditions.map(({ type, status: holds, reason = '', message = '' }) => [
      parentWord(parentRef),
      type,
      holds,
      reason,
      message,
    ]),
  )
  return [
    ...nameEntries(route),
    ...markEntries(route),
    ...deletionEntries(route),
    entry('Hostnames', spec.hostnames?.join(', ') ?? '*'),
    tableEntry('Rules', ['Matches', 'Filters', 'Backends'], rules),
    tableEntry('Parents', ['Parent', 'Type', 'Status', 'Reason', 'Message'], parents),
  ]
}

/** "GET /api (x-user=me, ?page=1)" */
function matchWord({ path, method, headers = [], queryParams = [] }: HTTPRouteMatch): string {
  const sign = (type: string): string => (type === 'Exact' ? '=' : '~')
  const more = [
    ...headers.map(({ type, name, value }) => `${name}${sign(type)}${value}`),
    ...queryParams.map(({ type, name, value }) => `?${name}${sign(type)}${value}`),
  ]
  const kind = path.type === 'PathPrefix' ? '' : path.type === 'Exact' ? '=' : '~'
  return `${method === undefined ? '' : `${method} `}${kind}${path.value}${more.length === 0 ? '' : ` (${more.join(', ')})`}`
}

/** "web:80 (9)", with the weight where the rule has weights. */
function refWord({ namespace, name, port, weight }: HTTPBackendRef, weighted: boolean): string {
  return `${namespace === undefined ? '' : `${namespace}/`}${name}:${port ?? ''}${weighted ? ` (${weight})` : ''}`
}

function parentWord({ namespace, name, sectionName }: ParentReference): string {
  return `${namespace === undefined ? '' : `${namespace}/`}${name}${sectionName === undefined ? '' : `, ${sectionName}`}`
}

export function referenceGrantEntries(grant: ReferenceGrant): Entry[] {
  const { from, to } = grant.spec
  return [
    ...nameEntries(grant),
    ...markEntries(grant),
    ...deletionEntries(grant),
    tableEntry(
      'From',
      ['Group', 'Kind', 'Namespace'],
      from.map(({ group = '', kind, namespace }) => [group, kind, namespace]),
    ),
    tableEntry(
      'To',
      ['Group', 'Kind', 'Name'],
      to.map(({ group = '', kind, name = '*' }) => [group, kind, name]),
    ),
  ]
}
