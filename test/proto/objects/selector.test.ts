import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../proto/base/errors.ts'
import {
  formatLabelSelector,
  labelSelectorMatcher,
  parseFieldSelector,
  parseLabelSelector,
} from '../../../proto/objects/selector.ts'
import type { AnyResource, LabelSelector } from '../../../proto/gen/types.ts'

function refuses(call: () => unknown, message: RegExp): void {
  assert.throws(call, (error) => GantryError.is(error, 'InvalidArgument') && message.test(error.message))
}

describe('label selector', () => {
  const table: [string, Record<string, string>, boolean][] = [
    ['', {}, true],
    ['a=b', { a: 'b' }, true],
    ['a==b', { a: 'c' }, false],
    [' a = b , c != d ', { a: 'b' }, true],
    ['c!=d', { c: 'd' }, false],
    ['e in (x, y)', { e: 'y' }, true],
    ['e in (x,y)', {}, false],
    ['e notin (x,y)', {}, true],
    ['e notin (x,y)', { e: 'x' }, false],
    ['h', { h: '' }, true],
    ['h', {}, false],
    ['!f', { f: '1' }, false],
    ['!f,app.kubernetes.io/name=web', { 'app.kubernetes.io/name': 'web' }, true],
    ['in in (notin)', { in: 'notin' }, true],
    ['a=', { a: '' }, true],
    ['constructor', {}, false],
  ]
  for (const [text, labels, expected] of table) {
    it(`${JSON.stringify(text)} ${expected ? 'matches' : 'does not match'} ${JSON.stringify(labels)}`, () => {
      assert.equal(parseLabelSelector(text).matches(labels), expected)
    })
  }

  it('says where a text is wrong', () => {
    refuses(() => parseLabelSelector('a=b,,c'), /character 5: expected a label key, found ",c"/)
    refuses(() => parseLabelSelector('a in x'), /character 6: expected "\(", found "x"/)
    refuses(() => parseLabelSelector('a in (x'), /character 8: expected "\)", found the end/)
    refuses(() => parseLabelSelector('a=-b'), /character 3: expected a label value/)
    refuses(() => parseLabelSelector('a over b'), /character 3: expected =, ==, !=, in or notin/)
    refuses(() => parseLabelSelector('a=b c'), /character 5: expected ","/)
  })

  it('has a bounded number of requirements: each is looked at for every object and every event of a watch', () => {
    const of = (count: number): string => Array.from({ length: count }, (_, index) => `!k${index}`).join(',')
    assert.ok(parseLabelSelector(of(200)).matches({}))
    assert.throws(() => parseLabelSelector(of(201)), { code: 'InvalidArgument', message: /more than 200 requirements/ })
    const fields = (count: number): string =>
      Array.from({ length: count }, (_, index) => `metadata.name!=x${index}`).join(',')
    assert.equal(parseFieldSelector(fields(200), 'Pod').requirements.length, 200)
    assert.throws(() => parseFieldSelector(fields(201), 'Pod'), {
      code: 'InvalidArgument',
      message: /more than 200 requirements/,
    })
    // Values are looked up.
    assert.ok(
      !parseLabelSelector(`k in (${Array.from({ length: 5000 }, (_, index) => `v${index}`).join(',')})`).matches({
        k: 'w',
      }),
    )
  })

  it('matches everything when empty and nothing when there is none', () => {
    assert.equal(labelSelectorMatcher({}).matches({ a: 'b' }), true)
    assert.equal(labelSelectorMatcher(undefined).matches({ a: 'b' }), false)
  })

  it('refuses an operator without its values', () => {
    refuses(() => labelSelectorMatcher({ matchExpressions: [{ key: 'a', operator: 'In' }] }), /In needs values/)
    refuses(
      () => labelSelectorMatcher({ matchExpressions: [{ key: 'a', operator: 'Exists', values: ['x'] }] }),
      /Exists takes no values/,
    )
  })

  it('means the same as text and as an object', () => {
    const name = fc.constantFrom('a', 'b', 'c')
    const values = fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { minLength: 1 })
    const expression = fc.oneof(
      fc.record({ key: name, operator: fc.constantFrom('In' as const, 'NotIn' as const), values }),
      fc.record({ key: name, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const) }),
    )
    const selector: fc.Arbitrary<LabelSelector> = fc.record({
      matchLabels: fc.dictionary(name, fc.constantFrom('x', 'y')),
      matchExpressions: fc.array(expression, { maxLength: 3 }),
    })
    fc.assert(
      fc.property(selector, fc.dictionary(name, fc.constantFrom('x', 'y', 'z', '')), (object, labels) => {
        assert.equal(
          parseLabelSelector(formatLabelSelector(object)).matches(labels),
          labelSelectorMatcher(object).matches(labels),
        )
      }),
    )
  })
})

describe('field selector', () => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'default' },
    spec: { priority: 3 },
    status: { phase: 'Running' },
  } as unknown as AnyResource
  const table: [string, boolean][] = [
    ['metadata.name=web,metadata.namespace==default', true],
    ['status.phase!=Running', false],
    ['spec.nodeName=', true],
    ['spec.nodeName!=', false],
    ['spec.priority=3', true],
    ['spec.hostNetwork=false', true],
    ['spec.activeDeadlineSeconds=0', true],
    ['metadata.name=a\\,b', false],
  ]
  for (const [text, expected] of table) {
    it(`${text} ${expected ? 'matches' : 'does not match'}`, () =>
      assert.equal(parseFieldSelector(text, 'Pod').matches(pod), expected))
  }

  it('says where a text is wrong', () => {
    refuses(() => parseFieldSelector('metadata.name'), /character 14: expected =, == or !=, found the end/)
    refuses(
      () => parseFieldSelector('status.phase=x,spec.nodename=a', 'Pod'),
      /character 16: Pod has no field spec.nodename/,
    )
    refuses(() => parseFieldSelector('spec.containers=a', 'Pod'), /not a single value/)
    refuses(() => parseFieldSelector('metadata.name=a=b'), /character 16/)
  })

  it('tells the value that a path must have', () => {
    assert.equal(parseFieldSelector('spec.nodeName=n1').exact('spec.nodeName'), 'n1')
    assert.equal(parseFieldSelector('spec.nodeName!=n1').exact('spec.nodeName'), undefined)
  })
})
