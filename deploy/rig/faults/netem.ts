/**
 * Delay, jitter, reordering and a rate by the kernel's network emulation (tc-netem(8)): a class of the sender's shaper
 * whose queue is netem, which nftables puts packets into by where they go.
 */
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Machine } from '../contract.ts'
import type { FaultContext } from './contract.ts'
import { namesIn, onEach } from './packet-rules.ts'
import { machinesAmong, attachmentOf, attachmentsOf, type Direction } from './link.ts'
import type { Conditions } from './program/task.ts'
import { removalText, tableOf } from './ruleset.ts'
import { classifyText, shapeScript, unshapeScript } from './shaper.ts'

/** Bytes a second: more than any interface of a rig carries. The class is only there to hold netem. */
const UNBOUNDED = 12_500_000_000
/** Packets under way at most: a second of 1 Gbit/s in full packets. */
const LIMIT = 100_000

/** What takes it away again. */
export interface NetemUndo {
  readonly id: string
  readonly directions: readonly Direction[]
}

/** What the queue is to tc. */
export function netemQueue({ by = 0, jitter = 0, reorder = 0, rate }: Conditions): string {
  return [
    `netem limit ${LIMIT}`,
    ...(by > 0 ? [`delay ${by}ms${jitter > 0 ? ` ${jitter}ms` : ''}`] : []),
    ...(reorder > 0 ? [`reorder ${reorder * 100}%`] : []),
    ...(rate === undefined ? [] : [`rate ${Math.max(8, Math.round(rate * 8))}bit`]),
  ].join(' ')
}

/** Sets it up on every sender; what `endNetem` needs. */
export async function beginNetem(
  field: FaultContext,
  { id, directions }: NetemUndo,
  conditions: Conditions,
  port: number | undefined,
  record: (undo: JsonValue) => Promise<void>,
): Promise<JsonValue> {
  const undo = { id, directions } as unknown as JsonValue
  await record(undo)
  await setUp(field, senders(field, directions), { id, directions }, conditions, port)
  return undo
}

/** Sets it up again on a machine that was started again. */
export async function renewNetem(
  field: FaultContext,
  undo: NetemUndo,
  conditions: Conditions,
  port: number | undefined,
  machine: Machine,
): Promise<void> {
  await setUp(
    field,
    senders(field, undo.directions).filter(({ spec }) => spec.name === machine.spec.name),
    undo,
    conditions,
    port,
  )
}

export async function endNetem(field: FaultContext, { id, directions }: NetemUndo): Promise<void> {
  await onEach(senders(field, directions), async (machine) => {
    const { device } = await attachmentOf(machine)
    if (device === undefined) return
    await machine.run(['nft', '-f', '-'], { stdin: removalText(tableOf(id)) })
    await machine.run(['sh', '-ec', unshapeScript(device, id)])
  })
}

async function setUp(
  field: FaultContext,
  machines: readonly Machine[],
  { id, directions }: NetemUndo,
  conditions: Conditions,
  port: number | undefined,
): Promise<void> {
  const places = await attachmentsOf(machinesAmong(field, namesIn(directions)))
  await onEach(machines, async (machine) => {
    const { name } = machine.spec
    const { device } = places.get(name)!
    if (device === undefined) return
    const receivers = directions.filter(({ from }) => from.includes(name)).flatMap(({ to }) => to)
    await machine.run(['sh', '-ec', shapeScript(device, id, UNBOUNDED, netemQueue(conditions))])
    await machine.run(['nft', '-f', '-'], {
      stdin: classifyText(
        id,
        receivers.flatMap((receiver) => places.get(receiver)?.party ?? []),
        UNBOUNDED,
        port,
        undefined,
      ),
    })
  })
}

function senders(field: FaultContext, directions: readonly Direction[]): Machine[] {
  return machinesAmong(
    field,
    directions.flatMap(({ from }) => from),
  )
}
