/** `gantry run`: a pod from flags. */
import { decodeJson } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { JsonObject, Pod } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import { summarizePod } from '../../proto/objects/columns/pod-status.ts'
import { Progress } from '../../proto/terminal/output/progress.ts'
import { runAttach } from '../terminal.ts'
import { observe } from '../../proto/client/follow.ts'
import { UsageError, notFound } from '../../proto/client/failures.ts'
import { withDeadline } from '../../proto/base/deadline.ts'
import { isTerminal } from '../../proto/objects/pod.ts'

export default defineCommand({
  usage: 'NAME --image=IMAGE [flags] [-- argument…]',
  summary: 'run an image in a pod',
  description:
    'Makes a pod of one container. With --attach or --rm it shows what the container writes until it ends, and ends with its exit code; with -i what is typed goes to the container, with -t by a terminal (ctrl-p ctrl-q lets go of it).',
  examples: [
    'gantry run web --image=nginx --port=80',
    'gantry run once --image=busybox --restart=Never --rm -- echo hello',
    'gantry run -it --rm shell --image=busybox -- sh',
  ],
  flags: {
    image: { type: 'text', value: 'image', help: 'what to run' },
    restart: {
      type: 'text',
      value: 'policy',
      default: 'Always',
      choices: ['Always', 'OnFailure', 'Never'],
      help: 'what happens when it ends',
    },
    env: { type: 'list', value: 'name=value', help: 'an environment variable; may be repeated' },
    labels: {
      type: 'text',
      short: 'l',
      value: 'labels',
      help: 'labels of the pod, such as app=web,tier=front (default run=NAME)',
    },
    annotations: { type: 'list', value: 'key=value', help: 'an annotation; may be repeated' },
    port: { type: 'integer', value: 'number', help: 'a port that the container listens on' },
    command: { type: 'boolean', help: "what stands after -- replaces the image's entry point, not its arguments" },
    'image-pull-policy': {
      type: 'text',
      value: 'policy',
      choices: ['Always', 'IfNotPresent', 'Never'],
      help: 'when the image is pulled',
    },
    attach: { type: 'boolean', help: 'show what it writes until it ends' },
    rm: { type: 'boolean', help: 'delete the pod when it has ended' },
    stdin: { type: 'boolean', short: 'i', help: 'pass standard input on; shows what it writes, too' },
    tty: { type: 'boolean', short: 't', help: 'give the container a terminal' },
    'pod-running-timeout': {
      type: 'duration',
      value: 'time',
      default: 60_000,
      help: 'give up when it has not started after this time',
    },
    'dry-run': dryRunFlag,
    output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  },
  completes: 'none',
  async run({ flags, args, rest, environment, target }) {
    const [name, ...more] = args
    if (name === undefined) throw new UsageError('which name is the pod to have?')
    if (more.length > 0)
      throw new UsageError(`"${more[0]}" is not expected here`, 'arguments of the container stand after "--"')
    if (flags.image === undefined) throw new UsageError('which image? Say --image=IMAGE')
    if (flags.rm && !flags.stdin && flags.restart === 'Always')
      throw new UsageError(
        '--rm deletes a pod that has ended, and with --restart=Always it never does',
        'add --restart=Never',
      )
    const dryRun = parseDryRun(flags['dry-run'])
    const format = parseFormat(flags.output)
    const namespace = await target.namespace()
    const container: JsonObject = {
      name,
      image: flags.image,
      tty: flags.tty,
      ...(flags.stdin ? { stdin: true, stdinOnce: true } : {}),
      ...(rest === undefined || rest.length === 0 ? {} : { [flags.command ? 'command' : 'args']: [...rest] }),
      ...(flags.env.length === 0
        ? {}
        : { env: pairs('--env', flags.env).map(([key, value]) => ({ name: key, value })) }),
      ...(flags.port === undefined ? {} : { ports: [{ containerPort: flags.port }] }),
      ...(flags['image-pull-policy'] === undefined ? {} : { imagePullPolicy: flags['image-pull-policy'] }),
    }
    const labels =
      flags.labels === undefined ? { run: name } : Object.fromEntries(pairs('--labels', flags.labels.split(',')))
    const metadata = {
      name,
      namespace,
      labels,
      ...(flags.annotations.length === 0
        ? {}
        : { annotations: Object.fromEntries(pairs('--annotations', flags.annotations)) }),
    }
    const draft = decodeJson('Pod', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { containers: [container], restartPolicy: flags.restart },
    })
    const follows = (flags.attach || flags.rm || flags.stdin) && dryRun === 'none'
    const cluster = dryRun === 'client' ? undefined : await target.cluster()
    const pod = cluster === undefined ? draft : await cluster.create(draft, { dryRun: dryRun === 'server' })
    if (format.is !== 'table') environment.stdout.write(await formatObjects(format, [pod], true))
    else if (!follows) environment.stdout.write(`pod/${name} created${dryRunNote(dryRun)}\n`)
    if (!follows || cluster === undefined) return EXIT.ok
    try {
      return await followPod(cluster, environment, pod, flags['pod-running-timeout'], flags)
    } finally {
      if (flags.rm) {
        await cluster.delete('Pod', namespace, name, { uid: pod.metadata.uid })
        environment.stdout.write(`pod "${name}" deleted\n`)
      }
    }
  },
})

function pairs(flag: string, texts: readonly string[]): [string, string][] {
  return texts.map((text) => {
    const at = text.indexOf('=')
    if (at <= 0) throw new UsageError(`${flag}: "${text}" is not KEY=VALUE`)
    return [text.slice(0, at), text.slice(at + 1)]
  })
}

/**
 * Shows what the container writes from its start to its end, with `stdin` joined to its input; its exit code, 0 if the
 * person lets go of it.
 */
async function followPod(
  cluster: ClusterClient,
  environment: Environment,
  { metadata }: Pod,
  timeout: number,
  { stdin, tty }: { readonly stdin: boolean; readonly tty: boolean },
): Promise<number> {
  const { namespace, name } = metadata
  const { clock, signal, stdout, stderr } = environment
  const progress = new Progress(stderr)
  let last = 'not seen by a node yet'
  try {
    await withDeadline(
      clock,
      timeout,
      signal,
      () => `pod "${name}" did not start: ${last}`,
      async (limited) => {
        for await (const pod of observe(cluster, clock, 'Pod', namespace, name, limited)) {
          if (pod === undefined) throw notFound('Pod', namespace, name)
          if (
            pod.status.containerStatuses?.some(
              ({ state }) => state?.running !== undefined || state?.terminated !== undefined,
            ) === true
          )
            return
          last = `${summarizePod(pod).status}${waitingFor(pod)}`
          if (stderr.isTTY === true) progress.update(`pod/${name}: ${last}`)
        }
      },
    )
  } finally {
    progress.clear()
  }
  if (stdin) {
    try {
      if (tty) stderr.write("If you don't see a command prompt, try pressing enter.\n")
      return (
        (await runAttach(cluster, environment, {
          namespace,
          pod: name,
          container: name,
          stdin,
          tty,
          fromStart: true,
        })) ?? EXIT.ok
      )
    } catch (thrown) {
      // It has ended already: its log has all that it wrote.
      if (!GantryError.is(thrown, 'FailedPrecondition')) throw thrown
    }
  }
  for await (const bytes of cluster.logs({ namespace, pod: name, container: name, follow: true })) stdout.write(bytes)
  for await (const pod of observe(cluster, clock, 'Pod', namespace, name, signal)) {
    if (pod === undefined) throw notFound('Pod', namespace, name)
    const ended = pod.status.containerStatuses?.[0]?.state?.terminated
    if (ended !== undefined && isTerminal(pod)) return ended.exitCode
  }
  throw new GantryError('Unavailable', `pod "${name}" could not be followed to its end`)
}

function waitingFor(pod: Pod): string {
  const message = pod.status.containerStatuses
    ?.map(({ state }) => state?.waiting?.message)
    .find((text) => text !== undefined && text !== '')
  return message === undefined ? '' : ` (${message})`
}
