/**
 * Bytes of objects, lists and frames of watches, as JSON, YAML or protobuf. What is long comes in pieces that are not
 * copied.
 */
import { encode } from '../../proto/codec/wire.ts'
import { formatYaml } from '../../proto/base/yaml-text.ts'
import type { JsonObject, JsonValue } from '../../proto/gen/types.ts'
import type { Answer, ListMeta, WatchFrame, EncodableObject } from './contract.ts'
import { envelopeHead, varint } from './envelope.ts'
import { MEDIA_TYPES, type Media } from './negotiation.ts'
import { HttpError } from './status.ts'

type List = Extract<Answer, { is: 'list' }>
type Pieces = readonly Uint8Array[]

const COMMA = Buffer.from(',')
const LIST_END = Buffer.from(']}')
/** Fields of a list, of a WatchEvent, and of the RawExtension in it; all of them are length-delimited. */
const METADATA = (1 << 3) | 2
const ITEMS = (2 << 3) | 2
const TYPE = (1 << 3) | 2
const OBJECT = (2 << 3) | 2
const RAW = (1 << 3) | 2

/** For a list: metadata, then what is in it. */
export function encodeList({ apiVersion, kind, metadata, items }: List, media: Media): Pieces {
  switch (media) {
    case 'json':
      return listJson(apiVersion, kind, metadata, items)
    case 'yaml':
      return [yamlOf({ apiVersion, kind, metadata: { ...metadata }, items: items.map(jsonOf) })]
    case 'protobuf':
      return listProtobuf(apiVersion, kind, metadata, items)
  }
}

export function encodeObject(object: EncodableObject, media: Media): Pieces {
  switch (media) {
    case 'json':
      return [object.json()]
    case 'yaml':
      return [yamlOf(jsonOf(object))]
    case 'protobuf': {
      const bytes = protobufOf(object)
      return [envelopeHead(object.apiVersion, object.kind, bytes.length), bytes]
    }
  }
}

/**
 * A frame of a watch: a line of JSON, or a WatchEvent behind its length of four bytes.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
 */
export function encodeFrame({ type, object }: WatchFrame, media: Exclude<Media, 'yaml'>): Buffer {
  if (media === 'json')
    return Buffer.concat([Buffer.from(`{"type":"${type}","object":`), object.json(), Buffer.from('}\n')])
  const bytes = protobufOf(object)
  const head = envelopeHead(object.apiVersion, object.kind, bytes.length)
  const raw = Buffer.concat([Buffer.of(RAW), varint(head.length + bytes.length), head])
  const event = Buffer.concat([
    Buffer.of(TYPE, type.length),
    Buffer.from(type),
    Buffer.of(OBJECT),
    varint(raw.length + bytes.length),
    raw,
  ])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(event.length + bytes.length)
  return Buffer.concat([length, event, bytes])
}

/** JSON laid out for people. */
export function pretty(pieces: Pieces): Pieces {
  return [Buffer.from(`${JSON.stringify(JSON.parse(Buffer.concat(pieces).toString()), null, 2)}\n`)]
}

function jsonOf(object: EncodableObject): JsonObject {
  return JSON.parse(Buffer.from(object.json()).toString()) as JsonObject
}

function yamlOf(value: JsonValue): Buffer {
  return Buffer.from(formatYaml(value))
}

function protobufOf(object: EncodableObject): Uint8Array {
  const bytes = object.protobuf()
  if (bytes === undefined)
    throw new HttpError(406, 'NotAcceptable', `${object.kind} has no form in ${MEDIA_TYPES.protobuf}`)
  return bytes
}

function listJson(apiVersion: string, kind: string, metadata: ListMeta, items: readonly EncodableObject[]): Pieces {
  const pieces: Uint8Array[] = [Buffer.from(`${JSON.stringify({ kind, apiVersion, metadata }).slice(0, -1)},"items":[`)]
  for (const [index, item] of items.entries()) {
    if (index > 0) pieces.push(COMMA)
    pieces.push(item.json())
  }
  pieces.push(LIST_END)
  return pieces
}

function listProtobuf(apiVersion: string, kind: string, metadata: ListMeta, items: readonly EncodableObject[]): Pieces {
  const meta = encode('ListMeta', metadata)
  const pieces: Uint8Array[] = [Buffer.of(METADATA), varint(meta.length), meta]
  for (const item of items) {
    const bytes = protobufOf(item)
    pieces.push(itemHead(bytes.length), bytes)
  }
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  return [envelopeHead(apiVersion, kind, length), ...pieces]
}

/** What stands before an item of that many bytes. */
function itemHead(length: number): Buffer {
  return Buffer.concat([Buffer.of(ITEMS), varint(length)])
}
