/**
 * Begins and ends faults. Each is written into the rig's record before it begins and again when it is in force, so that
 * one whose process ended in the midst is undone by the next command. One process at a time begins or ends faults of a
 * rig.
 *
 *   begin ──▶ record {beginning} ──▶ FaultType.begin ──▶ record {undo, until, timer} ──▶ heal, the timer ──▶
 * FaultType.end ──▶ record {ended}
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import { identify, type ProcessIdentity } from '../../../proto/base/process.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Driver, Machine } from '../contract.ts'
import type { BeginResult, FaultRecord, FaultType, FaultContext, Values } from './contract.ts'
import { poweredOffBy } from './powered-off.ts'
import { checkValues, type Given, type Source } from './values.ts'

/** Faults that have ended and stay in the record. */
export const HISTORY = 50

/** What a rig is to the engine. */
export interface FaultBackend {
  readonly rig: string
  readonly driver: Driver
  readonly clock: Clock
  /** Those of the record, now. */
  machines(): Promise<readonly Machine[]>
  /** In force and ended, in the order they began. */
  faults(): Promise<readonly FaultRecord[]>
  /** Changes the record's faults, whole, while nobody else changes the record. */
  update(change: (faults: readonly FaultRecord[]) => readonly FaultRecord[]): Promise<void>
  /** Runs `work` while no other process begins or ends faults of the rig. */
  alone<T>(work: () => Promise<T>): Promise<T>
  /** Has the fault healed in `millis`, whether this process lives then or not. */
  setTimer(id: string, millis: number): Promise<ProcessIdentity>
  /** No error if it has ended. */
  endTimer(timer: ProcessIdentity): Promise<void>
}

export interface BeginOptions {
  /** Milliseconds after which it ends by itself. */
  readonly for?: number | undefined
  /** How numbers among the values read; `typed` unless said. */
  readonly source?: Source
}

interface Ends {
  readonly ended: FaultRecord[]
  readonly failed: { readonly fault: FaultRecord; readonly error: GantryError }[]
}

export class FaultEngine {
  readonly #stage: FaultBackend
  readonly #types: Readonly<Record<string, FaultType>>

  constructor(stage: FaultBackend, types: Readonly<Record<string, FaultType>>) {
    this.#stage = stage
    this.#types = types
  }

  /** Those in force, in the order they began. */
  async inForce(): Promise<readonly FaultRecord[]> {
    return (await this.#stage.faults()).filter(isInForce)
  }

  /**
   * Begins a fault; its record, once it is in force or, if it is momentary, over. InvalidArgument for a kind or values
   * that do not fit, with the parameter; what begin refuses (FailedPrecondition and others) leaves the rig as it was.
   */
  async begin(kind: string, given: Given, options: BeginOptions = {}): Promise<FaultRecord> {
    const type = this.#typeOf(kind)
    checkFor(type, options.for)
    return this.#stage.alone(async () => {
      await this.#sweep()
      const machines = await this.#stage.machines()
      const values = checkValues(
        type,
        given,
        machines.map(({ spec }) => spec),
        options.source,
      )
      const id = nextId(await this.#stage.faults())
      const fault: FaultRecord = {
        id,
        kind,
        values,
        description: type.describe(values as Values<never>),
        begun: this.#now(),
        beginning: identify(process.pid)!,
      }
      await this.#stage.update((faults) => [...faults, fault])
      const begun = await this.#attempt(type, fault, options.for)
      return begun.undo === undefined ? this.#close(id, begun.note) : this.#open(id, begun, options.for)
    })
  }

  /**
   * Ends these faults, or all, the latest first; those that were in force. NotFound for an id that there never was; a
   * failure leaves that fault in force and ends the others.
   */
  heal(ids?: readonly string[]): Promise<FaultRecord[]> {
    return this.#stage.alone(async () => {
      const faults = await this.#stage.faults()
      for (const id of ids ?? []) if (!faults.some((fault) => fault.id === id)) throw unknownFault(id, faults)
      return this.#endAll(faults.filter((fault) => isInForce(fault) && (ids === undefined || ids.includes(fault.id))))
    })
  }

  /** Starts a machine that is off, ending the faults that keep it so. */
  start(name: string): Promise<void> {
    return this.#stage.alone(async () => {
      await this.#sweep()
      const keeping = poweredOffBy(await this.#field(undefined), name)
      await this.#endAll((await this.inForce()).filter(({ id }) => keeping.includes(id)))
      const field = await this.#field(undefined)
      await field.start(field.machine(name))
    })
  }

  /** Ends what is past its time (its timer may have died) and what a process that died left half begun. */
  sweep(): Promise<void> {
    return this.#stage.alone(async () => throwFailed((await this.#sweep()).failed))
  }

  /** One that resists has that in its record, and does not keep others from beginning. */
  async #sweep(): Promise<Ends> {
    const now = this.#stage.clock.now()
    return this.#endEach(
      (await this.inForce()).filter(
        ({ beginning, until }) => beginning !== undefined || (until !== undefined && Date.parse(until) <= now),
      ),
    )
  }

  /** Begins it, or leaves nothing of it: neither on the machines nor in the record. */
  async #attempt(type: FaultType, fault: FaultRecord, lasting: number | undefined): Promise<BeginResult> {
    const { id } = fault
    let recorded: JsonValue | undefined
    const record = async (undo: JsonValue): Promise<void> => {
      recorded = undo
      await this.#change(id, (before) => ({ ...before, undo }))
    }
    try {
      return await type.begin(await this.#field(id), fault.values as Values<never>, { id, for: lasting, record })
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (recorded !== undefined) {
        try {
          await type.end(await this.#field(id), recorded, fault.values as Values<never>)
        } catch (cause) {
          await this.#change(id, (before) => ({ ...without(before, 'beginning'), problem: (cause as Error).message }))
          throw new GantryError(
            error.code,
            `${error.message}; and what was begun of it could not be undone: ${(cause as Error).message}`,
            {
              details: [
                ...error.details,
                { field: 'id', value: id, remedy: `\`gantry rig heal --rig ${this.#stage.rig} ${id}\` tries again` },
              ],
              cause: error,
            },
          )
        }
      }
      await this.#stage.update((faults) => faults.filter((other) => other.id !== id))
      throw error
    }
  }

  async #open(id: string, { undo, note }: BeginResult, lasting: number | undefined): Promise<FaultRecord> {
    const until = lasting === undefined ? undefined : this.#now(lasting)
    // Until first: were this process to end before the timer runs, the next command would end the fault.
    await this.#change(id, (before) => ({
      ...without(before, 'beginning'),
      undo: undo!,
      ...(note === undefined ? {} : { note }),
      ...(until === undefined ? {} : { until }),
    }))
    if (lasting === undefined) return this.#one(id)
    let timer: ProcessIdentity | undefined
    try {
      timer = await this.#stage.setTimer(id, lasting)
      return await this.#change(id, (before) => ({ ...before, timer: timer! }))
    } catch (thrown) {
      // One that stands in no record is nobody's to end: the rig is being removed.
      if (timer !== undefined) await this.#stage.endTimer(timer)
      // Nothing would end the fault in time.
      await this.#endAll([await this.#one(id)])
      throw thrown
    }
  }

  #close(id: string, note?: string): Promise<FaultRecord> {
    return this.#change(id, (before) => ({
      ...without(before, 'beginning', 'timer', 'undo', 'problem'),
      ...(note === undefined ? {} : { note }),
      ended: this.#now(),
    }))
  }

  async #endAll(faults: readonly FaultRecord[]): Promise<FaultRecord[]> {
    const { ended, failed } = await this.#endEach(faults)
    throwFailed(failed)
    return ended
  }

  async #endEach(faults: readonly FaultRecord[]): Promise<Ends> {
    const ends: Ends = { ended: [], failed: [] }
    for (const fault of faults.toReversed()) {
      try {
        ends.ended.push(await this.#end(fault))
      } catch (thrown) {
        const error = GantryError.from(thrown)
        ends.failed.push({ fault, error })
        await this.#change(fault.id, (before) => ({ ...before, problem: error.message }))
      }
    }
    return ends
  }

  async #end({ id, kind, values, undo, beginning, timer }: FaultRecord, note?: string): Promise<FaultRecord> {
    if (undo !== undefined) await this.#typeOf(kind).end(await this.#field(id), undo, values as Values<never>)
    if (timer !== undefined) await this.#stage.endTimer(timer)
    return this.#close(
      id,
      beginning === undefined ? note : 'the process that began it ended in the midst; what it had done is undone',
    )
  }

  /** What the fault `id` works on. */
  async #field(id: string | undefined): Promise<FaultContext> {
    const { rig, driver, clock } = this.#stage
    const machines = await this.#stage.machines()
    const others = (await this.inForce()).filter((other) => other.id !== id)
    const field: FaultContext = {
      rig,
      driver,
      clock,
      machines,
      others,
      machine: (name) => machines.find(({ spec }) => spec.name === name) ?? unknownMachine(rig, name, machines),
      start: (machine) => this.#start(machine, field),
      heal: async (ids) => void (await this.#endAll(others.filter((other) => ids.includes(other.id)))),
    }
    return field
  }

  async #start(machine: Machine, field: FaultContext): Promise<void> {
    if ((await machine.state()) !== 'off') return
    await machine.start()
    for (const fault of field.others) {
      const { id, kind, undo, values } = fault
      const type = this.#typeOf(kind)
      if (type.renew === undefined || undo === undefined) continue
      const renewed = await type.renew(field, undo, values as Values<never>, machine)
      if (renewed !== undefined) await this.#change(id, (before) => ({ ...before, undo: renewed }))
      else await this.#end({ ...fault, undo: undefined }, 'what it was done to ended with the machine')
    }
  }

  async #change(id: string, change: (fault: FaultRecord) => FaultRecord): Promise<FaultRecord> {
    await this.#stage.update((faults) => forget(faults.map((fault) => (fault.id === id ? change(fault) : fault))))
    return this.#one(id)
  }

  async #one(id: string): Promise<FaultRecord> {
    return (await this.#stage.faults()).find((fault) => fault.id === id)!
  }

  #typeOf(kind: string): FaultType {
    if (Object.hasOwn(this.#types, kind)) return this.#types[kind]!
    const kinds = Object.keys(this.#types)
    const meant = nearest(kind, kinds)
    throw new GantryError(
      'InvalidArgument',
      `there is no fault "${kind}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
      { details: [{ field: 'kind', value: kind, remedy: `it is one of ${kinds.join(', ')}` }] },
    )
  }

  /** RFC 3339. */
  #now(later = 0): string {
    return new Date(this.#stage.clock.now() + later).toISOString()
  }
}

function throwFailed(failed: Ends['failed']): void {
  if (failed.length === 0) return
  throw new GantryError(
    failed[0]!.error.code,
    failed
      .map(({ fault, error }) => `${fault.id} (${fault.description}) is still in force: ${error.message}`)
      .join('; '),
    {
      details: failed.map(({ fault, error }) => ({
        field: fault.id,
        value: fault.kind,
        message: error.message,
        remedy: error.details[0]?.remedy ?? '',
      })),
      cause: failed[0]!.error,
    },
  )
}

export function isInForce({ ended }: FaultRecord): boolean {
  return ended === undefined
}

function checkFor(type: FaultType, lasting: number | undefined): void {
  if (lasting === undefined) return
  const wrong =
    type.momentary === true
      ? `${type.kind} is over as soon as it is done`
      : Number.isFinite(lasting) && lasting > 0
        ? undefined
        : `"for" must be more than 0, not ${lasting} ms`
  if (wrong !== undefined)
    throw new GantryError('InvalidArgument', wrong, {
      details: [
        { field: 'for', value: String(lasting), remedy: type.momentary === true ? 'leave --for out' : 'such as 10s' },
      ],
    })
}

/** The number after the highest there was: a record keeps the latest. */
function nextId(faults: readonly FaultRecord[]): string {
  return `f${Math.max(0, ...faults.map(({ id }) => Number(id.slice(1)))) + 1}`
}

/** Without the oldest of those that have ended. */
function forget(faults: readonly FaultRecord[]): readonly FaultRecord[] {
  const kept = new Set(faults.filter((fault) => !isInForce(fault)).slice(-HISTORY))
  return faults.filter((fault) => isInForce(fault) || kept.has(fault))
}

function without<K extends keyof FaultRecord>(fault: FaultRecord, ...keys: K[]): Omit<FaultRecord, K> {
  return Object.fromEntries(
    Object.entries(fault).filter(([key]) => !(keys as string[]).includes(key)),
  ) as unknown as Omit<FaultRecord, K>
}

function unknownFault(id: string, faults: readonly FaultRecord[]): GantryError {
  const inForce = faults.filter(isInForce).map((fault) => fault.id)
  return new GantryError('NotFound', `there is no fault "${id}"`, {
    details: [
      {
        field: 'id',
        value: id,
        remedy: inForce.length === 0 ? 'no fault is in force' : `in force: ${inForce.join(', ')}`,
      },
    ],
  })
}

function unknownMachine(rig: string, name: string, machines: readonly Machine[]): never {
  const names = machines.map(({ spec }) => spec.name)
  const meant = nearest(name, names)
  throw new GantryError(
    'NotFound',
    `the rig "${rig}" has no machine "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    { details: [{ field: 'machine', value: name, remedy: `it has ${names.join(', ')}` }] },
  )
}
