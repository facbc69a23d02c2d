/** `gantry apply`: makes the cluster match manifests. */
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource, ApplyResponseOutcome } from '../../proto/gen/types.ts'
import { type ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { selectManifests, type Manifest } from '../../proto/client/manifests/manifests.ts'
import { palette } from '../../proto/terminal/output/color.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import {
  executePlan,
  checkHere,
  planApply,
  planPrune,
  type PlanOptions,
  type Step,
} from '../../proto/client/manifests/apply-plan.ts'
import { manifestFlags, manifestsOf, requireValidation, validateFlag } from '../manifest-flags.ts'
import { waitUntilGone, waitUntilReady } from '../waiting.ts'
import { UsageError } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import { CASCADES, FIELD_MANAGER, type DeleteFlags } from '../../proto/client/cluster-options.ts'

const OUTCOMES: Record<ApplyResponseOutcome, string> = {
  CREATED: 'created',
  CONFIGURED: 'configured',
  UNCHANGED: 'unchanged',
}

export default defineCommand({
  usage: '-f FILE [-f FILE…] [flags]',
  summary: 'make the cluster match manifests',
  description:
    'Makes the cluster match manifests: creates what is missing, changes what differs, and takes away the fields that a manifest stops naming. ' +
    'Every object is checked by the server before the first is written: if one is refused, nothing is applied.',
  examples: [
    'gantry apply -f web.yaml',
    'gantry apply -f manifests/ -R --wait',
    'gantry apply -f . --prune --set shop',
    'cat web.yaml | gantry apply -f -',
  ],
  flags: {
    ...manifestFlags,
    'dry-run': dryRunFlag,
    diff: { type: 'boolean', help: 'show what changes before changing it' },
    wait: { type: 'boolean', help: 'wait until everything applied is ready' },
    timeout: {
      type: 'duration',
      default: 300_000,
      value: 'time',
      help: 'with --wait or --force: give up waiting after this time',
    },
    prune: { type: 'boolean', help: 'delete the objects of the set that no manifest names any more' },
    set: { type: 'text', value: 'name', help: 'put the objects into this set (label gantry.dev/set)' },
    'force-conflicts': { type: 'boolean', help: 'take over fields that others own' },
    force: {
      type: 'boolean',
      help: 'take over fields, and delete and make again what cannot be changed as asked, such as a selector',
    },
    'grace-period': {
      type: 'integer',
      value: 'seconds',
      default: -1,
      help: 'with --force: time to stop for what is deleted; negative: what it says itself',
    },
    cascade: {
      type: 'text',
      value: 'how',
      bare: 'background',
      default: 'background',
      choices: Object.keys(CASCADES),
      help: 'with --force: what is done with what the deleted object owns',
    },
    selector: { type: 'text', short: 'l', value: 'selector', help: 'only objects with these labels' },
    validate: validateFlag,
    'server-side': { type: 'boolean', default: true, help: 'merge on the server; there is no other way' },
    'field-manager': { type: 'text', value: 'name', default: FIELD_MANAGER, help: 'owner of the fields applied' },
    output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  },
  completes: 'none',
  async run({ flags, args, environment, global, target }) {
    if (args.length > 0) throw new UsageError(`"${args[0]}" is not expected here`, 'manifests are named with -f')
    if (flags.prune && flags.set === undefined)
      throw new UsageError('--prune needs --set NAME: it deletes only what belongs to that set')
    if (!flags['server-side']) throw new UsageError('--server-side=false: Gantry always merges on the server')
    const dryRun = parseDryRun(flags['dry-run'])
    const format = parseFormat(flags.output)
    requireValidation(flags.validate)
    const manifests = selectManifests(
      await manifestsOf({ flags, environment, global, target }, 'equal'),
      flags.selector,
    )
    const cluster = await target.cluster()
    const grace = flags['grace-period'] < 0 ? undefined : flags['grace-period']
    const options: PlanOptions = {
      fieldManager: flags['field-manager'],
      force: flags.force || flags['force-conflicts'],
      set: flags.set,
      ...(flags.force
        ? {
            remove: (object) =>
              remove(
                cluster,
                environment,
                object,
                { propagation: CASCADES[flags.cascade]!, gracePeriodSeconds: grace },
                flags.timeout,
              ),
          }
        : {}),
    }
    const shown: AnyResource[] = []
    const tell = ({ kind, name }: Manifest, outcome: ApplyResponseOutcome, object: AnyResource | undefined): void => {
      if (format.is === 'table')
        environment.stdout.write(
          `${kindWord(kind)}/${name} ${paintOutcome(outcome, environment)}${dryRunNote(dryRun)}\n`,
        )
      else if (object !== undefined) shown.push(object)
    }

    if (dryRun === 'client') await checkOnly(cluster, manifests, tell)
    else {
      const steps = await planApply(cluster, manifests, options)
      const pruned = flags.prune ? await planPrune(cluster, flags.set!, manifests) : []
      if (flags.diff) await showDiff(cluster, steps, environment)
      sayPlan(environment, steps, pruned, flags.set)
      if (dryRun === 'server') for (const step of steps) tell(step.manifest, step.outcome, step.object)
      else await executePlan(cluster, steps, options, (step, object, outcome) => tell(step.manifest, outcome, object))
      for (const object of pruned) {
        if (dryRun === 'none') await prune(cluster, object)
        if (format.is === 'table')
          environment.stdout.write(`${kindWord(object.kind)}/${object.metadata.name} pruned${dryRunNote(dryRun)}\n`)
      }
    }
    if (format.is !== 'table') environment.stdout.write(await formatObjects(format, shown, manifests.length === 1))
    if (flags.wait && dryRun === 'none') await waitUntilReady(cluster, environment, manifests, flags.timeout)
    return EXIT.ok
  },
})

function paintOutcome(outcome: ApplyResponseOutcome, { stdout, env }: Environment): string {
  const colors = palette(stdout, env)
  switch (outcome) {
    case 'CREATED':
      return colors.green(OUTCOMES[outcome])
    case 'CONFIGURED':
      return colors.yellow(OUTCOMES[outcome])
    case 'UNCHANGED':
      return OUTCOMES[outcome]
  }
}

/** Everything is checked before anything is told. */
async function checkOnly(
  cluster: ClusterClient,
  manifests: readonly Manifest[],
  tell: (manifest: Manifest, outcome: ApplyResponseOutcome, object: AnyResource) => void,
): Promise<void> {
  const { atManifest } = await import('../../proto/client/manifests/manifests.ts')
  for (const manifest of manifests) {
    try {
      checkHere(manifest.kind, manifest.document.json)
    } catch (thrown) {
      throw atManifest(manifest, thrown)
    }
  }
  for (const manifest of manifests) {
    const live = await cluster.find(manifest.kind, manifest.namespace, manifest.name)
    tell(manifest, live === undefined ? 'CREATED' : 'CONFIGURED', manifest.document.object)
  }
}

/** On a terminal one line that counts; what will be pruned is always listed, before anything is written. */
function sayPlan(
  { stderr }: Environment,
  steps: readonly Step[],
  pruned: readonly AnyResource[],
  set: string | undefined,
): void {
  if (stderr.isTTY === true && steps.length + pruned.length > 1) {
    const counts = Object.entries(OUTCOMES).map(([outcome, word]) => ({
      count: steps.filter((step) => step.outcome === outcome).length,
      word,
    }))
    const words = [...counts, { count: pruned.length, word: 'pruned' }]
      .filter(({ count }) => count > 0)
      .map(({ count, word }) => `${count} ${word}`)
    stderr.write(`plan: ${words.join(', ')}\n`)
  }
  if (pruned.length === 0) return
  const lines = pruned.map(
    ({ kind, metadata }) =>
      `  ${kindWord(kind)}/${metadata.name}${metadata.namespace === '' ? '' : ` in namespace ${metadata.namespace}`}\n`,
  )
  stderr.write(`no longer in set ${set}, to be deleted:\n${lines.join('')}`)
}

async function showDiff(cluster: ClusterClient, steps: readonly Step[], environment: Environment): Promise<void> {
  const { diffStep } = await import('../object-diff.ts')
  for (const step of steps) environment.stdout.write(await diffStep(cluster, step, environment))
}

/** Deletes an object and waits until it is gone. */
async function remove(
  cluster: ClusterClient,
  environment: Environment,
  { kind, metadata: { namespace, name, uid } }: AnyResource,
  flags: DeleteFlags,
  timeout: number,
): Promise<void> {
  await waitUntilGone(cluster, environment, [await cluster.delete(kind, namespace, name, { ...flags, uid })], timeout)
}

async function prune(cluster: ClusterClient, { kind, metadata }: AnyResource): Promise<void> {
  try {
    await cluster.delete(kind, metadata.namespace, metadata.name, { uid: metadata.uid })
  } catch (thrown) {
    if (!GantryError.is(thrown, 'NotFound')) throw thrown // already gone is what is wanted
  }
}
