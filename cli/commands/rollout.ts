/** `gantry rollout`: the generations of a deployment. */
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import type { Deployment, JsonValue, ReplicaSet } from '../../proto/gen/types.ts'
import { selectObjects, choiceFlags } from '../object-selection.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand, type Command, type Invocation } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun, type DryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { formatAge } from '../../proto/objects/columns/age.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { changeCause, findRevision, HASH_LABEL, revisionOf, revisionsOf } from '../../proto/client/revisions.ts'
import { rolloutReadiness } from '../../proto/client/readiness.ts'
import { observe } from '../../proto/client/follow.ts'
import { UsageError, notFound, throwFailures } from '../../proto/client/failures.ts'
import type { FlagValues } from '../../proto/terminal/flags.ts'
import { withDeadline } from '../../proto/base/deadline.ts'

interface Rollouts {
  readonly cluster: ClusterClient
  readonly deployments: readonly Deployment[]
}

const { filename, recursive, selector } = choiceFlags
const choice = { filename, recursive, selector } as const

async function rolloutsOf(
  invocation: Pick<Invocation<typeof choice>, 'flags' | 'args' | 'environment' | 'global' | 'target'>,
): Promise<Rollouts> {
  const { flags, args, environment, target } = invocation
  if (args.length === 0 && flags.filename.length === 0) throw new UsageError('which deployment? Say deployment/NAME')
  const names = await selectObjects({ ...invocation, kinds: ['Deployment'], typeIsAll: true })
  if (names.length === 0) environment.stderr.write(`No resources found in ${await target.namespace()} namespace.\n`)
  const cluster = await target.cluster()
  return {
    cluster,
    deployments: await Promise.all(names.map(({ namespace, name }) => cluster.get('Deployment', namespace, name))),
  }
}

const status = defineCommand({
  usage: '(deployment/NAME… | deployment [-l SELECTOR] | -f FILE) [flags]',
  summary: 'follow a rollout to its end',
  examples: ['gantry rollout status deploy/web --timeout 2m'],
  flags: {
    ...choice,
    watch: { type: 'boolean', short: 'w', default: true, help: 'until it ends' },
    timeout: { type: 'duration', default: 0, value: 'time', help: 'give up after this time; 0: never' },
    revision: { type: 'integer', value: 'number', default: 0, help: 'only while this revision is the newest' },
  },
  completes: 'deployments',
  async run({ flags, args, environment, global, target }) {
    const { cluster, deployments } = await rolloutsOf({ flags, args, environment, global, target })
    const { clock, signal, stdout } = environment
    for (const {
      metadata: { namespace, name },
    } of deployments) {
      const limit = flags.timeout > 0 ? flags.timeout : undefined
      let last = ''
      await withDeadline(
        clock,
        limit,
        signal,
        () => `timed out after ${formatAge(flags.timeout)}: ${last}; \`gantry why deploy/${name}\` tells of its pods`,
        async (limited) => {
          for await (const deployment of observe(cluster, clock, 'Deployment', namespace, name, limited)) {
            if (deployment === undefined) throw notFound('Deployment', namespace, name)
            if (flags.revision > 0 && revisionOf(deployment) !== BigInt(flags.revision))
              throw new GantryError(
                'FailedPrecondition',
                `the newest revision of deployment "${name}" is ${revisionOf(deployment)}, not ${flags.revision}`,
              )
            const readiness = rolloutReadiness(deployment)
            if (readiness.is === 'failed')
              throw new GantryError('FailedPrecondition', readiness.text, {
                details: [
                  {
                    remedy: `\`gantry describe deployment ${name}\` tells why, \`gantry rollout undo deployment/${name}\` goes back`,
                  },
                ],
              })
            if (readiness.text !== last) stdout.write(`${readiness.text}\n`)
            last = readiness.text
            if (readiness.is === 'ready' || !flags.watch) return
          }
        },
      )
    }
    return EXIT.ok
  },
})

const history = defineCommand({
  usage: 'deployment/NAME [--revision=NUMBER] [flags]',
  summary: 'list the revisions that are kept',
  examples: ['gantry rollout history deploy/web', 'gantry rollout history deploy/web --revision=2'],
  flags: {
    ...choice,
    revision: { type: 'integer', value: 'number', default: 0, help: 'tell everything about one revision' },
    output: { type: 'text', short: 'o', value: 'form', help: OUTPUT_HELP },
  },
  completes: 'deployments',
  async run({ flags, args, environment, global, target }) {
    const { cluster, deployments } = await rolloutsOf({ flags, args, environment, global, target })
    const format = parseFormat(flags.output)
    const texts: string[] = []
    for (const deployment of deployments) {
      const revisions = await revisionsOf(cluster, deployment)
      const chosen = flags.revision > 0 ? [findRevision(deployment, revisions, BigInt(flags.revision))] : revisions
      const title = `deployment.apps/${deployment.metadata.name}`
      if (format.is !== 'table') texts.push(await formatObjects(format, chosen, flags.revision > 0))
      else if (flags.revision > 0)
        texts.push(`${title} with revision #${flags.revision}\n${await describeRevision(chosen[0]!)}`)
      else
        texts.push(
          `${title}\n${formatTable([['REVISION', 'CHANGE-CAUSE'], ...chosen.map((replicaSet) => [String(revisionOf(replicaSet)), changeCause(replicaSet)])])}`,
        )
    }
    environment.stdout.write(texts.join('\n'))
  },
})

async function describeRevision(replicaSet: ReplicaSet): Promise<string> {
  const { describeTemplate } = await import('../describe/template.ts')
  return describeTemplate(replicaSet.spec.template)
}

/** A subcommand that changes deployments one by one. */
function changer<F extends Command['flags']>(
  word: string,
  definition: { usage: string; summary: string; example: string; flags: F },
  change: (
    rollouts: Rollouts,
    deployment: Deployment,
    flags: Readonly<Record<string, unknown>>,
    now: number,
  ) => Promise<{ patch: JsonValue; type: 'JSON' | 'STRATEGIC' } | string>,
): Command {
  return defineCommand({
    usage: definition.usage,
    summary: definition.summary,
    examples: [definition.example],
    flags: { ...choice, ...definition.flags, 'dry-run': dryRunFlag },
    completes: 'deployments',
    async run({ flags, args, environment, global, target }) {
      const given = flags as Readonly<Record<string, unknown>>
      const dryRun: DryRun = parseDryRun(given['dry-run'] as string)
      const rollouts = await rolloutsOf({
        flags: flags as unknown as FlagValues<typeof choice>,
        args,
        environment,
        global,
        target,
      })
      const failures: GantryError[] = []
      for (const deployment of rollouts.deployments) {
        const { namespace, name } = deployment.metadata
        try {
          const made = await change(rollouts, deployment, given, environment.clock.now())
          if (typeof made !== 'string' && dryRun !== 'client') {
            await rollouts.cluster.patch('Deployment', namespace, name, made.type, made.patch, {
              dryRun: dryRun === 'server',
            })
          }
          environment.stdout.write(
            `deployment.apps/${name} ${typeof made === 'string' ? made : word}${dryRunNote(dryRun)}\n`,
          )
        } catch (thrown) {
          failures.push(GantryError.from(thrown))
        }
      }
      throwFailures(failures)
    },
  })
}

const undo = changer(
  'rolled back',
  {
    usage: 'deployment/NAME [--to-revision=NUMBER] [flags]',
    summary: 'go back to an earlier revision',
    example: 'gantry rollout undo deploy/web --to-revision=2',
    flags: { 'to-revision': { type: 'integer', value: 'number', default: 0, help: 'which; 0: the one before' } },
  },
  async ({ cluster }, deployment, flags) => {
    const { name } = deployment.metadata
    if (deployment.spec.paused === true)
      throw new GantryError('FailedPrecondition', `deployment "${name}" is paused and cannot go back`, {
        details: [{ remedy: `resume it first: \`gantry rollout resume deployment/${name}\`` }],
      })
    const revisions = await revisionsOf(cluster, deployment)
    const wanted = flags['to-revision'] as number
    if (wanted === 0 && revisions.length < 2)
      throw new GantryError('FailedPrecondition', `deployment "${name}" has no earlier revision`)
    const chosen = wanted === 0 ? revisions.at(-2)! : findRevision(deployment, revisions, BigInt(wanted))
    if (chosen === revisions.at(-1))
      return `skipped rollback (current template already matches revision ${revisionOf(chosen)})`
    const { encodeJson } = await import('../../proto/codec/codec.ts')
    const template = (encodeJson(chosen).spec as { template: { metadata?: { labels?: Record<string, string> } } })
      .template
    const { [HASH_LABEL]: _, ...labels } = template.metadata?.labels ?? {}
    return {
      type: 'JSON',
      patch: [
        {
          op: 'replace',
          path: '/spec/template',
          value: { ...template, metadata: { ...template.metadata, labels } } as unknown as JsonValue,
        },
      ],
    }
  },
)

/** Any change of the template is a new revision; this one changes nothing else. */
const RESTARTED = 'gantry.dev/restartedAt'

const restart = changer(
  'restarted',
  {
    usage: '(deployment/NAME… | deployment [-l SELECTOR] | -f FILE) [flags]',
    summary: 'replace all pods by new ones',
    example: 'gantry rollout restart deploy/web',
    flags: {},
  },
  async (_, deployment, _flags, now) => {
    const { name } = deployment.metadata
    if (deployment.spec.paused === true)
      throw new GantryError('FailedPrecondition', `deployment "${name}" is paused and cannot restart`, {
        details: [{ remedy: `resume it first: \`gantry rollout resume deployment/${name}\`` }],
      })
    return {
      type: 'STRATEGIC',
      patch: { spec: { template: { metadata: { annotations: { [RESTARTED]: formatTime(now) } } } } },
    }
  },
)

function pauser(paused: boolean): Command {
  const word = paused ? 'paused' : 'resumed'
  return changer(
    word,
    {
      usage: '(deployment/NAME… | deployment [-l SELECTOR] | -f FILE) [flags]',
      summary: paused ? 'hold a rollout where it is' : 'go on with a paused rollout',
      example: `gantry rollout ${paused ? 'pause' : 'resume'} deploy/web`,
      flags: {},
    },
    async (_, deployment) => {
      if ((deployment.spec.paused ?? false) === paused)
        throw new GantryError(
          'FailedPrecondition',
          `deployments.apps "${deployment.metadata.name}" is ${paused ? 'already' : 'not'} paused`,
        )
      return { type: 'STRATEGIC', patch: { spec: { paused } } }
    },
  )
}

export default defineCommand({
  usage: '(status | history | undo | restart | pause | resume) deployment/NAME [flags]',
  summary: 'follow, undo, restart or pause a rollout',
  examples: ['gantry rollout status deploy/web', 'gantry rollout undo deploy/web'],
  flags: {},
  completes: 'none',
  subcommands: { status, history, undo, restart, pause: pauser(true), resume: pauser(false) },
})
