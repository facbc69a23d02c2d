/** Gives Services their addresses and node ports, together with the operations that make sure nobody else has them. */
import { GantryError } from '../../../proto/base/errors.ts'
import { describeObject } from '../../../proto/schema/schema.ts'
import { hasHealthCheckPort, hasNodePorts, HEADLESS, isHeadless } from '../../../proto/validation/service.ts'
import { clone } from '../../../proto/base/clone.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { AnyResource, Kind, Resources, Service } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'
import { COMMIT_LIMIT, type CommitResult, type Operation } from '../../store/contract.ts'
import { addressKey, claimsOf, claimValue, holderName, holderOf, nodePortKey, type Claim } from './claims.ts'
import { refused, defaultIpFamilies } from './families.ts'
import {
  choose,
  DNS_OFFSET,
  FIRST_OFFSET,
  NODE_PORTS,
  serviceRanges,
  type Family,
  type ServiceRange,
} from './service-range.ts'

/** The Service by which pods reach the control plane. */
export const API_SERVICE = { namespace: 'default', name: 'kubernetes' } as const

export const DEFAULT_SERVICE_CIDR = '10.96.0.0/16'

/** An object as it is to be stored, and what is to happen in the same transaction. */
export interface Allocation<K extends Kind> {
  readonly object: Resources[K]
  /** After the object's own. */
  readonly operations: readonly Operation[]
  /** Claims in the order of the operations that make them, which come first. */
  readonly claims: readonly (Claim & { readonly chosen: boolean })[]
}

export interface ServiceAllocatorParts {
  readonly informer: Informer
  readonly random: Random
  /** One range, or one of each family separated by a comma, the preferred first. */
  readonly serviceCidr?: string | undefined
}

export class ServiceAllocator {
  readonly #informer: Informer
  readonly #random: Random
  readonly #ranges: readonly ServiceRange[]
  /** Holders by claim, as the cache shows them; followed from the first Service on. */
  #held: Map<string, string> | undefined
  /** Chosen, and on the way to the store or the cache. */
  readonly #pending = new Set<string>()

  /** InvalidArgument for a serviceCidr that is none. */
  constructor({ informer, random, serviceCidr = DEFAULT_SERVICE_CIDR }: ServiceAllocatorParts) {
    this.#informer = informer
    this.#random = random
    this.#ranges = serviceRanges(serviceCidr)
  }

  /**
   * What is to be stored in the place of `previous`. Claims in `avoid` are not chosen. Whoever asks says what became of
   * it (`settled`). InvalidArgument for an address or port that no Service may have; ResourceExhausted if none is left.
   */
  allocate<K extends Kind>(
    next: Resources[K],
    previous: Resources[K] | undefined,
    avoid: ReadonlySet<string>,
  ): Allocation<K> {
    if (next.kind !== 'Service') return { object: next, operations: [], claims: [] }
    const service = clone(next) as Service
    const chosen = new Set<string>()
    try {
      this.#give(service, previous as Service | undefined, avoid, chosen)
      return this.#allocation(service, previous as Service | undefined, chosen) as unknown as Allocation<K>
    } catch (thrown) {
      for (const key of chosen) this.#pending.delete(key)
      throw thrown
    }
  }

  /** Removes all claims of an object that goes. */
  release(object: AnyResource): readonly Operation[] {
    return object.kind === 'Service' ? [...claimsOf(object.spec).keys()].map(unclaim) : []
  }

  /**
   * What became of an allocation's transaction, `result` undefined if that is not known. For a conflict about claims
   * alone: the claims to be avoided in the next try; InvalidArgument, with its holder, if one of them was asked for.
   */
  settled(allocation: Allocation<Kind>, result: CommitResult | undefined): readonly string[] {
    // What is stored stays pending until the cache shows it.
    if (result?.outcome !== 'committed') for (const { key } of allocation.claims) this.#pending.delete(key)
    if (result?.outcome !== 'conflict' || result.conflicts.some(({ index }) => index === 0)) return []
    return result.conflicts.map(({ index, current }) => {
      const claim = allocation.claims[index - 1]!
      if (!claim.chosen)
        throw taken(allocation.object as Service, claim, current === undefined ? undefined : holderOf(current))
      return claim.key
    })
  }

  /** InvalidArgument if the cache shows that another holds what is asked for: where nothing is to be written. */
  check({ object, claims }: Allocation<Kind>): void {
    for (const claim of claims) {
      const holder = this.#holders().get(claim.key)
      if (holder !== undefined && holder !== holderName(object as Service))
        throw taken(object as Service, claim, holder)
    }
  }

  #give(service: Service, previous: Service | undefined, avoid: ReadonlySet<string>, chosen: Set<string>): void {
    const { spec } = service
    const had = previous === undefined ? new Set<string>() : new Set(claimsOf(previous.spec).keys())
    if (spec.type !== 'ExternalName') {
      defaultIpFamilies(service, [
        ...new Set([...this.#ranges.map(({ family }) => family), ...(previous?.spec.ipFamilies ?? [])]),
      ])
      if (isHeadless(spec)) spec.clusterIPs = [HEADLESS]
      else
        spec.clusterIPs = spec.ipFamilies!.map((family, index) =>
          this.#address(service, family, index, had, avoid, chosen),
        )
      spec.clusterIP = spec.clusterIPs[0]
    }
    for (const [index, port] of (spec.ports ?? []).entries()) {
      const field = `spec.ports[${index}].nodePort`
      if ((port.nodePort ?? 0) !== 0) this.#checkPort(service, field, port.nodePort!, had)
      else if (hasNodePorts(spec)) port.nodePort = this.#port(service, avoid, chosen)
    }
    if (!hasHealthCheckPort(spec)) return
    if ((spec.healthCheckNodePort ?? 0) !== 0)
      this.#checkPort(service, 'spec.healthCheckNodePort', spec.healthCheckNodePort!, had)
    else spec.healthCheckNodePort = this.#port(service, avoid, chosen)
  }

  #address(
    service: Service,
    family: Family,
    index: number,
    had: ReadonlySet<string>,
    avoid: ReadonlySet<string>,
    chosen: Set<string>,
  ): string {
    const {
      metadata: { namespace, name },
      spec,
    } = service
    const isApi = namespace === API_SERVICE.namespace && name === API_SERVICE.name
    const asked = spec.clusterIPs?.[index]
    if (asked !== undefined && had.has(addressKey(asked))) return asked
    const range = this.#ranges.find((candidate) => candidate.family === family)
    if (range === undefined)
      throw refused(
        service,
        `spec.ipFamilies[${index}]`,
        family,
        'is not a family of this cluster any more',
        'leave it out',
      )
    const first = range.at(FIRST_OFFSET)
    if (asked !== undefined) {
      const field = index === 0 ? 'spec.clusterIP' : `spec.clusterIPs[${index}]`
      if (!range.contains(asked))
        throw refused(service, field, asked, 'is not an address for Services', `they have addresses of ${range.cidr}`)
      if (!isApi && addressKey(asked) === addressKey(first))
        throw refused(
          service,
          field,
          asked,
          `is kept for Service ${API_SERVICE.namespace}/${API_SERVICE.name}`,
          'ask for another, or for none',
        )
      return asked
    }
    if (isApi) return first
    const isTaken = (offset: number): boolean =>
      offset === FIRST_OFFSET || offset === DNS_OFFSET || this.#isTaken(addressKey(range.at(offset)), avoid)
    const offset = choose(range.offsets, isTaken, this.#takenCount(avoid), this.#random)
    if (offset === undefined)
      throw exhausted(
        service,
        `no address of ${range.cidr} is free`,
        'delete Services that nobody needs, or make them headless',
      )
    return this.#choose(addressKey(range.at(offset)), chosen, range.at(offset))
  }

  #checkPort(service: Service, field: string, port: number, had: ReadonlySet<string>): void {
    const { first, last } = NODE_PORTS
    if (!had.has(nodePortKey(port)) && (port < first || port > last))
      throw refused(
        service,
        field,
        String(port),
        'is not a port for Services',
        `they have ports from ${first} to ${last}`,
      )
  }

  #port(service: Service, avoid: ReadonlySet<string>, chosen: Set<string>): number {
    const said = claimsOf(service.spec)
    const isTaken = (port: number): boolean => said.has(nodePortKey(port)) || this.#isTaken(nodePortKey(port), avoid)
    const port = choose(NODE_PORTS, isTaken, this.#takenCount(avoid) + said.size, this.#random)
    if (port === undefined)
      throw exhausted(
        service,
        `no port from ${NODE_PORTS.first} to ${NODE_PORTS.last} is free`,
        'delete Services of type NodePort or LoadBalancer that nobody needs',
      )
    return this.#choose(nodePortKey(port), chosen, port)
  }

  #choose<T>(key: string, chosen: Set<string>, value: T): T {
    chosen.add(key)
    this.#pending.add(key)
    return value
  }

  #isTaken(key: string, avoid: ReadonlySet<string>): boolean {
    return avoid.has(key) || this.#pending.has(key) || this.#holders().has(key)
  }

  #takenCount(avoid: ReadonlySet<string>): number {
    return avoid.size + this.#pending.size + this.#holders().size + 2
  }

  #allocation(service: Service, previous: Service | undefined, chosen: ReadonlySet<string>): Allocation<'Service'> {
    const before = previous === undefined ? new Map<string, Claim>() : claimsOf(previous.spec)
    const after = claimsOf(service.spec)
    const claims = [...after.values()]
      .filter(({ key }) => !before.has(key))
      .map((claim) => ({ ...claim, chosen: chosen.has(claim.key) }))
    const value = claimValue(service)
    const operations = [
      ...claims.map(({ key }): Operation => ({ kind: 'put', key, value, expect: { is: 'absent' } })),
      ...[...before.keys()].filter((key) => !after.has(key)).map(unclaim),
    ]
    // With the object itself: as many as the removal of the Service is to free at once, too.
    const refuse = (count: number, does: string): GantryError =>
      refused(
        service,
        'spec.ports',
        String(service.spec.ports?.length ?? 0),
        `would ${does} ${count} addresses and node ports at once`,
        `at most ${COMMIT_LIMIT - 1} can be: divide the Service`,
      )
    if (operations.length >= COMMIT_LIMIT) throw refuse(operations.length, 'take or free')
    if (after.size >= COMMIT_LIMIT) throw refuse(after.size, 'hold')
    return { object: service, operations, claims }
  }

  #holders(): ReadonlyMap<string, string> {
    if (this.#held !== undefined) return this.#held
    const held = (this.#held = new Map<string, string>())
    this.#informer.on('Service', ({ type, cached: { object }, previous }) => {
      for (const key of previous === undefined ? [] : claimsOf(previous.object.spec).keys())
        if (held.get(key) === holderName(object)) held.delete(key)
      if (type === 'deleted') return
      for (const key of claimsOf(object.spec).keys()) {
        held.set(key, holderName(object))
        this.#pending.delete(key)
      }
    })
    return held
  }
}

/** Whose claim it is, is known: the object that is written in the same transaction says so. */
function unclaim(key: string): Operation {
  return { kind: 'delete', key, expect: { is: 'any' } }
}

function taken(service: Service, { field, value }: Claim, holder: string | undefined): GantryError {
  return refused(
    service,
    field,
    value,
    holder === undefined ? 'was taken just now' : `is taken by Service ${holder}`,
    'ask for another, or leave it out',
  )
}

function exhausted(service: Service, message: string, remedy: string): GantryError {
  return new GantryError('ResourceExhausted', `${describeObject(service)}: ${message}`, {
    details: [{ message, remedy }],
  })
}
