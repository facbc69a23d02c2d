/** `gantry why`: the scheduler's verdict on every node for one pod. */
import { defineCommand, UsageError } from '../command.ts'
import { kindOf } from '../operands.ts'
import { ageSince } from '../output/age.ts'
import { palette } from '../output/color.ts'
import { formatTable } from '../output/table.ts'

export default defineCommand({
  usage: 'POD [flags]',
  summary: 'tell why a pod is where it is, or nowhere',
  description: 'Tells why a pod is where it is, or nowhere: for every node the first thing that speaks against it, with its numbers.',
  examples: ['gantry why web-3', 'gantry why pod/web-3 -o json'],
  flags: { output: { type: 'text', short: 'o', value: 'form', choices: ['json', 'yaml'], help: 'json or yaml' } },
  completes: 'pods',
  async run({ flags, args, environment, target }) {
    if (args.length !== 1) throw new UsageError(args.length === 0 ? 'which pod?' : 'one pod is expected')
    const [word, name] = args[0]!.includes('/') ? args[0]!.split('/', 2) as [string, string] : ['pod', args[0]!]
    if (kindOf(word) !== 'Pod') throw new UsageError('only pods are placed on nodes: name one')
    const cluster = await target.cluster()
    const verdict = await cluster.why(await target.namespace(), name)
    if (flags.output === 'json') return void environment.stdout.write(`${JSON.stringify(verdict, undefined, 4)}\n`)
    if (flags.output === 'yaml') {
      const { formatYaml } = await import('../output/yaml.ts')
      return void environment.stdout.write(formatYaml(JSON.parse(JSON.stringify(verdict))))
    }
    const colors = palette(environment.stdout, environment.env)
    const { node, summary, verdicts, time } = verdict
    const place = node !== '' ? `pod/${name} is on node ${node}` : `pod/${name} is on no node`
    environment.stdout.write(`${place}${summary === '' ? '' : `: ${summary}`}\n`)
    if (verdicts.length === 0) return
    const rows = verdicts.map((one) => [one.node, one.fits ? colors.green('yes') : colors.red('no'), one.fits ? `score ${Math.round(one.score * 100) / 100}` : one.plugin, one.reason])
    environment.stdout.write(`\n${formatTable([['NODE', 'FITS', 'BY', 'REASON'], ...rows])}`)
    if (time !== '') environment.stdout.write(`\nlooked at ${ageSince(time, environment.clock.now())} ago\n`)
  },
})
