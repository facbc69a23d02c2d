/** What is said of what was seen. */
import assert from 'node:assert/strict'
import { GantryError } from '../../../../proto/base/errors.ts'
import { applyDefaults } from '../../../../proto/codec/defaults.ts'
import { decodeJson } from '../../../../proto/codec/codec.ts'
import { evaluateCondition, merge } from '../../../../deploy/rig/scenario/condition-evaluation.ts'
import { essenceOf, type Observation } from '../../../../deploy/rig/scenario/probe.ts'
import type { Condition } from '../../../../deploy/rig/scenario/scenario.ts'
import type { AnyResource, JsonObject } from '../../../../proto/gen/types.ts'
import { deployment, node, pod } from '../../../cli/objects.ts'
import { parse } from './fake-rig.ts'

function condition(text: string): Condition {
  const {
    steps: [step],
  } = parse(`steps:\n  - check: ${text}\n`)
  assert.ok(step?.action.is === 'check')
  return step.action.conditions[0]!
}

const objects = (...list: JsonObject[]): Observation => ({
  is: 'objects',
  objects: list.map((json) => applyDefaults(decodeJson(undefined, json)) as AnyResource),
})
const output = (text: string, code = 0, stderr = ''): Observation => ({ is: 'output', text, code, stderr })
const answers = (...list: readonly (readonly [string, number, string])[]): Observation => ({
  is: 'answers',
  asked: 1,
  answers: list.map(([from, status, body]) => ({ from, status, body })),
})
const sick = (name: string): JsonObject => ({
  ...node(name),
  status: { conditions: [{ type: 'Ready', status: 'Unknown', reason: 'Lost', message: 'silent for 5 s' }] },
})
const many = Array.from({ length: 8 }, (_, index) => pod(`p${index}`, { status: { phase: 'Pending' } }))

/** Condition, what is there, whether it holds, what is told. */
const CASES: readonly (readonly [string, Observation, boolean, string | RegExp])[] = [
  ['deployment/web', objects(deployment('web')), true, 'deployment/web: ready'],
  [
    'deployment/web',
    objects(deployment('web', { status: { observedGeneration: 1, replicas: 3, updatedReplicas: 1 } })),
    false,
    /deployment\/web: Waiting for deployment "web" rollout to finish: 1 out of 3/,
  ],
  ['deployment/web', objects(), false, 'none'],
  ['pod/a', objects(pod('a', { status: { phase: 'Pending' } })), false, /^pod\/a: Pending$/],
  ['node/n1', objects(node('n1')), true, 'node/n1: ready'],
  ['node/n1', objects(sick('n1')), false, 'node/n1: silent for 5 s'],
  [
    '{ object: node/n1, condition: ready=unknown }',
    objects(sick('n1')),
    true,
    'node/n1: Ready=Unknown (Lost: silent for 5 s)',
  ],
  [
    '{ object: deployment/web, condition: Available }',
    objects(deployment('web', { metadata: { generation: 2 } })),
    false,
    'deployment/web: its last change is not observed yet',
  ],
  [
    '{ object: deployment/web, condition: Progressing }',
    objects(deployment('web')),
    false,
    'deployment/web: no condition Progressing',
  ],
  ['{ object: pod/a }', objects(pod('a')), true, 'pod/a'],
  ['{ object: pod/a, exists: false }', objects(), true, 'none'],
  ['{ object: pod/a, exists: false }', objects(pod('a')), false, '1 of them; pod/a'],
  ['{ objects: pods, count: 0 }', objects(), true, 'none'],
  ['{ objects: pods, path: .status.phase, is: Running }', objects(), false, 'none'],
  [
    '{ objects: pods, path: .status.phase, is: Running }',
    objects(...many),
    false,
    /^8 of them; pod\/p0: \.status\.phase is Pending; .*pod\/p4.*; and 3 more$/,
  ],
  ['{ objects: pods, path: .status.phase, is: Pending, count: { atMost: 7 } }', objects(...many), false, /^8 of them/],
  [
    '{ object: pod/a, path: [.status.phase, .status.podIP], matches: "." }',
    objects(pod('a', { status: { phase: 'Running' } })),
    false,
    'pod/a: .status.podIP is not there',
  ],
  [
    '{ object: pod/a, path: .status.podIP, isNot: 10.0.0.1 }',
    objects(pod('a', { status: { phase: 'Running' } })),
    true,
    'pod/a: .status.podIP is not there',
  ],
  ['{ run: x }', output('fine'), true, 'fine'],
  ['{ run: x }', output('', 0, 'a warning'), true, 'no output'],
  ['{ run: x }', output('half', 2, 'bad'), false, 'exit code 2: bad'],
  ['{ run: x, exit: 2 }', output('', 2, 'bad'), true, 'no output'],
  ['{ run: x, is: 3 }', output('4'), false, '4'],
  ['{ logs: web, contains: ready }', output('not yet'), false, 'not yet'],
  ['{ http: "http://a/" }', answers(['http://a/', 204, '']), true, 'http://a/: 204'],
  ['{ http: "http://a/" }', answers(['http://a/', 500, 'no\n']), false, 'http://a/: 500 no'],
  [
    '{ http: "http://a/", status: 500, contains: "no" }',
    answers(['http://a/', 500, 'no\n']),
    true,
    'http://a/: 500 no',
  ],
  [
    '{ http: "http://a/" }',
    answers(['http://a/', 0, 'connect ECONNREFUSED']),
    false,
    'http://a/: no answer: connect ECONNREFUSED',
  ],
  ['{ http: ":80/", pods: app=web }', answers(), false, 'no pod is ready'],
  ['{ http: ":80/", pods: app=web }', answers(['pod/a', 200, 'x'], ['pod/b', 404, 'y']), false, 'pod/b: 404 y'],
]

describe('judgements', () => {
  for (const [text, sight, holds, seen] of CASES) {
    it(`${text}: ${String(seen).slice(0, 60)}`, () => {
      const verdict = evaluateCondition(condition(text), sight)
      assert.equal(verdict.holds, holds)
      if (typeof seen === 'string') assert.equal(verdict.seen, seen)
      else assert.match(verdict.seen, seen)
    })
  }

  it('cut what is long', () => {
    const { seen } = evaluateCondition(condition('{ run: x, is: y }'), output('z'.repeat(1_000)))
    assert.equal(seen.length, 300)
  })

  it('of objects that cannot be looked at are neither', () => {
    const error = new GantryError('Unavailable', 'nobody answers')
    assert.deepEqual(evaluateCondition(condition('pod/a'), { is: 'nothing', of: 'objects', error }), {
      holds: false,
      seen: 'nothing: nobody answers',
      unknown: true,
    })
    assert.deepEqual(evaluateCondition(condition('{ run: x }'), { is: 'nothing', of: 'command', error }), {
      holds: false,
      seen: 'nothing: nobody answers',
    })
  })

  it('of several are one: what does not hold is told, and known wrong counts more than unknown', () => {
    const good = { holds: true, seen: 'good' }
    const bad = { holds: false, seen: 'bad' }
    const unknown = { holds: false, seen: 'away', unknown: true }
    assert.deepEqual(merge([good, good]), { holds: true, seen: 'good; good' })
    assert.deepEqual(merge([good, bad]), { holds: false, seen: 'bad' })
    assert.deepEqual(merge([good, unknown]), { holds: false, seen: 'away', unknown: true })
    assert.deepEqual(merge([bad, unknown]), { holds: false, seen: 'bad; away' })
  })

  it('of changes name each of them', () => {
    const probe = { is: 'text', text: '' } as const
    const unchanged: Condition = { is: 'unchanged', name: 'x', label: '', every: 1 }
    assert.deepEqual(evaluateCondition(unchanged, output('b'), { value: 'a', probe }), {
      holds: false,
      seen: 'was a, is b',
    })
    assert.deepEqual(evaluateCondition(unchanged, output('a'), { value: 'a', probe }), { holds: true, seen: 'a' })
    assert.deepEqual(evaluateCondition(unchanged, output('', 1, 'gone'), { value: 'a', probe }), {
      holds: false,
      seen: 'exit code 1: gone',
    })
  })

  it('remember only what was there', () => {
    const probe = { is: 'text', text: '' } as const
    assert.equal(essenceOf(output('', 1), probe), undefined)
    assert.equal(essenceOf(answers(['a', 0, 'refused']), probe), undefined)
    assert.deepEqual(essenceOf(answers(['a', 404, 'x']), probe), { a: 'x' })
  })
})
