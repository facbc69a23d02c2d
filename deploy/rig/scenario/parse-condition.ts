/**
 * Reads what is looked at and what is expected of it: one flat map, whose first word (object, run, http …) says what is
 * looked at.
 */
import { recordOf } from '../../../proto/client/kinds/registry.ts'
import { kindOf } from '../../../proto/client/operands.ts'
import { parseSinglePath } from '../../../proto/base/jsonpath/jsonpath.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { nearest } from '../../../proto/base/nearest.ts'
import { SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { parseFieldSelector, parseLabelSelector } from '../../../proto/objects/selector.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import type { Named } from '../faults/values.ts'
import { describeTests, VALUE_TESTS, type ValueTest } from './expectation.ts'
import type { CommandTarget, Condition, NamedPath, ObjectsExpectation, ObjectSelection, Probe } from './scenario.ts'
import type { Fields, YamlNode } from './yaml-node.ts'
import { references, replaceReferences, unknownReference } from './variables.ts'

/** What is known while a file is read. */
export interface Scope {
  readonly namespace: string
  /** The rig's. */
  readonly machines: readonly Named[]
  /** Names that a step before has remembered. */
  readonly remembered: Set<string>
}

/** Milliseconds between looks, where there is nothing to watch. */
const EVERY_MS = 250

export const OBJECT_KEYS = ['object', 'objects', 'selector', 'fields', 'namespace'] as const
const PROBES = {
  object: ['object', 'selector', 'fields', 'namespace', 'path'],
  objects: ['objects', 'selector', 'fields', 'namespace', 'path'],
  run: ['run', 'on'],
  gantry: ['gantry'],
  logs: ['logs', 'container'],
  http: ['http', 'on', 'pods'],
} as const
type ProbeWord = keyof typeof PROBES
const EXPECTATIONS = {
  object: ['ready', 'condition', 'exists', ...VALUE_TESTS],
  objects: ['ready', 'condition', 'count', ...VALUE_TESTS],
  run: ['exit', ...VALUE_TESTS],
  gantry: ['exit', ...VALUE_TESTS],
  logs: [...VALUE_TESTS],
  http: ['status', ...VALUE_TESTS],
} as const satisfies Record<ProbeWord, readonly string[]>
const FIRST_WORDS = [...Object.keys(PROBES), 'unchanged']

/**
 * One condition, or a list of them that must hold at the same time. A lone TYPE/NAME is an object that must be ready.
 */
export function readConditions(slot: YamlNode, scope: Scope, besides: readonly string[] = []): Condition[] {
  const slots = slot.itemsOrSelf()
  if (slots.length === 0 && slot.isList) slot.refuse('is empty; name a condition')
  return slots.flatMap((one) => readCondition(one, scope, besides) ?? [])
}

function readCondition(slot: YamlNode, scope: Scope, besides: readonly string[]): Condition | undefined {
  if (typeof slot.value === 'string') return readReadiness(slot, scope)
  const word = firstWord(slot, FIRST_WORDS, 'a condition')
  if (word === undefined) return undefined
  if (word === 'unchanged') return readUnchanged(slot, scope, besides)
  const fields = slot.fields<string>(
    [...PROBES[word as ProbeWord], ...EXPECTATIONS[word as ProbeWord], 'every', ...besides],
    `a condition about ${word}`,
    timeHints(besides),
  )
  if (fields === undefined) return undefined
  const probe = readProbeFields(fields, word as ProbeWord, scope)
  return probe === undefined ? undefined : readExpectation(fields, probe, scope)
}

/** The word by which a map says what it is; a problem if there is none or more than one. */
export function firstWord(slot: YamlNode, words: readonly string[], what: string): string | undefined {
  if (!slot.isMap) return slot.refuse(`is not ${what}: a map is expected, with one of ${words.join(', ')}`)
  const names = slot.entries().map(([name]) => name)
  const found = names.filter((name) => words.includes(name))
  if (found.length === 1) return found[0]
  if (found.length > 1)
    return slot.refuse(`${found.join(' and ')} do not go together in ${what}`, { remedy: 'make two of it' })
  const near = names.map((name) => ({ name, meant: nearest(name, words) })).find(({ meant }) => meant !== undefined)
  if (near !== undefined) {
    const [, wrong] = slot.entries().find(([name]) => name === near.name)!
    return wrong.refuse(`is not known in ${what}`, { key: true, remedy: `did you mean ${near.meant}?` })
  }
  return slot.refuse(`is not ${what}: it has none of ${words.join(', ')}`)
}

function readReadiness(slot: YamlNode, scope: Scope): Condition | undefined {
  const objects = readObject(slot, scope.namespace, scope)
  if (objects === undefined) return undefined
  const expect: ObjectsExpectation = { count: undefined, ready: true, condition: undefined, tests: [] }
  return {
    is: 'objects',
    probe: { is: 'objects', objects, paths: [] },
    expect,
    every: EVERY_MS,
    label: `${describeSelection(objects)} is ready`,
  }
}

function readUnchanged(slot: YamlNode, scope: Scope, besides: readonly string[]): Condition | undefined {
  const fields = slot.fields<string>(
    ['unchanged', 'every', ...besides],
    'a condition about unchanged',
    timeHints(besides),
  )
  const name = fields?.get('unchanged')?.text()
  if (fields === undefined || name === undefined) return undefined
  const wrong = unknownReference(name, scope.remembered)
  if (wrong !== undefined || !scope.remembered.has(name))
    return fields.get('unchanged')!.refuse(wrong ?? `$${name} is not something that a step remembers`)
  return { is: 'unchanged', name, every: readEvery(fields), label: `${name} unchanged` }
}

function readEvery(fields: Fields): number {
  return fields.get('every')?.duration() ?? EVERY_MS
}

/** A probe without expectations: what `remember` remembers. Lone text is itself what is remembered. */
export function readProbe(slot: YamlNode, scope: Scope): Probe | undefined {
  if (!slot.isMap && !slot.isList) {
    const text = readWord(slot, scope)
    return text === undefined ? undefined : { is: 'text', text }
  }
  const word = firstWord(slot, Object.keys(PROBES), 'something to remember') as ProbeWord | undefined
  if (word === undefined) return undefined
  const fields = slot.fields<string>(PROBES[word], `what is remembered of ${word}`)
  const probe = fields === undefined ? undefined : readProbeFields(fields, word, scope)
  if (probe?.is === 'objects' && probe.paths.length === 0)
    return slot.refuse('needs "path": which values of the objects', { key: true })
  return probe
}

function readProbeFields(fields: Fields, word: ProbeWord, scope: Scope): Probe | undefined {
  const slot = fields.get(word)!
  switch (word) {
    case 'object':
    case 'objects': {
      const objects = readSelection(fields, scope)
      const paths = (fields.get('path')?.itemsOrSelf() ?? []).flatMap(
        (one): NamedPath[] => one.read((text) => [{ text, path: parseSinglePath(text) }]) ?? [],
      )
      return objects === undefined ? undefined : { is: 'objects', objects, paths }
    }
    case 'run':
      return readRun(fields, scope)
    case 'gantry': {
      const words = readWords(slot, scope)
      return words === undefined ? undefined : { is: 'gantry', words }
    }
    case 'logs': {
      const object = readPodOperand(slot, scope)
      return object === undefined ? undefined : { is: 'logs', object, container: fields.get('container')?.text() }
    }
    case 'http':
      return readHttp(fields, scope)
  }
}

/** A command and where it runs. */
export function readRun(fields: Fields, scope: Scope): (Probe & { is: 'command' }) | undefined {
  const slot = fields.get('run')!
  const command = slot.isList ? readWords(slot, scope) : slot.text()
  const place = readPlace(fields.get('on'), scope)
  return command === undefined || place === undefined ? undefined : { is: 'command', place, command }
}

/** Words of a command line: a list, or text that is split at its spaces. */
export function readWords(slot: YamlNode, scope: Scope): string[] | undefined {
  const words = slot.isList
    ? slot.items().flatMap((item) => readWord(item, scope) ?? [])
    : readWord(slot, scope)?.trim().split(/\s+/)
  return words === undefined || words.length > 0 ? words : slot.refuse('is empty; it must be a command')
}

function readPlace(slot: YamlNode | undefined, scope: Scope): CommandTarget | undefined {
  if (slot === undefined) return { is: 'host' }
  const text = slot.text()
  if (text === undefined) return undefined
  if (text === 'host') return { is: 'host' }
  if (text.includes('/')) {
    const object = readPodOperand(slot, scope)
    return object === undefined ? undefined : { is: 'pod', object }
  }
  const name = readMachine(slot, scope, 'host, or a pod as pod/NAME')
  return name === undefined ? undefined : { is: 'machine', name }
}

/** A machine's name, or a reference that will be one. */
export function readMachine(slot: YamlNode, scope: Scope, also = ''): string | undefined {
  const name = readWord(slot, scope)
  const machines = scope.machines.map((machine) => machine.name)
  if (name === undefined || references(name).length > 0 || machines.includes(name)) return name
  const meant = nearest(name, machines)
  return slot.refuse(`the rig has no machine "${name}"`, {
    remedy:
      meant === undefined
        ? `it is one of ${machines.join(', ')}${also === '' ? '' : `, or ${also}`}`
        : `did you mean ${meant}?`,
  })
}

function readPodOperand(slot: YamlNode, scope: Scope): string | undefined {
  const text = readWord(slot, scope)
  if (text === undefined) return undefined
  return slot.read(() => {
    const kind = kindOf(text.includes('/') ? text.slice(0, text.indexOf('/')) : 'pod', SCHEMA_KINDS)
    const are = recordOf(kind).pods?.are
    if (are !== 'itself' && are !== 'made')
      throw new GantryError('InvalidArgument', `a ${kind} has no pods; name a pod or a workload`)
    return text.includes('/') ? text : `pod/${text}`
  })
}

function readHttp(fields: Fields, scope: Scope): Probe | undefined {
  const address = readWord(fields.get('http')!, scope)
  const pods = fields.get('pods')
  const on = fields.get('on')
  if (address === undefined) return undefined
  if (pods !== undefined) {
    if (on !== undefined)
      return on.refuse('pods are asked from their own nodes', { key: true, remedy: 'leave one of the two out' })
    if (!/^:\d+(\/.*)?$/.test(address))
      return fields
        .get('http')!
        .refuse(`"${address}" is not a port and path of pods`, { remedy: 'write :8080/ or :8080/path' })
    const selector = readSelector(pods, scope)
    return selector === undefined ? undefined : { is: 'http', address, from: { is: 'pods', selector } }
  }
  if (references(address).length === 0 && !isHttp(address))
    return fields
      .get('http')!
      .refuse(`"${address}" is not an http address`, {
        remedy: 'write http://HOST:PORT/PATH, or :PORT/PATH with "pods"',
      })
  const place = readPlace(on, scope)
  if (place === undefined) return undefined
  return place.is === 'pod'
    ? on!.refuse('http is asked from the host or a machine', {
        remedy: '`run` asks in a pod, with a program that it has',
      })
    : { is: 'http', address, from: place }
}

function isHttp(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)
}

/** Objects by `object: TYPE/NAME`, or `objects: TYPE` with selectors. */
export function readSelection(fields: Fields, scope: Scope): ObjectSelection | undefined {
  const namespace = fields.get('namespace')?.text() ?? scope.namespace
  const one = fields.get('object')
  if (one !== undefined) {
    for (const key of ['selector', 'fields'])
      fields.get(key)?.refuse('goes with "objects", not with one object', { key: true })
    return readObject(one, namespace, scope)
  }
  const kind = fields.get('objects')!.read((word) => kindOf(word, SCHEMA_KINDS))
  if (kind === undefined) return undefined
  return {
    kind,
    name: undefined,
    selector: optional(fields.get('selector'), (slot) => readSelector(slot, scope)),
    fields: optional(fields.get('fields'), (slot) => readFieldSelector(slot, kind, scope)),
    namespace: placed(kind, namespace),
  }
}

function optional<T>(slot: YamlNode | undefined, read: (slot: YamlNode) => T | undefined): T | undefined {
  return slot === undefined ? undefined : read(slot)
}

/** TYPE/NAME. */
export function readObject(slot: YamlNode, namespace: string, scope: Scope): ObjectSelection | undefined {
  const text = readWord(slot, scope)
  if (text === undefined) return undefined
  return slot.read(() => {
    const [word = '', name = '', ...more] = text.split('/')
    if (word === '' || name === '' || more.length > 0)
      throw new GantryError('InvalidArgument', `"${text}" is not TYPE/NAME`, {
        details: [{ remedy: 'such as deployment/web; several are objects: TYPE' }],
      })
    const kind = kindOf(word, SCHEMA_KINDS)
    return { kind, name, selector: undefined, fields: undefined, namespace: placed(kind, namespace) }
  })
}

function placed(kind: Kind, namespace: string): string {
  return resourceOf(kind).namespaced ? namespace : ''
}

function readSelector(slot: YamlNode, scope: Scope): string | undefined {
  const text = readWord(slot, scope)
  return text === undefined
    ? undefined
    : slot.read(() => (parseLabelSelector(replaceReferences(text, () => 'x')), text))
}

function readFieldSelector(slot: YamlNode, kind: Kind, scope: Scope): string | undefined {
  const text = readWord(slot, scope)
  return text === undefined
    ? undefined
    : slot.read(
        () => (
          parseFieldSelector(
            replaceReferences(text, () => 'x'),
            kind,
          ),
          text
        ),
      )
}

/** Text that may refer to what was remembered; a problem if it refers to what was not. */
export function readWord(slot: YamlNode, { remembered }: Pick<Scope, 'remembered'>): string | undefined {
  const text = slot.text()
  const wrong =
    text === undefined
      ? undefined
      : references(text)
          .map((name) => unknownReference(name, remembered))
          .find((message) => message !== undefined)
  return wrong === undefined ? text : slot.refuse(wrong, { remedy: 'write $$ for a dollar' })
}

function readExpectation(fields: Fields, probe: Probe, scope: Scope): Condition | undefined {
  const every = readEvery(fields)
  switch (probe.is) {
    case 'text':
      return undefined
    case 'objects':
      return readObjectsExpectation(fields, probe, scope, every)
    case 'command':
    case 'gantry':
    case 'logs':
      return readOutputExpectation(fields, probe, scope, every)
    case 'http': {
      const status = fields.get('status')?.integer(100, 599)
      const tests = readTests(fields, scope)
      return {
        is: 'answer',
        probe,
        status,
        tests,
        every,
        label: `${describeProbe(probe)} answers${status === undefined ? '' : ` ${status}`}${tests.length === 0 ? '' : ` and ${describeTests(tests)}`}`,
      }
    }
  }
}

/** A command's exit code (0 unless `exit` says another) and its output. */
export function readOutputExpectation(
  fields: Fields,
  probe: Probe & { is: 'command' | 'gantry' | 'logs' },
  scope: Scope,
  every = EVERY_MS,
): Condition {
  const exit = probe.is === 'logs' ? undefined : (fields.get('exit')?.integer(0, 255) ?? 0)
  const tests = readTests(fields, scope)
  const ending = exit === 0 ? (tests.length === 0 ? ['succeeds'] : []) : exit === undefined ? [] : [`ends with ${exit}`]
  return {
    is: 'output',
    probe,
    exit,
    tests,
    every,
    label: `${describeProbe(probe)} ${[...ending, ...(tests.length === 0 ? [] : [describeTests(tests)])].join(' and ') || 'can be read'}`,
  }
}

function readObjectsExpectation(
  fields: Fields,
  probe: Probe & { is: 'objects' },
  scope: Scope,
  every: number,
): Condition | undefined {
  const tests = readTests(fields, scope)
  if (probe.paths.length > 0 && tests.length === 0)
    fields
      .get('path')!
      .refuse('says where to look, but nothing says what must be there', {
        key: true,
        remedy: `add one of ${VALUE_TESTS.join(', ')}`,
      })
  if (!fields.has('path') && tests.length > 0)
    fields.slot.refuse('needs "path": which values of the objects', { key: true })
  const condition = fields.get('condition')?.read((text) => {
    const [type = '', status = 'True', ...more] = text.split('=')
    if (type === '' || status === '' || more.length > 0)
      throw new GantryError('InvalidArgument', `"${text}" is not NAME or NAME=STATUS`)
    return { type, status }
  })
  const ready = fields.get('ready')?.boolean() ?? false
  const exists = fields.get('exists')?.boolean()
  const counted = fields.get('count')
  const count =
    exists === false ? [{ is: 'is', value: 0 } as const] : counted === undefined ? undefined : readCount(counted)
  if (exists === false && (ready || condition !== undefined || tests.length > 0))
    return fields.get('exists')!.refuse('what does not exist has no state', { key: true })
  const state = [
    ...(exists === false ? ['is gone'] : []),
    ...(ready ? ['is ready'] : []),
    ...(condition === undefined
      ? []
      : [`is ${condition.type}${condition.status === 'True' ? '' : `=${condition.status}`}`]),
    ...(tests.length === 0 ? [] : [`${probe.paths.map(({ text }) => text).join(', ')} ${describeTests(tests)}`]),
    ...(exists !== undefined || counted === undefined || count === undefined ? [] : [`count ${describeTests(count)}`]),
  ]
  return {
    is: 'objects',
    probe,
    expect: { count, ready, condition, tests },
    every,
    label: `${describeSelection(probe.objects)} ${state.join(', ') || 'exists'}`,
  }
}

/** `count: 3`, or tests of it: `count: { atLeast: 2 }`. */
function readCount(slot: YamlNode): ValueTest[] | undefined {
  if (!slot.isMap) {
    const value = slot.integer(0)
    return value === undefined ? undefined : [{ is: 'is', value }]
  }
  const fields = slot.fields(['is', 'isNot', 'atLeast', 'atMost'], 'a count')
  if (fields === undefined) return undefined
  if (fields.names().length === 0) return slot.refuse('says nothing about the count', { key: true })
  return (['is', 'isNot', 'atLeast', 'atMost'] as const).flatMap((is): ValueTest[] => {
    const value = fields.get(is)?.integer(0)
    return value === undefined ? [] : [{ is, value }]
  })
}

function readTests(fields: Fields, scope: Scope): ValueTest[] {
  return VALUE_TESTS.flatMap((is): ValueTest[] => {
    const slot = fields.get(is)
    if (slot === undefined) return []
    switch (is) {
      case 'is':
      case 'isNot':
        return typeof slot.value === 'string' && slot.value !== '' && readWord(slot, scope) === undefined
          ? []
          : [{ is, value: slot.value }]
      case 'atLeast':
      case 'atMost':
        return typeof slot.value === 'number' ? [{ is, value: slot.value }] : (slot.refuse('is not a number'), [])
      case 'contains':
      case 'lacks': {
        const value = readWord(slot, scope)
        return value === undefined ? [] : [{ is, value }]
      }
      case 'matches': {
        const value = slot.text()
        if (value === undefined) return []
        try {
          return [{ is, value: new RegExp(value, 'm') }]
        } catch (thrown) {
          slot.refuse((thrown as Error).message.replace(/^I/, 'i'))
          return []
        }
      }
    }
  })
}

/** "deployment/web", "pods app=web" */
export function describeSelection({ kind, name, selector, fields }: ObjectSelection): string {
  const { plural } = resourceOf(kind)
  return name !== undefined
    ? `${kind.toLowerCase()}/${name}`
    : [plural, selector, fields].filter((text) => text !== undefined).join(' ')
}

const SHOWN = 60

/** "`cat /etc/hostname` on n1" */
export function describeProbe(probe: Probe): string {
  switch (probe.is) {
    case 'objects':
      return describeSelection(probe.objects)
    case 'command': {
      const text = (typeof probe.command === 'string' ? probe.command : probe.command.join(' ')).trim().split('\n')[0]!
      const where =
        probe.place.is === 'host' ? '' : ` on ${probe.place.is === 'machine' ? probe.place.name : probe.place.object}`
      return `\`${text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text}\`${where}`
    }
    case 'gantry':
      return `\`gantry ${probe.words.join(' ')}\``
    case 'logs':
      return `log of ${probe.object}`
    case 'text':
      return probe.text
    case 'http':
      return `${probe.address}${probe.from.is === 'host' ? '' : ` ${probe.from.is === 'machine' ? `from ${probe.from.name}` : `of pods ${probe.from.selector}`}`}`
  }
}

/** What people write for "within". */
function timeHints(besides: readonly string[]): Record<string, string> {
  return besides.includes('within') ? { timeout: '"within" says how long it may take' } : {}
}
