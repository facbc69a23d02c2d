import assert from 'node:assert/strict'
import fc from 'fast-check'
import { encodeJson } from '../../../proto/codec/codec.ts'
import { updateObjectOwners, type ObjectUpdate } from '../../../proto/merge/object-ownership.ts'
import { updateManagedFields, type Subresource } from '../../../proto/merge/ownership.ts'
import { resources } from '../../../proto/schema/schema.ts'
import type { JsonValue, Kind, ManagedFieldsEntry, Resources } from '../../../proto/gen/types.ts'
import { chanceObject } from '../codec/chance-objects.ts'

const NOW = Date.UTC(2026, 0, 1)
const RUNS = { numRuns: 50 }
const subresource = fc.constantFrom<Subresource>('', 'status')
const manager = fc.constantFrom('one', 'other')

/** What the JSON of both says. */
function ofJson({ previous, next, ...write }: ObjectUpdate): ManagedFieldsEntry[] {
  return updateManagedFields({
    kind: next.kind,
    previous: previous && encodeJson(previous),
    next: encodeJson(next),
    ...write,
  })
}

function assertSame(update: ObjectUpdate): void {
  const plain = (owners: ManagedFieldsEntry[]): JsonValue => JSON.parse(JSON.stringify(owners)) as JsonValue
  assert.deepEqual(plain(updateObjectOwners(update)), plain(ofJson(update)))
}

describe('owners of objects in memory', () => {
  for (const { kind } of resources as readonly { kind: Kind }[]) {
    it(`${kind}: are those of the JSON of what is created, the first time and the next`, () =>
      fc.assert(
        fc.property(chanceObject(kind), manager, subresource, (next, by, part) => {
          for (const now of [NOW, NOW + 1_000])
            assertSame({ previous: undefined, next, manager: by, now, subresource: part })
        }),
        RUNS,
      ))
  }

  it('are the same fields for objects that differ in values alone, and others for others', () => {
    const pod = (name: string, labels: Record<string, string>, ports: number[]): Resources['Pod'] =>
      ({
        kind: 'Pod',
        metadata: { name, labels },
        spec: { containers: [{ name: 'c', image: name, ports: ports.map((containerPort) => ({ containerPort })) }] },
      }) as never
    const fields = (object: Resources['Pod']): unknown =>
      updateObjectOwners({ previous: undefined, next: object, manager: 'm', now: NOW })[0]!.fieldsV1
    assert.equal(fields(pod('a', { x: '1' }, [80])), fields(pod('b', { x: '2' }, [80])))
    assert.notDeepEqual(fields(pod('a', { x: '1' }, [80])), fields(pod('a', { x: '1' }, [81])))
    assert.notDeepEqual(fields(pod('a', { x: '1' }, [80])), fields(pod('a', { y: '1' }, [80])))
    // Keys that look like what stands between them.
    assert.notDeepEqual(fields(pod('a', { 'a,1:b': '' }, [])), fields(pod('a', { a: '', b: '' }, [])))
  })
})
