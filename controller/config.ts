/** What a controller is told: its settings. */
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { formatCidr, prefixLength, rangesOverlap, readCidr, splitCidrs, type AddressRange } from '../proto/base/cidr.ts'
import {
  checked,
  count,
  format,
  hostPort,
  listOf,
  optional,
  port,
  section,
  text,
  withDefault,
  type Settings,
} from '../proto/base/config-file.ts'
import { GantryError } from '../proto/base/errors.ts'
import type { ReservedPort } from '../proto/objects/reserved-ports.ts'
import { PodCidrAllocator } from './dispatch/pod-cidr-allocator.ts'

export interface TlsFiles {
  /** PEM files. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** A controller among those that run etcd and NATS together. */
export interface Member {
  readonly name: string
  /** IP address at which the other members reach it. */
  readonly address: string
}

/** What a replica of the control plane goes by, whatever it has its store, its news and its certificates from. */
export interface ReplicaConfig {
  readonly name: string
  /** host:port for agents and people. */
  readonly listen: string
  /** host:port of the Kubernetes API. */
  readonly kubeListen: string
  /** host:port where agents and the other controllers reach it; see `advertisedAddress`. */
  readonly advertise: string | undefined
  /**
   * Pod addresses of the whole cluster, a /24 (of IPv6 a /64) of them for each node: a range, or one per family with a
   * comma between, the preferred first.
   */
  readonly podCidr: string
  /** Addresses of Services, likewise. */
  readonly serviceCidr: string
  /**
   * Ranges of addresses outside of the cluster's own at which Services may be reached (spec.externalIPs,
   * status.loadBalancer); empty: none.
   */
  readonly externalCidrs: readonly string[]
  /** Ranges from which nodes may have addresses that their sessions do not come from, such as those behind NAT. */
  readonly nodeAddresses: readonly string[]
  /** Below it Services have names. */
  readonly clusterDomain: string
  /**
   * All controllers that run etcd and NATS together, this one among them by its name, in any order; empty: it runs them
   * alone.
   */
  readonly members: readonly Member[]
  /**
   * `nats`: on loopback, of its own NATS (its own etcd is on a socket in the data directory). Of every member alike,
   * on its address: `etcdPeer` and `natsPeer`, for etcd and NATS of the other members. `processes`: the first of the
   * ports of its processes, if it has several.
   */
  readonly ports: {
    readonly nats: number
    readonly etcdPeer: number
    readonly natsPeer: number
    readonly processes: number
  }
  /** How many of its processes serve; 1: it is one process that does everything. */
  readonly serve: number
}

export interface ControllerConfig extends ReplicaConfig {
  readonly dataDir: string
  readonly tls: TlsFiles
  /** Endpoints of an etcd that is there already, e.g. https://10.0.0.1:2379; empty: the controller runs its own. */
  readonly etcd: readonly string[]
  readonly etcdTls: TlsFiles | undefined
  /** NATS servers that are there already, e.g. nats://10.0.0.1:4222; empty: the controller runs its own. */
  readonly nats: readonly string[]
}

/** As the ranges that nodes get are cut from it. */
function podCidrProblem(value: string): string | undefined {
  try {
    new PodCidrAllocator(value)
    return undefined
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument'))
      return 'must be a range of a /24 or larger (IPv6: /64) that begins at its first address, or one per family, such as 10.244.0.0/16,fd00:10:244::/48'
    throw thrown
  }
}

/** IPv6 ranges of Services are searched for free addresses: larger ones are refused, as Kubernetes does. */
const SERVICE_PREFIXES = { 4: { least: 8, most: 29 }, 6: { least: 108, most: 125 } } as const

function serviceCidrProblem(value: string): string | undefined {
  const ranges = splitCidrs(value).map((text) => {
    const range = readCidr(text)
    return range !== undefined && formatCidr(range) === text ? range : undefined
  })
  const families = new Set(ranges.map((range) => range?.family))
  const fits = (range: AddressRange): boolean =>
    prefixLength(range) >= SERVICE_PREFIXES[range.family].least &&
    prefixLength(range) <= SERVICE_PREFIXES[range.family].most
  if (
    ranges.length > 0 &&
    families.size === ranges.length &&
    ranges.every((range) => range !== undefined && fits(range))
  )
    return undefined
  return 'must be a range of a /8 to /29 (IPv6: /108 to /125) that begins at its first address, or one per family, such as 10.96.0.0/16,fd00:10:96::/112'
}

function externalCidrProblem(value: string): string | undefined {
  const range = readCidr(value)
  return range !== undefined && formatCidr(range) === value
    ? undefined
    : 'must be a range that begins at its first address, such as 203.0.113.0/24 or 2001:db8::/64'
}

const PORTS = { nats: 4222, etcdPeer: 2380, natsPeer: 6222, processes: 7450 }

const tlsFiles = section<TlsFiles>({ ca: text, cert: text, key: text })

export const CONTROLLER_SETTINGS: Settings<ControllerConfig> = {
  name: withDefault(text, hostname()),
  listen: withDefault(hostPort, '0.0.0.0:7443'),
  kubeListen: withDefault(hostPort, '0.0.0.0:6443'),
  advertise: optional(hostPort),
  dataDir: withDefault(text, '/var/lib/gantry/controller'),
  tls: tlsFiles,
  podCidr: withDefault(checked(text, podCidrProblem), '10.244.0.0/16'),
  serviceCidr: withDefault(checked(text, serviceCidrProblem), '10.96.0.0/16'),
  externalCidrs: withDefault(listOf(checked(text, externalCidrProblem)), []),
  nodeAddresses: withDefault(listOf(checked(text, format('cidr'))), []),
  clusterDomain: withDefault(checked(text, format('dnsSubdomain')), 'cluster.local'),
  etcd: withDefault(listOf(text), []),
  etcdTls: optional(tlsFiles),
  nats: withDefault(listOf(text), []),
  members: withDefault(
    listOf(section<Member>({ name: checked(text, format('dnsSubdomain')), address: checked(text, format('ip')) })),
    [],
  ),
  ports: withDefault(
    section({
      nats: withDefault(port, PORTS.nats),
      etcdPeer: withDefault(port, PORTS.etcdPeer),
      natsPeer: withDefault(port, PORTS.natsPeer),
      processes: withDefault(port, PORTS.processes),
    }),
    PORTS,
  ),
  serve: withDefault(count(1), 1),
}

/** InvalidArgument for settings that do not go together, each problem on a line of its own. */
export function checkConfig(config: ControllerConfig): void {
  const problems = [
    ...rangeProblems(config),
    ...memberProblems(config),
    ...portProblems(config),
    ...processProblems(config),
  ]
  if (problems.length > 0) throw new GantryError('InvalidArgument', problems.join('\n'))
}

function rangeProblems({ podCidr, serviceCidr, externalCidrs }: ControllerConfig): string[] {
  const [pods, services] = [splitCidrs(podCidr), splitCidrs(serviceCidr)].map((texts) =>
    texts.map((text) => ({ text, range: readCidr(text)! })),
  ) as [{ text: string; range: AddressRange }[], { text: string; range: AddressRange }[]]
  const overlapping = pods.flatMap((pod) =>
    services
      .filter((service) => rangesOverlap(pod.range, service.range))
      .map((service) => `serviceCidr: ${service.text} overlaps with podCidr ${pod.text}`),
  )
  const without = services
    .filter((service) => !pods.some((pod) => pod.range.family === service.range.family))
    .map(
      (service) =>
        `serviceCidr: ${service.text} is IPv${service.range.family}, and podCidr ${podCidr} has no such range: no pod could answer there`,
    )
  return [...overlapping, ...without, ...externalProblems(externalCidrs, [...pods, ...services])]
}

function externalProblems(
  externalCidrs: readonly string[],
  own: readonly { readonly text: string; readonly range: AddressRange }[],
): string[] {
  return externalCidrs.flatMap((cidr) =>
    own
      .filter(({ range }) => rangesOverlap(range, readCidr(cidr)!))
      .map(({ text }) => `externalCidrs: ${cidr} overlaps with ${text}, which pods or Services have`),
  )
}

function memberProblems({ name, members, etcd, nats }: ControllerConfig): string[] {
  if (members.length === 0) return []
  const problems: string[] = []
  if (etcd.length > 0 || nats.length > 0)
    problems.push(
      `members: the controllers named there run etcd and NATS themselves, but ${etcd.length > 0 ? 'etcd' : 'nats'} names servers that are there already: leave out one or the other`,
    )
  for (const field of ['name', 'address'] as const) {
    const twice = members.find((member, index) => members.findIndex((other) => other[field] === member[field]) < index)
    if (twice !== undefined) problems.push(`members: two of them have the ${field} ${twice[field]}`)
  }
  if (!members.some((member) => member.name === name))
    problems.push(
      `members: none of them is this controller, ${name}; they are ${members.map((member) => member.name).join(', ')}`,
    )
  return problems
}

/** Processes of one controller that listen at the same address would be handed each other's connections. */
function portProblems({ members, nats, ports, listen, kubeListen, serve }: ControllerConfig): string[] {
  if (members.length === 0 && serve === 1) return []
  const own: readonly (readonly [key: string, port: number])[] = [
    ['listen', portOf(listen)],
    ['kubeListen', portOf(kubeListen)],
    ...(nats.length === 0 ? [['ports.nats', ports.nats] as const] : []),
    ...(members.length === 0
      ? []
      : (['etcdPeer', 'natsPeer'] as const).map((key) => [`ports.${key}`, ports[key]] as const)),
    ...processPorts({ serve, ports }).map((port) => ['ports.processes', port] as const),
  ]
  return own.flatMap(([key, port], index) => {
    const other = own.slice(0, index).find(([, taken]) => taken === port)
    return other === undefined ? [] : [`${key}: ${port} is the port of ${other[0]}, too`]
  })
}

function processProblems({ name, members, serve, ports }: ControllerConfig): string[] {
  const problems: string[] = []
  const last = ports.processes + serve + 1
  if (serve > 1 && last > 65_535)
    problems.push(`ports.processes: serve: ${serve} takes the ports ${ports.processes} to ${last}, and there are 65535`)
  const process = new RegExp(`^${name.replaceAll('.', '\\.')}-\\d+$`)
  const like = serve > 1 ? members.find((member) => process.test(member.name)) : undefined
  if (like !== undefined)
    problems.push(`members: ${like.name} may be the name of one of the processes of ${name}: give the member another`)
  return problems
}

function portOf(address: string): number {
  return Number(/\d+$/.exec(address)![0])
}

/**
 * host:port where agents and the other controllers reach this one: what `advertise` says; else where it listens, if
 * that is one address; else its address among the members; else the machine's name.
 */
export function advertisedAddress({ name, advertise, listen, members }: ReplicaConfig): string {
  if (advertise !== undefined) return advertise
  const { host, port: at } = /^(?<host>.*):(?<port>\d+)$/.exec(listen)!.groups as { host: string; port: string }
  if (!['0.0.0.0', '[::]'].includes(host)) return listen
  const address = members.find((member) => member.name === name)?.address ?? hostname()
  return `${isIP(address) === 6 ? `[${address}]` : address}:${at}`
}

/**
 * host:port where agents, pods and other controllers reach the Kubernetes API of this one. `listening`: where it
 * listens, with the port in use.
 */
export function kubeAdvertisedAddress(config: ReplicaConfig, listening: string): string {
  const { host, port: at } = /^(?<host>.*):(?<port>\d+)$/.exec(listening)!.groups as { host: string; port: string }
  if (!['0.0.0.0', '[::]'].includes(host)) return listening
  return advertisedAddress(config).replace(/\d+$/, at)
}

/** Of the processes of a controller with several: one that may lead, those that serve, and a successor of one. */
export function processPorts({ serve, ports }: Pick<ReplicaConfig, 'serve' | 'ports'>): number[] {
  return serve === 1 ? [] : Array.from({ length: serve + 2 }, (_, index) => ports.processes + index)
}

/** host:port where a process listens that others reach at its own address, which need not be one of the machine. */
export function processListen({ listen }: Pick<ReplicaConfig, 'listen'>, address: string): string {
  return listen.replace(/\d+$/, String(portOf(address)))
}

/** Every address of controllers that the configuration says: its own, and those of the members. */
export function controllerAddresses({ listen, kubeListen, advertise, members }: ReplicaConfig): string[] {
  const hosts = [listen, kubeListen, ...(advertise === undefined ? [] : [advertise])].map((address) =>
    address.slice(0, address.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1'),
  )
  return [...hosts, ...members.map(({ address }) => address)]
}

/** Ports of controllers' machines that pods must not take over. */
export function controllerPorts(config: ReplicaConfig): ReservedPort[] {
  const { listen, kubeListen, ports } = config
  const named = [
    ['the controllers', portOf(listen)],
    ['the Kubernetes API', portOf(kubeListen)],
    ['NATS', ports.nats],
    ['etcd', ports.etcdPeer],
    ['NATS', ports.natsPeer],
    ...processPorts(config).map((number) => ['the controllers', number] as const),
  ] as const
  return named.map(([owner, number]) => ({ protocol: 'TCP', port: number, owner }))
}
