/** The backends that have a number in the kernel: their slots, and what the table holds of them. */
import { GantryError } from '../../../proto/base/errors.ts'
import { type NftTarget } from './endpoints.ts'
import { hex, LARGEST_NUMBER, MARK_PREFIX, mark, pickChain, type ElementMap } from './layout.ts'
import type { BackendPlan } from './service-plan.ts'

/** Sets one element of the table; undefined removes it. */
export type SetElement = (map: ElementMap, key: string, value: string | undefined) => void

/** How a backend stood in the kernel when this agent was started. */
export interface RestoredBackend {
  readonly number: number
  readonly slots: readonly NftTarget[]
}

/**
 * A backend in slots 0 … n-1, so that a random number below n finds one. An endpoint that goes gives its slot to the
 * one in the last: a change costs two or three elements however many there are. With affinity, clients remember an
 * endpoint's identity instead, which stays the same as long as its address does.
 */
export class Backend {
  readonly number: number
  readonly #set: SetElement
  #plan: BackendPlan | undefined
  #slots: NftTarget[]
  readonly #identities = new Map<NftTarget, number>()
  #inside: number | undefined

  constructor(number: number, set: SetElement, slots: readonly NftTarget[] = []) {
    this.number = number
    this.#set = set
    this.#slots = [...slots]
  }

  get plan(): BackendPlan | undefined {
    return this.#plan
  }

  get targets(): readonly NftTarget[] {
    return this.#slots
  }

  /** What the mark leads to: a chain's name, or undefined for a verdict of its own. */
  get chain(): string | undefined {
    return this.#plan === undefined || this.#slots.length === 0
      ? undefined
      : pickChain(this.#plan.family, this.#slots.length, this.#plan.affinity)
  }

  /** `inside`: number of the backend for clients inside the cluster. The targets that are gone. */
  update(plan: BackendPlan, inside: number | undefined): NftTarget[] {
    const kept = new Set(plan.targets)
    const gone = this.#slots.filter((target) => !kept.has(target))
    const before = this.#plan
    const places = assignSlots(this.#slots, plan.targets)
    if (before !== undefined && (before.affinity === undefined) !== (plan.affinity === undefined))
      this.#write([], new Set())
    this.#plan = plan
    this.#write(places, kept)
    this.#set(
      'picks',
      mark(this.number),
      this.chain === undefined ? (plan.onNoEndpoints === 'drop' ? 'drop' : 'goto nobody') : `goto ${this.chain}`,
    )
    if (inside !== this.#inside || before === undefined)
      this.#set('inside', mark(this.number), inside === undefined ? undefined : mark(inside))
    this.#inside = inside
    return gone
  }

  remove(): void {
    this.#write([], new Set())
    this.#set('picks', mark(this.number), undefined)
    this.#set('inside', mark(this.number), undefined)
    this.#plan = undefined
  }

  #write(slots: NftTarget[], kept: ReadonlySet<NftTarget>): void {
    const { family, affinity } = this.#plan!
    const own = mark(this.number)
    if (affinity !== undefined) {
      for (const target of [...this.#identities.keys()]) if (!kept.has(target)) this.#forget(target, family)
      for (const target of slots) this.#identify(target, family)
    }
    const valueOf = (target: NftTarget): string =>
      affinity === undefined ? target : hex(this.#identities.get(target)!)
    const map: ElementMap = affinity === undefined ? `slots${family}` : 'ids'
    for (const [index, target] of slots.entries()) this.#set(map, `${own} . ${index}`, valueOf(target))
    for (let index = slots.length; index < this.#slots.length; index++) this.#set(map, `${own} . ${index}`, undefined)
    this.#slots = slots
  }

  #identify(target: NftTarget, family: 4 | 6): void {
    if (this.#identities.has(target)) return
    const used = new Set(this.#identities.values())
    let identity = identityOf(target)
    while (used.has(identity)) identity = (identity + 1) >>> 0
    this.#identities.set(target, identity)
    this.#set(`sticky${family}`, `${mark(this.number)} . ${hex(identity)}`, target)
  }

  #forget(target: NftTarget, family: 4 | 6): void {
    this.#set(`sticky${family}`, `${mark(this.number)} . ${hex(this.#identities.get(target)!)}`, undefined)
    this.#identities.delete(target)
  }
}

/** `wanted` in slots, each that was there before in its old one where that is possible. */
function assignSlots(before: readonly NftTarget[], wanted: readonly NftTarget[]): NftTarget[] {
  const missing = new Set(wanted)
  const slots: (NftTarget | undefined)[] = before.map((target) => (missing.delete(target) ? target : undefined))
  const added = [...missing]
  for (let index = 0; index < slots.length; index++) {
    if (slots[index] !== undefined) continue
    slots[index] = added.shift()
    if (slots[index] !== undefined) continue
    while (slots.length > index + 1 && slots.at(-1) === undefined) slots.pop()
    const last = slots.pop()
    if (slots.length > index) slots[index] = last
  }
  return [...(slots as NftTarget[]), ...added]
}

/**
 * FNV-1a (RFC 9923): the same for the same address and port in every run of the agent, so that a client finds an
 * endpoint again that was away.
 */
function identityOf(target: NftTarget): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < target.length; index++)
    hash = Math.imul(hash ^ target.charCodeAt(index), 0x01000193) >>> 0
  return hash === 0 ? 1 : hash
}

/** Gives out backends' numbers: each to one, the one longest unused first. */
export class BackendNumberAllocator {
  readonly #used = new Set<number>()
  #last = 0

  take(): number {
    if (this.#used.size >= LARGEST_NUMBER)
      throw new GantryError('ResourceExhausted', `more than ${LARGEST_NUMBER} ports of Services`)
    do this.#last = this.#last >= LARGEST_NUMBER ? 1 : this.#last + 1
    while (this.#used.has(this.#last))
    this.#used.add(this.#last)
    return this.#last
  }

  /** False if somebody has it. */
  reserve(number: number): boolean {
    if (number < 1 || number > LARGEST_NUMBER || this.#used.has(number)) return false
    this.#used.add(number)
    this.#last = Math.max(this.#last, number)
    return true
  }

  release(number: number): void {
    this.#used.delete(number)
  }
}

export function numberOf(value: string): number {
  return Number(value) - MARK_PREFIX
}
