import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { floors } from './floors.mjs'
import structure, { circles, floorOf, mayImport, readImports } from './structure.mjs'

const root = path.join(import.meta.dirname, '../..')

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

  const few = [['proto/base'], ['proto/schema', 'agent/config.ts'], ['agent/pods'], ['agent']]
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
    it(`${allowed ? 'allows' : 'refuses'} an import ${what}`, () => assert.equal(mayImport(file, target, few), allowed))
})

describe('floors of the source tree', () => {
  const imports = readImports(root, ['proto', 'controller', 'agent', 'cli', 'deploy'])
  const isGenerated = (file: string): boolean => file.startsWith('proto/gen/')

  it('hold every file of every program', () =>
    assert.deepEqual(
      [...imports.keys()].filter((file) => !isGenerated(file) && floorOf(file, floors).floor === undefined),
      [],
    ))

  it('name what is there, and each of it once', () => {
    const rooms = floors.flat()
    assert.deepEqual(
      rooms.filter((room) => !existsSync(path.join(root, room))),
      [],
    )
    assert.equal(new Set(rooms).size, rooms.length)
  })

  it('are kept by every import', () =>
    assert.deepEqual(
      [...imports].flatMap(([file, targets]) =>
        targets.filter((target) => !mayImport(file, target, floors)).map((target) => `${file} imports ${target}`),
      ),
      [],
    ))

  it('of the controller are those that its README shows', () => {
    const text = readFileSync(path.join(root, 'controller/README.md'), 'utf8')
    const shown = [...text.matchAll(/^\| (\d+) \| ([^|]*) \|/gm)].map(([, floor, rooms]) => [
      Number(floor),
      [...rooms!.matchAll(/`([^`]+?)\/?`/g)].map(([, room]) => `controller/${room}`).sort(),
    ])
    const own = floors.filter((rooms) => rooms.some((room) => room.startsWith('controller/')))
    assert.deepEqual(shown, own.map((rooms, index) => [index + 1, [...rooms].sort()] as [number, string[]]).reverse())
  })

  function refused(file: string, target: string): string[] {
    const messages: string[] = []
    const visitor = structure.rules.directions.create({
      filename: path.join(root, file),
      settings: { structure: { root, floors } },
      report: ({ message }) => messages.push(message),
    })
    visitor.ImportDeclaration!({ source: { value: `./${path.posix.relative(path.posix.dirname(file), target)}` } })
    return messages
  }

  const message = (file: string, target: string): string =>
    `${floorOf(file, floors).room} must not import from ${floorOf(target, floors).room}: see test/lint/floors.mjs`

  const upwards: [string, string][] = [
    ['controller/store/memory.ts', 'controller/api/contract.ts'],
    ['controller/informer/contract.ts', 'controller/kinds/strategy.ts'],
    ['controller/kinds/pod.ts', 'controller/api/objects.ts'],
    ['controller/api/objects.ts', 'controller/admission/admission.ts'],
    ['controller/reconcile/podgc/reconciler.ts', 'controller/dispatch/dispatcher.ts'],
    ['controller/dispatch/dispatcher.ts', 'controller/config.ts'],
    ['controller/requests/requests.ts', 'controller/kube/server.ts'],
    ['cli/output/rows.ts', 'cli/commands/get.ts'],
    ['cli/waiting.ts', 'cli/commands/wait.ts'],
    ['deploy/node-image/node-image.ts', 'deploy/rig/contract.ts'],
    ['deploy/rig/drivers/index.ts', 'deploy/rig/rig.ts'],
    ['deploy/rig/scenario/parse.ts', 'deploy/rig/commands/run.ts'],
  ]
  for (const [file, target] of upwards)
    it(`refuse that ${file} imports ${target}, and not the opposite`, () => {
      assert.deepEqual(refused(file, target), [message(file, target)])
      assert.deepEqual(refused(target, file), [])
    })

  const beside: [string, string][] = [
    ['controller/grpc/cluster.ts', 'controller/kube/server.ts'],
    ['controller/accounts/tokens.ts', 'controller/events/contract.ts'],
    ['deploy/rig/faults/index.ts', 'deploy/rig/drivers/index.ts'],
  ]
  for (const [file, target] of beside)
    it(`refuse that ${file} imports ${target}, and the opposite`, () => {
      assert.deepEqual(refused(file, target), [message(file, target)])
      assert.deepEqual(refused(target, file), [message(target, file)])
    })
})
