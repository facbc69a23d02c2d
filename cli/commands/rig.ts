/** `gantry rig`: handed on to the program of the rig, which lies beside this one. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { defineCommand } from '../../proto/terminal/command.ts'

const PROGRAM = 'gantry-rig.cjs'

export default defineCommand({
  usage: 'VERB [operands] [flags]',
  summary: 'make and break clusters of several machines on this host',
  examples: ['gantry rig up lab --nodes 5 --controllers 3', 'gantry rig status lab', 'gantry rig down lab'],
  flags: {},
  completes: 'none',
  async run({ args, environment }) {
    return environment.runOnTerminal(process.execPath, [rigProgram(), ...args])
  },
})

/** NotFound if it is not installed. */
export function rigProgram(): string {
  // Beside the bundle; run from its source, this command finds it in the bundles' folder.
  const program = [join(import.meta.dirname, PROGRAM), join(import.meta.dirname, '../../dist', PROGRAM)].find(
    existsSync,
  )
  if (program === undefined)
    throw new GantryError('NotFound', `${PROGRAM} is missing beside ${import.meta.dirname}`, {
      details: [{ field: 'program', value: PROGRAM, remedy: 'install Gantry again, or `npm run build`' }],
    })
  return program
}
