/** `gantry rollout`: the generations of what replaces its pods step by step. */
import { withDeadline } from '../../proto/base/deadline.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { entry } from '../../proto/client/describe/page.ts'
import { UsageError, notFound, throwFailures } from '../../proto/client/failures.ts'
import { observe } from '../../proto/client/follow.ts'
import { pluralWord } from '../../proto/client/kind-words.ts'
import type { Patch, Revision, Rollout } from '../../proto/client/kinds/kind-record.ts'
import { wordOf } from '../../proto/client/kinds/readiness.ts'
import { kindsWith, readinessOf, recordOf } from '../../proto/client/kinds/registry.ts'
import { formatAge } from '../../proto/objects/columns/age.ts'
import { defineCommand, type Command, type Invocation } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import type { FlagValues } from '../../proto/terminal/flags.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { dryRunFlag, dryRunNote, parseDryRun, type DryRun } from '../dry-run.ts'
import { selectObjects, choiceFlags } from '../object-selection.ts'
import { formatObjects, OUTPUT_HELP, parseFormat } from '../output/format.ts'
import { formatPage } from '../output/page.ts'

interface RolledOut {
  readonly object: AnyResource
  readonly rollout: Rollout
  /** "deployment" */
  readonly word: string
}

interface Rollouts {
  readonly cluster: ClusterClient
  readonly all: readonly RolledOut[]
}

const { filename, recursive, selector } = choiceFlags
const choice = { filename, recursive, selector } as const

async function rolloutsOf(
  invocation: Pick<Invocation<typeof choice>, 'flags' | 'args' | 'environment' | 'global' | 'target'>,
): Promise<Rollouts> {
  const { flags, args, environment, target } = invocation
  if (args.length === 0 && flags.filename.length === 0) throw new UsageError('which deployment? Say deployment/NAME')
  const kinds = kindsWith(({ rollout }) => rollout !== undefined, environment.kinds)
  const names = await selectObjects({ ...invocation, kinds, typeIsAll: true })
  if (names.length === 0) environment.stderr.write(`No resources found in ${await target.namespace()} namespace.\n`)
  const cluster = await target.cluster()
  const objects = await Promise.all(
    names.map(({ kind, namespace, name }): Promise<AnyResource> => cluster.get(kind, namespace, name)),
  )
  return {
    cluster,
    all: objects.map((object) => ({
      object,
      rollout: recordOf(object.kind).rollout!,
      word: object.kind.toLowerCase(),
    })),
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
    const { cluster, all } = await rolloutsOf({ flags, args, environment, global, target })
    const { clock, signal, stdout } = environment
    for (const {
      object: {
        kind,
        metadata: { namespace, name },
      },
      rollout,
      word,
    } of all) {
      const limit = flags.timeout > 0 ? flags.timeout : undefined
      let last = ''
      await withDeadline(
        clock,
        limit,
        signal,
        () =>
          `timed out after ${formatAge(flags.timeout)}: ${last}; \`gantry why ${resourceOf(kind).shortNames[0] ?? word}/${name}\` tells of its pods`,
        async (limited) => {
          for await (const object of observe(cluster, clock, kind, namespace, name, limited)) {
            if (object === undefined) throw notFound(kind, namespace, name)
            if (flags.revision > 0 && rollout.revision(object) !== BigInt(flags.revision))
              throw new GantryError(
                'FailedPrecondition',
                `the newest revision of ${word} "${name}" is ${rollout.revision(object)}, not ${flags.revision}`,
              )
            const readiness = readinessOf(object)
            if (readiness.is === 'failed')
              throw new GantryError('FailedPrecondition', readiness.text, {
                details: [
                  {
                    remedy: `\`gantry describe ${word} ${name}\` tells why, \`gantry rollout undo ${word}/${name}\` goes back`,
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
    const { cluster, all } = await rolloutsOf({ flags, args, environment, global, target })
    const format = parseFormat(flags.output)
    const texts: string[] = []
    for (const rolledOut of all) {
      const { object, rollout } = rolledOut
      const revisions = await rollout.revisions(cluster, object)
      const one = flags.revision > 0 ? findRevision(rolledOut, revisions, BigInt(flags.revision)) : undefined
      if (format.is !== 'table') {
        const keepers = (one === undefined ? revisions : [one]).map(({ keeper }) => keeper)
        texts.push(await formatObjects(format, keepers, one !== undefined))
      } else if (one !== undefined)
        texts.push(`${wordOf(object)} with revision #${one.number}\n${await describeRevision(one)}`)
      else {
        const rows = revisions.map(({ number, cause }) => [String(number), cause === '' ? '<none>' : cause])
        texts.push(`${wordOf(object)}\n${formatTable([['REVISION', 'CHANGE-CAUSE'], ...rows])}`)
      }
    }
    environment.stdout.write(texts.join('\n'))
  },
})

async function describeRevision({ template }: Revision): Promise<string> {
  const { templateEntries } = await import('../../proto/client/describe/template.ts')
  return formatPage([entry('Pod Template', templateEntries(template))])
}

function findRevision({ object, word }: RolledOut, revisions: readonly Revision[], number: bigint): Revision {
  const found = revisions.find((revision) => revision.number === number)
  if (found !== undefined) return found
  throw new GantryError(
    'NotFound',
    `${word} "${object.metadata.name}" has no revision ${number}; it keeps ${revisions.map((revision) => revision.number).join(', ') || 'none'}`,
  )
}

/** A subcommand that changes objects one by one; `change` answers with a sentence where nothing is to be changed. */
function changer<F extends Command['flags']>(
  word: string,
  definition: { usage: string; summary: string; example: string; flags: F },
  change: (
    cluster: ClusterClient,
    rolledOut: RolledOut,
    flags: Readonly<Record<string, unknown>>,
    now: number,
  ) => Promise<Patch | string>,
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
      const { cluster, all } = await rolloutsOf({
        flags: flags as unknown as FlagValues<typeof choice>,
        args,
        environment,
        global,
        target,
      })
      const failures: GantryError[] = []
      for (const rolledOut of all) {
        const {
          kind,
          metadata: { namespace, name },
        } = rolledOut.object
        try {
          const made = await change(cluster, rolledOut, given, environment.clock.now())
          if (typeof made !== 'string' && dryRun !== 'client') {
            await cluster.patch(kind, namespace, name, made.type, made.patch, { dryRun: dryRun === 'server' })
          }
          environment.stdout.write(
            `${wordOf(rolledOut.object)} ${typeof made === 'string' ? made : word}${dryRunNote(dryRun)}\n`,
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
  async (cluster, rolledOut, flags) => {
    const { object, rollout, word } = rolledOut
    refusePaused(rolledOut, 'go back')
    const revisions = await rollout.revisions(cluster, object)
    const wanted = flags['to-revision'] as number
    if (wanted === 0 && revisions.length < 2)
      throw new GantryError('FailedPrecondition', `${word} "${object.metadata.name}" has no earlier revision`)
    const chosen = wanted === 0 ? revisions.at(-2)! : findRevision(rolledOut, revisions, BigInt(wanted))
    return chosen === revisions.at(-1)
      ? `skipped rollback (current template already matches revision ${chosen.number})`
      : rollout.undo(object, chosen)
  },
)

const restart = changer(
  'restarted',
  {
    usage: '(deployment/NAME… | deployment [-l SELECTOR] | -f FILE) [flags]',
    summary: 'replace all pods by new ones',
    example: 'gantry rollout restart deploy/web',
    flags: {},
  },
  async (_, rolledOut, _flags, now) => {
    refusePaused(rolledOut, 'restart')
    return rolledOut.rollout.restart(rolledOut.object, now)
  },
)

function refusePaused({ object, rollout, word }: RolledOut, what: string): void {
  if (rollout.pause?.isPaused(object) !== true) return
  const { name } = object.metadata
  throw new GantryError('FailedPrecondition', `${word} "${name}" is paused and cannot ${what}`, {
    details: [{ remedy: `resume it first: \`gantry rollout resume ${word}/${name}\`` }],
  })
}

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
    async (_, { object, rollout: { pause } }) => {
      const what = `${pluralWord(object.kind)} "${object.metadata.name}"`
      if (pause === undefined) throw new GantryError('FailedPrecondition', `${what} cannot be paused`)
      if (pause.isPaused(object) === paused)
        throw new GantryError('FailedPrecondition', `${what} is ${paused ? 'already' : 'not'} paused`)
      return pause.set(paused)
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
