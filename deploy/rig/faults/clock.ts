/**
 * The wall clock of an agent or a controller set off, by the file that its environment names (proto/base/clock.ts).
 * What measures spans, and what judges certificates, is not touched.
 */
import { formatDuration } from '../../../proto/base/duration.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { CLOCK_OFFSET_VARIABLE } from '../../../proto/base/clock.ts'
import type { Machine, MachineSpec } from '../contract.ts'
import { defineFault, type FaultContext } from './contract.ts'
import { findMachine } from './powered-off.ts'
import { parseTarget, targetWords } from './target.ts'

export const clockFault = defineFault({
  kind: 'clock',
  says: "set off a program's wall clock: an agent's or a controller's",
  parameters: {
    target: {
      type: 'target',
      required: true,
      operand: 0,
      says: 'the program, or its machine: n1, controller-2/controller',
    },
    offset: {
      type: 'duration',
      required: true,
      operand: 1,
      signed: true,
      says: 'how far: 1h is fast, -1h slow; several add up',
    },
  },
  examples: ['clock n1 1h', 'clock controller --for 1m -- -90s'],
  describe: (values) =>
    `clock of ${targetWords(values.target)} ${formatDuration(Math.abs(values.offset))} ${values.offset < 0 ? 'slow' : 'fast'}`,

  async begin(field, values, { id, record }) {
    const machine = field.machine(parseTarget(values.target).machine)
    const file = offsetFile(machine.spec, values.target)
    const undo = { id, file }
    await record(undo)
    await write(machine, undo, values.offset)
    return {
      undo,
      note: "takes effect within half a second; timers and the validity of certificates still follow the machine's clock",
    }
  },

  async end(field, undo, values) {
    const machine = findMachine(field, parseTarget(values.target).machine)
    if (machine !== undefined && (await machine.state()) !== 'off') await erase(machine, undo as unknown as Line)
  },

  async renew(_field: FaultContext, undo, values, machine) {
    if (machine.spec.name === parseTarget(values.target).machine)
      await write(machine, undo as unknown as Line, values.offset)
    return undo
  },
})

/** A fault's line in the file. */
interface Line {
  readonly id: string
  readonly file: string
}

function offsetFile(spec: MachineSpec, target: string): string {
  const { program } = parseTarget(target)
  const file = spec.program.command
    .find((word) => word.startsWith(`${CLOCK_OFFSET_VARIABLE}=`))
    ?.slice(CLOCK_OFFSET_VARIABLE.length + 1)
  if (file !== undefined && (program === undefined || (program.is === 'program' && program.name === spec.program.name)))
    return file
  throw new GantryError('FailedPrecondition', `${targetWords(target)} has no clock that can be set off`, {
    details: [{ field: 'target', value: target, remedy: 'agents and controllers have one: such as n1/agent' }],
  })
}

/** The line is added whole, so that the program never reads half of one; again, it stands once. */
async function write(machine: Machine, line: Line, offset: number): Promise<void> {
  await erase(machine, line)
  await machine.run([
    'sh',
    '-c',
    'printf "%s %s\\n" "$1" "$2" >> "$3"',
    'sh',
    line.id,
    String(Math.round(offset)),
    line.file,
  ])
}

async function erase(machine: Machine, { id, file }: Line): Promise<void> {
  await machine.run(['sh', '-c', '[ ! -e "$2" ] || sed -i "/^$1 /d" "$2"', 'sh', id, file])
}
