/** `gantry logs`: what containers wrote, of one pod or of all pods of a workload together. */
import { allContainers } from '../../proto/objects/containers.ts'
import { parseTime } from '../../proto/base/time.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { throwFailures, UsageError } from '../../proto/client/failures.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { copyLogs, mergeLogs, type LogSource } from '../../proto/client/log-streams.ts'
import { findPods } from '../../proto/client/pod-choice.ts'
import type { FlagValues } from '../../proto/terminal/flags.ts'

const logFlags = {
  follow: { type: 'boolean', short: 'f', help: 'go on with what is written from now on' },
  previous: { type: 'boolean', short: 'p', help: 'of the instance before the present one' },
  tail: { type: 'integer', value: 'lines', help: 'this many lines from the end; -1: all (with -l 10 if not given)' },
  since: { type: 'duration', value: 'time', help: 'what was written in this time, such as 5m' },
  'since-time': { type: 'text', value: 'time', help: 'what was written after a time, such as 2026-01-31T12:00:00Z' },
  container: {
    type: 'text',
    short: 'c',
    value: 'name',
    help: "which container; the pod's first if not given",
    completes: 'container',
  },
  'all-containers': { type: 'boolean', help: 'of every container' },
  timestamps: { type: 'boolean', help: 'begin each line with its time' },
  prefix: { type: 'boolean', help: 'begin each line with pod and container' },
  selector: { type: 'text', short: 'l', value: 'selector', help: 'of every pod with these labels' },
  'limit-bytes': { type: 'integer', value: 'bytes', help: 'at most so much of each container' },
  'max-log-requests': {
    type: 'integer',
    value: 'number',
    help: 'with -f: refuse more containers than this; all if not given',
  },
  'all-pods': {
    type: 'boolean',
    help: 'of every pod of a workload, which is so anyway; each line begins with pod and container',
  },
  'ignore-errors': { type: 'boolean', help: 'go on with the others when one fails' },
} as const

export default defineCommand({
  usage: '(POD | TYPE/NAME | -l SELECTOR) [CONTAINER] [flags]',
  summary: 'show what containers wrote',
  description:
    'Shows what containers wrote. Of several pods, as those of a deployment, the lines come in the order of their time.',
  examples: [
    'gantry logs web',
    'gantry logs -f deploy/web',
    'gantry logs web -c init --previous',
    'gantry logs -l app=web --since 5m --prefix',
  ],
  flags: logFlags,
  completes: 'pods-and-workloads',
  async run({ flags, args, environment, target }) {
    check(flags, args)
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    const pods =
      flags.selector === undefined
        ? await findPods(cluster, args[0]!, namespace)
        : (await cluster.list('Pod', { namespace, labelSelector: flags.selector })).items
    if (pods.length === 0) {
      environment.stderr.write(`No resources found in ${namespace} namespace.\n`)
      return EXIT.ok
    }
    const tail = flags.tail ?? (flags.selector === undefined ? -1 : 10)
    const sources = pods.flatMap((pod, index) =>
      containersOf(pod, flags, args[1], index === 0 ? (text) => environment.stderr.write(text) : undefined).map(
        (container): LogSource => ({
          label: `[pod/${pod.metadata.name}/${container}] `,
          waitingReason: waitingReasonOf(pod, container),
          request: {
            namespace,
            pod: pod.metadata.name,
            container,
            follow: flags.follow,
            previous: flags.previous,
            timestamps: flags.timestamps,
            ...(tail < 0 ? {} : { tailLines: tail }),
            ...(flags.since === undefined ? {} : { sinceSeconds: Math.max(1, Math.ceil(flags.since / 1000)) }),
            sinceTime: flags['since-time'] ?? '',
            ...(flags['limit-bytes'] === undefined ? {} : { limitBytes: flags['limit-bytes'] }),
          },
        }),
      ),
    )
    const most = flags['max-log-requests']
    if (flags.follow && most !== undefined && sources.length > most)
      throw new GantryError(
        'FailedPrecondition',
        `these are the logs of ${sources.length} containers, more than the ${most} of --max-log-requests`,
        { details: [{ remedy: 'raise it, or select fewer' }] },
      )
    const options = { prefix: flags.prefix || flags['all-pods'], timestamps: flags.timestamps }
    const write = (data: string | Uint8Array): void => void environment.stdout.write(data)
    if (flags.follow || sources.length === 1) {
      tellFailures(await copyLogs(cluster, sources, options, write), flags['ignore-errors'], environment)
      return EXIT.ok
    }
    const { text, failures } = await mergeLogs(cluster, sources, options)
    write(text)
    tellFailures(failures, flags['ignore-errors'], environment)
    return EXIT.ok
  },
})

/** After what the others wrote: throws, unless failures are only to be told. */
function tellFailures(failures: readonly GantryError[], ignored: boolean, { stderr }: Environment): void {
  if (!ignored) return throwFailures(failures)
  for (const failure of failures) stderr.write(`error: ${failure.message}\n`)
}

/** "ImagePullBackOff: …" of a container that has not run yet; '' of any other. */
function waitingReasonOf({ status }: Pod, container: string): string {
  const { state, lastState } =
    [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].find(
      ({ name }) => name === container,
    ) ?? {}
  if (state?.waiting === undefined || lastState?.terminated !== undefined) return ''
  return [state.waiting.reason, state.waiting.message].filter((text) => text !== undefined && text !== '').join(': ')
}

function check(flags: FlagValues<typeof logFlags>, args: readonly string[]): void {
  if (flags.selector === undefined && args.length === 0)
    throw new UsageError('of which pod? Say POD, TYPE/NAME or -l SELECTOR')
  if (flags.selector !== undefined && args.length > 0) throw new UsageError('give a name or a selector, not both')
  if (args.length > 2) throw new UsageError(`"${args[2]}" is not expected here: one pod and one container are`)
  if (flags.since !== undefined && flags['since-time'] !== undefined)
    throw new UsageError('give --since or --since-time, not both')
  if (flags.since !== undefined && flags.since <= 0)
    throw new UsageError('--since is a time back from now, more than 0')
  if ((flags.tail ?? 0) < -1) throw new UsageError('--tail is a number of lines, or -1 for all')
  if (flags['all-containers'] && (flags.container !== undefined || args.length === 2))
    throw new UsageError("--all-containers and a container's name exclude each other")
  if (flags.container !== undefined && args.length === 2) throw new UsageError('the container is given twice')
  if (flags['since-time'] !== undefined) {
    try {
      parseTime(flags['since-time'])
    } catch (thrown) {
      throw new UsageError(`--since-time: ${(thrown as Error).message}`)
    }
  }
}

function containersOf(
  pod: Pod,
  flags: { container: string | undefined; 'all-containers': boolean },
  operand: string | undefined,
  say: ((text: string) => void) | undefined,
): string[] {
  const { metadata, spec } = pod
  const main = spec.containers.map((container) => container.name)
  const all = allContainers(pod).map((container) => container.name)
  if (flags['all-containers']) return all
  const wanted = flags.container ?? operand
  if (wanted !== undefined) {
    if (all.includes(wanted)) return [wanted]
    throw new GantryError(
      'InvalidArgument',
      `pod "${metadata.name}" has no container "${wanted}"; it has ${all.join(', ')}`,
    )
  }
  const chosen = metadata.annotations?.['kubectl.kubernetes.io/default-container'] ?? main[0]!
  if (all.length > 1) say?.(`Defaulted container "${chosen}" out of: ${all.join(', ')}\n`)
  return [chosen]
}
