/** The metadata of an object alone, PartialObjectMetadata of meta.k8s.io: made once of each object that is sent. */
import protobuf from 'protobufjs/minimal.js'
import { encodeFields } from '../../proto/codec/codec.ts'
import { encodableJson } from './encodable-object.ts'
import type { EncodableObject } from './contract.ts'

const known = new WeakMap<EncodableObject, Map<string, EncodableObject>>()

/** `apiVersion`: meta.k8s.io in a version. A Status has no metadata of an object, and stays as it is. */
export function metadataOf(whole: EncodableObject, apiVersion: string): EncodableObject {
  if (isStatus(whole)) return whole
  let made = known.get(whole)
  if (made === undefined) known.set(whole, (made = new Map()))
  let partial = made.get(apiVersion)
  if (partial === undefined) made.set(apiVersion, (partial = partialOf(whole, apiVersion)))
  return partial
}

function partialOf(whole: EncodableObject, apiVersion: string): EncodableObject {
  const { metadata = {} } = whole.object as { metadata?: object }
  let json: EncodableObject | undefined
  let bytes: Uint8Array | undefined
  return {
    apiVersion,
    kind: 'PartialObjectMetadata',
    object: whole.object,
    json: () =>
      (json ??= encodableJson({
        kind: 'PartialObjectMetadata',
        apiVersion,
        metadata: encodeFields('ObjectMeta', metadata),
      })).json(),
    protobuf() {
      const message = whole.protobuf()
      return message === undefined ? undefined : (bytes ??= firstFields(message))
    },
  }
}

/**
 * Of a message all that its field number 1 has: the metadata of every kind, which is that of PartialObjectMetadata too.
 */
function firstFields(message: Uint8Array): Uint8Array {
  const reader = protobuf.Reader.create(message)
  const parts: Uint8Array[] = []
  while (reader.pos < reader.len) {
    const from = reader.pos
    const tag = reader.uint32()
    reader.skipType(tag & 7)
    if (tag >>> 3 === 1) parts.push(message.subarray(from, reader.pos))
  }
  return Buffer.concat(parts)
}

export function isStatus({ apiVersion, kind }: EncodableObject): boolean {
  return apiVersion === 'v1' && kind === 'Status'
}
