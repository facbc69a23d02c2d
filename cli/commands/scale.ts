/** `gantry scale`: sets how many replicas run. */
import { fieldAt } from '../../proto/codec/custom.ts'
import { kindsWith, recordOf } from '../../proto/client/kinds/registry.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource, JsonObject, JsonValue } from '../../proto/gen/types.ts'
import { selectObjects, choiceFlags } from '../object-selection.ts'
import type { ObjectKey } from '../../proto/client/object-key.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { waitUntilReady } from '../waiting.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import { kindWord, pluralWord } from '../../proto/client/kind-words.ts'

export default defineCommand({
  usage: '--replicas=COUNT (TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | TYPE --all | -f FILE) [flags]',
  summary: 'set how many replicas run',
  examples: ['gantry scale --replicas=3 deploy/web', 'gantry scale --current-replicas=2 --replicas=5 deployment web'],
  flags: {
    ...choiceFlags,
    replicas: { type: 'integer', value: 'count', help: 'how many' },
    'current-replicas': { type: 'integer', value: 'count', default: -1, help: 'only if there are so many now' },
    wait: { type: 'boolean', help: 'wait until they are available' },
    timeout: { type: 'duration', default: 300_000, value: 'time', help: 'with --wait: give up after this time' },
    'dry-run': dryRunFlag,
  },
  completes: 'workloads',
  async run({ flags, args, environment, global, target }) {
    const { replicas } = flags
    if (replicas === undefined) throw new UsageError('how many? Say --replicas=COUNT')
    if (replicas < 0) throw new UsageError('--replicas is 0 or more')
    const dryRun = parseDryRun(flags['dry-run'])
    if (args.length === 0 && flags.filename.length === 0)
      throw new UsageError('which workload? Say TYPE/NAME', 'such as deploy/web')
    const names = await selectObjects({
      flags,
      args,
      environment,
      global,
      target,
      kinds: kindsWith(({ scale }) => scale !== undefined, environment.kinds),
    })
    const cluster = await target.cluster()
    const answers = await Promise.allSettled(
      names.map((name) => scaleOne(cluster, name, replicas, flags['current-replicas'], dryRun)),
    )
    const scaled = names.filter((_, index) => answers[index]!.status === 'fulfilled')
    if (names.length === 0) environment.stdout.write('No resources found\n')
    for (const { kind, name } of scaled)
      environment.stdout.write(`${kindWord(kind)}/${name} scaled${dryRunNote(dryRun)}\n`)
    throwFailures(answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])))
    if (flags.wait && dryRun === 'none') await waitUntilReady(cluster, environment, scaled, flags.timeout)
    return EXIT.ok
  },
})

async function scaleOne(
  cluster: ClusterClient,
  { kind, namespace, name }: ObjectKey,
  replicas: number,
  current: number,
  dryRun: 'none' | 'client' | 'server',
): Promise<void> {
  const live = (await cluster.get(kind, namespace, name)) as AnyResource
  const path = recordOf(kind).scale!.replicasPath
  const present = fieldAt(live, path.join('.'))
  if (current >= 0 && present !== current) {
    throw new GantryError(
      'FailedPrecondition',
      `${pluralWord(kind)} "${name}" has ${JSON.stringify(present ?? 0)} replicas, not ${current} as --current-replicas says; it was not scaled`,
    )
  }
  if (dryRun === 'client') return
  const wanted = path.reduceRight((inner: JsonValue, field): JsonValue => ({ [field]: inner }), replicas) as JsonObject
  const patch: JsonValue =
    current >= 0 ? { metadata: { resourceVersion: live.metadata.resourceVersion }, ...wanted } : wanted
  await cluster.patch(kind, namespace, name, 'MERGE', patch, { dryRun: dryRun === 'server' })
}
