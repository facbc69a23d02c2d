/**
 * What the control plane tells of the cluster's network comes, in part, from others: a node says its addresses
 * itself, whoever may write EndpointSlices says endpoints. So everything that a part of the network writes into
 * commands or configurations is read here first. What is not of its form is left out, one address, port or block at a
 * time, and the rest is used. Addresses and ranges come out in their canonical form (RFC 5952).
 */
import { formatAddress, formatCidr, readAddress, readCidr } from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type {
  AddressBlock,
  AddressSet,
  AnyResource,
  EndpointSlice,
  GuardedPod,
  Kind,
  Network,
  NetworkEntry,
  PeerNode,
  PolicyPort,
  PolicyRule,
  PolicyRules,
  Resources,
  Service,
} from '../../proto/gen/types.ts'
import type { NodeRanges } from './contract.ts'

/** Is told of each thing that is left out, and why. */
export type OnRejected = (what: string) => void

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ */
const NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/
const LONGEST_NAME = 253
const PROTOCOLS: ReadonlySet<string> = new Set(['TCP', 'UDP', 'SCTP'])
/** VXLAN network identifiers have 24 bits: RFC 7348, section 5. */
const LARGEST_VNI = (1 << 24) - 1

/**
 * Addresses that are nobody's on a network: "this network", loopback, link-local, multicast, broadcast, and IPv4
 * written as IPv6. RFC 6890.
 */
const NON_NODE_RANGES = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/96',
  '::ffff:0:0/96',
  'fe80::/10',
  'ff00::/8',
].map((cidr) => readCidr(cidr)!)

/** The entry with all that is of its form; undefined if nothing of it can be used. */
export function sanitizeEntry(entry: NonNullable<NetworkEntry['entry']>, leftOut: OnRejected): NetworkEntry['entry'] {
  switch (entry.case) {
    case 'object':
      return entry
    case 'peer': {
      const value = vetPeer(entry.value, leftOut)
      return value === undefined ? undefined : { case: 'peer', value }
    }
    case 'guarded':
      return { case: 'guarded', value: vetGuarded(entry.value, leftOut) }
    case 'rules':
      return { case: 'rules', value: vetRules(entry.value, leftOut) }
    case 'addresses':
      return { case: 'addresses', value: vetSet(entry.value, leftOut) }
  }
}

/** Kinds of which values reach nft, ip and the resolver's zones, each with what looks at these values. */
const SANITIZERS: { readonly [K in Kind]?: (object: Resources[K], leftOut: OnRejected) => void } = {
  Service: vetService,
  EndpointSlice: vetSlice,
  Network: vetNetwork,
}

/** The object with all that is of its form; undefined if it has no proper name. It is changed in place. */
export function sanitizeObject<T extends AnyResource>(object: T, leftOut: OnRejected): T | undefined {
  const { name, namespace } = object.metadata
  if (!isName(name) || (namespace !== '' && !isName(namespace))) {
    leftOut(`${object.kind} with the name ${shown(`${namespace}/${name}`)}`)
    return undefined
  }
  ;(SANITIZERS[object.kind] as ((object: AnyResource, leftOut: OnRejected) => void) | undefined)?.(object, leftOut)
  return object
}

/** InvalidArgument for ranges that are none, or a domain that is none: they are settings of the whole cluster. */
export function sanitizeRanges({ podCidrs, cluster }: NodeRanges): NodeRanges {
  const ranges = (cidrs: readonly string[]): string[] =>
    cidrs.map((cidr) => {
      const range = readCidr(cidr)
      if (range === undefined) throw untrue(`the range ${shown(cidr)}`)
      return formatCidr(range)
    })
  const { domain } = cluster
  if (domain !== '' && !isName(domain)) throw untrue(`the domain ${shown(domain)}`)
  return {
    podCidrs: ranges(podCidrs),
    cluster: { podCidrs: ranges(cluster.podCidrs), serviceCidrs: ranges(cluster.serviceCidrs), domain },
  }
}

function untrue(what: string): GantryError {
  return new GantryError('InvalidArgument', `the control plane told of ${what}, which is none`)
}

function vetPeer(peer: PeerNode, leftOut: OnRejected): PeerNode | undefined {
  if (!isName(peer.name)) {
    leftOut(`a node with the name ${shown(peer.name)}`)
    return undefined
  }
  const addresses = keepValid(peer.addresses, nodeAddress, leftOut, `node ${peer.name}: address`)
  return {
    ...peer,
    addresses,
    podCidrs: keepValid(peer.podCidrs, canonicalCidr, leftOut, `node ${peer.name}: pod range`),
  }
}

function vetGuarded(pod: GuardedPod, leftOut: OnRejected): GuardedPod {
  return { ...pod, addresses: keepValid(pod.addresses, canonical, leftOut, `pod ${shown(pod.uid)}: address`) }
}

function vetSet(set: AddressSet, leftOut: OnRejected): AddressSet {
  const what = `address set ${shown(set.name)}`
  return {
    ...set,
    addresses: keepValid(set.addresses, canonical, leftOut, `${what}: address`),
    endpoints: set.endpoints.flatMap((endpoint) => {
      const { protocol, port } = endpoint
      const address = canonical(endpoint.address)
      if (address !== undefined && PROTOCOLS.has(protocol) && isPort(port)) return [{ address, protocol, port }]
      leftOut(`${what}: endpoint ${shown(`${protocol} ${endpoint.address} ${port}`)}`)
      return []
    }),
  }
}

/** What is left out allows nothing: a rule without a block or a port of its own lets less through. */
function vetRules(rules: PolicyRules, leftOut: OnRejected): PolicyRules {
  const vet = (rule: PolicyRule): PolicyRule => ({
    ...rule,
    blocks: rule.blocks.flatMap((block) => vetBlock(block, rules.name, leftOut)),
    ports: rule.ports.filter((port) => {
      const good = isPolicyPort(port)
      if (!good) leftOut(`policy ${shown(rules.name)}: port ${shown(`${port.protocol} ${port.port}-${port.endPort}`)}`)
      return good
    }),
  })
  return { ...rules, ingress: rules.ingress.map(vet), egress: rules.egress.map(vet) }
}

/** With an exception that cannot be read, the whole block is left out: it would allow more than is meant. */
function vetBlock({ cidr, except }: AddressBlock, policy: string, leftOut: OnRejected): AddressBlock[] {
  const [range, ...gaps] = [cidr, ...except].map(canonicalCidr)
  if (range !== undefined && gaps.every((gap) => gap !== undefined)) return [{ cidr: range, except: gaps }]
  leftOut(`policy ${shown(policy)}: block ${shown([cidr, ...except].join(' except '))}`)
  return []
}

function isPolicyPort({ protocol, port, endPort }: PolicyPort): boolean {
  const [first, last] = [port === 0 || isPort(port), endPort === 0 || (isPort(endPort) && endPort >= port)]
  return PROTOCOLS.has(protocol) && first && last
}

function vetService(service: Service, leftOut: OnRejected): void {
  const { spec, status, metadata } = service
  const what = `Service ${metadata.namespace}/${metadata.name}`
  const read = (text: string): string | undefined => (text === '' || text === 'None' ? text : canonical(text))
  const addresses = (list: string[] | undefined, field: string): string[] | undefined =>
    list && keepValid(list, read, leftOut, `${what}: ${field}`)
  spec.clusterIPs = addresses(spec.clusterIPs, 'clusterIP')
  if (spec.clusterIP !== undefined) spec.clusterIP = addresses([spec.clusterIP], 'clusterIP')![0] ?? ''
  spec.externalIPs = addresses(spec.externalIPs, 'external address')
  const balancer = status.loadBalancer
  if (balancer !== undefined)
    balancer.ingress = balancer.ingress?.flatMap((ingress) => {
      const [ip] = addresses([ingress.ip ?? ''], "load balancer's address")!
      return ip === undefined ? [] : [{ ...ingress, ...(ingress.ip === undefined ? {} : { ip }) }]
    })
  spec.ports = spec.ports?.filter(({ protocol, port, nodePort = 0 }) => {
    const good = PROTOCOLS.has(protocol ?? 'TCP') && isPort(port) && (nodePort === 0 || isPort(nodePort))
    if (!good) leftOut(`${what}: port ${shown(`${protocol} ${port} ${nodePort}`)}`)
    return good
  })
  if (spec.externalName !== undefined && spec.externalName !== '' && !isHostName(spec.externalName)) {
    leftOut(`${what}: name ${shown(spec.externalName)}`)
    delete spec.externalName
  }
}

function vetSlice(slice: EndpointSlice, leftOut: OnRejected): void {
  const what = `EndpointSlice ${slice.metadata.namespace}/${slice.metadata.name}`
  if (slice.addressType === 'IPv4' || slice.addressType === 'IPv6') {
    for (const endpoint of slice.endpoints ?? []) {
      endpoint.addresses = keepValid(endpoint.addresses ?? [], canonical, leftOut, `${what}: address`)
    }
  } else slice.endpoints = []
  slice.ports = slice.ports?.filter(({ port, protocol }) => {
    const good = (port === undefined || isPort(port)) && PROTOCOLS.has(protocol ?? 'TCP')
    if (!good) leftOut(`${what}: port ${shown(`${protocol} ${port}`)}`)
    return good
  })
}

function vetNetwork(network: Network, leftOut: OnRejected): void {
  const { status, metadata } = network
  const what = `Network ${metadata.namespace}/${metadata.name}`
  if (status.vni !== undefined && !(Number.isInteger(status.vni) && status.vni > 0 && status.vni <= LARGEST_VNI)) {
    leftOut(`${what}: number ${status.vni}`)
    delete status.vni
  }
  status.cidrs = status.cidrs && keepValid(status.cidrs, canonicalCidr, leftOut, `${what}: range`)
  status.blocks = status.blocks?.flatMap(({ node, cidr: told }) => {
    const [cidr] = keepValid([told], canonicalCidr, leftOut, `${what}: part of node ${shown(node)}`)
    return cidr === undefined ? [] : [{ node, cidr }]
  })
}

type Read = (text: string) => string | undefined

function keepValid(texts: readonly string[], read: Read, leftOut: OnRejected, what: string): string[] {
  return texts.flatMap((text) => {
    const good = read(text)
    if (good === undefined) leftOut(`${what} ${shown(text)}`)
    return good ?? []
  })
}

function canonical(text: string): string | undefined {
  const address = readAddress(text)
  return address === undefined ? undefined : formatAddress(address.family, address.value)
}

function canonicalCidr(text: string): string | undefined {
  const range = readCidr(text)
  return range === undefined ? undefined : formatCidr(range)
}

/** An address that a node can have on a network. */
function nodeAddress(text: string): string | undefined {
  const address = readAddress(text)
  if (address === undefined) return undefined
  const { family, value } = address
  const special = NON_NODE_RANGES.some(
    (range) => range.family === family && value >= range.first && value <= range.last,
  )
  return special ? undefined : formatAddress(family, value)
}

function isName(text: string): boolean {
  return text.length <= LONGEST_NAME && NAME.test(text)
}

/** As names are written for a resolver: also with capitals, underscores, and a dot at the end. */
function isHostName(text: string): boolean {
  return text.length <= LONGEST_NAME + 1 && /^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/.test(text)
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

/** For a log: short, and with line breaks and the like made visible. */
function shown(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text)
}
