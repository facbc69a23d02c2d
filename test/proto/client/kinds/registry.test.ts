import assert from 'node:assert/strict'
import type { Kind } from '../../../../proto/gen/types.ts'
import type { KindRecord } from '../../../../proto/client/kinds/kind-record.ts'
import { kindsWith, recordOf } from '../../../../proto/client/kinds/registry.ts'
import { programKinds } from '../../../../proto/client/program-kinds.ts'
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
    it(`tell which ${what}`, () => assert.deepEqual(kindsWith(has).sort(), kinds))

  it('that make pods say all that commands ask of them', () => {
    for (const kind of kindsWith(({ pods }) => pods?.are === 'made')) {
      const { podSpec, ports, scale, takesTime, inAll } = recordOf(kind)
      assert.ok(podSpec && ports && scale && takesTime && inAll, kind)
    }
  })

  it('stand at places of their own in "all"', () => {
    const places = programKinds.kinds().flatMap((kind) => recordOf(kind).inAll ?? [])
    assert.equal(new Set(places).size, places.length)
  })

  it('scale custom kinds where their definitions say', () => {
    const custom = customKind('CronTab', 'stable.example.com', {
      scale: { specReplicasPath: '.spec.workers', statusReplicasPath: '.status.workers' },
    })
    assert.equal(recordOf(custom.id).scale, undefined)
    programKinds.set(custom)
    try {
      assert.deepEqual(recordOf(custom.id).scale, { replicasPath: ['spec', 'workers'] })
      assert.ok(kindsWith(({ scale }) => scale !== undefined).includes(custom.id))
    } finally {
      programKinds.delete(custom.id)
    }
  })
})
