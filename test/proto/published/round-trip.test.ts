import assert from 'node:assert/strict'
import { ObjectSerializer } from '@kubernetes/client-node/dist/serializer.js'
import fc from 'fast-check'
import { encodeFields, inspectMessage } from '../../../proto/codec/codec.ts'
import { decode, encode } from '../../../proto/codec/wire.ts'
import { withoutZeroValues } from '../../../proto/codec/zero-values.ts'
import type { JsonObject, Messages as OurMessages } from '../../../proto/gen/types.ts'
import { bytesOf, messageOf, Messages } from './messages.ts'
import { kinds, roots, type Pair } from './pairs.ts'
import { publishedRoot, readTable } from './table.ts'

describe('objects in the bytes of Kubernetes', () => {
  const table = readTable()
  const root = publishedRoot(table)
  const messages = new Messages(table)
  const runs = { numRuns: 20 }

  function json({ ours }: Pair, bytes: Uint8Array): JsonObject {
    return withoutZeroValues(ours, encodeFields(ours, decode(ours as keyof OurMessages, bytes) as object))
  }

  for (const pair of roots) {
    it(`${pair.ours}: come back as they were`, () => {
      fc.assert(
        fc.property(messages.arbitrary(pair), (message) => {
          const ours = decode(pair.ours as keyof OurMessages, bytesOf(root, pair, message))
          const back = messageOf(root, pair, encode(pair.ours as keyof OurMessages, ours as never))
          assert.deepEqual(messages.lean(pair, back), message)
        }),
        runs,
      )
    })

    it(`${pair.ours}: are the same in JSON, whether a client writes empty values or leaves them out`, () => {
      fc.assert(
        fc.property(messages.arbitrary(pair), (message) => {
          assert.deepEqual(
            json(pair, bytesOf(root, pair, messages.asGo(pair, message))),
            json(pair, bytesOf(root, pair, message)),
          )
        }),
        runs,
      )
    })
  }

  // Metrics are no part of that client's models.
  for (const pair of kinds.filter(({ theirs }) => !theirs.includes('.metrics.'))) {
    it(`${pair.ours}: lose nothing in the types of the client for JavaScript, and have no field that either side does not know`, () => {
      fc.assert(
        fc.property(messages.arbitrary(pair), (message) => {
          const written = json(pair, bytesOf(root, pair, message))
          const model = CLIENT_MODELS[pair.ours] ?? `V1${pair.ours}`
          const read = JSON.parse(
            JSON.stringify(ObjectSerializer.serialize(ObjectSerializer.deserialize(written, model), model)),
          ) as JsonObject
          assert.deepEqual(withWholeSeconds(read), withWholeSeconds(written))
          const unknown = inspectMessage(pair.ours as keyof OurMessages, read).problems.filter(
            ({ unknownOrDuplicate: surplus, reason }) => surplus === true || reason === 'FieldValueTypeInvalid',
          )
          assert.deepEqual(unknown, [])
        }),
        runs,
      )
    })
  }
})

const CLIENT_MODELS: Readonly<Record<string, string>> = {
  Event: 'CoreV1Event',
  EventsEvent: 'EventsV1Event',
  TokenRequest: 'AuthenticationV1TokenRequest',
}

/** That client's times have milliseconds. */
function withWholeSeconds(value: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(value), (_key, item: unknown) =>
    typeof item === 'string' ? item.replace(/^(\d{4}-\d\d-\d\dT[\d:]{8})\.\d+Z$/, '$1Z') : item,
  ) as JsonObject
}
