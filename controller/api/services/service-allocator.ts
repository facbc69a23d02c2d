/** The participant that gives Services their addresses and node ports. */
import { GantryError } from '../../../proto/base/errors.ts'
import { describeObject } from '../../../proto/schema/schema.ts'
import { hasHealthCheckPort, hasNodePorts, HEADLESS, isHeadless } from '../../../proto/validation/service.ts'
import { copyObject } from '../../../proto/codec/copy.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Service } from '../../../proto/gen/types.ts'
import { COMMIT_LIMIT } from '../../store/contract.ts'
import { ClaimAttempt } from '../claims/claim-attempt.ts'
import { ClaimTable, type ClaimTableParts } from '../claims/claim-table.ts'
import type { Participant, Participation, Preparation, ProposedWrite, TransactionOutcome } from '../participant.ts'
import { refused, defaultIpFamilies } from './families.ts'
import { addressKey, nodePortKey, SERVICE_CLAIMS, serviceClaims } from './service-claims.ts'
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

const NONE: ReadonlySet<string> = new Set()

export interface ServiceAllocatorParts extends Omit<ClaimTableParts<'Service'>, 'scheme'> {
  readonly random: Random
  /** One range, or one of each family separated by a comma, the preferred first. */
  readonly serviceCidr?: string | undefined
}

export class ServiceAllocator implements Participant<'Service'> {
  readonly #table: ClaimTable<'Service'>
  readonly #random: Random
  readonly #ranges: readonly ServiceRange[]

  /** InvalidArgument for a serviceCidr that is none. */
  constructor({ informer, reads, random, serviceCidr = DEFAULT_SERVICE_CIDR }: ServiceAllocatorParts) {
    this.#table = new ClaimTable({ scheme: SERVICE_CLAIMS, informer, reads })
    this.#random = random
    this.#ranges = serviceRanges(serviceCidr)
  }

  begin(): Participation<'Service'> {
    return new ServiceParticipation(new ClaimAttempt(this.#table), this.#ranges, this.#random)
  }
}

/**
 * InvalidArgument for an address or port that no Service may have; ResourceExhausted if none is left. What a Service
 * has, and what it asks for, stays; the rest is chosen.
 */
class ServiceParticipation implements Participation<'Service'> {
  readonly #claims: ClaimAttempt<'Service'>
  readonly #ranges: readonly ServiceRange[]
  readonly #random: Random

  constructor(claims: ClaimAttempt<'Service'>, ranges: readonly ServiceRange[], random: Random) {
    this.#claims = claims
    this.#ranges = ranges
    this.#random = random
  }

  prepare({ next, previous, dryRun }: ProposedWrite<'Service'>): Preparation<'Service'> {
    const service = next === undefined ? undefined : copyObject(next)
    try {
      if (service !== undefined) this.#give(service, previous)
      const operations = this.#claims.operations(service, previous, dryRun)
      if (service !== undefined) requireRoom(service, operations.length)
      return { object: service, operations }
    } catch (thrown) {
      this.#claims.undo()
      throw thrown
    }
  }

  settle(outcome: TransactionOutcome): void | Promise<void> {
    return this.#claims.settle(outcome)
  }

  #give(service: Service, previous: Service | undefined): void {
    const { spec } = service
    const had = previous === undefined ? NONE : new Set(serviceClaims(previous).keys())
    if (spec.type !== 'ExternalName') {
      defaultIpFamilies(service, [
        ...new Set([...this.#ranges.map(({ family }) => family), ...(previous?.spec.ipFamilies ?? [])]),
      ])
      if (isHeadless(spec)) spec.clusterIPs = [HEADLESS]
      else spec.clusterIPs = spec.ipFamilies!.map((family, index) => this.#address(service, family, index, had))
      spec.clusterIP = spec.clusterIPs[0]
    }
    for (const [index, port] of (spec.ports ?? []).entries()) {
      const field = `spec.ports[${index}].nodePort`
      if ((port.nodePort ?? 0) !== 0) this.#checkPort(service, field, port.nodePort!, had)
      else if (hasNodePorts(spec)) port.nodePort = this.#port(service)
    }
    if (!hasHealthCheckPort(spec)) return
    if ((spec.healthCheckNodePort ?? 0) !== 0)
      this.#checkPort(service, 'spec.healthCheckNodePort', spec.healthCheckNodePort!, had)
    else spec.healthCheckNodePort = this.#port(service)
  }

  #address(service: Service, family: Family, index: number, had: ReadonlySet<string>): string {
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
      offset === FIRST_OFFSET || offset === DNS_OFFSET || this.#claims.isTaken(addressKey(range.at(offset)))
    const offset = choose(range.offsets, isTaken, this.#claims.takenCount + 2, this.#random)
    if (offset === undefined)
      throw exhausted(
        service,
        `no address of ${range.cidr} is free`,
        'delete Services that nobody needs, or make them headless',
      )
    return this.#choose(addressKey(range.at(offset)), range.at(offset))
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

  #port(service: Service): number {
    const said = serviceClaims(service)
    const isTaken = (port: number): boolean => said.has(nodePortKey(port)) || this.#claims.isTaken(nodePortKey(port))
    const port = choose(NODE_PORTS, isTaken, this.#claims.takenCount + said.size, this.#random)
    if (port === undefined)
      throw exhausted(
        service,
        `no port from ${NODE_PORTS.first} to ${NODE_PORTS.last} is free`,
        'delete Services of type NodePort or LoadBalancer that nobody needs',
      )
    return this.#choose(nodePortKey(port), port)
  }

  #choose<T>(key: string, value: T): T {
    this.#claims.choose(key)
    return value
  }
}

/** With the object itself: as many as the removal of the Service is to free at once, too. */
function requireRoom(service: Service, operations: number): void {
  const refuse = (count: number, does: string): GantryError =>
    refused(
      service,
      'spec.ports',
      String(service.spec.ports?.length ?? 0),
      `would ${does} ${count} addresses and node ports at once`,
      `at most ${COMMIT_LIMIT - 1} can be: divide the Service`,
    )
  if (operations >= COMMIT_LIMIT) throw refuse(operations, 'take or free')
  const { size } = serviceClaims(service)
  if (size >= COMMIT_LIMIT) throw refuse(size, 'hold')
}

function exhausted(service: Service, message: string, remedy: string): GantryError {
  return new GantryError('ResourceExhausted', `${describeObject(service)}: ${message}`, {
    details: [{ message, remedy }],
  })
}
