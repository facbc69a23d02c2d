/**
 * `gantry __complete -- word…`: what may stand in place of the last word; one candidate a line. Called by the scripts
 * of `gantry completion`.
 */
import { defineCommand } from '../../proto/terminal/command.ts'
import { completions } from '../../proto/terminal/completions.ts'
import { rigProgram } from './rig.ts'

export default defineCommand({
  usage: '-- WORD…',
  summary: 'offer completions',
  examples: [],
  flags: { descriptions: { type: 'boolean', help: 'each with a tab and what it is' } },
  completes: 'none',
  async run({ flags, rest, environment, program }) {
    const words = rest ?? []
    if (words[0] === 'rig' && words.length > 1) {
      // That program knows its words.
      return environment.runOnTerminal(process.execPath, [
        rigProgram(),
        '__complete',
        ...(flags.descriptions ? ['--descriptions'] : []),
        '--',
        ...words.slice(1),
      ])
    }
    environment.stdout.write(await completions(words, environment, program, flags.descriptions))
  },
})
