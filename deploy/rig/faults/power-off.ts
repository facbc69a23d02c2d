/** A machine loses its power: everything on it ends at once, and what was not synced to its disk is lost. */
import { GantryError } from '../../../proto/base/errors.ts'
import { defineFault } from './contract.ts'
import { startUnlessPoweredOff } from './powered-off.ts'

export const powerOffFault = defineFault({
  kind: 'power-off',
  says: 'take the power from a machine: nothing is flushed to its disk',
  parameters: { machine: { type: 'machine', required: true, operand: 0, says: 'which' } },
  examples: ['power-off n2', 'power-off controller-1 --for 10s'],
  describe: ({ machine }) => `${machine} without power`,

  async begin(field, { machine: name }, { record }) {
    const { driver } = field
    if (!driver.capabilities.powerLoss) {
      throw new GantryError(
        'FailedPrecondition',
        `a machine of the ${driver.name} driver cannot lose what it has not flushed`,
        { details: [{ field: 'machine', value: name, remedy: '`kill` ends it with its files as they are' }] },
      )
    }
    const machine = field.machine(name)
    await record({})
    await machine.powerOff()
    return { undo: {} }
  },

  end: (field, _undo, { machine }) => startUnlessPoweredOff(field, machine),
})
