/** `gantry get`: objects as a table or in another form, once or as they change. */
import { GantryError } from '../../proto/base/errors.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import type { AnyResource, JsonValue, Kind } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { manifestFlags, manifestsOf } from '../manifest-flags.ts'
import { parseOperands } from '../../proto/client/operands.ts'
import { colorStatus, palette } from '../../proto/terminal/output/color.ts'
import { tableHeader, tableRow, type TableOptions } from '../output/rows.ts'
import { findValues, parseSinglePath, showValue } from '../../proto/base/jsonpath/jsonpath.ts'
import { formatObjects, OUTPUT_HELP, parseFormat, shownJson, type Format } from '../output/format.ts'
import { Table } from '../../proto/terminal/output/table.ts'
import { watchWithRetry } from '../../proto/client/follow.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'
import type { FlagValues } from '../../proto/terminal/flags.ts'
import type { Selection } from '../../proto/client/cluster-options.ts'

const flags = {
  ...manifestFlags,
  output: { type: 'text', short: 'o', value: 'form', help: `wide, ${OUTPUT_HELP}` },
  'all-namespaces': { type: 'boolean', short: 'A', help: 'objects of every namespace' },
  selector: {
    type: 'text',
    short: 'l',
    value: 'selector',
    help: 'objects with these labels, such as app=web,tier!=db',
  },
  'field-selector': { type: 'text', value: 'selector', help: 'objects with these fields, such as spec.nodeName=n1' },
  watch: { type: 'boolean', short: 'w', help: 'go on with every change' },
  'watch-only': { type: 'boolean', help: 'changes only, not what is there now' },
  'output-watch-events': { type: 'boolean', help: 'say of each change what it is: ADDED, MODIFIED or DELETED' },
  'sort-by': { type: 'text', value: 'path', help: 'order by a field, such as .metadata.creationTimestamp' },
  'show-labels': { type: 'boolean', help: 'a last column with all labels' },
  'label-columns': {
    type: 'list',
    short: 'L',
    commas: true,
    value: 'labels',
    help: 'a column for each of these labels',
  },
  'show-kind': { type: 'boolean', help: 'names with their kind, as pod/web' },
  'no-headers': { type: 'boolean', help: 'rows only' },
  'show-managed-fields': { type: 'boolean', help: 'with yaml and json: who owns which field' },
  'ignore-not-found': { type: 'boolean', help: 'say nothing of objects that do not exist' },
  'chunk-size': { type: 'integer', value: 'count', default: 500, help: 'objects read at a time' },
} as const

interface GetTarget {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

interface Request {
  readonly cluster: ClusterClient
  readonly environment: Environment
  readonly flags: FlagValues<typeof flags>
  readonly format: Format
  readonly selection: Selection
  readonly table: TableOptions
}

export default defineCommand({
  usage: '(TYPE[,TYPE…] [NAME…] | TYPE/NAME… | -f FILE) [flags]',
  summary: 'list objects',
  examples: [
    'gantry get pods',
    'gantry get pods,deploy -A -o wide',
    'gantry get pod/web -o yaml',
    'gantry get pods -l app=web -w',
    "gantry get pods -o jsonpath='{.items[*].status.podIP}'",
  ],
  flags,
  completes: 'kinds-and-names',
  async run({ flags, args, environment, global, target }) {
    const fromFiles = flags.filename.length > 0
    if (fromFiles && args.length > 0) throw new UsageError('give files or names, not both')
    const operands = fromFiles ? undefined : parseOperands(args, environment.kinds)
    const format = parseFormat(flags.output)
    const cluster = await target.cluster()
    const named = operands?.are !== 'kinds'
    if (named && flags['all-namespaces'])
      throw new UsageError('objects named one by one are of one namespace: leave -A out, or the names')
    if (named && (flags.selector !== undefined || flags['field-selector'] !== undefined))
      throw new UsageError('give names or a selector, not both')
    const namespace = flags['all-namespaces'] ? '' : await target.namespace()
    const selection = {
      namespace,
      labelSelector: flags.selector,
      fieldSelector: flags['field-selector'],
      limit: flags['chunk-size'],
    }
    const places: readonly GetTarget[] | undefined =
      operands === undefined
        ? await manifestsOf({ flags, environment, global, target }, 'named')
        : operands.are === 'names'
          ? operands.names.map((object) => ({ ...object, namespace }))
          : undefined
    const kinds = operands?.are === 'kinds' ? operands.kinds : [...new Set(places?.map(({ kind }) => kind))]
    const request: Request = {
      cluster,
      environment,
      flags,
      format,
      selection,
      table: tableOptions(flags, format, environment, kinds.length > 1),
    }
    if (flags.watch || flags['watch-only']) return watchKind(request, places, kinds)
    return places === undefined ? listKinds(request, kinds) : getNamed(request, places)
  },
})

function tableOptions(
  flags: Request['flags'],
  format: Format,
  environment: Environment,
  several: boolean,
): TableOptions {
  const colors = palette(environment.stdout, environment.env)
  return {
    wide: format.is === 'table' && format.wide,
    namespaces: flags['all-namespaces'],
    kinds: several || flags['show-kind'],
    labels: flags['show-labels'],
    labelColumns: flags['label-columns'],
    color: (status) => colorStatus(status, colors),
  }
}

async function getNamed(request: Request, names: readonly GetTarget[]): Promise<number> {
  const { cluster, flags } = request
  const answers = await Promise.allSettled(names.map(({ kind, namespace, name }) => cluster.get(kind, namespace, name)))
  const found = answers.flatMap((answer): AnyResource[] => (answer.status === 'fulfilled' ? [answer.value] : []))
  const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : []))
  const told = failures.filter((failure) => !(flags['ignore-not-found'] && failure.code === 'NotFound'))
  if (found.length > 0) await show(request, sorted(request, found), names.length === 1)
  throwFailures(told)
  return EXIT.ok
}

async function listKinds(request: Request, kinds: readonly Kind[]): Promise<number> {
  const { environment, flags, format, selection } = request
  const streams = format.is === 'table' && kinds.length === 1 && flags['sort-by'] === undefined && kinds[0] !== 'Event'
  if (streams) return streamTable(request, kinds[0]!)
  const lists = await Promise.all(kinds.map((kind) => listOne(request, kind)))
  const objects = sorted(request, lists.flat())
  if (objects.length > 0 || format.is !== 'table') await show(request, objects, false)
  else sayNone(environment, selection, kinds, flags['ignore-not-found'])
  return EXIT.ok
}

/** Events are news, not stored objects: they come from their own service. */
async function listOne({ cluster, selection }: Request, kind: Kind): Promise<AnyResource[]> {
  if (kind !== 'Event') return (await cluster.list(kind, selection)).items
  const { parseFieldSelector, parseLabelSelector } = await import('../../proto/objects/selector.ts')
  const fields = parseFieldSelector(selection.fieldSelector ?? '', 'Event')
  const labels = parseLabelSelector(selection.labelSelector ?? '')
  const events: AnyResource[] = []
  for await (const event of cluster.events({ namespace: selection.namespace })) {
    if (fields.matches(event) && labels.matches(event.metadata.labels)) events.push(event)
  }
  return events
}

async function streamTable({ cluster, environment, flags, selection, table }: Request, kind: Kind): Promise<number> {
  const layout = new Table()
  let rows = 0
  for await (const { items } of cluster.pages(kind, selection)) {
    const now = environment.clock.now()
    const header = rows === 0 && items.length > 0 && !flags['no-headers'] ? [tableHeader(kind, table)] : []
    rows += items.length
    writeLines(environment, layout.format([...header, ...items.map((item) => tableRow(item, table, now))]))
  }
  if (rows === 0) sayNone(environment, selection, [kind], flags['ignore-not-found'])
  return EXIT.ok
}

function writeLines(environment: Environment, lines: readonly string[]): void {
  if (lines.length > 0) environment.stdout.write(lines.map((line) => `${line}\n`).join(''))
}

function sayNone({ stderr }: Environment, { namespace }: Selection, kinds: readonly Kind[], quiet: boolean): void {
  if (quiet) return
  const inNamespace = namespace !== '' && kinds.some((kind) => resourceOf(kind).namespaced)
  stderr.write(inNamespace ? `No resources found in ${namespace} namespace.\n` : 'No resources found\n')
}

async function show(
  { environment, flags, format, table }: Request,
  objects: readonly AnyResource[],
  single: boolean,
): Promise<void> {
  if (format.is !== 'table') {
    environment.stdout.write(await formatObjects(format, objects, single, flags['show-managed-fields']))
    return
  }
  const now = environment.clock.now()
  const kinds = [...new Set(objects.map((object) => object.kind))]
  const tables = kinds.map((kind) => {
    const rows = objects.filter((object) => object.kind === kind).map((object) => tableRow(object, table, now))
    return new Table()
      .format(flags['no-headers'] ? rows : [tableHeader(kind, table), ...rows])
      .map((line) => `${line}\n`)
      .join('')
  })
  environment.stdout.write(tables.join('\n'))
}

function sorted({ flags }: Request, objects: readonly AnyResource[]): AnyResource[] {
  const by = flags['sort-by']
  return by === undefined ? [...objects] : sortObjects(objects, by)
}

/** Whole-number fields by number, everything else by text; objects without the field come first. */
function sortObjects(objects: readonly AnyResource[], by: string): AnyResource[] {
  const path = parseSinglePath(by)
  const keyed = objects.map((object) => {
    const json = shownJson(object, false)
    return { object, key: findValues(path, json, json)[0] }
  })
  return keyed.sort((a, b) => compareKeys(a.key, b.key)).map(({ object }) => object)
}

function compareKeys(a: JsonValue | undefined, b: JsonValue | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return showValue(a).localeCompare(showValue(b), 'en', { numeric: true })
}

async function watchKind(
  request: Request,
  names: readonly GetTarget[] | undefined,
  kinds: readonly Kind[],
): Promise<number> {
  const { cluster, environment, flags } = request
  const kind = kinds[0]!
  if (kinds.length > 1 || (names !== undefined && names.length > 1))
    throw new UsageError('-w watches one kind, or one object', 'leave the others out')
  if (kind === 'Event') throw new UsageError('events are followed with `gantry events -w`')
  if (flags['sort-by'] !== undefined)
    throw new UsageError('--sort-by orders a list, and a watch has no end: leave out one of the two')
  const selection =
    names === undefined
      ? request.selection
      : { ...request.selection, namespace: names[0]!.namespace, fieldSelector: `metadata.name=${names[0]!.name}` }
  const print = changePrinter(request, kind)
  const { items, resourceVersion } = await cluster.list(kind, selection)
  if (items.length === 0 && names !== undefined) await cluster.get(kind, selection.namespace, names[0]!.name)
  if (!flags['watch-only']) for (const item of items) await print('ADDED', item)
  for await (const change of watchWithRetry(
    cluster,
    environment.clock,
    kind,
    selection,
    resourceVersion,
    environment.signal,
  )) {
    if (change.type !== 'BOOKMARK' && change.type !== 'RESTARTED') await print(change.type, change.object)
  }
  return EXIT.ok
}

function changePrinter(
  { environment, flags, format, table }: Request,
  kind: Kind,
): (type: string, object: AnyResource) => Promise<void> {
  const layout = new Table()
  const event = (type: string): string[] => (flags['output-watch-events'] ? [type] : [])
  let documents = 0
  if (format.is === 'table' && !flags['no-headers']) layout.format([[...event('EVENT'), ...tableHeader(kind, table)]])
  return async (type, object) => {
    if (format.is !== 'table') {
      const text = await formatObjects(format, [object], true, flags['show-managed-fields'])
      environment.stdout.write(format.is === 'yaml' && documents++ > 0 ? `---\n${text}` : text)
      return
    }
    const header = documents++ === 0 && !flags['no-headers'] ? [[...event('EVENT'), ...tableHeader(kind, table)]] : []
    writeLines(
      environment,
      layout.format([...header, [...event(type), ...tableRow(object, table, environment.clock.now())]]),
    )
  }
}
