/** A machine ends at once and starts again: what was written is kept, its runDir is empty. */
import { GantryError } from '../../../proto/base/errors.ts'
import { defineFault } from './contract.ts'
import { poweredOffBy, startUnlessPoweredOff } from './powered-off.ts'

export const rebootFault = defineFault({
  kind: 'reboot',
  says: 'end a machine at once and start it again',
  momentary: true,
  parameters: { machine: { type: 'machine', required: true, operand: 0, says: 'which' } },
  examples: ['reboot n2'],
  describe: ({ machine }) => `${machine} rebooted`,

  async begin(field, { machine: name }, { record }) {
    const keeping = poweredOffBy(field, name)
    if (keeping.length > 0) {
      throw new GantryError('FailedPrecondition', `${name} is off by ${keeping.join(', ')}`, {
        details: [{ field: 'machine', value: name, remedy: `\`gantry rig heal ${keeping.join(' ')}\` starts it` }],
      })
    }
    const machine = field.machine(name)
    await record({})
    await machine.kill()
    await field.start(machine)
    return { undo: undefined }
  },

  /** Of one that was broken off between its end and its start. */
  end: (field, _undo, { machine }) => startUnlessPoweredOff(field, machine),
})
