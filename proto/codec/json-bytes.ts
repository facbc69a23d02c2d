/** Objects' JSON as bytes, in one pass. Apart from codec.ts, because only who answers many requests needs it. */
import { jsonBytesWriter } from '../gen/json-bytes.ts'
import type { Kind, Resources } from '../gen/types.ts'
import { encodeJson } from './codec.ts'
import { JsonWriter } from './json-writer.ts'

/**
 * The JSON of an object, with what Kubernetes has in it even if it is empty. `apiVersion`: another served version of a
 * custom kind.
 */
export function encodeJsonBytes(object: Resources[Kind], apiVersion?: string): Uint8Array {
  const write = jsonBytesWriter(object.kind)
  if (write === undefined) return Buffer.from(JSON.stringify(encodeJson(object, { apiVersion, full: true })))
  const writer = new JsonWriter()
  write(writer, object, true)
  return writer.finish()
}
