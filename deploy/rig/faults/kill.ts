/**
 * SIGKILL: of everything on a machine, which is off until healed; or of one program, which init starts again at once
 * unless it is held off.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import type { Machine } from '../contract.ts'
import { defineFault, type FaultContext } from './contract.ts'
import { findMachine, startUnlessPoweredOff } from './powered-off.ts'
import { EXECUTABLE, findProgram, kill, requireProgram, requireRunning } from './processes.ts'
import { stopsOf } from './stop.ts'
import { parseTarget, targetWords, type Program } from './target.ts'

type Undo =
  | { readonly was: 'machine' }
  /** Held off by a file that init looks at before it starts its program. */
  | { readonly was: 'program'; readonly hold: string }
  /** Ended again whenever it is started, by a program on the machine. */
  | { readonly was: 'started'; readonly killer: JsonValue }

/** Ends what is called `$0` as soon as it appears. */
const KILLER =
  'while :; do for process in /proc/[0-9]*; do name=; read -r name 2>/dev/null < "$process/comm"; [ "$name" != "$0" ] || kill -s KILL "${process#/proc/}" 2>/dev/null; done; sleep 0.1; done'

export const killFault = defineFault({
  kind: 'kill',
  says: 'end a machine, or a program on it, at once (SIGKILL)',
  parameters: {
    target: {
      type: 'target',
      required: true,
      operand: 0,
      says: 'the machine, or a program on it: n2, n2/agent, controller/etcd, n1/shim:POD',
    },
  },
  examples: ['kill n2', 'kill n2 --for 10s', 'kill n1/agent', 'kill controller/etcd --for 5s'],
  describe: ({ target }) => `${targetWords(target)} killed`,

  async begin(field, { target }, { for: lasting, record }) {
    const { machine: name, program } = parseTarget(target)
    const machine = field.machine(name)
    if (program === undefined) {
      await record({ was: 'machine' })
      await machine.kill()
      return { undo: { was: 'machine' } }
    }
    if (lasting === undefined) {
      await kill(machine, await requireProgram(machine, program), field.clock)
      await field.heal(stopsOf(field, target))
      return { undo: undefined, note: noteOf(machine, program) }
    }
    await requireRunning(machine) // the program may be between two starts
    const undo = await holdOff(field, machine, target, program, record)
    await kill(machine, await findProgram(machine, program), field.clock)
    await field.heal(stopsOf(field, target))
    return { undo, note: 'held off while this lasts' }
  },

  async end(field, undo, { target }) {
    const state = undo as Undo
    const { machine: name } = parseTarget(target)
    if (state.was === 'machine') return startUnlessPoweredOff(field, name)
    const machine = findMachine(field, name)
    if (machine === undefined) return
    if (state.was === 'started') return machine.endProgram(state.killer)
    if (
      field.others.some(({ kind, values }) => kind === 'kill' && values.target === target) ||
      (await machine.state()) === 'off'
    )
      return
    await machine.run(['rm', '-f', state.hold])
  },

  async renew(field, undo, { target }, machine) {
    const { machine: name, program } = parseTarget(target)
    if (program === undefined || machine.spec.name !== name) return undo
    const held = await holdOff(field, machine, target, program, async () => undefined)
    await kill(machine, await findProgram(machine, program), field.clock)
    return held
  },
})

function noteOf({ spec }: Machine, program: Program): string {
  if (program.is === 'shim') return 'the agent sees to its containers'
  return program.name === spec.program.name ? 'init starts it again at once' : `${spec.program.name} starts it again`
}

/** Keeps a program from being started again; what undoes that. */
async function holdOff(
  field: FaultContext,
  machine: Machine,
  target: string,
  program: Program,
  record: (undo: JsonValue) => Promise<void>,
): Promise<JsonValue> {
  const { runDir, program: own } = machine.spec
  if (program.is === 'shim') {
    throw new GantryError('InvalidArgument', 'a shim cannot be held off: its container is made anew', {
      details: [{ field: 'for', value: target, remedy: 'leave --for out: it is killed once' }],
    })
  }
  if (program.name === own.name) {
    const undo = { was: 'program', hold: `${runDir}/hold-${program.name}` } satisfies Undo
    await record(undo)
    await machine.run(['sh', '-c', 'mkdir -p "${0%/*}" && : > "$0"', undo.hold])
    return undo
  }
  const killer = await machine.startProgram(['sh', '-c', KILLER, EXECUTABLE[program.name]!])
  const undo = { was: 'started', killer } satisfies Undo
  await record(undo)
  return undo
}
