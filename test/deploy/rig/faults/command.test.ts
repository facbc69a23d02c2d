/** The command of each fault type, as far as no rig is needed. */
import assert from 'node:assert/strict'
import { helpText, parseLine } from '../../../../proto/terminal/command-line.ts'
import { globalFlags } from '../../../../proto/terminal/target.ts'
import { faultCommand } from '../../../../deploy/rig/commands/fault.ts'
import { commands } from '../../../../deploy/rig/commands/index.ts'
import { faultTypes } from '../../../../deploy/rig/faults/index.ts'
import { operandNames } from '../../../../deploy/rig/faults/values.ts'

const GLOBAL = { config: globalFlags.config }

describe('fault commands', () => {
  for (const type of Object.values(faultTypes)) {
    it(`${type.kind}: its help names every parameter, and its examples are read`, async () => {
      const command = await commands[type.kind]!.load()
      const help = helpText(`gantry rig ${type.kind}`, command, GLOBAL)
      const operands = operandNames(type.parameters)
      for (const name of Object.keys(type.parameters)) {
        assert.ok(
          operands.includes(name)
            ? help.includes(name.toUpperCase())
            : Object.keys(command.flags).includes(name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)),
          name,
        )
      }
      assert.equal('for' in command.flags, type.momentary !== true)
      for (const example of type.examples) {
        const [kind, ...words] = example.split(' ')
        if (kind !== type.kind) continue
        const line = parseLine(`gantry rig ${kind}`, command, GLOBAL, words)!
        assert.ok(line.args.length + (line.rest?.length ?? 0) <= operands.length, example)
      }
    })
  }

  it('no parameter takes the name of a flag that every fault has', () => {
    for (const { kind, parameters } of Object.values(faultTypes))
      assert.deepEqual(
        ['for', 'rig', 'output', 'config', 'help'].filter((name) => name in parameters),
        [],
        kind,
      )
  })

  it('names the choices of operands, and sets further lines under the first', () => {
    const help = helpText('gantry rig registry', faultCommand(faultTypes.registry!), GLOBAL)
    assert.match(help, /^ {2}MODE {7}how it fails: .+\n( {13}\S.*\n)* {13}.*wrong-digest\)$/m)
    assert.deepEqual(
      help.split('\n').filter((line) => line.length > 80),
      [],
    )
  })

  it('shows what is needed in the usage line', () => {
    assert.equal(faultCommand(faultTypes.partition!).usage, 'FROM [TO] [flags]')
    assert.equal(faultCommand(faultTypes.loss!).usage, 'FROM [TO] --share <share> [flags]')
  })
})
