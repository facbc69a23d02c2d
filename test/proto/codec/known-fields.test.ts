import assert from 'node:assert/strict'
import { encodeJsonBytes } from '../../../proto/codec/json-bytes.ts'
import { shareFields } from '../../../proto/codec/known-fields.ts'
import { decodeResource, encodeResource } from '../../../proto/codec/wire.ts'
import type { ConfigMap, JsonObject } from '../../../proto/gen/types.ts'

function owned(fieldsV1: JsonObject): ConfigMap {
  const managedFields = [{ manager: 'm', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1 }]
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', resourceVersion: '', managedFields } } as never
}

const fieldsOf = ({ metadata }: ConfigMap): JsonObject => metadata.managedFields![0]!.fieldsV1!
const FIELDS: JsonObject = { 'f:data': { '.': {}, 'f:é': {}, 'f:a': {} }, 'f:metadata': { 'f:labels': { 'f:"': {} } } }
const PLAIN: JsonObject = { 'f:data': { '.': {}, 'f:a': {} }, 'f:metadata': { 'f:labels': { 'f:app\\"': {} } } }

describe('fields that somebody owns', () => {
  it('are one value in memory for all who own the same', () => {
    const [one, other] = [PLAIN, { ...PLAIN, 'f:spec': {} }].map((fields) => encodeResource(owned(fields)))
    const first = fieldsOf(decodeResource('ConfigMap', one!))
    assert.deepEqual(fieldsOf(decodeResource('ConfigMap', other!)), { ...PLAIN, 'f:spec': {} })
    assert.deepEqual(first, PLAIN)
    assert.equal(fieldsOf(decodeResource('ConfigMap', Buffer.concat([one!]))), first)
  })

  it('are written as they are, known or not', () => {
    for (const fields of [FIELDS, PLAIN]) {
      const [bytes, json] = [encodeResource(owned(fields)), encodeJsonBytes(owned(fields))]
      const shared = structuredClone(fields)
      shareFields(shared)
      assert.deepEqual(encodeResource(owned(shared)), bytes)
      assert.deepEqual(encodeJsonBytes(owned(shared)), json)
      const again = [0, 1, 2].map(() => decodeResource('ConfigMap', bytes))
      for (const read of again) {
        assert.deepEqual(fieldsOf(read), fields)
        assert.deepEqual(encodeResource(read), bytes)
        assert.deepEqual(encodeJsonBytes(read), json)
      }
    }
  })
})
