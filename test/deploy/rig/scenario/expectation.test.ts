/** What values must be, and names in texts. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { allPass, describeTests, equal, passes, type ValueTest } from '../../../../deploy/rig/scenario/expectation.ts'
import { references, replaceReferences, Variables } from '../../../../deploy/rig/scenario/variables.ts'
import type { JsonValue } from '../../../../proto/gen/types.ts'

const CASES: readonly (readonly [ValueTest, JsonValue, boolean])[] = [
  [{ is: 'is', value: 3 }, '3', true],
  [{ is: 'is', value: 3 }, 3, true],
  [{ is: 'is', value: 'true' }, true, true],
  [{ is: 'is', value: { a: 1, b: [2] } }, { b: [2], a: 1 }, true],
  [{ is: 'is', value: [1, 2] }, [2, 1], false],
  [{ is: 'isNot', value: 'Running' }, 'Pending', true],
  [{ is: 'isNot', value: 'Running' }, 'Running', false],
  [{ is: 'atLeast', value: 2 }, 2, true],
  [{ is: 'atLeast', value: 2 }, '10', true],
  [{ is: 'atLeast', value: 2 }, 'many', false],
  [{ is: 'atLeast', value: 0 }, '', false],
  [{ is: 'atMost', value: 2 }, 3, false],
  [{ is: 'atMost', value: 2 }, null, false],
  [{ is: 'contains', value: 'b' }, 'abc', true],
  [{ is: 'contains', value: '"x"' }, { x: 1 }, true],
  [{ is: 'lacks', value: 'b' }, 'abc', false],
  [{ is: 'matches', value: /^ready$/m }, 'starting\nready', true],
  [{ is: 'matches', value: /^ready$/m }, 'already', false],
]

describe('expectations', () => {
  for (const [test, value, holds] of CASES)
    it(`${JSON.stringify(value)} ${describeTests([test])}: ${holds}`, () => assert.equal(passes(test, value), holds))

  it('must hold for each value, and all of them', () => {
    assert.equal(
      allPass(
        [
          { is: 'atLeast', value: 1 },
          { is: 'atMost', value: 3 },
        ],
        [1, 2, 3],
      ),
      true,
    )
    assert.equal(
      allPass(
        [
          { is: 'atLeast', value: 1 },
          { is: 'atMost', value: 3 },
        ],
        [1, 4],
      ),
      false,
    )
  })

  it('say of nothing only what must not be', () => {
    assert.deepEqual(
      CASES.map(([test]) => test.is).filter(
        (is, index, all) => all.indexOf(is) === index && allPass([CASES.find(([test]) => test.is === is)![0]], []),
      ),
      ['isNot', 'atMost', 'lacks'],
    )
  })

  it('take every value as equal to itself, whatever the order of keys', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => equal(value as JsonValue, shuffled(value as JsonValue))))
  })
})

function shuffled(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(shuffled)
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, item]) => [key, shuffled(item)]),
      )
    : value
}

describe('names in texts', () => {
  it('are letters and digits after a dollar', () => {
    assert.deepEqual(references('$a-$bC2, $$c $1 $ ${d}'), ['a', 'bC2'])
    assert.equal(
      replaceReferences('$a-$b $$c $1', (name) => name.toUpperCase()),
      'A-B $c $1',
    )
  })

  it('leave texts without dollars alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('$')),
        (text) => replaceReferences(text, () => 'x') === text,
      ),
    )
  })

  it('stand for one value, or for JSON where there are several', async () => {
    const variables = new Variables(async (name) => name)
    variables.remember('one', { 'pod/a': [['10.0.0.1']] })
    variables.remember('number', { 'pod/a': [[3]] })
    variables.remember('two', { 'pod/a': [['x']], 'pod/b': [['y']] })
    variables.remember('text', 'plain')
    assert.equal(
      await variables.fill('$one $number $two $text $round $leader', 7),
      '10.0.0.1 3 {"pod/a":[["x"]],"pod/b":[["y"]]} plain 7 leader',
    )
    await assert.rejects(variables.fill('$none', 0), {
      code: 'FailedPrecondition',
      message: 'nothing is remembered as "none" yet',
    })
  })

  it('are quoted for shells, and only those that the text has', async () => {
    const variables = new Variables(async (name) => name)
    variables.remember('evil', "'; reboot; '")
    variables.remember('other', 'x')
    assert.equal(await variables.shellPrefix('echo ${evil} $HOME', 0), "evil=''\\''; reboot; '\\'''\n")
  })
})
