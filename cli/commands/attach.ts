/** `gantry attach`: a running container's own input and output. */
import { GantryError } from '../../proto/base/errors.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { findPods, usablePod } from '../../proto/client/pod-choice.ts'
import { defaultContainer } from './exec.ts'
import { runAttach } from '../terminal.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { isTerminal } from '../../proto/objects/pod.ts'

export default defineCommand({
  usage: '(POD | TYPE/NAME) [-c CONTAINER] [-it]',
  summary: "join a running container's own input and output",
  description:
    "Shows what the container writes from now on, and with -i passes on what is typed, until the container ends; the exit code is then the container's. With -it, ctrl-p ctrl-q lets go of it and leaves it running. Input needs a container with stdin: true, a terminal one with tty: true.",
  examples: ['gantry attach web', 'gantry attach -it shell', 'echo hello | gantry attach -i deploy/reader -c main'],
  flags: {
    container: {
      type: 'text',
      short: 'c',
      value: 'name',
      help: "which container; the pod's first if not given",
      completes: 'container',
    },
    stdin: { type: 'boolean', short: 'i', help: 'pass standard input on' },
    tty: { type: 'boolean', short: 't', help: "with the container's terminal" },
    quiet: { type: 'boolean', short: 'q', help: 'only what the container writes' },
  },
  completes: 'pods-and-workloads',
  async run({ flags, args, rest, environment, target }) {
    const [name, ...more] = args
    if (name === undefined) throw new UsageError('to which pod? Say POD or TYPE/NAME')
    if (more.length > 0 || rest !== undefined)
      throw new UsageError(
        `"${more[0] ?? '--'}" is not expected here`,
        `\`gantry exec ${name} -- COMMAND\` runs a command`,
      )
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    const pod = usablePod(await findPods(cluster, name, namespace))
    if (isTerminal(pod)) {
      throw new GantryError(
        'FailedPrecondition',
        `pod "${pod.metadata.name}" has ended (${pod.status.phase}); \`gantry logs ${pod.metadata.name}\` shows what it wrote`,
      )
    }
    const say = (text: string): void => void (flags.quiet || environment.stderr.write(text))
    const container = flags.container ?? defaultContainer(pod, say)
    if (flags.stdin) say("If you don't see a command prompt, try pressing enter.\n")
    const code = await runAttach(cluster, environment, {
      namespace,
      pod: pod.metadata.name,
      container,
      stdin: flags.stdin,
      tty: flags.tty,
      fromStart: false,
    })
    if (code !== undefined) return code
    say(`\r\nDetached; \`gantry attach -it ${pod.metadata.name} -c ${container}\` joins it again.\n`)
    return EXIT.ok
  },
})
