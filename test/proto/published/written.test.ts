import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeJson, encodeFields, encodeJson, inspectMessage } from '../../../proto/codec/codec.ts'
import { messageSchema, SPECIAL_MESSAGES } from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import { decode } from '../../../proto/codec/wire.ts'
import type { JsonObject, JsonValue, Messages as OurMessages } from '../../../proto/gen/types.ts'
import { bytesOf, Messages } from './messages.ts'
import { fieldsOf, kinds, OPAQUE, type Pair } from './pairs.ts'
import { publishedRoot, readTable } from './table.ts'

describe('what Kubernetes writes in JSON even if it is empty', () => {
  const table = readTable()
  const root = publishedRoot(table)
  const messages = new Messages(table)

  /**
   * The paths that Go writes and this JSON does not have. Of special messages there is no empty form: a time that is
   * not set is null there.
   */
  function missing(pair: Pair, json: JsonObject, path: string): string[] {
    if (SPECIAL_MESSAGES.has(pair.ours) || pair.ours === OPAQUE) return []
    return fieldsOf(table, pair).flatMap((theirs) => {
      const ours = messageSchema(pair.ours).fields.find(({ number }) => number === theirs.number)!
      const inner = { ours: ours.type, theirs: theirs.type }
      if (theirs.inline) return missing(inner, json, path)
      const at = `${path}.${theirs.json}`
      const value = json[theirs.json]
      if (value === undefined) return theirs.written && hasEmptyForm(ours) ? [at] : []
      return ours.kind === 'message' ? insideOf(theirs.label, value).flatMap((item) => missing(inner, item, at)) : []
    })
  }

  /**
   * A message that must be there is never empty, and what has a default has a value once an object has been accepted.
   */
  function hasEmptyForm({ kind, type, label, options }: FieldSchema): boolean {
    if (options.default !== undefined) return false
    const required = options.required === true
    if (kind === 'message' && label === 'optional') return !required && !SPECIAL_MESSAGES.has(type)
    return label === 'optional' || !required
  }

  for (const pair of kinds) {
    it(`is in a ${pair.ours}`, () => {
      fc.assert(
        fc.property(messages.arbitrary(pair), (message) => {
          const object = decode(pair.ours as keyof OurMessages, bytesOf(root, pair, message)) as object
          assert.deepEqual(missing(pair, encodeFields(pair.ours, object, true), ''), [])
        }),
        { numRuns: 20 },
      )
    })
  }

  it('is what strict clients look for', () => {
    const written = (object: JsonObject): JsonObject => encodeJson(decodeJson(undefined, object), { full: true })
    const named = { metadata: { name: 'a', namespace: 'default' } }
    assert.deepEqual(written({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } }).status, {})
    const service = { apiVersion: 'v1', kind: 'Service', ...named, spec: { ports: [{ port: 80 }] } }
    assert.deepEqual(written(service).status, { loadBalancer: {} })
    const { status } = written({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } })
    assert.deepEqual((status as JsonObject).daemonEndpoints, { kubeletEndpoint: { Port: 0 } })
    const state = { name: 'a', image: '', imageID: '', ready: false, restartCount: 0, state: {}, lastState: {} }
    const pod = { apiVersion: 'v1', kind: 'Pod', ...named, spec: { containers: [{ name: 'a', image: 'b' }] } }
    assert.deepEqual(written({ ...pod, status: { containerStatuses: [state] } }).status, { containerStatuses: [state] })
  })

  it('is nothing that anybody set', () => {
    const definition = encodeFields('CustomResourceDefinition', { status: {} }, true)
    const accepted = { kind: '', plural: '' }
    assert.deepEqual(definition.status, { conditions: [], acceptedNames: accepted, storedVersions: [] })
    assert.deepEqual(inspectMessage('CustomResourceDefinitionStatus', { acceptedNames: accepted }), {
      object: {},
      problems: [],
    })
    const strange = inspectMessage('CustomResourceDefinitionStatus', { acceptedNames: { ...accepted, other: '' } })
    assert.deepEqual(
      strange.problems.map(({ field }) => field),
      ['acceptedNames.plural', 'acceptedNames.other'],
    )
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a', namespace: 'b' }, spec: {} }
    const full = encodeJson(decodeJson('Service', service), { full: true })
    assert.deepEqual(decodeJson('Service', full), decodeJson('Service', service))
  })
})

function insideOf(label: FieldSchema['label'], value: JsonValue): JsonObject[] {
  return label === 'optional' ? [value as JsonObject] : (Object.values(value as object) as JsonObject[])
}
