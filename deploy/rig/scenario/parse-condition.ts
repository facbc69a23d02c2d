/** Reads what is expected of what is looked at: beside a probe's own words in one flat map. */
import { GantryError } from '../../../proto/base/errors.ts'
import { describeTests, VALUE_TESTS, type ValueTest } from './expectation.ts'
import {
  describeProbe,
  describeSelection,
  firstWord,
  PROBES,
  readObject,
  readProbeFields,
  readWord,
  type ProbeWord,
  type Scope,
} from './parse-probe.ts'
import type { Condition, ObjectsExpectation, Probe } from './scenario.ts'
import type { Fields, YamlNode } from './yaml-node.ts'
import { unknownReference } from './variables.ts'

/** Milliseconds between looks, where there is nothing to watch. */
const EVERY_MS = 250

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

/** What people write for "within". */
function timeHints(besides: readonly string[]): Record<string, string> {
  return besides.includes('within') ? { timeout: '"within" says how long it may take' } : {}
}
