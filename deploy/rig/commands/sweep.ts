/** `gantry rig sweep`: what every other verb does first. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'

export default defineCommand({
  usage: '[flags]',
  summary: 'remove what processes that have ended left',
  description:
    'Removes ephemeral rigs whose owner has ended, and rigs that were left half-made. Every other command of `gantry rig` does so first.',
  examples: ['gantry rig sweep'],
  flags: {},
  completes: 'none',
  run: async () => EXIT.ok,
})
