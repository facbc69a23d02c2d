/** `gantry exec`: runs a command in a container and ends with its exit code. */
import { GantryError } from '../../proto/base/errors.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { findPods, usablePod } from '../../proto/client/pod-choice.ts'
import { runExec } from '../terminal.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { isTerminal } from '../../proto/objects/pod.ts'

export default defineCommand({
  usage: '(POD | TYPE/NAME) [-c CONTAINER] [-it] -- COMMAND [argument…]',
  summary: 'run a command in a container',
  examples: [
    'gantry exec web -- ls /',
    'gantry exec -it deploy/web -- sh',
    'tar c . | gantry exec -i web -- tar x -C /tmp',
  ],
  flags: {
    container: {
      type: 'text',
      short: 'c',
      value: 'name',
      help: "which container; the pod's first if not given",
      completes: 'container',
    },
    stdin: { type: 'boolean', short: 'i', help: 'pass standard input on' },
    tty: { type: 'boolean', short: 't', help: 'with a terminal' },
    quiet: { type: 'boolean', short: 'q', help: 'only what the command writes' },
  },
  completes: 'pods-and-workloads',
  async run({ flags, args, rest, environment, target }) {
    const [name, ...more] = args
    if (name === undefined) throw new UsageError('in which pod? Say POD or TYPE/NAME')
    if (more.length > 0)
      throw new UsageError(`"${more[0]}" stands before "--"`, `write \`gantry exec ${name} -- ${more.join(' ')}\``)
    if (rest === undefined || rest.length === 0)
      throw new UsageError('which command? It stands after "--"', `such as \`gantry exec ${name} -- sh\``)
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    const pod = usablePod(await findPods(cluster, name, namespace))
    if (isTerminal(pod)) {
      throw new GantryError(
        'FailedPrecondition',
        `pod "${pod.metadata.name}" has ended (${pod.status.phase}); nothing can be run in it`,
      )
    }
    const container =
      flags.container ?? defaultContainer(pod, (text) => void (flags.quiet || environment.stderr.write(text)))
    return runExec(cluster, environment, {
      namespace,
      pod: pod.metadata.name,
      container,
      command: [...rest],
      stdin: flags.stdin,
      tty: flags.tty,
    })
  },
})

/** The container meant where none is named, which is said if there are several. */
export function defaultContainer(
  pod: {
    metadata: { annotations?: Record<string, string> | undefined }
    spec: { containers: readonly { name: string }[] }
  },
  say: (text: string) => void,
): string {
  const names = pod.spec.containers.map((container) => container.name)
  const chosen = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'] ?? names[0]!
  if (names.length > 1) say(`Defaulted container "${chosen}" out of: ${names.join(', ')}\n`)
  return chosen
}
