import assert from 'node:assert/strict'
import fc from 'fast-check'
import { clone } from '../../../proto/base/clone.ts'
import { copyObject } from '../../../proto/codec/copy.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import { copier } from '../../../proto/gen/copies.ts'
import { schema } from '../../../proto/schema/schema.ts'
import { messageOf } from './arbitrary-messages.ts'

/** Without what is undefined. */
function defined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(defined)
  if (typeof value !== 'object' || value === null) return value
  const kept = Object.entries(value).flatMap(([key, item]) =>
    item === undefined ? [] : [[key, defined(item)] as const],
  )
  return Object.fromEntries(kept)
}

/** Every object in a value, but for those in fields of managedFields, which are values. */
function objectsIn(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return []
  return [value, ...Object.entries(value).flatMap(([key, item]) => (key === 'fieldsV1' ? [] : objectsIn(item)))]
}

describe('copies of objects', () => {
  it('are the same, of every message, and share nothing', () => {
    for (const name of Object.keys(schema.messages)) {
      const copy = copier(name)
      if (copy === undefined) continue
      fc.assert(
        fc.property(messageOf(name), (object) => {
          const before = clone(object)
          const copied = copy(object) as object
          assert.deepEqual(defined(copied), defined(object))
          assert.deepEqual(object, before)
          const own = new Set(objectsIn(object))
          assert(!objectsIn(copied).some((item) => own.has(item)))
        }),
        { numRuns: 15 },
      )
    }
  })

  it('have the properties that objects have that were read, in the same order', () => {
    const bytes = encodeResource({
      kind: 'ConfigMap',
      data: { b: '1', a: '2' },
      metadata: { labels: { a: 'b' }, namespace: 'd', name: 'n' },
      apiVersion: 'v1',
    } as never)
    const read = decodeResource('ConfigMap', bytes, '7')
    const copied = copyObject(read)
    assert.deepEqual(copied, read)
    assert.equal(JSON.stringify(copied), JSON.stringify(read))
    const made = {
      data: read.data,
      metadata: read.metadata,
      kind: read.kind,
      apiVersion: read.apiVersion,
      immutable: undefined,
    }
    assert.equal(JSON.stringify(copyObject(made as typeof read)), JSON.stringify(read))
  })

  it('lack what a draft lacks', () => {
    assert.deepEqual(Object.keys(copyObject({ apiVersion: 'v1', kind: 'Pod', spec: {} } as never)), [
      'apiVersion',
      'kind',
      'spec',
    ])
  })
})
