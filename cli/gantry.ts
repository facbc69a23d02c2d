/** The program `gantry`: its commands under their names. */
import type { Program } from '../proto/terminal/command.ts'
import { globalFlags } from '../proto/terminal/target.ts'
import { commands } from './commands/index.ts'

export const gantry: Program = {
  name: 'gantry',
  says: 'gantry runs containers on many machines.',
  commands,
  globalFlags,
  unsupportedCommands: async () => (await import('./commands/unsupported-commands.ts')).unsupportedCommandHints,
}
