/**
 * The envelope of an object's protobuf bytes: four bytes of magic, then a message Unknown that says kind and version
 * and holds the object's own message. https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
 */
import protobuf from 'protobufjs/minimal.js'

const MAGIC = Buffer.from('k8s\0')
const BYTES = 2
/** Fields of Unknown and, in it, of TypeMeta. */
const TYPE_META = (1 << 3) | BYTES
const RAW = (2 << 3) | BYTES
const CONTENT_ENCODING = (3 << 3) | BYTES
const API_VERSION = (1 << 3) | BYTES
const KIND = (2 << 3) | BYTES

export interface Envelope {
  readonly apiVersion: string
  readonly kind: string
  readonly raw: Uint8Array
}

const heads = new Map<string, Buffer>()

/** What stands before the length of the object's message, the same for all objects of a kind. */
function headOf(apiVersion: string, kind: string): Buffer {
  const key = `${apiVersion} ${kind}`
  let head = heads.get(key)
  if (head === undefined) {
    const writer = protobuf.Writer.create()
      .uint32(TYPE_META)
      .fork()
      .uint32(API_VERSION)
      .string(apiVersion)
      .uint32(KIND)
      .string(kind)
      .ldelim()
      .uint32(RAW)
    head = Buffer.concat([MAGIC, writer.finish()])
    heads.set(key, head)
  }
  return head
}

/** What stands before an object's message of `length` bytes; nothing follows it. */
export function envelopeHead(apiVersion: string, kind: string, length: number): Buffer {
  return Buffer.concat([headOf(apiVersion, kind), varint(length)])
}

/** The number as protobuf writes lengths. */
export function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** The magic alone: bytes that begin so are meant to be protobuf. */
function isEnvelope(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.length))
}

/** Throws RangeError for bytes that are cut off, and Error for what is no envelope. */
export function openEnvelope(bytes: Uint8Array): Envelope {
  if (!isEnvelope(bytes)) throw new Error('the bytes do not begin with "k8s" and a zero')
  const reader = protobuf.Reader.create(bytes.subarray(MAGIC.length))
  let [apiVersion, kind] = ['', '']
  let raw: Uint8Array = new Uint8Array()
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    switch (tag) {
      case TYPE_META:
        for (const end = reader.uint32() + reader.pos; reader.pos < end;) {
          const inner = reader.uint32()
          if (inner === API_VERSION) apiVersion = reader.string()
          else if (inner === KIND) kind = reader.string()
          else reader.skipType(inner & 7)
        }
        break
      case RAW:
        raw = reader.bytes()
        break
      case CONTENT_ENCODING: {
        const encoding = reader.string()
        if (encoding !== '') throw new Error(`the object is encoded as ${encoding}`)
        break
      }
      default:
        reader.skipType(tag & 7)
    }
  }
  return { apiVersion, kind, raw }
}
