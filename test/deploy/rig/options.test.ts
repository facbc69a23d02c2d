import assert from 'node:assert/strict'
import { checkName, checkOptions, type RigOptions } from '../../../deploy/rig/options.ts'
import { GantryError } from '../../../proto/base/errors.ts'

describe('the options of a rig', () => {
  it('have defaults', () => {
    assert.deepEqual(checkOptions({}), { nodes: 3, controllers: 1, diskBytes: 8 * 2 ** 30 })
    assert.deepEqual(checkOptions({ nodes: 0, controllers: 5, cpus: 0.5, memoryBytes: 2 ** 30, diskBytes: 2 ** 30 }), {
      nodes: 0,
      controllers: 5,
      cpus: 0.5,
      memoryBytes: 2 ** 30,
      diskBytes: 2 ** 30,
    })
  })

  const refused: [RigOptions, string, RegExp][] = [
    [{ nodes: -1 }, 'nodes', /whole number/],
    [{ nodes: 1.5 }, 'nodes', /whole number/],
    [{ nodes: 201 }, 'nodes', /200 at most: a rig's network is a \/24, 254 addresses/],
    [{ controllers: 2 }, 'controllers', /1, 3 or 5/],
    [{ controllers: 0 }, 'controllers', /1, 3 or 5/],
    [{ diskBytes: 1000 }, 'diskBytes', /64Mi/],
    [{ memoryBytes: NaN }, 'memoryBytes', /64Mi/],
    [{ cpus: 0 }, 'cpus', /more than 0/],
    [{ etcd: [] }, 'etcd', /one address/],
    [{ controllers: 3, etcd: ['https://h:2379'] }, 'nats', /both, or neither/],
    [
      { settings: { agent: { network: {}, stateDir: '/x' } } },
      'settings.agent.stateDir',
      /the rig's own.*leave it out/,
    ],
    [{ settings: { controller: { listen: ':1' } } }, 'settings.controller.listen', /the rig's own/],
    [{ controllers: 3, nats: ['nats://h:4222'] }, 'etcd', /both, or neither/],
  ]
  for (const [options, field, message] of refused) {
    it(`refuse ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => checkOptions(options),
        (thrown) =>
          GantryError.is(thrown, 'InvalidArgument') &&
          thrown.details[0]!.field === field &&
          message.test(`${thrown.message} ${thrown.details[0]!.remedy}`),
      )
    })
  }

  it('take names that interfaces, tables and paths can hold', () => {
    for (const name of ['a', 'web-1', 'x'.repeat(32)]) checkName(name)
    for (const name of ['', '-a', 'a-', 'A', 'a_b', 'a.b', 'a/b', 'x'.repeat(33)])
      assert.throws(
        () => checkName(name),
        (thrown) => GantryError.is(thrown, 'InvalidArgument'),
        name,
      )
  })
})
