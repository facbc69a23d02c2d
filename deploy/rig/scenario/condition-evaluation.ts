/** Whether what is seen is what is expected. Pure: observations in, results out, with what was seen in words. */
import { readinessOf } from '../../../proto/client/kinds/registry.ts'
import { encodeJson } from '../../../proto/codec/codec.ts'
import type { AnyResource, JsonValue } from '../../../proto/gen/types.ts'
import { allPass, equal, showPlain } from './expectation.ts'
import type { Answer } from './http-prober.ts'
import { essenceOf, nameOf, valuesAt, type Observation } from './probe.ts'
import type { Condition, ObjectsExpectation, Probe } from './scenario.ts'
import type { Remembered } from './variables.ts'

export interface ConditionResult {
  readonly holds: boolean
  /** The objects could not be looked at, because no controller answered: neither does it hold nor not. */
  readonly unknown?: boolean
  /** How often was looked; 1 if it is not said. */
  readonly looks?: number
  /** For people: what was looked at looks like this. */
  readonly seen: string
}

/** How many objects and how many characters of a text a verdict shows. */
const SHOWN_OBJECTS = 5
const SHOWN_TEXT = 300

/** What the condition asks, of what was seen. `before` is what was remembered, for conditions about changes. */
export function evaluateCondition(
  condition: Condition,
  sight: Observation,
  before?: { readonly value: Remembered; readonly probe: Probe },
): ConditionResult {
  if (sight.is === 'nothing')
    return {
      holds: false,
      seen: `nothing: ${sight.error.message}`,
      ...(sight.of === 'objects' ? { unknown: true } : {}),
    }
  switch (condition.is) {
    case 'objects':
      return sight.is === 'objects' ? judgeObjects(condition.probe, condition.expect, sight.objects) : mismatched(sight)
    case 'output':
      return sight.is === 'output' ? judgeOutput(condition, sight) : mismatched(sight)
    case 'answer':
      return sight.is === 'answers' ? judgeAnswers(condition, sight) : mismatched(sight)
    case 'unchanged':
      return judgeChange(before!.value, essenceOf(sight, before!.probe), sight)
  }
}

function mismatched(sight: Observation): never {
  throw new Error(`a look at something else came back with ${sight.is}`)
}

function judgeObjects(
  probe: Probe & { is: 'objects' },
  expect: ObjectsExpectation,
  objects: readonly AnyResource[],
): ConditionResult {
  const counted = expect.count === undefined ? objects.length > 0 : allPass(expect.count, [objects.length])
  const states = objects.map((object) => judgeObject(probe, expect, object))
  const bad = states.filter(({ holds }) => !holds)
  const holds = counted && bad.length === 0
  const shown = bad.length > 0 ? bad : states
  const names = shown.slice(0, SHOWN_OBJECTS).map(({ seen }) => seen)
  const more = shown.length > SHOWN_OBJECTS ? [`and ${shown.length - SHOWN_OBJECTS} more`] : []
  const count =
    objects.length === 0
      ? ['none']
      : expect.count !== undefined || objects.length > 1
        ? [`${objects.length} of them`]
        : []
  return { holds, seen: [...count, ...names, ...more].join('; ') }
}

function judgeObject(
  probe: Probe & { is: 'objects' },
  expect: ObjectsExpectation,
  object: AnyResource,
): ConditionResult {
  const parts: ConditionResult[] = []
  if (expect.ready) parts.push(judgeReadiness(object))
  if (expect.condition !== undefined) parts.push(judgeCondition(object, expect.condition))
  if (probe.paths.length > 0) {
    const found = valuesAt(object, probe.paths)
    parts.push(
      ...found.map((values, index): ConditionResult => ({
        holds: allPass(expect.tests, values),
        seen: `${probe.paths[index]!.text} ${showValues(values)}`,
      })),
    )
  }
  const relevant = parts.some(({ holds }) => !holds) ? parts.filter(({ holds }) => !holds) : parts
  return {
    holds: parts.every(({ holds }) => holds),
    seen: relevant.length === 0 ? nameOf(object) : `${nameOf(object)}: ${relevant.map(({ seen }) => seen).join(', ')}`,
  }
}

/** As `apply --wait` means it. */
function judgeReadiness(object: AnyResource): ConditionResult {
  const readiness = readinessOf(object)
  return {
    holds: readiness.is === 'ready',
    seen: readiness.is === 'ready' ? 'ready' : readiness.text.replace(`${nameOf(object)}: `, ''),
  }
}

function showValues(values: readonly JsonValue[]): string {
  return values.length === 0 ? 'is not there' : `is ${shorten(values.map(showPlain).join(', '))}`
}

/** A condition that was set for an older spec does not count. */
function judgeCondition(object: AnyResource, { type, status }: { type: string; status: string }): ConditionResult {
  const seen = (encodeJson(object).status ?? {}) as {
    observedGeneration?: number
    conditions?: { type: string; status: string; reason?: string; message?: string }[]
  }
  if (seen.observedGeneration !== undefined && seen.observedGeneration < (object.metadata.generation ?? 0))
    return { holds: false, seen: 'its last change is not observed yet' }
  const found = seen.conditions?.find((condition) => condition.type.toLowerCase() === type.toLowerCase())
  if (found === undefined) return { holds: false, seen: `no condition ${type}` }
  const why = [found.reason, found.message].filter((text) => text !== undefined && text !== '').join(': ')
  return {
    holds: found.status.toLowerCase() === status.toLowerCase(),
    seen: `${found.type}=${found.status}${why === '' ? '' : ` (${why})`}`,
  }
}

function judgeOutput(
  { exit, tests }: Condition & { is: 'output' },
  { code, text, stderr }: Observation & { is: 'output' },
): ConditionResult {
  const holds = (exit === undefined ? code === 0 : code === exit) && (tests.length === 0 || allPass(tests, [text]))
  const said = text === '' ? stderr : text
  const ending = code === (exit ?? 0) ? '' : `exit code ${code}${said === '' ? '' : ': '}`
  return { holds, seen: `${ending}${code === (exit ?? 0) ? showOutput(text) : shorten(stderr === '' ? text : stderr)}` }
}

function showOutput(text: string): string {
  return text === '' ? 'no output' : shorten(text)
}

function judgeAnswers(
  { status, tests }: Condition & { is: 'answer' },
  { asked, answers }: Observation & { is: 'answers' },
): ConditionResult {
  if (answers.length === 0) return { holds: false, seen: 'no pod is ready' }
  const good = (answer: Answer): boolean =>
    (status === undefined ? answer.status >= 200 && answer.status < 300 : answer.status === status) &&
    (tests.length === 0 || allPass(tests, [answer.body]))
  const bad = answers.filter((answer) => answer.leaving !== true && !good(answer))
  const shown = (bad.length > 0 ? bad : answers).slice(0, SHOWN_OBJECTS)
  return {
    holds: bad.length === 0,
    looks: asked,
    seen: shown
      .map(
        ({ from, status: got, body }) =>
          `${from}: ${got === 0 ? `no answer: ${body}` : `${got} ${shorten(body.trim())}`.trim()}`,
      )
      .join('; '),
  }
}

/** Names everything that is not as it was. */
function judgeChange(before: Remembered, now: Remembered | undefined, sight: Observation): ConditionResult {
  if (now === undefined)
    return {
      holds: false,
      seen: sight.is === 'output' ? `exit code ${sight.code}: ${shorten(sight.stderr)}` : 'no answer',
    }
  if (typeof before === 'string' || typeof now === 'string') {
    const same = equal(before as JsonValue, now as JsonValue)
    return {
      holds: same,
      seen: same
        ? shorten(showPlain(now as JsonValue))
        : `was ${shorten(showPlain(before as JsonValue))}, is ${shorten(showPlain(now as JsonValue))}`,
    }
  }
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])]
  const changes = names.flatMap((name) => {
    const [was, is] = [before[name], now[name]]
    if (was === undefined) return [`${name} is new`]
    if (is === undefined) return [`${name} is gone`]
    return equal(was, is) ? [] : [`${name} was ${shorten(showPlain(was))}, is ${shorten(showPlain(is))}`]
  })
  const more = changes.length > SHOWN_OBJECTS ? [`and ${changes.length - SHOWN_OBJECTS} more`] : []
  return {
    holds: changes.length === 0,
    seen: changes.length === 0 ? `${names.length} as before` : [...changes.slice(0, SHOWN_OBJECTS), ...more].join('; '),
  }
}

function shorten(text: string): string {
  return text.length <= SHOWN_TEXT ? text : `${text.slice(0, SHOWN_TEXT - 1)}…`
}

/** Of several at once: all must hold; what does not is what is told. */
export function merge(verdicts: readonly ConditionResult[]): ConditionResult {
  const bad = verdicts.filter(({ holds }) => !holds)
  const unknown = bad.length > 0 && bad.every((verdict) => verdict.unknown === true)
  const looks = verdicts.reduce((most, verdict) => Math.max(most, verdict.looks ?? 1), 0)
  return {
    holds: bad.length === 0,
    seen: (bad.length > 0 ? bad : verdicts).map(({ seen }) => seen).join('; '),
    ...(unknown ? { unknown } : {}),
    ...(looks === 1 ? {} : { looks }),
  }
}
