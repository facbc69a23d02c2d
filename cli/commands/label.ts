/** `gantry label` and `gantry annotate`: single labels and annotations of objects. */
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand, type Command } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun, type DryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { manifestFlags, manifestsOf } from '../manifest-flags.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { formatLabels } from '../output/rows.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import { kindWord, pluralWord } from '../../proto/client/kind-words.ts'

/** Null takes the key away. */
type Changes = ReadonlyMap<string, string | null>

function marker(field: 'labels' | 'annotations', verb: string, done: string): Command {
  return defineCommand({
    usage: `(TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | TYPE --all | -f FILE) KEY=VALUE… KEY-… [flags]`,
    summary: `set or remove ${field}`,
    examples: [
      `gantry ${verb} pod web color=blue`,
      `gantry ${verb} node/n1 disk=ssd --overwrite`,
      `gantry ${verb} pods --all color-`,
    ],
    flags: {
      ...manifestFlags,
      overwrite: { type: 'boolean', help: 'change values that are set already' },
      all: { type: 'boolean', help: 'every object of the type in the namespace' },
      selector: { type: 'text', short: 'l', value: 'selector', help: 'objects with these labels' },
      'field-selector': { type: 'text', value: 'selector', help: 'objects with these fields' },
      'all-namespaces': { type: 'boolean', short: 'A', help: 'with --all or -l: in every namespace' },
      list: { type: 'boolean', help: `show the ${field}` },
      'dry-run': dryRunFlag,
    },
    completes: 'kinds-and-names',
    async run({ flags, args, environment, global, target }) {
      const isChange = (text: string): boolean => /^[^=]+=/.test(text) || /^[^=]+-$/.test(text)
      const changes = parseChanges(args.filter(isChange))
      const words = args.filter((arg) => !isChange(arg))
      const fromFiles = flags.filename.length > 0
      if (fromFiles && words.length > 0) throw new UsageError('give files or names, not both')
      const operands = fromFiles ? undefined : parseOperands(words, environment.kinds)
      if (changes.size === 0 && !flags.list)
        throw new UsageError(`which ${field}? Say KEY=VALUE to set one, KEY- to take one away`)
      const dryRun = parseDryRun(flags['dry-run'])
      const cluster = await target.cluster()
      const namespace = await target.namespace()
      const objects =
        operands !== undefined
          ? await find(cluster, operands, flags, namespace)
          : await Promise.all(
              (await manifestsOf({ flags, environment, global, target }, 'named')).map(
                (manifest): Promise<AnyResource> => cluster.get(manifest.kind, manifest.namespace, manifest.name),
              ),
            )
      const answers = await Promise.allSettled(
        objects.map((object) => markOne(cluster, object, field, changes, { overwrite: flags.overwrite, dryRun, verb })),
      )
      objects.forEach((object, index) => {
        const answer = answers[index]!
        if (answer.status === 'rejected') return
        const word = !answer.value.changed
          ? `not ${done}`
          : [...changes.values()].every((value) => value === null)
            ? `un${done}`
            : done
        if (changes.size > 0)
          environment.stdout.write(`${kindWord(object.kind)}/${object.metadata.name} ${word}${dryRunNote(dryRun)}\n`)
        if (flags.list) environment.stdout.write(`${formatLabels(answer.value.marks).replaceAll(',', '\n')}\n`)
      })
      throwFailures(
        answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])),
      )
      return EXIT.ok
    },
  })
}

function parseChanges(texts: readonly string[]): Changes {
  const changes = new Map<string, string | null>()
  for (const text of texts) {
    const at = text.indexOf('=')
    const key = at < 0 ? text.slice(0, -1) : text.slice(0, at)
    if (changes.has(key)) throw new UsageError(`"${key}" is given twice`)
    changes.set(key, at < 0 ? null : text.slice(at + 1))
  }
  return changes
}

async function find(
  cluster: ClusterClient,
  operands: ReturnType<typeof parseOperands>,
  flags: {
    all: boolean
    selector: string | undefined
    'field-selector': string | undefined
    'all-namespaces': boolean
  },
  namespace: string,
): Promise<AnyResource[]> {
  if (operands.are === 'names')
    return Promise.all(operands.names.map(({ kind, name }) => cluster.get(kind, namespace, name)))
  if (!flags.all && flags.selector === undefined && flags['field-selector'] === undefined)
    throw new UsageError('which objects? Name them, or select them with -l, --field-selector or --all')
  const selection = {
    namespace: flags['all-namespaces'] ? '' : namespace,
    labelSelector: flags.selector,
    fieldSelector: flags['field-selector'],
  }
  return (await Promise.all(operands.kinds.map((kind) => cluster.list(kind, selection)))).flatMap(
    (list): AnyResource[] => list.items,
  )
}

async function markOne(
  cluster: ClusterClient,
  { kind, metadata }: AnyResource,
  field: 'labels' | 'annotations',
  changes: Changes,
  options: { overwrite: boolean; dryRun: DryRun; verb: string },
): Promise<{ changed: boolean; marks: Record<string, string> }> {
  const before = metadata[field] ?? {}
  const set = [...changes].filter(
    ([key, value]) => value !== null && before[key] !== undefined && before[key] !== value,
  )
  if (set.length > 0 && !options.overwrite) {
    const [key] = set[0]!
    throw new GantryError(
      'FailedPrecondition',
      `${pluralWord(kind)} "${metadata.name}": ${key} is already "${before[key]}"`,
      { details: [{ remedy: '--overwrite changes it' }] },
    )
  }
  const real = [...changes].filter(([key, value]) => (before[key] ?? null) !== value)
  const after = Object.fromEntries(
    Object.entries({ ...before, ...Object.fromEntries(changes) }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    ),
  )
  if (real.length > 0 && options.dryRun !== 'client') {
    await cluster.patch(
      kind,
      metadata.namespace,
      metadata.name,
      'MERGE',
      { metadata: { [field]: Object.fromEntries(real) } },
      { dryRun: options.dryRun === 'server' },
    )
  }
  return { changed: real.length > 0, marks: after }
}

export const label = marker('labels', 'label', 'labeled')
export const annotate = marker('annotations', 'annotate', 'annotated')
