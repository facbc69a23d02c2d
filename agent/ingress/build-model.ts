/** From what the control plane tells to what the proxy is to do. Pure. */
import {
  attach,
  isParent,
  listenerConflict,
  listenerProblem,
  portProtocols,
  type NamespaceLabels,
} from '../../proto/objects/ingress/attachment.ts'
import { byAge, servesGateway, servesIngress } from '../../proto/objects/ingress/classes.ts'
import { certificateReferences } from '../../proto/objects/ingress/references.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Gateway, HTTPRoute, Ingress, Listener, ReferenceGrant, Secret } from '../../proto/gen/types.ts'
import type { NetworkView } from '../network/contract.ts'
import { Backends, slicesByService } from './backends.ts'
import { readCertificate } from './certificates.ts'
import { hostPattern as ingressHostPattern, ingressRules } from './ingress-rules.ts'
import type { Certificate, ProxyModel, FrontendPort, RoutingRule } from './proxy-model.ts'
import { hostPattern, routeRules } from './route-rules.ts'
import { virtualHosts, type Scope } from './routing.ts'
import { mapKey } from './haproxy-syntax.ts'

export interface ModelSettings {
  /** The node's ports for Ingresses. */
  readonly http: number
  readonly https: number
  /** Shown to who asks for a host without certificate: PEM. */
  readonly fallbackCertificate: string
}

/** A name, or a wildcard for one label. */
const CERTIFICATE_HOST = /^(\*\.)?[a-z0-9][a-z0-9.-]*$/

export type ObjectsView = Pick<NetworkView, 'objects'>

/** What gathers for a port while objects are read. */
interface PortDraft {
  readonly tls: boolean
  readonly common: RoutingRule[]
  readonly scopes: Scope[]
  /** `first`: shown to clients whose name nothing fits. */
  readonly owners: Set<string>
  readonly certificates: { readonly certificate: Certificate; readonly first: boolean }[]
}

/** Objects of which the proxy has refused something, by "Kind/namespace/name", are left out by `refused`. */
export function buildModel(
  view: ObjectsView,
  settings: ModelSettings,
  refused: (owner: string) => boolean = () => false,
): ProxyModel {
  const problems: ProxyModel['problems'][number][] = []
  const problem = (owner: string, reason: string, message: string): void =>
    void problems.push({ owner, reason, message })
  const backends = new Backends(slicesByService(view.objects('EndpointSlice').values()))
  const services = new Set<string>()
  const serviceOf = (key: string) => {
    services.add(key)
    return view.objects('Service').get(key)
  }
  const secretOf = (key: string) => view.objects('Secret').get(key)
  const ports = new Map<number, PortDraft>()
  /** The API refuses the others. */
  const expressible = ({ host, path, owner }: RoutingRule): boolean => {
    try {
      mapKey(host)
      if (path.type !== 'expression') mapKey(path.value)
      return true
    } catch (thrown) {
      problem(owner, 'Refused', GantryError.from(thrown).message)
      return false
    }
  }
  const draftOf = (port: number, tls: boolean): PortDraft => {
    const draft = ports.get(port) ?? { tls, common: [], scopes: [], owners: new Set<string>(), certificates: [] }
    ports.set(port, draft)
    return draft
  }
  const ingresses = servedIngresses(view).filter((ingress) => !refused(ownerOf(ingress)))
  if (ingresses.length > 0) {
    const [http, https] = [draftOf(settings.http, false), draftOf(settings.https, true)]
    for (const ingress of ingresses) {
      const rules = ingressRules(ingress, { backends, serviceOf, httpsPort: settings.https, problem })
      http.owners.add(ownerOf(ingress))
      https.owners.add(ownerOf(ingress))
      http.common.push(...rules.http.filter(expressible))
      https.common.push(...rules.https.filter(expressible))
      https.certificates.push(...ingressCertificates(ingress, secretOf, problem))
    }
  }
  addGateways(view, settings, { refused, backends, serviceOf, secretOf, draftOf, expressible, problem })
  const built = [...ports]
    .sort(([a], [b]) => a - b)
    .map(([port, { tls, common, scopes, certificates, owners }]): FrontendPort => ({
      port,
      certificates: tls ? orderCertificates(certificates, settings.fallbackCertificate) : undefined,
      hosts: virtualHosts(common, scopes),
      owners: [...owners],
    }))
  for (const { port, owners } of built) {
    const key = loadBalancerOnPort(view, port)
    if (key !== undefined)
      for (const owner of owners)
        problem(
          owner,
          'PortTaken',
          `port ${port} leads to Service ${key} of type LoadBalancer, which is before the entrance at the nodes' addresses: give that Service another port`,
        )
  }
  return { ports: built, backends: backends.all, services, problems }
}

/** The Service of type LoadBalancer that has a port of the nodes: the kernel translates before HAProxy is asked. */
function loadBalancerOnPort(view: ObjectsView, port: number): string | undefined {
  return [...view.objects('Service')].find(
    ([, { spec, status }]) =>
      spec.type === 'LoadBalancer' &&
      (status.loadBalancer?.ingress ?? []).length > 0 &&
      spec.ports?.some((other) => other.port === port && other.protocol === 'TCP') === true,
  )?.[0]
}

function ownerOf({ kind, metadata }: Ingress | Gateway | HTTPRoute): string {
  return `${kind}/${metadata.namespace}/${metadata.name}`
}

function servedIngresses(view: ObjectsView): Ingress[] {
  const classes = [...view.objects('IngressClass').values()]
  return [...view.objects('Ingress').values()].filter((ingress) => servesIngress(ingress, classes)).sort(byAge)
}

type CertificateDraft = PortDraft['certificates'][number]

function ingressCertificates(
  ingress: Ingress,
  secretOf: (key: string) => Secret | undefined,
  problem: (owner: string, reason: string, message: string) => void,
): CertificateDraft[] {
  const {
    metadata: { namespace },
    spec,
  } = ingress
  const owner = ownerOf(ingress)
  return (spec.tls ?? []).flatMap(({ hosts = [], secretName = '' }): CertificateDraft[] => {
    if (secretName === '') return []
    const read = readCertificate(secretOf(`${namespace}/${secretName}`))
    if ('problem' in read) {
      problem(owner, 'InvalidCertificate', `Secret ${namespace}/${secretName} ${read.problem}`)
      return []
    }
    return [
      {
        certificate: {
          name: `${namespace}.${secretName}`,
          pem: read.pem,
          hosts: hosts.map(ingressHostPattern).filter((host) => CERTIFICATE_HOST.test(host)),
          owner,
        },
        first: hosts.length === 0,
      },
    ]
  })
}

interface GatewayParts {
  readonly refused: (owner: string) => boolean
  readonly backends: Backends
  readonly serviceOf: Parameters<typeof routeRules>[2]['serviceOf']
  readonly secretOf: (key: string) => Secret | undefined
  readonly draftOf: (port: number, tls: boolean) => PortDraft
  readonly expressible: (rule: RoutingRule) => boolean
  readonly problem: (owner: string, reason: string, message: string) => void
}

function addGateways(view: ObjectsView, settings: ModelSettings, parts: GatewayParts): void {
  const classes = [...view.objects('GatewayClass').values()]
  const gateways = [...view.objects('Gateway').values()]
    .filter((gateway) => servesGateway(gateway, classes) && !parts.refused(ownerOf(gateway)))
    .sort(byAge)
  const grants = [...view.objects('ReferenceGrant').values()]
  const routes = [...view.objects('HTTPRoute').values()].filter((route) => !parts.refused(ownerOf(route)))
  const labelsOf: NamespaceLabels = (namespace) => view.objects('Namespace').get(namespace)?.metadata.labels
  const protocols = portProtocols(
    gateways,
    new Map([
      [settings.http, 'HTTP'],
      [settings.https, 'HTTPS'],
    ]),
  )
  for (const gateway of gateways) {
    const attached = attachedRoutes(gateway, routes, labelsOf)
    for (const listener of gateway.spec.listeners) {
      const wrong = listenerProblem(listener) ?? listenerConflict(listener, protocols)
      if (wrong !== undefined) continue
      const certificates =
        listener.protocol === 'HTTPS' ? listenerCertificates(gateway, listener, grants, parts) : undefined
      if (certificates?.length === 0) continue
      const draft = parts.draftOf(listener.port, certificates !== undefined)
      draft.owners.add(ownerOf(gateway))
      draft.certificates.push(...(certificates ?? []))
      const rules = (attached.get(listener) ?? []).flatMap(({ route, hostnames }) =>
        routeRules(route, hostnames, { backends: parts.backends, serviceOf: parts.serviceOf, grants }).filter(
          parts.expressible,
        ),
      )
      draft.scopes.push({
        hostname: (listener.hostname ?? '') === '' ? '*' : hostPattern(listener.hostname!.toLowerCase()),
        rules,
      })
    }
  }
}

type AttachedRoutes = ReadonlyMap<
  Listener,
  readonly { readonly route: HTTPRoute; readonly hostnames: readonly string[] }[]
>

/** Each route once a listener, however many of its parentRefs lead there. */
function attachedRoutes(gateway: Gateway, routes: readonly HTTPRoute[], labelsOf: NamespaceLabels): AttachedRoutes {
  const found = new Map<Listener, Map<HTTPRoute, readonly string[]>>()
  for (const route of routes) {
    for (const parent of (route.spec.parentRefs ?? []).filter((candidate) => isParent(candidate, route, gateway))) {
      const attachments = attach(route, parent, gateway, labelsOf)
      if ('reason' in attachments) continue
      for (const { listener, hostnames } of attachments)
        found.set(listener, (found.get(listener) ?? new Map<HTTPRoute, readonly string[]>()).set(route, hostnames))
    }
  }
  return new Map(
    [...found].map(([listener, own]) => [listener, [...own].map(([route, hostnames]) => ({ route, hostnames }))]),
  )
}

function listenerCertificates(
  gateway: Gateway,
  listener: Listener,
  grants: readonly ReferenceGrant[],
  { secretOf, problem }: GatewayParts,
): CertificateDraft[] {
  const owner = ownerOf(gateway)
  const hostname = listener.hostname ?? ''
  return certificateReferences(gateway, listener, grants).flatMap((reference, index): CertificateDraft[] => {
    if ('problem' in reference) {
      problem(owner, reference.problem.reason, reference.problem.message)
      return []
    }
    const read = readCertificate(secretOf(reference.key))
    if ('problem' in read) {
      problem(owner, 'InvalidCertificateRef', `Secret ${reference.key} ${read.problem}`)
      return []
    }
    // Of several certificates for one hostname each is shown for its own names, the first for all others.
    const hosts = hostname === '' || index > 0 ? [] : [hostname.toLowerCase()]
    return [
      {
        certificate: { name: reference.key.replace('/', '.'), pem: read.pem, hosts, owner },
        first: hostname === '' && index === 0,
      },
    ]
  })
}

/** The one for clients that nothing fits comes first; of equal ones the first stays. */
function orderCertificates(drafts: readonly CertificateDraft[], fallback: string): Certificate[] {
  const first = drafts.find((draft) => draft.first)?.certificate ?? {
    name: 'fallback',
    pem: fallback,
    hosts: [],
    owner: '',
  }
  const seen = new Set<string>()
  return [first, ...drafts.map(({ certificate }) => certificate)].filter(({ name, hosts }) => {
    const key = JSON.stringify([name, hosts])
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
