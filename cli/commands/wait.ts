/** `gantry wait`: until objects are in a state, or gone. */
import { encodeJson } from '../../proto/api/codec.ts'
import { GantryError } from '../../proto/api/errors.ts'
import { resourceOf } from '../../proto/api/schema.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { Cluster } from '../cluster.ts'
import { defineCommand, UsageError } from '../command.ts'
import { EXIT, kindWord, notFound, pluralWord, throwFailures } from '../failure.ts'
import { manifestFlags, readManifests } from '../manifests.ts'
import { parseOperands } from '../operands.ts'
import type { Path } from '../output/jsonpath-syntax.ts'
import { findValues, parseSinglePath, showValue } from '../output/jsonpath.ts'
import { observe, withDeadline } from '../watch.ts'

type Wanted =
  | { readonly is: 'delete' | 'create' }
  | { readonly is: 'condition'; readonly type: string; readonly status: string }
  /** Without a value: that the path finds anything. */
  | { readonly is: 'path'; readonly path: Path; readonly value: string | undefined }

type Place = Pick<AnyResource, 'kind'> & { readonly namespace: string; readonly name: string; readonly uid?: string | undefined }

/** What kubectl takes a negative timeout for. */
const WEEK_MS = 604_800_000

export default defineCommand({
  usage: '(TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | TYPE --all | -f FILE) --for=STATE [flags]',
  summary: 'wait until objects are in a state',
  examples: ['gantry wait --for=condition=Available deploy/web --timeout 2m', 'gantry wait --for=delete pod/web', "gantry wait --for=jsonpath='{.status.phase}'=Running pod/web"],
  flags: {
    ...manifestFlags,
    for: { type: 'text', value: 'state', help: 'condition=NAME[=VALUE], delete, create, or jsonpath=PATH[=VALUE]' },
    timeout: { type: 'duration', default: 30_000, value: 'time', help: 'give up after this time; 0: look once; negative: a week' },
    selector: { type: 'text', short: 'l', value: 'selector', help: 'objects with these labels' },
    'field-selector': { type: 'text', value: 'selector', help: 'objects with these fields' },
    all: { type: 'boolean', help: 'every object of the type in the namespace' },
    'all-namespaces': { type: 'boolean', short: 'A', help: 'with --all or -l: in every namespace' },
  },
  completes: 'kinds-and-names',
  async run({ flags, args, environment, global, target }) {
    if (flags.for === undefined) throw new UsageError('for what? Say --for=condition=NAME, --for=delete or --for=jsonpath=PATH=VALUE')
    const wanted = parseWanted(flags.for)
    const cluster = await target.cluster()
    const namespace = await target.namespace()
    const places = flags.filename.length > 0
      ? await readManifests(flags, environment, { given: global.namespace, fallback: namespace })
      : await placesOf(cluster, args, flags, namespace)
    if (places.length === 0) {
      if (wanted.is === 'delete') return EXIT.ok
      throw new GantryError('NotFound', 'no matching resources found')
    }
    const answers = await Promise.allSettled(places.map(async (place) => {
      const timedOut = `timed out waiting for the condition on ${pluralWord(place.kind)}/${place.name}`
      const limit = flags.timeout < 0 ? WEEK_MS : flags.timeout
      if (limit === 0) {
        if (!await lookOnce(cluster, place, wanted)) throw new GantryError('DeadlineExceeded', timedOut)
      } else await withDeadline(environment.clock, limit, environment.signal, () => timedOut, (signal) => awaitState(cluster, environment.clock, place, wanted, signal))
      environment.stdout.write(`${kindWord(place.kind)}/${place.name} condition met\n`)
    }))
    throwFailures(answers.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])))
    return EXIT.ok
  },
})

function parseWanted(text: string): Wanted {
  const [word, rest] = /^([^=]+)=(.*)$/s.exec(text)?.slice(1) ?? [text, undefined]
  const lower = word!.toLowerCase()
  if ((lower === 'delete' || lower === 'create') && rest === undefined) return { is: lower }
  if (lower === 'condition' && rest !== undefined && rest !== '') {
    const [type, status = 'True'] = rest.split('=')
    return { is: 'condition', type: type!, status }
  }
  if (lower === 'jsonpath' && rest !== undefined && rest !== '') {
    const close = rest.lastIndexOf('}')
    const end = close >= 0 ? close + 1 : /^[^=]*/.exec(rest)![0].length
    const tail = rest.slice(end)
    if (tail !== '' && !tail.startsWith('=')) throw new UsageError(`--for=${text}: "=" is expected after the path, not "${tail}"`)
    return { is: 'path', path: parseSinglePath(rest.slice(0, end).replace(/^["']|["']$/g, '')), value: tail === '' ? undefined : tail.slice(1).replace(/^["'](.*)["']$/, '$1') }
  }
  throw new UsageError(`--for=${text} is unknown`, 'it is condition=NAME[=VALUE], delete, create, or jsonpath=PATH[=VALUE]')
}

async function placesOf(cluster: Cluster, args: readonly string[], flags: { selector: string | undefined; 'field-selector': string | undefined; all: boolean; 'all-namespaces': boolean }, namespace: string): Promise<Place[]> {
  const operands = parseOperands(args)
  if (operands.are === 'names') return operands.names.map(({ kind, name }) => ({ kind, name, namespace: resourceOf(kind).namespaced ? namespace : '' }))
  if (!flags.all && flags.selector === undefined && flags['field-selector'] === undefined) throw new UsageError(`which ${args[0]}? Name them, or select them with -l, --field-selector or --all`)
  const selection = { namespace: flags['all-namespaces'] ? '' : namespace, labelSelector: flags.selector, fieldSelector: flags['field-selector'] }
  const lists = await Promise.all(operands.kinds.map((kind) => cluster.list(kind, selection)))
  return lists.flatMap((list): AnyResource[] => list.items).map(({ kind, metadata }) => ({ kind, namespace: metadata.namespace, name: metadata.name, uid: metadata.uid }))
}

async function lookOnce(cluster: Cluster, { kind, namespace, name }: Place, wanted: Wanted): Promise<boolean> {
  const object = await cluster.find(kind, namespace, name)
  if (object === undefined && wanted.is !== 'delete' && wanted.is !== 'create') throw notFound(kind, namespace, name)
  return isIn(object, wanted)
}

async function awaitState(cluster: Cluster, clock: Parameters<typeof observe>[1], { kind, namespace, name, uid }: Place, wanted: Wanted, signal: AbortSignal): Promise<void> {
  for await (const object of observe(cluster, clock, kind, namespace, name, signal)) {
    if (object === undefined && wanted.is !== 'delete' && wanted.is !== 'create') throw notFound(kind, namespace, name)
    const replaced = wanted.is === 'delete' && uid !== undefined && object !== undefined && object.metadata.uid !== uid
    if (replaced || isIn(object, wanted)) return
  }
}

function isIn(object: AnyResource | undefined, wanted: Wanted): boolean {
  if (wanted.is === 'delete') return object === undefined
  if (object === undefined) return false
  switch (wanted.is) {
    case 'create': return true
    case 'condition': return hasCondition(object, wanted.type, wanted.status)
    case 'path': {
      const json = encodeJson(object)
      const values = findValues(wanted.path, json, json)
      return wanted.value === undefined ? values.length > 0 : values.length === 1 && showValue(values[0]!) === wanted.value
    }
  }
}

/** A condition that was set for an older spec does not count. */
function hasCondition(object: AnyResource, type: string, status: string): boolean {
  const seen = (encodeJson(object).status ?? {}) as { observedGeneration?: number; conditions?: { type: string; status: string }[] }
  if (seen.observedGeneration !== undefined && seen.observedGeneration < (object.metadata.generation ?? 0)) return false
  return seen.conditions?.some((condition) => condition.type.toLowerCase() === type.toLowerCase() && condition.status.toLowerCase() === status.toLowerCase()) === true
}
