/**
 * What a request carries: JSON, YAML or protobuf, as its Content-Type says. What comes out is JSON, with what the
 * reading of it has passed over, so that one validation follows whatever the client speaks.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { encodeFields } from '../../proto/codec/codec.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Problem } from '../../proto/base/problem.ts'
import { decode } from '../../proto/codec/wire.ts'
import { withoutZeroValues } from '../../proto/codec/zero-values.ts'
import type { JsonObject, JsonValue, Messages } from '../../proto/gen/types.ts'
import type { KubeRequest } from './contract.ts'
import { openEnvelope, type Envelope } from './envelope.ts'
import { checkValues, faultOf, placeOf, scanJson } from './json-scan.ts'
import { HttpError } from './status.ts'

const JSON_TYPE = 'application/json'
const YAML_TYPE = 'application/yaml'
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'

const MARK = Buffer.from([0xef, 0xbb, 0xbf])
/** Characters of JSON in which the place of a fault is looked for. */
const SEARCH_LIMIT = 512 * 1024
/** A value that was read, and what was passed over in reading it. */
export interface DecodedBody<T extends JsonValue = JsonValue> {
  readonly value: T
  /** A key that comes twice: for strict validation. Paths as in proto/base/path.ts. */
  readonly problems: readonly Problem[]
}

/**
 * The object in the body. `message`: the schema's message that protobuf bytes hold; undefined if they have no such form
 * (custom kinds). HttpError: 415 for a type that is not taken, 400 for a body that is absent, malformed, nested too
 * deep, or no object; 413 for one that is too large or holds too many values.
 */
export async function readObject(request: KubeRequest, message: string | undefined): Promise<DecodedBody<JsonObject>> {
  const received = await readOptions(request, message)
  if (received === undefined) throw malformed('the request has no body: send the object')
  return received
}

/** As readObject, but undefined for a request without body: options have defaults. */
export async function readOptions(
  request: KubeRequest,
  message: string | undefined,
): Promise<DecodedBody<JsonObject> | undefined> {
  const types = message === undefined ? [JSON_TYPE, YAML_TYPE] : [JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE]
  const { type, bytes } = await readTyped(request, types)
  if (bytes.length === 0) return undefined
  const { value, problems } =
    type === PROTOBUF_TYPE
      ? readProtobuf(bytes, message!)
      : type === YAML_TYPE
        ? await readYamlBody(request, bytes)
        : parseJson(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('the body is not an object')
  const { metadata } = value
  if (typeof metadata === 'object' && metadata !== null && 'name' in metadata && typeof metadata.name === 'string')
    request.objectName = metadata.name
  return { value, problems }
}

/**
 * The body and its type, one of `types`; the first of them if the request names none. 415 for another, and for a body
 * that is compressed.
 */
export async function readTyped(
  request: KubeRequest,
  types: readonly string[],
): Promise<{ type: string; bytes: Buffer }> {
  const { 'content-type': header = '', 'content-encoding': encoding = 'identity' } = request.headers
  const type = header === '' ? types[0]! : header.split(';', 1)[0]!.trim().toLowerCase()
  if (!types.includes(type))
    throw new HttpError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
    )
  if (encoding !== 'identity')
    throw new HttpError(415, 'UnsupportedMediaType', `the body is encoded as ${encoding}: send it as it is`)
  return { type, bytes: await request.body() }
}

/** BadRequest with the place of what is no JSON. */
export function parseJson(bytes: Uint8Array): DecodedBody {
  const text = textOf(bytes)
  const problems = scanJson(text)
  try {
    return { value: JSON.parse(text) as JsonValue, problems }
  } catch (cause) {
    // Of a long text the parser's own words must do, which show what stands around the fault: to look for it again
    // takes long.
    throw malformed(
      text.length > SEARCH_LIMIT
        ? `the body is not JSON: ${(cause as Error).message}`
        : `the body is not JSON at ${placeOf(text, faultOf(text))}`,
      cause,
    )
  }
}

/** Text that is JSON, which many send as YAML, is read as that. HttpError as YamlReader. */
export async function readYamlBody(request: Pick<KubeRequest, 'parseYaml'>, bytes: Uint8Array): Promise<DecodedBody> {
  const text = textOf(bytes)
  return (/^\s*[{["]/.test(text) ? jsonOf(text) : undefined) ?? request.parseYaml(text)
}

/** Undefined for text that is no JSON; BadRequest for what is nested too deep. */
function jsonOf(text: string): DecodedBody | undefined {
  const problems = scanJson(text)
  try {
    return { value: JSON.parse(text) as JsonValue, problems }
  } catch {
    return undefined
  }
}

function readProtobuf(bytes: Uint8Array, message: string): DecodedBody<JsonObject> {
  let envelope: Envelope
  try {
    envelope = openEnvelope(bytes)
  } catch (cause) {
    throw malformed(`the body's ${bytes.length} bytes are not ${PROTOBUF_TYPE}: ${(cause as Error).message}`, cause)
  }
  const { apiVersion, kind, raw } = envelope
  try {
    const decoded = decode(message as keyof Messages, raw) as object
    checkValues(decoded)
    const value = {
      ...(apiVersion !== '' && { apiVersion }),
      ...(kind !== '' && { kind }),
      ...withoutZeroValues(message, encodeFields(message, decoded)),
    }
    // A field that the schema does not have is dropped in silence, as Kubernetes does: a client may be newer than its
    // server.
    return { value, problems: [] }
  } catch (cause) {
    if (cause instanceof HttpError) throw cause
    throw malformed(`the body's ${raw.length} bytes are not a protobuf message ${message}`, cause)
  }
}

/** Without the mark that some editors put before UTF-8. */
function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (isAscii(buffer)) return buffer.toString('latin1')
  if (!isUtf8(buffer)) throw malformed('the body is not UTF-8')
  return buffer.toString('utf8', MARK.equals(buffer.subarray(0, MARK.length)) ? MARK.length : 0)
}

function malformed(message: string, cause?: unknown): GantryError {
  return new HttpError(400, 'BadRequest', message, 'InvalidArgument', cause)
}
