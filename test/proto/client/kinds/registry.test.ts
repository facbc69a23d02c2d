import assert from 'node:assert/strict'
import type { Kind } from '../../../../proto/gen/types.ts'
import type { KindRecord } from '../../../../proto/client/kinds/kind-record.ts'
import { kindsWith, recordOf } from '../../../../proto/client/kinds/registry.ts'
import { KindRegistry, SCHEMA_KINDS } from '../../../../proto/schema/kind-registry.ts'
import { customKind } from './custom-kind.ts'

describe('records of kinds', () => {
  const abilities: [what: string, has: (record: KindRecord) => boolean, kinds: Kind[]][] = [
    ['are scaled', ({ scale }) => scale !== undefined, ['Deployment', 'ReplicaSet', 'ReplicationController']],
    ['are rolled out', ({ rollout }) => rollout !== undefined, ['Deployment']],
    ['make pods', ({ pods }) => pods?.are === 'made', ['Deployment', 'ReplicaSet', 'ReplicationController']],
    ['lead to pods of others', ({ pods }) => pods?.are === 'served', ['Service']],
    [
      'have a pod spec',
      ({ podSpec }) => podSpec !== undefined,
      ['Deployment', 'Pod', 'ReplicaSet', 'ReplicationController'],
    ],
    [
      'can be exposed',
      ({ ports }) => ports !== undefined,
      ['Deployment', 'Pod', 'ReplicaSet', 'ReplicationController', 'Service'],
    ],
    ['are machinery', ({ machinery }) => machinery === true, ['Event', 'Lease']],
  ]
  for (const [what, has, kinds] of abilities)
    it(`tell which ${what}`, () => assert.deepEqual(kindsWith(has, SCHEMA_KINDS).sort(), kinds))

  it('that make pods say all that commands ask of them', () => {
    for (const kind of kindsWith(({ pods }) => pods?.are === 'made', SCHEMA_KINDS)) {
      const { podSpec, ports, scale, takesTime, inAll } = recordOf(kind)
      assert.ok(podSpec && ports && scale && takesTime && inAll, kind)
    }
  })

  it('stand at places of their own in "all"', () => {
    const places = SCHEMA_KINDS.kinds().flatMap((kind) => recordOf(kind).inAll ?? [])
    assert.equal(new Set(places).size, places.length)
  })

  it('scale custom kinds where their definitions say', () => {
    const kinds = new KindRegistry()
    const custom = customKind(kinds, 'CronTab', 'stable.example.com', {
      scale: { specReplicasPath: '.spec.workers', statusReplicasPath: '.status.workers' },
    })
    assert.equal(recordOf(custom.id).scale, undefined)
    kinds.set(custom)
    try {
      assert.deepEqual(recordOf(custom.id).scale, { replicasPath: ['spec', 'workers'] })
      assert.ok(kindsWith(({ scale }) => scale !== undefined, kinds).includes(custom.id))
    } finally {
      kinds.close()
    }
  })
})
