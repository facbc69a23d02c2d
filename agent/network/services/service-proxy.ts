/** Services on this node: makes the kernel translate their addresses to their endpoints', as the view says. */
import { setImmediate } from 'node:timers/promises'
import { GantryError } from '../../../proto/base/errors.ts'
import { rangeContains, readAddress, readCidr } from '../../../proto/base/cidr.ts'
import { run as runDirectly } from '../../../proto/base/command.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import type { Run } from '../../host/launcher.ts'
import type { NetworkChange, NetworkReconciler, NetworkView } from '../contract.ts'
import { DesiredTable, type DesiredTableChange } from './desired-table.ts'
import { canonicalAddress, ZONE_LABEL } from './endpoints.ts'
import { ConntrackFlows, MAX_SINGLE_DELETIONS, type Translations } from './conntrack-flows.ts'
import { HealthChecks, type HealthCheck } from './health-checks.ts'
import { ServiceTable } from './service-table.ts'
import { TABLE, type Ranges } from './layout.ts'
import { planService, type PlanContext } from './service-plan.ts'
import { ServiceRoutes } from './service-routes.ts'

export interface ReservedPort {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
}

export interface ServiceProxyOptions {
  /** Name of this node. */
  readonly node: string
  readonly logger: Logger
  /** How programs are run (default: straight from this process). */
  readonly run?: Run
  /** Path of the network namespace that the node's traffic passes; the agent's own if undefined. */
  readonly netns?: string
  /**
   * Ports that programs of the cluster itself answer at on nodes: no Service takes them over at a node's address. Read
   * with each complete change.
   */
  readonly reservedPorts?: () => readonly ReservedPort[]
  /**
   * Hears, once, what a Service ("namespace/name") asks for and this node does not serve, in a sentence for a person.
   */
  readonly refused?: (service: string, text: string) => void
}

/** https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership */
const SERVICE_LABEL = 'kubernetes.io/service-name'

/** Services planned in one go: some milliseconds. */
const SERVICES_PER_BATCH = 250

export class ServiceProxy implements NetworkReconciler {
  readonly name = 'services'
  readonly confirmsRevision = true
  readonly #options: ServiceProxyOptions
  readonly #table: ServiceTable
  readonly #flows: ConntrackFlows
  readonly #routes: ServiceRoutes
  readonly #health: HealthChecks
  readonly #slices = new SliceIndex()
  readonly #checks = new Map<number, HealthCheck>()
  readonly #reportedProblems = new Map<string, string>()
  /** undefined: what the kernel holds is not known for sure. */
  #desired: DesiredTable | undefined
  #context: PlanContext | undefined

  constructor(options: ServiceProxyOptions) {
    this.#options = options
    const { netns } = options
    const direct = options.run ?? runDirectly
    const run: Run =
      netns === undefined
        ? direct
        : (program, args, more) => direct('nsenter', [`--net=${netns}`, '--', program, ...args], more)
    this.#table = new ServiceTable(run)
    this.#flows = new ConntrackFlows(run)
    this.#routes = new ServiceRoutes(run)
    this.#health = new HealthChecks((service, text) => this.#tell(service, text))
  }

  async apply(view: NetworkView, change: NetworkChange): Promise<void> {
    const desired = this.#desired
    this.#desired = undefined
    if (change.complete || desired === undefined) await this.#load(view)
    else await this.#follow(view, change.keys, desired)
    await this.#health.set(new Map(this.#checks))
  }

  tables(): readonly string[] {
    return this.#desired === undefined ? [] : [TABLE]
  }

  async stop(): Promise<void> {
    await this.#health.stop()
  }

  /** Compares all with what the kernel really holds. */
  async #load(view: NetworkView): Promise<void> {
    const kernel = await this.#table.read()
    const desired = new DesiredTable(kernel.elements)
    this.#context = this.#contextOf(view)
    this.#slices.load(view.objects('EndpointSlice'))
    this.#checks.clear()
    // The older first: where two claim an address, the number that the kernel has for it is the older one's.
    const ranked = [...view.objects('Service')]
      .map(([key, service]) => [rankOf(key, service), key] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [index, [, key]] of ranked.entries()) {
      // Heartbeats and pods go on meanwhile.
      if (index % SERVICES_PER_BATCH === SERVICES_PER_BATCH - 1) await setImmediate()
      this.#plan(view, key, desired)
    }
    for (const key of this.#reportedProblems.keys())
      if (!view.objects('Service').has(key)) this.#reportedProblems.delete(key)
    const ranges = this.#rangesOf(view)
    await this.#table.replace(ranges, desired.diffAgainst(kernel.elements, kernel.chains), kernel.usable)
    await this.#routes.ensure(ranges)
    await this.#flows.compare(this.#translations(view, desired))
    this.#desired = desired
  }

  /** Changes only what the keys concern. */
  async #follow(view: NetworkView, keys: ReadonlySet<string>, desired: DesiredTable): Promise<void> {
    const concerned = new Set<string>()
    for (const key of keys) {
      const [kind, name] = [key.slice(0, key.indexOf('/')), key.slice(key.indexOf('/') + 1)]
      if (kind === 'Service') concerned.add(name)
      else if (kind === 'EndpointSlice')
        for (const service of this.#slices.update(name, view.objects('EndpointSlice').get(name))) concerned.add(service)
      else if (kind === 'PeerNode') this.#moved(view, concerned)
    }
    for (const key of concerned) this.#plan(view, key, desired)
    const change = desired.takeChanges()
    await this.#table.change(change)
    await this.#clean(view, change, desired)
    this.#desired = desired
  }

  /**
   * A node came, went, or is in another zone: that concerns who prefers endpoints nearby, and who claims nodes'
   * addresses; if it is this node, all.
   */
  #moved(view: NetworkView, concerned: Set<string>): void {
    const before = this.#context!
    const after = this.#contextOf(view)
    if (sameContext(before, after)) return
    this.#context = after
    const all = before.topology.zone !== after.topology.zone
    for (const [key, { spec }] of view.objects('Service'))
      if (all || spec.trafficDistribution !== undefined || spec.externalIPs?.length || spec.type === 'LoadBalancer')
        concerned.add(key)
  }

  #plan(view: NetworkView, key: string, desired: DesiredTable): void {
    const service = view.objects('Service').get(key)
    const plan = service === undefined ? undefined : planService(service, this.#slices.of(key), this.#context!)
    desired.update(key, plan, service === undefined ? '' : rankOf(key, service))
    for (const [port, { service: owner }] of this.#checks) if (owner === key) this.#checks.delete(port)
    if (plan?.health !== undefined)
      this.#checks.set(plan.health.port, { service: key, localEndpoints: plan.health.localEndpoints })
    this.#refuse(key, (plan?.problems ?? []).join('; '))
  }

  async #clean(view: NetworkView, { flows }: DesiredTableChange, desired: DesiredTable): Promise<void> {
    const compared = flows.filter(({ protocol }) => protocol !== 'TCP')
    if (compared.length <= MAX_SINGLE_DELETIONS) return this.#flows.remove(flows)
    await this.#flows.compare(this.#translations(view, desired))
    await this.#flows.remove(flows.filter(({ protocol }) => protocol === 'TCP'))
  }

  #refuse(service: string, text: string): void {
    if ((this.#reportedProblems.get(service) ?? '') === text) return
    if (text === '') {
      this.#reportedProblems.delete(service)
      return
    }
    this.#reportedProblems.set(service, text)
    this.#tell(service, text)
  }

  #tell(service: string, text: string): void {
    this.#options.logger.warn({ service, reason: text }, 'a part of a Service is not served on this node')
    this.#options.refused?.(service, text)
  }

  #contextOf(view: NetworkView): PlanContext {
    const peers = [...view.entries('peer').values()]
    const zones = new Map(
      peers.flatMap(({ name, labels }) =>
        labels[ZONE_LABEL] === undefined || labels[ZONE_LABEL] === '' ? [] : [[name, labels[ZONE_LABEL]] as const],
      ),
    )
    return {
      topology: { node: this.#options.node, zone: zones.get(this.#options.node), zones },
      nodeAddresses: new Set(
        peers.flatMap(({ addresses }) => addresses.flatMap((address) => canonicalAddress(address)?.text ?? [])),
      ),
      reserved: new Set((this.#options.reservedPorts?.() ?? []).map(({ protocol, port }) => `${protocol}/${port}`)),
    }
  }

  #rangesOf({ ranges }: NetworkView): Ranges {
    for (const cidr of [...ranges.podCidrs, ...ranges.cluster.podCidrs, ...ranges.cluster.serviceCidrs]) {
      if (readCidr(cidr) === undefined)
        throw new GantryError('InvalidArgument', `"${cidr}", told by the control plane, is no range of addresses`)
    }
    return {
      own: ranges.podCidrs,
      pods: [...new Set([...ranges.cluster.podCidrs, ...ranges.podCidrs])],
      services: ranges.cluster.serviceCidrs,
    }
  }

  #translations(view: NetworkView, desired: DesiredTable): Translations {
    const services = view.ranges.cluster.serviceCidrs.flatMap((cidr) => readCidr(cidr) ?? [])
    const own = new Set(
      [...view.entries('peer').values()]
        .filter(({ name }) => name === this.#options.node)
        .flatMap(({ addresses }) => addresses.flatMap((address) => canonicalAddress(address)?.text ?? [])),
    )
    return {
      targetsOf: (family, protocol, address, port) =>
        desired.targetsOf(family, protocol, address, port, own.has(address)),
      kindOf: (text) => {
        const address = readAddress(text)
        if (address === undefined) return 'foreign'
        const single = { family: address.family, first: address.value, last: address.value }
        return services.some((range) => rangeContains(range, single)) ? 'claimed' : own.has(text) ? 'shared' : 'foreign'
      },
    }
  }
}

/** Of two Services that claim the same address and port, the smaller rank has it. */
function rankOf(key: string, { metadata }: Service): string {
  return `${metadata.creationTimestamp ?? ''} ${key}`
}

/** EndpointSlices by Service ("namespace/name"). */
class SliceIndex {
  readonly #owners = new Map<string, string>()
  readonly #slices = new Map<string, Map<string, EndpointSlice>>()

  load(slices: ReadonlyMap<string, EndpointSlice>): void {
    this.#owners.clear()
    this.#slices.clear()
    for (const [key, slice] of slices) this.update(key, slice)
  }

  of(service: string): Iterable<EndpointSlice> {
    return this.#slices.get(service)?.values() ?? []
  }

  /** The Services that it counted or counts for. */
  update(key: string, slice: EndpointSlice | undefined): string[] {
    const before = this.#owners.get(key)
    const name = slice?.metadata.labels?.[SERVICE_LABEL]
    const after = name === undefined || name === '' ? undefined : `${slice!.metadata.namespace}/${name}`
    if (before !== undefined && before !== after) {
      const rest = this.#slices.get(before)!
      rest.delete(key)
      if (rest.size === 0) this.#slices.delete(before)
      this.#owners.delete(key)
    }
    if (after !== undefined) {
      let slices = this.#slices.get(after)
      if (slices === undefined) this.#slices.set(after, (slices = new Map()))
      slices.set(key, slice!)
      this.#owners.set(key, after)
    }
    return [...new Set([before, after].filter((service) => service !== undefined))]
  }
}

function sameContext(a: PlanContext, b: PlanContext): boolean {
  const text = ({ topology: { zone, zones }, nodeAddresses, reserved }: PlanContext): string =>
    JSON.stringify([zone, [...zones].sort(), [...nodeAddresses].sort(), [...reserved].sort()])
  return text(a) === text(b)
}
