/** `gantry rig down`: ends a rig. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { chooseRig, DEFAULT_RIG } from '../choice.ts'
import { removeRig } from '../removal.ts'
import { rigNames } from '../rig-record.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export default defineCommand({
  usage: '[NAME…] [flags]',
  summary: 'end a rig; nothing of it stays',
  description:
    'Ends rigs, half-made ones and those of other versions too: processes, mounts, namespaces, cgroups, interfaces, firewall rules, files, and the context. ' +
    'Without a name: $GANTRY_RIG, else "default", else the only one there is. One that does not exist is as good as ended.',
  examples: ['gantry rig down', 'gantry rig down lab', 'gantry rig down --all'],
  flags: { all: { type: 'boolean', help: 'every rig of this host' } },
  completes: 'rigs',
  async run({ flags, args, environment }) {
    if (flags.all && args.length > 0) throw new UsageError('give names or --all, not both')
    const names = flags.all ? await rigNames() : args.length > 0 ? args : [await onlyOne(environment.env)]
    if (names.length === 0) environment.stdout.write('There is no rig.\n')
    await Promise.all(
      names.map(async (name) => {
        environment.stdout.write(
          (await removeRig(name)) ? `The rig "${name}" is gone.\n` : `There is no rig "${name}".\n`,
        )
      }),
    )
    return EXIT.ok
  },
})

/** "default" if there is none at all: that there is no such rig is then said. */
async function onlyOne(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  return (await rigNames()).length === 0 && (env.GANTRY_RIG ?? '') === '' ? DEFAULT_RIG : chooseRig(undefined, env)
}
