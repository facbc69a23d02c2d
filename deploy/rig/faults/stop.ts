/**
 * SIGSTOP: a machine, or a program on it, stands still until it is continued. Connections stay open, and nobody
 * answers.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { defineFault, type FaultContext } from './contract.ts'
import { findMachine } from './powered-off.ts'
import { findProgram, requireProgram, signal } from './processes.ts'
import { parseTarget, targetWords } from './target.ts'

type Undo =
  | { readonly was: 'machine' }
  /** Those that were stopped, as the machine counts them. */
  | { readonly was: 'program'; readonly pids: readonly number[] }

const target = {
  type: 'target',
  required: true,
  operand: 0,
  says: 'the machine, or a program on it: n2, n2/agent, controller/etcd, n1/shim:POD',
} as const

export const stopFault = defineFault({
  kind: 'stop',
  says: 'stop every process of a machine, or a program on it (SIGSTOP), until it is continued',
  parameters: { target },
  examples: ['stop n2 --for 10s', 'stop controller/etcd', 'cont controller/etcd'],
  describe: (values) => `${targetWords(values.target)} stopped`,

  async begin(field, values, { record }) {
    const { machine: name, program } = parseTarget(values.target)
    const machine = field.machine(name)
    if (program !== undefined) {
      const processes = await requireProgram(machine, program)
      const undo = { was: 'program', pids: processes.map(({ pid }) => pid) } satisfies Undo
      await record(undo)
      await signal(machine, processes, 'STOP')
      return { undo }
    }
    if (!field.driver.capabilities.freeze)
      throw new GantryError('FailedPrecondition', `machines of the ${field.driver.name} driver cannot be stopped`, {
        details: [{ field: 'target', value: name, remedy: 'stop a program on it' }],
      })
    const undo = { was: 'machine' } satisfies Undo
    await record(undo)
    await machine.freeze()
    return { undo }
  },

  async end(field, undo, values) {
    const state = undo as Undo
    const { machine: name, program } = parseTarget(values.target)
    const machine = findMachine(field, name)
    if (machine === undefined || stopsOf(field, values.target).length > 0) return
    if (state.was === 'machine') return (await machine.state()) === 'frozen' ? machine.thaw() : undefined
    if ((await machine.state()) === 'off') return
    await signal(
      machine,
      (await findProgram(machine, program!)).filter(({ pid }) => state.pids.includes(pid)),
      'CONT',
    )
  },

  async renew(_field, undo, values, machine) {
    const { machine: name, program } = parseTarget(values.target)
    if (machine.spec.name !== name) return undo
    if (program !== undefined) return undefined
    await machine.freeze()
    return undo
  },
})

export const contFault = defineFault({
  kind: 'cont',
  says: 'continue what was stopped (SIGCONT)',
  momentary: true,
  parameters: { target },
  examples: ['cont n2', 'cont n2/agent'],
  describe: (values) => `${targetWords(values.target)} continued`,

  async begin(field, values) {
    const stops = stopsOf(field, values.target)
    if (stops.length > 0) {
      await field.heal(stops)
      return { undo: undefined, note: `ended ${stops.join(', ')}` }
    }
    const { machine: name, program } = parseTarget(values.target)
    const machine = field.machine(name)
    if (program === undefined) await machine.thaw()
    else await signal(machine, await requireProgram(machine, program), 'CONT')
    return { undo: undefined, note: 'no fault had stopped it' }
  },

  async end() {
    // Over as soon as it is done: nothing to undo.
  },
})

/** The other stops in force of this very target. */
export function stopsOf(field: FaultContext, text: string): string[] {
  return field.others.filter(({ kind, values }) => kind === 'stop' && values.target === text).map(({ id }) => id)
}
