/**
 * Protobuf bytes to objects in memory and back. In memory an object has the shape of its JSON: a quantity, time or
 * int-or-string is one value, inlined messages stand in their parent, absent fields are absent, an enum is its name, a
 * oneof is `{ case, value }`. What is done to each message is generated from the schema (gen/wire.ts).
 * https://protobuf.dev/programming-guides/encoding/
 */
import type { Kind, Messages, Resources } from '../gen/types.ts'
import { wireReader, wireWriter } from '../gen/wire.ts'
import { ByteReader } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { contentText, readContent } from './custom.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { GantryError } from '../base/errors.ts'
import { apiVersionOf, resourceOf, schema } from '../schema/schema.ts'

/** A value to encode: what decoding always fills in may be left out. */
export type Input<T> = T extends Uint8Array
  ? T
  : T extends (infer E)[]
    ? Input<E>[]
    : T extends object
      ? { [K in keyof T as undefined extends T[K] ? K : never]?: Input<T[K]> } & {
          [K in keyof T as undefined extends T[K] ? never : K]?: Input<T[K]>
        }
      : T

/** A message's bytes. Fields that decoding fills in by itself may be left out. */
export function encode<M extends keyof Messages>(message: M, value: Input<Messages[M]>): Uint8Array {
  return write(message, value, false)
}

/** `kept`: into memory of its own. */
function write(message: string, value: unknown, kept: boolean): Uint8Array {
  const writer = new ByteWriter()
  wireWriter(message)!(writer, value)
  return writer.finish(kept)
}

/**
 * The message in these bytes; unknown fields are dropped, whatever their wire type. Bytes that are no such message:
 * Internal.
 */
export function decode<M extends keyof Messages>(message: M, bytes: Uint8Array): Messages[M] {
  return read(message, bytes, false) as Messages[M]
}

/** `named`: with apiVersion and kind, of a message that is a kind. */
function read(message: string, bytes: Uint8Array, named: boolean): unknown {
  const reader = new ByteReader(bytes)
  try {
    return wireReader(message)!(reader, reader.length, undefined, named)
  } catch (cause) {
    throw new GantryError('Internal', `these ${bytes.length} bytes are not a ${message}`, { cause })
  }
}

/**
 * A resource's stored bytes: those of Kubernetes' message of that kind, without kind, version and resourceVersion. They
 * have memory of their own: caches keep them.
 */
export function encodeResource(object: Resources[Kind]): Uint8Array {
  return writeObject(
    object.metadata.resourceVersion === ''
      ? object
      : ({ ...object, metadata: { ...object.metadata, resourceVersion: '' } } as Resources[Kind]),
    true,
  )
}

/** A resource's message, with what resourceVersion it has. */
export function encodeObject(object: Resources[Kind]): Uint8Array {
  return writeObject(object, false)
}

function writeObject(object: Resources[Kind], kept: boolean): Uint8Array {
  if (object.kind in schema.messages) return write(object.kind, object, kept)
  return write('CustomObject', { metadata: object.metadata, json: Buffer.from(contentText(object)) }, kept)
}

/**
 * A resource from its stored bytes. `resourceVersion` is the store's revision of them; left out, what the bytes say
 * holds.
 */
export function decodeResource<K extends Kind>(kind: K, bytes: Uint8Array, resourceVersion?: string): Resources[K] {
  const object = (kind in schema.messages ? read(kind, bytes, true) : decodeCustom(kind, bytes)) as Resources[K]
  if (resourceVersion !== undefined) object.metadata.resourceVersion = resourceVersion
  return object
}

function decodeCustom(kind: Kind, bytes: Uint8Array): object {
  const { metadata, json } = decode('CustomObject', bytes)
  try {
    const content = readContent(customKinds.get(kind), json === undefined ? '' : Buffer.from(json).toString())
    return { apiVersion: apiVersionOf(resourceOf(kind)), kind, metadata, ...content }
  } catch (cause) {
    throw new GantryError('Internal', `these ${bytes.length} bytes are not a ${kind}`, { cause })
  }
}

/**
 * Stored bytes as they travel: with their resourceVersion, without decoding them. Protobuf merges the metadata added at
 * the end into the one before.
 */
export function withResourceVersion(bytes: Uint8Array, resourceVersion: string): Uint8Array {
  return Buffer.concat([bytes, encode('Pod', { metadata: { resourceVersion } })])
}
