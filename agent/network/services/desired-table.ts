/**
 * What the table is to hold, kept up to date Service by Service; tells the difference to what the kernel was last
 * given.
 */
import type { AddressFamily } from '../../../proto/base/cidr.ts'
import { Backend, BackendNumberAllocator, numberOf, type RestoredBackend } from './backends.ts'
import type { TableElements } from './table-content.ts'
import { addressOf } from './endpoints.ts'
import type { StaleFlow } from './conntrack-flows.ts'
import { ELEMENT_MAPS, mark, type ElementMap } from './layout.ts'
import { allowedRanges } from './source-ranges.ts'
import type { BackendName, ServiceFrontend, Protocol, ServicePlan } from './service-plan.ts'
import type { ElementChange, TableChange } from './transaction.ts'

interface ServiceState {
  readonly backends: Map<BackendName, Backend>
  plan: ServicePlan
  /** Claims by element. */
  claims: ReadonlyMap<string, ElementClaim>
}

interface ElementClaim {
  readonly map: ElementMap
  readonly key: string
  readonly value: string
  /** The claim with the smallest counts where two Services want the same element. */
  readonly rank: string
}

export interface DesiredTableChange extends TableChange {
  /** Flows that no longer go where they should. */
  readonly flows: readonly StaleFlow[]
}

const IP_PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 }

/**
 * Elements that two Services may both want: the older Service's counts until it goes. All others contain a backend's
 * own number.
 */
export class DesiredTable {
  readonly #services = new Map<string, ServiceState>()
  readonly #numbers = new BackendNumberAllocator()
  readonly #elements = new Map<ElementMap, Map<string, string>>(ELEMENT_MAPS.map((map) => [map, new Map()]))
  readonly #claims = new Map<string, ElementClaim[]>()
  readonly #chains = new Map<string, number>()
  readonly #known: ReadonlyMap<string, RestoredBackend>
  /** Values before the changes not yet taken, by map and key. */
  #before = new Map<ElementMap, Map<string, string | undefined>>()
  #chainsBefore = new Set<string>()
  #flows: StaleFlow[] = []

  /** `kernel`: what is in the table; numbers and slots of what is still wanted stay as they are. */
  constructor(kernel?: TableElements) {
    this.#known = kernel === undefined ? new Map() : knownBackends(kernel)
  }

  get elements(): TableElements {
    return this.#elements
  }

  get chains(): ReadonlySet<string> {
    return new Set(this.#chains.keys())
  }

  /**
   * `rank`: of two Services with the same address and port the smaller one has it. undefined: the Service is gone, or
   * nothing is to be done for it.
   */
  update(key: string, plan: ServicePlan | undefined, rank: string): void {
    const record = this.#services.get(key)
    if (plan === undefined) {
      if (record !== undefined) this.#remove(key, record)
    } else {
      this.#update(key, plan, rank, record ?? { backends: new Map(), plan, claims: new Map() })
    }
  }

  /** What has changed since the last call. */
  takeChanges(): DesiredTableChange {
    const elements: ElementChange[] = []
    for (const [map, keys] of this.#before)
      for (const [key, before] of keys) {
        const after = this.#elements.get(map)!.get(key)
        if (before !== after) elements.push({ map, key, before, after })
      }
    const change = {
      elements,
      made: [...this.#chains.keys()].filter((name) => !this.#chainsBefore.has(name)),
      removed: [...this.#chainsBefore].filter((name) => !this.#chains.has(name)),
      flows: this.#flows,
    }
    this.#before = new Map()
    this.#chainsBefore = new Set(this.#chains.keys())
    this.#flows = []
    return change
  }

  /** As `take`, but all that differs from what the kernel really holds. */
  diffAgainst(kernel: TableElements, chains: Iterable<string>): TableChange {
    this.takeChanges()
    const elements: ElementChange[] = []
    for (const [map, wanted] of this.#elements) {
      const present = kernel.get(map) ?? new Map<string, string>()
      for (const [key, before] of present) if (!wanted.has(key)) elements.push({ map, key, before, after: undefined })
      for (const [key, after] of wanted) {
        const before = present.get(key)
        if (before !== after) elements.push({ map, key, before, after })
      }
    }
    // Their rules are written anew, too: somebody may have touched them.
    return { elements, made: [...this.#chains.keys()], removed: [...chains].filter((name) => !this.#chains.has(name)) }
  }

  /**
   * The targets that a flow to this address and port may have; undefined if they belong to no Service. `own`: the
   * address is the node's, where node ports are.
   */
  targetsOf(
    family: AddressFamily,
    protocol: Protocol,
    address: string,
    port: number,
    own: boolean,
  ): ReadonlySet<string> | undefined {
    const front = this.#elements.get(`fronts${family}`)!.get(elementKey(address, protocol, port))
    const value =
      front ?? (own ? this.#elements.get(`ports${family}`)!.get(elementKey(undefined, protocol, port)) : undefined)
    if (value === undefined) return undefined
    const inside = this.#elements.get('inside')!.get(value)
    return new Set(
      [value, ...(inside === undefined ? [] : [inside])].flatMap((one) => this.#byMark.get(one)?.targets ?? []),
    )
  }

  readonly #byMark = new Map<string, Backend>()

  #update(key: string, plan: ServicePlan, rank: string, record: ServiceState): void {
    this.#services.set(key, record)
    // Those that others name as their `inside` come first.
    const names = [...plan.backends.keys()].sort(
      (a, b) =>
        Number(plan.backends.get(a)!.internalBackend !== undefined) -
        Number(plan.backends.get(b)!.internalBackend !== undefined),
    )
    for (const name of names) {
      const wanted = plan.backends.get(name)!
      const backend = record.backends.get(name) ?? this.#begin(name, plan)
      record.backends.set(name, backend)
      const chain = backend.chain
      const gone = backend.update(
        wanted,
        wanted.internalBackend === undefined ? undefined : record.backends.get(wanted.internalBackend)!.number,
      )
      this.#countChainUse(backend.chain, 1)
      this.#countChainUse(chain, -1)
      if (gone.length > 0 && wanted.resetsConnections)
        for (const front of record.plan.fronts)
          if (front.backend === name) for (const target of gone) this.#flows.push(flowOf(front, target))
    }
    const claims = this.#claimsOf(plan, rank, record)
    this.#moveClaims(record.claims, claims)
    this.#collectStaleFlows(record.plan === plan ? [] : record.plan.fronts, plan.fronts)
    record.claims = claims
    record.plan = plan
    for (const [name, backend] of record.backends) if (!plan.backends.has(name)) this.#end(record, name, backend)
  }

  #remove(key: string, record: ServiceState): void {
    this.#moveClaims(record.claims, new Map())
    this.#collectStaleFlows(record.plan.fronts, [])
    for (const [name, backend] of record.backends) this.#end(record, name, backend)
    this.#services.delete(key)
  }

  #begin(name: BackendName, plan: ServicePlan): Backend {
    let known: RestoredBackend | undefined
    for (const front of plan.fronts) {
      if (front.backend === name) known ??= this.#known.get(`${frontMap(front)} ${frontKey(front)}`)
      else if (plan.backends.get(front.backend)?.internalBackend === name)
        known ??= this.#known.get(`inside ${frontMap(front)} ${frontKey(front)}`)
    }
    const adopted = known !== undefined && this.#numbers.reserve(known.number)
    const backend = new Backend(adopted ? known!.number : this.#numbers.take(), this.#set, adopted ? known!.slots : [])
    this.#byMark.set(mark(backend.number), backend)
    return backend
  }

  #end(record: ServiceState, name: BackendName, backend: Backend): void {
    this.#countChainUse(backend.chain, -1)
    backend.remove()
    this.#numbers.release(backend.number)
    this.#byMark.delete(mark(backend.number))
    record.backends.delete(name)
  }

  #claimsOf(plan: ServicePlan, rank: string, record: ServiceState): Map<string, ElementClaim> {
    const claims = new Map<string, ElementClaim>()
    const claim = (map: ElementMap, key: string, value: string): void =>
      void claims.set(`${map} ${key}`, { map, key, value, rank })
    for (const front of plan.fronts) {
      claim(frontMap(front), frontKey(front), mark(record.backends.get(front.backend)!.number))
      if (front.sources === undefined || front.address === undefined) continue
      claim(`guarded${front.family}`, frontKey(front), '')
      for (const range of allowedRanges(front.sources, front.family))
        claim(`allowed${front.family}`, `${frontKey(front)} . ${range}`, '')
    }
    for (const address of plan.localAddresses)
      claim(`hairpin${address.includes(':') ? 6 : 4}`, `${address} . ${address}`, '')
    return claims
  }

  #moveClaims(before: ReadonlyMap<string, ElementClaim>, after: ReadonlyMap<string, ElementClaim>): void {
    for (const [element, claim] of before) {
      const next = after.get(element)
      if (next !== undefined && next.value === claim.value && next.rank === claim.rank) continue
      const rest = this.#claims.get(element)!.filter((one) => one !== claim)
      if (rest.length === 0) this.#claims.delete(element)
      else this.#claims.set(element, rest)
      this.#resolveClaims(claim)
    }
    for (const [element, claim] of after) {
      const previous = before.get(element)
      if (previous !== undefined && previous.value === claim.value && previous.rank === claim.rank) {
        // The record keeps the new object: so must the list.
        this.#claims.set(
          element,
          this.#claims.get(element)!.map((one) => (one === previous ? claim : one)),
        )
        continue
      }
      this.#claims.set(element, [...(this.#claims.get(element) ?? []), claim])
      this.#resolveClaims(claim)
    }
  }

  #resolveClaims({ map, key }: ElementClaim): void {
    const claims = this.#claims.get(`${map} ${key}`)
    this.#set(map, key, claims?.reduce((first, one) => (one.rank < first.rank ? one : first)).value)
  }

  /**
   * Flows to what is no Service's any more, or only now is one's: what they were told before holds as long as they go
   * on.
   */
  #collectStaleFlows(before: readonly ServiceFrontend[], after: readonly ServiceFrontend[]): void {
    const keys = (fronts: readonly ServiceFrontend[]): Map<string, ServiceFrontend> =>
      new Map(
        fronts.flatMap((front) =>
          front.protocol === 'TCP' ? [] : [[`${frontMap(front)} ${frontKey(front)} ${front.backend}`, front] as const],
        ),
      )
    const [old, young] = [keys(before), keys(after)]
    for (const [key, front] of old) if (!young.has(key)) this.#flows.push(flowOf(front, undefined))
    for (const [key, front] of young) if (!old.has(key)) this.#flows.push(flowOf(front, undefined))
  }

  readonly #set = (map: ElementMap, key: string, value: string | undefined): void => {
    const elements = this.#elements.get(map)!
    const present = elements.get(key)
    if (present === value) return
    let before = this.#before.get(map)
    if (before === undefined) this.#before.set(map, (before = new Map()))
    if (!before.has(key)) before.set(key, present)
    if (value === undefined) elements.delete(key)
    else elements.set(key, value)
  }

  #countChainUse(chain: string | undefined, by: 1 | -1): void {
    if (chain === undefined) return
    const count = (this.#chains.get(chain) ?? 0) + by
    if (count === 0) this.#chains.delete(chain)
    else this.#chains.set(chain, count)
  }
}

function frontMap({ family, address }: ServiceFrontend): ElementMap {
  return address === undefined ? `ports${family}` : `fronts${family}`
}

function frontKey({ address, protocol, port }: ServiceFrontend): string {
  return elementKey(address, protocol, port)
}

function elementKey(address: string | undefined, protocol: Protocol, port: number): string {
  const tail = `${IP_PROTOCOL_NUMBERS[protocol]} . ${port}`
  return address === undefined ? tail : `${address} . ${tail}`
}

function flowOf({ family, protocol, address, port }: ServiceFrontend, target: string | undefined): StaleFlow {
  return {
    family,
    protocol,
    address,
    port,
    target:
      target === undefined
        ? undefined
        : { address: addressOf(target), port: Number(target.slice(target.lastIndexOf(' ') + 1)) },
  }
}

/** By the element that leads to them; those for clients inside by "inside" and that element. */
function knownBackends(kernel: TableElements): Map<string, RestoredBackend> {
  const slots = new Map<string, string[]>()
  const put = (key: string, target: string | undefined): void => {
    const [owner, index] = key.split(' . ') as [string, string]
    let list = slots.get(owner)
    if (list === undefined) slots.set(owner, (list = []))
    if (target !== undefined) list[Number(index)] = target
  }
  for (const family of [4, 6] as const) for (const [key, target] of kernel.get(`slots${family}`) ?? []) put(key, target)
  for (const [key, identity] of kernel.get('ids') ?? []) {
    const owner = key.slice(0, key.indexOf(' '))
    put(
      key,
      kernel.get('sticky4')?.get(`${owner} . ${identity}`) ?? kernel.get('sticky6')?.get(`${owner} . ${identity}`),
    )
  }
  const known = new Map<string, RestoredBackend>()
  const backendOf = (value: string): RestoredBackend => ({
    number: numberOf(value),
    slots: [...new Set((slots.get(value) ?? []).filter((target) => typeof target === 'string'))],
  })
  for (const family of [4, 6] as const)
    for (const map of [`fronts${family}`, `ports${family}`] as const)
      for (const [key, value] of kernel.get(map) ?? []) {
        known.set(`${map} ${key}`, backendOf(value))
        const inside = kernel.get('inside')?.get(value)
        if (inside !== undefined) known.set(`inside ${map} ${key}`, backendOf(inside))
      }
  return known
}
