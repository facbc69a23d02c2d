/** `gantry wait`: until objects are in a state, or gone. */
import { GantryError } from '../../proto/base/errors.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { manifestFlags, manifestsOf } from '../manifest-flags.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import {
  awaitState,
  isIn,
  parseWaitCondition,
  type WaitTarget,
  type WaitCondition,
} from '../../proto/client/wait-condition.ts'
import { UsageError, notFound, throwFailures } from '../../proto/client/failures.ts'
import { kindWord, pluralWord } from '../../proto/client/kind-words.ts'
import { withDeadline } from '../../proto/base/deadline.ts'

/** What kubectl takes a negative timeout for. */
const WEEK_MS = 604_800_000

export default defineCommand({
  usage: '(TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | TYPE --all | -f FILE) --for=STATE [flags]',
  summary: 'wait until objects are in a state',
  examples: [
    'gantry wait --for=condition=Available deploy/web --timeout 2m',
    'gantry wait --for=delete pod/web',
    "gantry wait --for=jsonpath='{.status.phase}'=Running pod/web",
  ],
  flags: {
    ...manifestFlags,
    for: { type: 'text', value: 'state', help: 'condition=NAME[=VALUE], delete, create, or jsonpath=PATH[=VALUE]' },
    timeout: {
      type: 'duration',
      default: 30_000,
      value: 'time',
      help: 'give up after this time; 0: look once; negative: a week',
    },
    selector: { type: 'text', short: 'l', value: 'selector', help: 'objects with these labels' },
    'field-selector': { type: 'text', value: 'selector', help: 'objects with these fields' },
    all: { type: 'boolean', help: 'every object of the type in the namespace' },
    'all-namespaces': { type: 'boolean', short: 'A', help: 'with --all or -l: in every namespace' },
  },
  completes: 'kinds-and-names',
  async run({ flags, args, environment, global, target }) {
    if (flags.for === undefined)
      throw new UsageError('for what? Say --for=condition=NAME, --for=delete or --for=jsonpath=PATH=VALUE')
    const wanted = parseWaitCondition(flags.for)
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    const places =
      flags.filename.length > 0
        ? await manifestsOf({ flags, environment, global, target }, 'named')
        : await placesOf(cluster, args, flags, namespace)
    if (places.length === 0) {
      if (wanted.is === 'delete') return EXIT.ok
      throw new GantryError('NotFound', 'no matching resources found')
    }
    const answers = await Promise.allSettled(
      places.map(async (place) => {
        const timedOut = `timed out waiting for the condition on ${pluralWord(place.kind)}/${place.name}`
        const limit = flags.timeout < 0 ? WEEK_MS : flags.timeout
        if (limit === 0) {
          if (!(await lookOnce(cluster, place, wanted))) throw new GantryError('DeadlineExceeded', timedOut)
        } else
          await withDeadline(
            environment.clock,
            limit,
            environment.signal,
            () => timedOut,
            (signal) => awaitState(cluster, environment.clock, place, wanted, signal),
          )
        environment.stdout.write(`${kindWord(place.kind)}/${place.name} condition met\n`)
      }),
    )
    throwFailures(answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])))
    return EXIT.ok
  },
})

async function placesOf(
  cluster: ClusterClient,
  args: readonly string[],
  flags: {
    selector: string | undefined
    'field-selector': string | undefined
    all: boolean
    'all-namespaces': boolean
  },
  namespace: string,
): Promise<WaitTarget[]> {
  const operands = parseOperands(args, cluster.kinds)
  if (operands.are === 'names')
    return operands.names.map(({ kind, name }) => ({
      kind,
      name,
      namespace: resourceOf(kind).namespaced ? namespace : '',
    }))
  if (!flags.all && flags.selector === undefined && flags['field-selector'] === undefined)
    throw new UsageError(`which ${args[0]}? Name them, or select them with -l, --field-selector or --all`)
  const selection = {
    namespace: flags['all-namespaces'] ? '' : namespace,
    labelSelector: flags.selector,
    fieldSelector: flags['field-selector'],
  }
  const lists = await Promise.all(operands.kinds.map((kind) => cluster.list(kind, selection)))
  return lists
    .flatMap((list): AnyResource[] => list.items)
    .map(({ kind, metadata }) => ({ kind, namespace: metadata.namespace, name: metadata.name, uid: metadata.uid }))
}

async function lookOnce(
  cluster: ClusterClient,
  { kind, namespace, name }: WaitTarget,
  wanted: WaitCondition,
): Promise<boolean> {
  const object = await cluster.find(kind, namespace, name)
  if (object === undefined && wanted.is !== 'delete' && wanted.is !== 'create') throw notFound(kind, namespace, name)
  return isIn(object, wanted)
}
