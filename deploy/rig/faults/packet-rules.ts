/** Puts a packet fault's rules on every machine that it concerns, and takes them away. */
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Machine } from '../contract.ts'
import type { FaultContext } from './contract.ts'
import {
  directionsOf,
  hostParty,
  machinesAmong,
  attachmentsOf,
  type LinkSelector,
  type Direction,
  type LinkEndpoint,
} from './link.ts'
import { removalText, rulesText, tableOf } from './ruleset.ts'
import { HOST } from './values.ts'

/** What ends it, in the fault's record. */
export interface Undo {
  readonly table: string
  /** As it was when the fault began: machines added later have no part in it. */
  readonly directions: readonly Direction[]
}

/** Begins one: rules that let the packets between the sides meet `fate`. */
export async function beginRules(
  field: FaultContext,
  id: string,
  values: LinkSelector,
  fate: string,
  record: (undo: JsonValue) => Promise<void>,
): Promise<JsonValue> {
  const directions = directionsOf(
    values,
    field.machines.map(({ spec }) => spec.name),
  )
  const undo = { table: tableOf(id), directions }
  await record(undo as unknown as JsonValue)
  await placeRules(field, undo, values, fate)
  return undo as unknown as JsonValue
}

/** Puts the rules on all machines concerned that are on. */
export async function placeRules(
  field: FaultContext,
  { table, directions }: Undo,
  { port, protocol }: LinkSelector,
  fate: string,
): Promise<void> {
  const machines = machinesAmong(field, namesIn(directions))
  const places = await attachmentsOf(machines)
  const partyOf = (name: string): LinkEndpoint[] =>
    name === HOST ? [hostParty()] : places.has(name) ? [places.get(name)!.party] : []
  await onEach(machines, async (machine) => {
    const { name } = machine.spec
    const { device } = places.get(name)!
    if (device === undefined) return
    const arrivingFrom = directions.filter(({ to }) => to.includes(name)).flatMap(({ from }) => from.flatMap(partyOf))
    const leaves = directions.some(({ from, to }) => from.includes(name) && to.includes(HOST))
    const leavingBy = leaves ? { device, to: partyOf(HOST) } : undefined
    await machine.run(['nft', '-f', '-'], {
      stdin: rulesText({ table, arrivingFrom, leavingBy, port, protocol, verdict: fate }),
    })
  })
}

/** Takes the rules away from the machines that are still there and on. */
export async function removeRules(field: FaultContext, { table, directions }: Undo): Promise<void> {
  await onEach(machinesAmong(field, namesIn(directions)), async (machine) => {
    if ((await machine.state()) !== 'off') await machine.run(['nft', '-f', '-'], { stdin: removalText(table) })
  })
}

/** Again, with the new hardware address of a machine that was started again. */
export async function renewRules(
  field: FaultContext,
  undo: Undo,
  values: LinkSelector,
  fate: string,
  machine: Machine,
): Promise<void> {
  if (namesIn(undo.directions).includes(machine.spec.name)) await placeRules(field, undo, values, fate)
}

export function namesIn(directions: readonly Direction[]): string[] {
  return [...new Set(directions.flatMap(({ from, to }) => [...from, ...to]))]
}

/** On all at once, each to its end; then the first failure, so that nothing is still under way when it is undone. */
export async function onEach(machines: readonly Machine[], work: (machine: Machine) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(machines.map(work))
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
