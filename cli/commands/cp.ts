/**
 * `gantry cp`: files out of a container and into it. https://kubernetes.io/docs/reference/kubectl/generated/kubectl_cp/
 */
import { basename, posix, resolve } from 'node:path'
import { readArchive } from '../../proto/rpc/copy-archive.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Input } from '../../proto/codec/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { CopyInput, CopyOutput, CopyStart } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { LocalPacker } from '../copy/local-pack.ts'
import { LocalUnpacker } from '../copy/local-unpack.ts'
import { parseCopyOperand } from '../copy/copy-operand.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { escapeControls } from '../../proto/terminal/output/escape-controls.ts'
import { UsageError } from '../../proto/client/failures.ts'

/** Pieces of an archive that wait to be sent at most. */
const IN_FLIGHT = 4

export default defineCommand({
  usage: 'SOURCE DESTINATION [-c CONTAINER]',
  summary: 'copy files out of a container and into it',
  description:
    "One of the two is POD:PATH or NAMESPACE/POD:PATH, the other a path here. Directories are copied with all that is in them, with permissions and links; links that lead out of what is copied are left out on this side. Into a container, what is copied to a directory that is there goes into it. Nothing is needed in the image: the node does the work, with the rights of the container's user.",
  examples: [
    'gantry cp web:/var/log/app.log .',
    'gantry cp ./site web:/usr/share/www',
    'gantry cp -n shop web:data ./data -c main',
    'gantry cp shop/web:/etc/app.conf app.conf',
  ],
  flags: {
    container: {
      type: 'text',
      short: 'c',
      value: 'name',
      help: "which container; the pod's first if not given",
      completes: 'container',
    },
    'no-preserve': { type: 'boolean', help: 'leave owner and permissions to the usual rules' },
  },
  completes: 'pods',
  async run({ flags, args, environment, target }) {
    const [from, to, ...more] = args
    if (from === undefined || to === undefined)
      throw new UsageError('from where to where? Say SOURCE DESTINATION', 'one of them is POD:PATH')
    if (more.length > 0) throw new UsageError(`"${more[0]}" is not expected here: one source and one destination are`)
    const [source, destination] = [parseCopyOperand(from), parseCopyOperand(to)]
    if (source.at === destination.at)
      throw new UsageError(
        source.at === 'pod' ? 'one of the two must be a path on this machine' : 'one of the two must be POD:PATH',
        source.at === 'pod' ? 'copy by way of this machine' : 'cp(1) copies on this machine',
      )
    const pod = source.at === 'pod' ? source : (destination as Extract<typeof destination, { at: 'pod' }>)
    const place = {
      namespace: pod.namespace ?? (await target.namespace()),
      pod: pod.pod,
      container: flags.container ?? '',
      path: pod.path,
      noPreserve: flags['no-preserve'],
    }
    const cluster = await target.cluster()
    if (source.at === 'local')
      await copyInto(cluster, environment, resolve(environment.cwd, source.path), { ...place, into: true, name: '' })
    else
      await copyOut(cluster, environment, resolve(environment.cwd, destination.path), {
        ...place,
        into: false,
        name: '',
      })
  },
})

async function copyInto(
  cluster: ClusterClient,
  environment: Environment,
  path: string,
  start: CopyStart,
): Promise<void> {
  const packer = new LocalPacker()
  const inputs = new Channel<Input<CopyInput>>()
  inputs.push({ input: { case: 'start', value: { ...start, name: basename(path) } } })
  const failure: { thrown?: unknown } = {}
  const ending = new AbortController()
  const sending = Promise.all([packer.write(path), send(packer, inputs)]).catch((thrown: unknown) => {
    failure.thrown = thrown
    ending.abort(GantryError.from(thrown))
  })
  try {
    await lastOf(cluster.copy(inputs, AbortSignal.any([environment.signal, ending.signal])), environment)
  } finally {
    inputs.close()
    packer.archive.fail(new GantryError('Cancelled', 'the copy has ended'))
    await sending
    if ('thrown' in failure && !environment.signal.aborted && !GantryError.is(failure.thrown, 'Cancelled'))
      throw GantryError.from(failure.thrown)
  }
  warn(environment, packer.warnings)
}

async function send(packer: LocalPacker, inputs: Channel<Input<CopyInput>>): Promise<void> {
  for await (const piece of packer.archive.pieces()) {
    if (!inputs.push({ input: { case: 'archive', value: piece } })) return
    await inputs.waitForRoom(IN_FLIGHT)
  }
  inputs.push({ input: { case: 'end', value: true } })
}

async function lastOf(outputs: AsyncIterable<CopyOutput>, environment: Environment): Promise<void> {
  for await (const { output } of outputs) {
    if (output?.case !== 'end') continue
    return warn(environment, output.value.warnings)
  }
  throw new GantryError('Unavailable', 'the copy was cut off before it was complete', {
    details: [{ remedy: 'no unfinished file was put in place; copy again' }],
  })
}

async function copyOut(
  cluster: ClusterClient,
  environment: Environment,
  path: string,
  start: CopyStart,
): Promise<void> {
  const name = posix.basename(posix.resolve('/', start.path)) || start.pod
  const unpacker = new LocalUnpacker(path, name, !start.noPreserve)
  const inputs = new Channel<Input<CopyInput>>()
  inputs.push({ input: { case: 'start', value: start } })
  const told: { warnings?: readonly string[] } = {}
  try {
    await readArchive(archiveIn(cluster.copy(inputs), told), (entry, content) => unpacker.take(entry, content))
  } finally {
    inputs.close()
  }
  await unpacker.finish()
  warn(environment, [...(told.warnings ?? []), ...unpacker.warnings])
}

/** What comes is complete only with its end: a cut stream looks like one that ended. */
async function* archiveIn(
  outputs: AsyncIterable<CopyOutput>,
  told: { warnings?: readonly string[] },
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { output } of outputs) {
    if (output?.case === 'archive') yield output.value
    if (output?.case !== 'end') continue
    told.warnings = output.value.warnings
    return
  }
  throw new GantryError('Unavailable', 'the copy was cut off before it was complete', {
    details: [{ remedy: 'no unfinished file was put in place; copy again' }],
  })
}

function warn({ stderr }: Environment, warnings: readonly string[]): void {
  for (const text of warnings) stderr.write(`warning: ${escapeControls(text)}\n`)
}
