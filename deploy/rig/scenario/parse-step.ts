/** Reads steps: a map with one word that says what is done, and beside it what goes with every step. */
import { kindsWith } from '../../../proto/client/kinds/registry.ts'
import { kindOf } from '../../../proto/client/operands.ts'
import { formatDuration } from '../../../proto/base/duration.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import type { JsonObject, Kind } from '../../../proto/gen/types.ts'
import { describeFault, readFault } from './parse-fault.ts'
import { readConditions, readOutputExpectation } from './parse-condition.ts'
import {
  describeProbe,
  describeSelection,
  firstWord,
  OBJECT_KEYS,
  readMachine,
  readObject,
  readProbe,
  readRun,
  readSelection,
  readWord,
  readWords,
  type Scope,
} from './parse-probe.ts'
import { MANIFEST_FILE, readManifests, type Library } from './parse-manifest.ts'
import { VALUE_TESTS } from './expectation.ts'
import {
  ROLLOUT_VERBS,
  type Action,
  type Condition,
  type Manifest,
  type ObjectSelection,
  type RolloutVerb,
  type Step,
} from './scenario.ts'
import type { FaultType } from '../faults/contract.ts'
import type { Fields, YamlNode } from './yaml-node.ts'
import { BUILT_IN, VARIABLE } from './variables.ts'

/** Words of steps that are not faults. */
const WORDS = [
  'apply',
  'delete',
  'patch',
  'scale',
  'rollout',
  'until',
  'check',
  'always',
  'remember',
  'run',
  'gantry',
  'pause',
  'heal',
  'start',
  'parallel',
  'repeat',
] as const
type Word = (typeof WORDS)[number]

/** Words that people try. */
const HINTS: Readonly<Record<string, string>> = {
  wait: '"until" waits for a state, "pause" lets time pass',
  sleep: '"pause" lets time pass; better is "until", which waits for a state',
  expect: '"check" looks once, "until" waits',
  assert: '"check" looks once, "until" waits',
  eventually: '"until" waits until something holds',
  exec: '"run" with "on: pod/NAME" runs a command in a pod',
  http: '"check" and "until" ask by http',
  logs: '"check" and "until" look into logs',
  create: '"apply" makes objects',
  let: '"remember" keeps what is seen',
  set: '"remember" keeps what is seen',
}

/** Milliseconds that a step may take, if it does not say. */
const WITHIN_MS = 60_000

/** How deep steps may stand in each other. */
const DEEPEST = 8

export interface StepScope extends Scope {
  readonly library: Library
  readonly faults: readonly FaultType[]
  /** What `heal` may name. */
  readonly healable: Set<string>
}

/** `prefix`: "" or "3." */
export function readSteps(slot: YamlNode, scope: StepScope, prefix = ''): Step[] {
  const items = slot.items()
  if (items.length === 0 && slot.isList) slot.refuse('is empty; there must be a step')
  if (prefix.split('.').length > DEEPEST) {
    slot.refuse(`steps stand more than ${DEEPEST} deep in each other`)
    return []
  }
  return items.flatMap((item, index) => readStep(item, `${prefix}${index + 1}`, scope) ?? [])
}

function readStep(slot: YamlNode, number: string, scope: StepScope): Step | undefined {
  const kinds = scope.faults.map(({ kind }) => kind)
  const hinted = slot.isMap
    ? slot.entries().find(([name]) => Object.hasOwn(HINTS, name) && !kinds.includes(name))
    : undefined
  const words = [...WORDS, ...kinds]
  if (hinted !== undefined && !slot.entries().some(([name]) => words.includes(name)))
    return hinted[1].refuse(`is not a step`, { key: true, remedy: HINTS[hinted[0]]! })
  const word = firstWord(slot, words, 'a step')
  if (word === undefined) return undefined
  const type = scope.faults.find(({ kind }) => kind === word)
  const fields = slot.fields<string>([word, 'name', ...beside(word as Word, type)], `the step "${word}"`, {
    ...(word === 'check' ? { within: 'check looks once; until waits' } : {}),
    during: 'only always and faults last',
    for: 'only faults have an end; until and others have "within"',
    ...(word === 'pause' || word === 'check' ? {} : { timeout: '"within" says how long it may take' }),
  })
  if (fields === undefined) return undefined
  const name = fields.get('name')?.text()
  const body = fields.get(word)!
  const read =
    type === undefined
      ? readAction(word as Word, body, fields, number, scope)
      : readFaultStep(type, body, fields, number, name, scope)
  if (read === undefined) return undefined
  const { action, label, within: inner } = read
  const outer = fields.get('within')
  if (inner !== undefined && outer !== undefined)
    return outer.refuse('stands here and in the condition; keep one', { key: true })
  const within = inner ?? outer?.duration() ?? (hasSteps(action) || action.is === 'pause' ? undefined : WITHIN_MS)
  return { number, label: name ?? label, position: slot.position, within, action }
}

/** What may stand beside a word. */
function beside(word: Word, type: FaultType | undefined): string[] {
  if (type !== undefined) return ['for', ...(type.momentary === true ? [] : ['during']), 'within']
  switch (word) {
    case 'check':
    case 'pause':
      return []
    case 'always':
      return ['during', 'within']
    case 'run':
      return ['on', 'exit', ...VALUE_TESTS, 'within']
    case 'gantry':
      return ['exit', ...VALUE_TESTS, 'within']
    case 'apply':
    case 'delete':
    case 'patch':
    case 'scale':
    case 'rollout':
    case 'until':
    case 'remember':
    case 'heal':
    case 'start':
    case 'parallel':
    case 'repeat':
      return ['within']
  }
}

function hasSteps(action: Action): boolean {
  return (
    action.is === 'parallel' ||
    action.is === 'repeat' ||
    action.is === 'always' ||
    (action.is === 'fault' && action.during !== undefined)
  )
}

interface Read {
  readonly action: Action
  readonly label: string
  /** Where it may stand inside, too. */
  readonly within?: number | undefined
}

function readFaultStep(
  type: FaultType,
  slot: YamlNode,
  fields: Fields,
  number: string,
  name: string | undefined,
  scope: StepScope,
): Read | undefined {
  const fault = readFault(type, slot, fields.get('for'), scope)
  scope.healable.add(type.kind)
  if (name !== undefined) scope.healable.add(name)
  const during = readDuring(fields, number, scope)
  if (fault === undefined) return undefined
  if (during !== undefined && fault.forMillis !== undefined)
    return fields.get('during')!.refuse('ends the fault, and so does "for"; keep one', { key: true })
  return { action: { ...fault, name, during }, label: describeFault(fault) }
}

function readDuring(fields: Fields, number: string, scope: StepScope): Step[] | undefined {
  const slot = fields.get('during')
  return slot === undefined ? undefined : readSteps(slot, scope, `${number}.`)
}

function readAction(word: Word, slot: YamlNode, fields: Fields, number: string, scope: StepScope): Read | undefined {
  switch (word) {
    case 'apply': {
      const objects = readManifests(slot, scope, scope.library)
      return { action: { is: 'apply', objects }, label: `apply ${describeSources(slot, objects)}` }
    }
    case 'delete':
      return readDelete(slot, scope)
    case 'patch':
      return readPatch(slot, scope)
    case 'scale':
      return readScale(slot)
    case 'rollout':
      return readRollout(slot, scope)
    case 'until':
      return readUntil(slot, scope)
    case 'check': {
      const conditions = readConditions(slot, scope)
      return { action: { is: 'check', conditions }, label: `check ${labelOf(conditions)}` }
    }
    case 'always': {
      const conditions = readConditions(slot, scope)
      return {
        action: { is: 'always', conditions, during: readDuring(fields, number, scope) },
        label: `always ${labelOf(conditions)}`,
      }
    }
    case 'remember':
      return readRemember(slot, scope)
    case 'run':
    case 'gantry': {
      const words = word === 'gantry' ? readWords(slot, scope) : undefined
      const probe =
        word === 'run' ? readRun(fields, scope) : words === undefined ? undefined : ({ is: 'gantry', words } as const)
      if (probe === undefined) return undefined
      const condition = readOutputExpectation(fields, probe, scope)
      return { action: { is: 'run', condition }, label: describeProbe(probe).replaceAll('`', '') }
    }
    case 'pause': {
      const millis = slot.duration()
      return millis === undefined
        ? undefined
        : { action: { is: 'pause', millis }, label: `pause ${formatDuration(millis)}` }
    }
    case 'heal':
      return readHeal(slot, scope)
    case 'start': {
      const machine = readMachine(slot, scope)
      return machine === undefined ? undefined : { action: { is: 'start', machine }, label: `start ${machine}` }
    }
    case 'parallel': {
      const items = slot.items()
      if (items.length === 0 && slot.isList) slot.refuse('is empty; there must be a step')
      const branches = items.map((item, index) =>
        item.isList
          ? readSteps(item, scope, `${number}.${index + 1}.`)
          : [readStep(item, `${number}.${index + 1}`, scope)].flatMap((step) => step ?? []),
      )
      return { action: { is: 'parallel', branches }, label: `${branches.length} at once` }
    }
    case 'repeat':
      return readRepeat(slot, number, scope)
  }
}

/** "web.yaml", "deployment/web and 2 more" */
function describeSources(slot: YamlNode, objects: readonly Manifest[]): string {
  const words = slot.itemsOrSelf().every((item) => !item.isMap)
    ? slot.itemsOrSelf().map(({ value }) => String(value))
    : objects.map(({ kind, json }) => `${kind.toLowerCase()}/${String((json.metadata as JsonObject).name)}`)
  return words.length <= 2 ? words.join(' and ') : `${words[0]} and ${words.length - 1} more`
}

function labelOf(conditions: readonly Condition[]): string {
  return conditions.map(({ label }) => label).join('; ')
}

function readUntil(slot: YamlNode, scope: StepScope): Read | undefined {
  const conditions = readConditions(slot, scope, slot.isList ? [] : ['within'])
  const within = slot.isMap ? slot.entries().find(([name]) => name === 'within')?.[1] : undefined
  return { action: { is: 'until', conditions }, label: `until ${labelOf(conditions)}`, within: within?.duration() }
}

function readDelete(slot: YamlNode, scope: StepScope): Read | undefined {
  if (!slot.isMap) {
    const text = slot.text()
    if (text !== undefined && MANIFEST_FILE.test(text))
      return slot.refuse('deletes objects, not files', { remedy: 'name an object as TYPE/NAME' })
    const objects = readObject(slot, scope.namespace, scope)
    return objects === undefined ? undefined : deletion(objects, undefined)
  }
  const word = firstWord(slot, ['object', 'objects'], 'what is deleted')
  const fields =
    word === undefined
      ? undefined
      : slot.fields<string>(
          [...OBJECT_KEYS.filter((key) => key !== 'object' && key !== 'objects'), word, 'grace'],
          'delete',
        )
  const objects = fields === undefined ? undefined : readSelection(fields, scope)
  const grace = fields?.get('grace')?.integer(0)
  return objects === undefined ? undefined : deletion(objects, grace)
}

function deletion(objects: ObjectSelection, grace: number | undefined): Read {
  return { action: { is: 'delete', objects, grace }, label: `delete ${describeSelection(objects)}` }
}

function readPatch(slot: YamlNode, scope: StepScope): Read | undefined {
  const fields = slot.fields(['object', 'merge'], 'patch')
  const object = fields?.need('object', 'TYPE/NAME')
  const merge = fields?.need('merge', 'the fields to change')
  if (object === undefined || merge === undefined) return undefined
  const selection = readObject(object, scope.namespace, scope)
  if (!merge.isMap) return merge.refuse('is not a map of the fields to change')
  return selection === undefined
    ? undefined
    : {
        action: { is: 'patch', kind: selection.kind, name: selection.name!, patch: merge.value as JsonObject },
        label: `patch ${describeSelection(selection)}`,
      }
}

/** TYPE/NAME of one of some kinds, as the command line takes it. */
function readWorkload(slot: YamlNode, text: string, kinds: readonly Kind[]): string | undefined {
  try {
    const [word = '', name = '', ...more] = text.split('/')
    if (name === '' || more.length > 0)
      throw new GantryError('InvalidArgument', `"${text}" is not TYPE/NAME, such as deployment/web`)
    const kind = kindOf(word, SCHEMA_KINDS)
    if (!kinds.includes(kind))
      throw new GantryError('InvalidArgument', `this works on ${kinds.map((one) => `${one}s`).join(' and ')} only`)
    return text
  } catch (thrown) {
    return slot.refuse(GantryError.from(thrown).message, { key: true })
  }
}

function readScale(slot: YamlNode): Read | undefined {
  const workloads = slot.entries().flatMap(([name, count]) => {
    const workload = readWorkload(
      count,
      name,
      kindsWith(({ scale }) => scale !== undefined, SCHEMA_KINDS),
    )
    const replicas = count.integer(0)
    return workload === undefined || replicas === undefined ? [] : [{ workload, replicas }]
  })
  if (slot.isMap && slot.entries().length === 0) return slot.refuse('is empty; write { deployment/web: 3 }')
  return {
    action: { is: 'scale', workloads },
    label: `scale ${workloads.map(({ workload, replicas }) => `${workload} to ${replicas}`).join(', ')}`,
  }
}

function readRollout(slot: YamlNode, scope: StepScope): Read | undefined {
  const verb = slot.isMap ? (firstWord(slot, ROLLOUT_VERBS, 'a rollout') as RolloutVerb | undefined) : 'status'
  if (verb === undefined) return undefined
  const object = slot.isMap ? slot.fields<string>([verb], 'a rollout')!.get(verb)! : slot
  const text = readWord(object, scope)
  const workload =
    text === undefined
      ? undefined
      : readWorkload(
          object,
          text,
          kindsWith(({ rollout }) => rollout !== undefined, SCHEMA_KINDS),
        )
  return workload === undefined
    ? undefined
    : {
        action: { is: 'rollout', verb, workload },
        label: verb === 'status' ? `rollout of ${workload} is complete` : `${verb} rollout of ${workload}`,
      }
}

function readRemember(slot: YamlNode, scope: StepScope): Read | undefined {
  const entries = slot.entries()
  if (slot.isMap && entries.length === 0) return slot.refuse('is empty; name what to remember')
  const values = entries.flatMap(([name, one]) => {
    if (!VARIABLE.test(name))
      return one.refuse(`"${name}" is not a name: letters and digits, a letter first`, { key: true }) ?? []
    if (Object.hasOwn(BUILT_IN, name))
      return (
        one.refuse(`"${name}" is always there: ${BUILT_IN[name as keyof typeof BUILT_IN]}`, {
          key: true,
          remedy: 'choose another name',
        }) ?? []
      )
    const probe = readProbe(one, scope)
    return probe === undefined ? [] : [{ name, probe }]
  })
  for (const [name] of entries) scope.remembered.add(name)
  return { action: { is: 'remember', values }, label: `remember ${entries.map(([name]) => name).join(', ')}` }
}

function readHeal(slot: YamlNode, scope: StepScope): Read | undefined {
  if (slot.value === null || slot.value === 'all')
    return { action: { is: 'heal', which: undefined }, label: 'heal all' }
  const which = slot.text()
  if (which === undefined) return undefined
  if (!scope.healable.has(which))
    return slot.refuse(`no fault before it is called "${which}"`, {
      remedy:
        scope.healable.size === 0
          ? 'there is nothing to heal yet'
          : `it is all, or one of ${[...scope.healable].join(', ')}`,
    })
  return { action: { is: 'heal', which }, label: `heal ${which}` }
}

function readRepeat(slot: YamlNode, number: string, scope: StepScope): Read | undefined {
  const fields = slot.fields(['times', 'steps'], 'repeat')
  const times = fields?.need('times', 'how often')?.integer(1, 10_000)
  const inner = fields?.need('steps', 'what is repeated')
  const steps = inner === undefined ? [] : readSteps(inner, scope, `${number}.`)
  return times === undefined || inner === undefined
    ? undefined
    : { action: { is: 'repeat', times, steps }, label: `${times} times` }
}
