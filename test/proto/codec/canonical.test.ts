import assert from 'node:assert/strict'
import fc from 'fast-check'
import { canonicalResource } from '../../../proto/codec/canonical.ts'
import { decodeResource, encodeObject } from '../../../proto/codec/wire.ts'
import { resources } from '../../../proto/schema/schema.ts'
import type { Deployment, Kind, Pod, Resources } from '../../../proto/gen/types.ts'
import { chanceObject, chancePair } from './chance-objects.ts'

const RUNS = { numRuns: 50 }

/** What the store would give back, with the resourceVersion that the object has. */
function stored<K extends Kind>(object: Resources[K]): Resources[K] {
  return decodeResource(object.kind as K, encodeObject(object))
}

describe('an object in the form of what is stored', () => {
  for (const { kind } of resources as readonly { kind: Kind }[]) {
    it(`${kind}: is what its bytes are read as`, () =>
      fc.assert(
        fc.property(chanceObject(kind), (object) => assert.deepEqual(canonicalResource(object), stored(object))),
        RUNS,
      ))

    it(`${kind}: is that also where it shares with one that is known, which stays as it is`, () =>
      fc.assert(
        fc.property(chancePair(kind), ([before, after]) => {
          const known = stored(before)
          const copy = structuredClone(known)
          assert.deepEqual(canonicalResource(after, known), stored(after))
          assert.deepEqual(known, copy)
        }),
        RUNS,
      ))
  }

  it('shares all that is the same', () => {
    const known = stored({
      kind: 'Pod',
      metadata: { name: 'p', labels: { a: 'b' }, managedFields: [{ manager: 'm', fieldsV1: { 'f:spec': {} } }] },
      spec: {
        containers: [
          { name: 'c', image: 'i' },
          { name: 'd', image: 'i' },
        ],
      },
      status: { phase: 'Pending' },
    } as unknown as Pod) as Pod
    const copy = structuredClone(known)
    assert.equal((canonicalResource(copy, known) as Pod).spec, known.spec)
    copy.spec.containers[1]!.image = 'other'
    const next = canonicalResource(copy, known) as Pod
    assert.equal(next.metadata, known.metadata)
    assert.equal(next.status, known.status)
    assert.equal(next.spec.containers[0], known.spec.containers[0])
    assert.equal(next.spec.containers[1]!.image, 'other')
  })

  it('has what its bytes say where a value is not of the type of its field', () => {
    for (const spec of [{ replicas: 2 ** 32 + 1 }, { replicas: 1.5 }, { paused: 1 }, { minReadySeconds: '7' }]) {
      const object = { kind: 'Deployment', metadata: { name: 'd' }, spec } as unknown as Deployment
      assert.deepEqual(canonicalResource(object), stored(object))
    }
  })
})
