/**
 * Bandwidth: what machines send to others is held to a rate. By a shaper on the senders where each of them can have
 * one; else by dropping, where it arrives, what is beyond the rate.
 */
import { formatQuantity } from '../../../proto/base/quantity.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Machine } from '../contract.ts'
import { defineFault, type FaultContext } from './contract.ts'
import { namesIn, onEach, placeRules, removeRules, renewRules, type Undo as RulesUndo } from './packet-rules.ts'
import {
  linkParameters,
  betweenWords,
  directionsOf,
  machinesAmong,
  attachmentOf,
  attachmentsOf,
  type LinkSelector,
  type Direction,
} from './link.ts'
import { removalText, tableOf } from './ruleset.ts'
import { classifyText, NO_SHAPER, shapeScript, unshapeScript } from './shaper.ts'

interface Undo extends RulesUndo {
  readonly by: 'shaper' | 'rules'
  readonly id: string
}

interface Bandwidth extends LinkSelector {
  readonly rate: number
}

/**
 * Bytes that may come at once beyond what nftables allows of itself, which is a second's worth: else a large segment
 * never passes a small rate.
 */
const BURST = 128 * 1024

const { from, to, oneWay, port, protocol } = linkParameters

export const bandwidthFault = defineFault({
  kind: 'bandwidth',
  says: 'hold what machines send to others to a rate',
  parameters: {
    from: { ...from, host: false },
    to: { ...to, host: false },
    rate: {
      type: 'rate',
      required: true,
      says: 'bytes a second that each machine sends to the other side in all: 1Mi',
    },
    oneWay,
    port,
    protocol,
  },
  examples: ['bandwidth n1 --rate 1Mi', 'bandwidth n1 n2 --rate 200k --one-way --for 30s'],
  describe: (values) =>
    `${formatQuantity({ nanos: BigInt(values.rate) * 1_000_000_000n, format: 'binary' })} bytes a second ${betweenWords(values)}`,

  async begin(field, values, { id, record }) {
    const undo: Undo = {
      by: 'shaper',
      id,
      table: tableOf(id),
      directions: directionsOf(
        values,
        field.machines.map(({ spec }) => spec.name),
      ),
    }
    await record(undo as unknown as JsonValue)
    if (await shape(field, undo, values))
      return { undo: undo as unknown as JsonValue, note: 'by the kernel (tc htb on the senders)' }
    await unshape(field, undo)
    const police: Undo = { ...undo, by: 'rules' }
    await record(police as unknown as JsonValue)
    await placeRules(field, police, values, verdictFor(values.rate))
    return {
      undo: police as unknown as JsonValue,
      note: 'by the kernel (nftables): what is beyond the rate is dropped where it arrives, because the senders cannot have a shaper (tc htb)',
    }
  },

  async end(field, undo) {
    const state = undo as unknown as Undo
    if (state.by === 'rules') await removeRules(field, state)
    else await unshape(field, state)
  },

  async renew(field, undo, values, machine) {
    const state = undo as unknown as Undo
    if (state.by === 'rules') await renewRules(field, state, values, verdictFor(values.rate), machine)
    else if (namesIn(state.directions).includes(machine.spec.name)) await shape(field, state, values)
    return undo
  },
})

function verdictFor(rate: number): string {
  return `limit rate over ${rate} bytes/second burst ${BURST} bytes drop`
}

/** False if a sender that is on cannot have a shaper. */
async function shape(
  field: FaultContext,
  { id, directions }: Undo,
  { rate, port: only, protocol: of }: Bandwidth,
): Promise<boolean> {
  const places = await attachmentsOf(machinesAmong(field, namesIn(directions)))
  let can = true
  await onEach(sendersOf(field, directions), async (machine) => {
    const { name } = machine.spec
    const { device } = places.get(name)!
    if (device === undefined) return
    const { code } = await machine.run(['sh', '-ec', shapeScript(device, id, rate)], { allow: [0, NO_SHAPER] })
    if (code === NO_SHAPER) {
      can = false
      return
    }
    const receivers = directions
      .filter((direction) => direction.from.includes(name))
      .flatMap((direction) => direction.to)
    const parties = receivers.flatMap((receiver) => places.get(receiver)?.party ?? [])
    await machine.run(['nft', '-f', '-'], { stdin: classifyText(id, parties, rate, only, of) })
  })
  return can
}

async function unshape(field: FaultContext, { id, table, directions }: Undo): Promise<void> {
  await onEach(sendersOf(field, directions), async (machine) => {
    const { device } = await attachmentOf(machine)
    if (device === undefined) return
    await machine.run(['nft', '-f', '-'], { stdin: removalText(table) })
    await machine.run(['sh', '-ec', unshapeScript(device, id)])
  })
}

function sendersOf(field: FaultContext, directions: readonly Direction[]): Machine[] {
  return machinesAmong(
    field,
    directions.flatMap((direction) => direction.from),
  )
}
