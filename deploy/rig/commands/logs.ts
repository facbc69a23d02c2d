/** `gantry rig logs`: one archive with all that a report of a fault needs. */
import { resolve } from 'node:path'
import { defineCommand } from '../../../proto/terminal/command.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { Rig } from '../rig.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export default defineCommand({
  usage: '[NAME] [flags]',
  summary: 'write one archive with every log, event and object',
  description:
    'Writes one archive (.tar.gz): what every machine and container printed, events, timelines of pods, all objects, versions, the state of every machine, and the faults with their times. Values of secrets are left out. What cannot be had is named in its README, with the reason.',
  examples: ['gantry rig logs', 'gantry rig logs lab -o /tmp/lab.tar.gz'],
  flags: {
    rig: rigFlag,
    output: {
      type: 'text',
      short: 'o',
      value: 'file',
      help: 'where to (default NAME-TIME.tar.gz here)',
      completes: 'file',
    },
  },
  completes: 'rigs',
  async run({ flags, args, environment }) {
    if (args.length > 1) throw new UsageError(`"${args[1]}" is not expected here`, '-o names the file')
    const { stdout, stderr, clock, cwd, signal } = environment
    const rig = await Rig.open(await chooseRig(args[0] ?? flags.rig, environment.env), { signal })
    try {
      const file = resolve(cwd, flags.output ?? `${rig.name}-${formatTime(clock.now()).replaceAll(/[-:]/g, '')}.tar.gz`)
      const { items, missing } = await rig.archive(file)
      for (const { path, reason } of missing)
        stderr.write(`warning: ${path} could not be had: ${reason.split('\n')[0]}\n`)
      stdout.write(`${file}: ${items.length} files\n`)
    } finally {
      rig.close()
    }
  },
})
