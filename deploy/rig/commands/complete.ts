/** `gantry rig __complete -- word…`: called by `gantry __complete`. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { completions } from '../../../proto/terminal/completions.ts'

export default defineCommand({
  usage: '-- WORD…',
  summary: 'offer completions',
  examples: [],
  flags: { descriptions: { type: 'boolean', help: 'each with a tab and what it is' } },
  completes: 'none',
  async run({ flags, rest, environment, program }) {
    environment.stdout.write(await completions(rest ?? [], environment, program, flags.descriptions))
  },
})
