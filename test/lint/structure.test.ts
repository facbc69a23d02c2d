import assert from 'node:assert/strict'
import { circles, mayImport } from './structure.mjs'

describe('structure of the source tree', () => {
  const circlesOf = (imports: Record<string, string[]>): Record<string, string[]> =>
    Object.fromEntries(circles(new Map(Object.entries(imports))))

  it('finds files that import each other, in whatever number of steps', () => {
    assert.deepEqual(circlesOf({ a: ['b'], b: ['c'], c: [] }), {})
    assert.deepEqual(circlesOf({ a: ['a'] }), { a: ['a'] })
    const circle = ['a', 'b', 'c']
    assert.deepEqual(circlesOf({ a: ['b', 'd'], b: ['c'], c: ['a'], d: [] }), { a: circle, b: circle, c: circle })
    assert.deepEqual(circlesOf({ a: ['b'], b: ['a', 'c'], c: ['d'], d: ['c'] }), {
      a: ['a', 'b'],
      b: ['a', 'b'],
      c: ['c', 'd'],
      d: ['c', 'd'],
    })
  })

  const floors = [['proto/base'], ['proto/schema', 'agent/config.ts'], ['agent/pods'], ['agent']]
  const table: [string, string, boolean, string][] = [
    ['proto/schema/a.ts', 'proto/base/b.ts', true, 'downwards'],
    ['proto/base/a.ts', 'proto/schema/b.ts', false, 'upwards'],
    ['proto/schema/a.ts', 'agent/config.ts', false, 'beside it on the same floor'],
    ['agent/pods/steps/a.ts', 'agent/pods/plan/b.ts', true, 'within the room'],
    ['agent/pods/a.ts', 'agent/config.ts', true, 'to the most special entry, not to the folder above it'],
    ['agent/pods/a.ts', 'agent/agent.ts', false, 'to the folder above it'],
    ['elsewhere/a.ts', 'proto/base/b.ts', true, 'from what stands on no floor'],
  ]
  for (const [file, target, allowed, what] of table)
    it(`${allowed ? 'allows' : 'refuses'} an import ${what}`, () =>
      assert.equal(mayImport(file, target, floors), allowed))
})
