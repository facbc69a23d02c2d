/** `gantry delete`: ends objects, and waits until they are gone. */
import { GantryError } from '../../proto/base/errors.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import { type ClusterClient } from '../../proto/client/cluster.ts'
import { waitUntilGone } from '../waiting.ts'
import type { ObjectKey } from '../../proto/client/object-key.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { manifestFlags, manifestsOf } from '../manifest-flags.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import { CASCADES, type DeleteFlags } from '../../proto/client/cluster-options.ts'

export default defineCommand({
  usage: '(-f FILE | TYPE [NAME… | -l SELECTOR | --all] | TYPE/NAME…) [flags]',
  summary: 'delete objects',
  description: 'Deletes objects and waits until they are gone. A pod gets its grace to stop first.',
  examples: [
    'gantry delete pod web',
    'gantry delete deploy/web deploy/api',
    'gantry delete -f web.yaml',
    'gantry delete pods -l app=web --wait=false',
  ],
  flags: {
    ...manifestFlags,
    selector: { type: 'text', short: 'l', value: 'selector', help: 'objects with these labels' },
    'field-selector': { type: 'text', value: 'selector', help: 'objects with these fields' },
    all: { type: 'boolean', help: 'every object of the type in the namespace' },
    'all-namespaces': { type: 'boolean', short: 'A', help: 'with --all or -l: in every namespace' },
    'grace-period': {
      type: 'integer',
      value: 'seconds',
      default: -1,
      help: 'time to stop; negative: what the pod says',
    },
    now: { type: 'boolean', help: 'one second of grace' },
    force: { type: 'boolean', help: 'do not wait for the node to confirm that it stopped' },
    cascade: {
      type: 'text',
      value: 'how',
      bare: 'background',
      default: 'background',
      choices: ['background', 'foreground', 'orphan'],
      help: 'what is done with what the object owns',
    },
    wait: { type: 'boolean', default: true, help: 'wait until they are gone' },
    timeout: { type: 'duration', default: 0, value: 'time', help: 'give up waiting after this time; 0: never' },
    'ignore-not-found': { type: 'boolean', help: 'an object that does not exist is as good as deleted' },
    'dry-run': dryRunFlag,
    output: {
      type: 'text',
      short: 'o',
      value: 'form',
      choices: ['name'],
      help: 'name: only what was deleted, as type/name',
    },
  },
  completes: 'kinds-and-names',
  async run({ flags, args, environment, global, target }) {
    const dryRun = parseDryRun(flags['dry-run'])
    const grace = graceOf(flags)
    const cluster = await target.cluster()
    const fromFiles = flags.filename.length > 0
    if (fromFiles && args.length > 0) throw new UsageError('give files or names, not both')
    const doomed: readonly ObjectKey[] = fromFiles
      ? (await manifestsOf({ flags, environment, global, target }, 'named')).reverse()
      : await select(cluster, args, flags, await target.namespace())
    if (doomed.length === 0) {
      environment.stdout.write('No resources found\n')
      return EXIT.ok
    }
    if (flags.force)
      environment.stderr.write('warning: forced: a node that cannot be reached may go on running what is deleted\n')
    const options = { propagation: CASCADES[flags.cascade]!, gracePeriodSeconds: grace, dryRun: dryRun === 'server' }
    const gone = await deleteAll(cluster, environment, doomed, options, {
      dryRun: dryRun === 'client',
      ignoreMissing: flags['ignore-not-found'] || flags.all,
      line: ({ kind, name }) =>
        flags.output === 'name'
          ? `${kindWord(kind)}/${name}\n`
          : `${kindWord(kind)} "${name}"${flags.force ? ' force' : ''} deleted${dryRunNote(dryRun)}\n`,
    })
    if (flags.wait && dryRun === 'none') await waitUntilGone(cluster, environment, gone, flags.timeout)
    return EXIT.ok
  },
})

/** Seconds; undefined leaves it to the pod. */
function graceOf(flags: { 'grace-period': number; now: boolean; force: boolean; wait: boolean }): number | undefined {
  const { now, force } = flags
  const period = flags['grace-period']
  if (now && period >= 0) throw new UsageError('--now is --grace-period=1: give one of the two')
  if (force && period > 0) throw new UsageError('--force leaves no grace: it goes with --grace-period=0 only')
  if (force) return 0
  if (now) return 1
  return period < 0 ? undefined : period === 0 ? 1 : period // without --force a node must confirm, which takes a moment
}

async function select(
  cluster: ClusterClient,
  args: readonly string[],
  flags: {
    selector: string | undefined
    'field-selector': string | undefined
    all: boolean
    'all-namespaces': boolean
  },
  namespace: string,
): Promise<ObjectKey[]> {
  const operands = parseOperands(args, cluster.kinds)
  const selected = flags.all || flags.selector !== undefined || flags['field-selector'] !== undefined
  if (operands.are === 'names') {
    if (selected) throw new UsageError('give names or a selection (-l, --field-selector, --all), not both')
    return operands.names.map(({ kind, name }) => ({
      kind,
      name,
      namespace: resourceOf(kind).namespaced ? namespace : '',
    }))
  }
  if (!selected) throw new UsageError(`which ${args[0]}? Name them, or select them with -l, --field-selector or --all`)
  const selection = {
    namespace: flags['all-namespaces'] ? '' : namespace,
    labelSelector: flags.selector,
    fieldSelector: flags['field-selector'],
  }
  const lists = await Promise.all(operands.kinds.map((kind) => cluster.list(kind, selection)))
  return lists
    .flatMap((list): AnyResource[] => list.items)
    .map(({ kind, metadata }) => ({ kind, namespace: metadata.namespace, name: metadata.name }))
}

interface Deletion {
  /** Only looks whether they exist. */
  readonly dryRun: boolean
  readonly ignoreMissing: boolean
  readonly line: (object: ObjectKey) => string
}

async function deleteAll(
  cluster: ClusterClient,
  environment: Environment,
  doomed: readonly ObjectKey[],
  options: DeleteFlags,
  deletion: Deletion,
): Promise<AnyResource[]> {
  const failures: GantryError[] = []
  const answers = await mapConcurrently(doomed, async ({ kind, namespace, name }) => {
    const [answer] = await Promise.allSettled([
      deletion.dryRun ? cluster.get(kind, namespace, name) : cluster.delete(kind, namespace, name, options),
    ])
    return answer
  })
  const gone = answers.flatMap((answer, index): AnyResource[] => {
    if (answer.status === 'fulfilled') {
      environment.stdout.write(deletion.line(doomed[index]!))
      return [answer.value]
    }
    const failure = GantryError.from(answer.reason)
    if (failure.code !== 'NotFound' || !deletion.ignoreMissing) failures.push(failure)
    return []
  })
  throwFailures(failures)
  return gone
}
