/**
 * The fault program on machines: started, waited for, given the traffic that it is to have, and ended with all of it.
 * One a machine and fault.
 *
 *   Wanted ──▶ directory ──▶ gantry-fault.cjs ──▶ its ports ──▶ nft table that leads traffic there
 */
import { join } from 'node:path'
import { GantryError } from '../../../proto/base/errors.ts'
import { delay } from '../../../proto/base/clock.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Machine } from '../contract.ts'
import type { FaultContext } from './contract.ts'
import { findMachine } from './powered-off.ts'
import type { Ready, Task } from './program/task.ts'
import { tableOf } from './ruleset.ts'

/** Milliseconds between looks for its word, and until it must have given it. */
const LOOK = 15
const READY_TIMEOUT_MS = 15_000

/** What is to run on a machine. */
export interface FaultProgramSpec {
  readonly machine: Machine
  readonly task: Task
  /** The chains of an nft table that lead traffic to the ports that the program listens on. */
  readonly rules?: (ports: readonly number[]) => string
  /** Milliseconds that it may take until it is in effect, beyond the usual. */
  readonly patience?: number
}

/** What ends it. In JSON, kept as a fault's undo. */
export interface Started {
  readonly machine: string
  /** Taken away, it ends the program even if that was not written down. */
  readonly directory: string
  readonly table: string
  readonly program?: JsonValue
}

export interface ProgramsUndo {
  readonly programs: readonly Started[]
}

/**
 * Starts them all and resolves when they are in effect. `record` is called before anything is made, and with each that
 * was started.
 */
export async function startPrograms(
  field: FaultContext,
  id: string,
  wanted: readonly FaultProgramSpec[],
  record: (undo: JsonValue) => Promise<void>,
): Promise<JsonValue> {
  const started = wanted.map(({ machine }): Started => ({
    machine: machine.spec.name,
    directory: join(machine.spec.runDir, `fault-${id}`),
    table: tableOf(id),
  }))
  const undo = (): JsonValue => ({ programs: started.map((one) => ({ ...one })) })
  await record(undo())
  await every(
    wanted.map(async (one, at) => {
      started[at] = await start(field, one, started[at]!)
      await record(undo())
      await takeEffect(field, one, started[at])
    }),
  )
  return undo()
}

/** Starts again what ran on a machine that was started again; what then ends all of them. */
export async function renewPrograms(
  field: FaultContext,
  undo: JsonValue,
  wanted: readonly FaultProgramSpec[],
  machine: Machine,
): Promise<JsonValue> {
  const { programs } = undo as unknown as ProgramsUndo
  const renewed = programs.map(async (one): Promise<Started> => {
    const again = wanted.find((other) => other.machine.spec.name === one.machine)
    if (one.machine !== machine.spec.name || again === undefined) return one
    const { program: _, ...place } = one
    const started = await start(field, again, place)
    await takeEffect(field, again, started)
    return started
  })
  return { programs: (await Promise.all(renewed)).map((one) => ({ ...one })) }
}

/** Ends them, wherever they still are. */
export async function endPrograms(field: FaultContext, undo: JsonValue): Promise<void> {
  const { programs } = undo as unknown as ProgramsUndo
  await every(
    programs.map(async ({ machine: name, directory, table, program }) => {
      const machine = findMachine(field, name)
      if (machine === undefined || (await machine.state()) === 'off') return
      // The program before the rules: what it says as it ends its connections still comes from where it is expected.
      if (program !== undefined) await machine.endProgram(program)
      await machine.run(['rm', '-rf', directory])
      await machine.run(['nft', '-f', '-'], { stdin: `table ip ${table}\ndelete table ip ${table}\n` })
    }),
  )
}

async function start(
  { driver: { installation } }: FaultContext,
  { machine, task }: FaultProgramSpec,
  place: Started,
): Promise<Started> {
  await machine.run(['mkdir', '-p', place.directory])
  const program = await machine.startProgram([
    installation.node,
    join(installation.dist, 'gantry-fault.cjs'),
    JSON.stringify(task),
    readyFile(place),
  ])
  return { ...place, program }
}

/** Resolves when the program is in effect and has the traffic. */
async function takeEffect(
  field: FaultContext,
  { machine, rules, patience = 0 }: FaultProgramSpec,
  place: Started,
): Promise<void> {
  const ready = await awaitReady(field, machine, readyFile(place), READY_TIMEOUT_MS + patience)
  if ('error' in ready)
    throw new GantryError('FailedPrecondition', `${machine.spec.name}: ${ready.error}`, {
      details: [{ field: 'machine', value: machine.spec.name, message: ready.error }],
    })
  if (rules !== undefined)
    await machine.run(['nft', '-f', '-'], {
      stdin: `table ip ${place.table}\ndelete table ip ${place.table}\ntable ip ${place.table} {\n${rules(ready.ports)}}\n`,
    })
}

async function awaitReady({ clock }: FaultContext, machine: Machine, file: string, patience: number): Promise<Ready> {
  for (const deadline = clock.monotonic() + patience; clock.monotonic() < deadline; await delay(clock, LOOK)) {
    const { code, stdout } = await machine.run(['cat', file], { allow: [0, 1] })
    if (code === 0) return JSON.parse(stdout) as Ready
  }
  throw new GantryError(
    'DeadlineExceeded',
    `the fault program on ${machine.spec.name} said nothing within ${patience} ms`,
    {
      details: [
        {
          field: 'machine',
          value: machine.spec.name,
          remedy: `its words are in the machine's log, ${machine.spec.log}`,
        },
      ],
    },
  )
}

function readyFile({ directory }: Started): string {
  return join(directory, 'ready')
}

/** Waits for all, also when one fails: nothing goes on behind the back of whoever undoes it. */
async function every(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((one) => one.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
