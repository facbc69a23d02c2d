/** `gantry rig heal`: ends faults. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { openEngine } from './fault.ts'

export default defineCommand({
  usage: '[ID…] [flags]',
  summary: 'end faults: these, or all in force',
  description: 'Ends faults, the latest first. What one of them shares with another that stays in force stays so.',
  examples: ['gantry rig heal', 'gantry rig heal f3 f4', 'gantry rig heal --rig lab'],
  flags: { rig: rigFlag },
  completes: 'none',
  async run({ flags, args, environment }) {
    const engine = await openEngine(await chooseRig(flags.rig, environment.env))
    const healed = await engine.heal(args.length === 0 ? undefined : args)
    environment.stdout.write(
      healed.length === 0
        ? 'no fault is in force\n'
        : healed.map(({ id, description }) => `${id} ended: ${description}\n`).join(''),
    )
    return EXIT.ok
  },
})
