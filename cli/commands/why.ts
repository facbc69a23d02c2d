/** `gantry why`: the scheduler's verdict on every node for one pod. */
import type { JsonValue, Pod, WhyResponse } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { ageSince } from '../../proto/objects/columns/age.ts'
import { finalizerHold } from '../../proto/client/finalizer-hold.ts'
import { palette } from '../../proto/terminal/output/color.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { findPods } from '../../proto/client/pod-choice.ts'
import { UsageError } from '../../proto/client/failures.ts'

export default defineCommand({
  usage: '(POD | TYPE/NAME) [flags]',
  summary: 'tell why a pod is where it is, or nowhere',
  description:
    'Tells why a pod is where it is, or nowhere: for every node the first thing that speaks against it, with its numbers; and what its containers wait for. Of a workload, for each of its pods.',
  examples: ['gantry why web-3', 'gantry why deploy/web', 'gantry why pod/web-3 -o json'],
  flags: { output: { type: 'text', short: 'o', value: 'form', choices: ['json', 'yaml'], help: 'json or yaml' } },
  completes: 'pods-and-workloads',
  async run({ flags, args, environment, target }) {
    if (args.length !== 1) throw new UsageError(args.length === 0 ? 'which pod?' : 'one pod is expected')
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    const pods = await findPods(cluster, args[0]!, namespace)
    const answers = await mapConcurrently(pods, async (pod) => ({
      pod,
      verdict: await cluster.why(namespace, pod.metadata.name),
    }))
    if (flags.output === undefined)
      return void environment.stdout.write(
        answers.map(({ pod, verdict }) => format(pod, verdict, environment)).join('\n'),
      )
    const verdicts = answers.map(({ verdict }) => verdict)
    const shown: JsonValue = JSON.parse(JSON.stringify(verdicts.length === 1 ? verdicts[0] : verdicts)) as JsonValue
    if (flags.output === 'json') return void environment.stdout.write(`${JSON.stringify(shown, undefined, 4)}\n`)
    const { formatYaml } = await import('../../proto/base/yaml-text.ts')
    environment.stdout.write(formatYaml(shown))
  },
})

function format(pod: Pod, { node, summary, verdicts, time }: WhyResponse, { stdout, env, clock }: Environment): string {
  const colors = palette(stdout, env)
  const { name } = pod.metadata
  const place = node !== '' ? `pod/${name} is on node ${node}` : `pod/${name} is on no node`
  const headline = `${place}${summary === '' ? '' : `: ${summary}`}\n${[...held(pod), ...waiting(pod)].map((line) => `${line}\n`).join('')}`
  if (verdicts.length === 0) return headline
  const rows = verdicts.map((one) => [
    one.node,
    one.fits ? colors.green('yes') : colors.red('no'),
    one.fits ? `score ${Math.round(one.score * 100) / 100}` : one.plugin,
    one.reason,
  ])
  const looked = time === '' ? '' : `\nlooked at ${ageSince(time, clock.now())} ago\n`
  return `${headline}\n${formatTable([['NODE', 'FITS', 'BY', 'REASON'], ...rows])}${looked}`
}

/** What keeps a pod that is deleted and has ended. */
function held(pod: Pod): string[] {
  const hold = finalizerHold(pod)
  return hold === undefined ? [] : [`it is deleted and has ended, and is held by ${hold}`]
}

/** What each container that does not run waits for. */
function waiting({ status }: Pod): string[] {
  return [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].flatMap(({ name, state }) => {
    const { reason = '', message = '' } = state?.waiting ?? {}
    return message === '' ? [] : [`container ${name} waits: ${reason}: ${message}`]
  })
}
