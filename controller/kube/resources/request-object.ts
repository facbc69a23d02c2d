/** The object in a request, and that it is the one that the path means. */
import { inspectMessage } from '../../../proto/codec/codec.ts'
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { AnyResource, JsonObject, Messages } from '../../../proto/gen/types.ts'
import type { WriteContext } from '../../api/contract.ts'
import { decodeObject, inOrder, reportProblems } from '../../api/field-validation.ts'
import { readObject } from '../body.ts'
import type { ResourceRequest, Target } from '../contract.ts'
import { HttpError } from '../status.ts'

/**
 * The object, in the namespace of the path, and of its name if it has one there. BadRequest for another; DecodingError.
 */
export async function readRequestObject(request: ResourceRequest, context: WriteContext): Promise<AnyResource> {
  const { target } = request
  const { value, problems } = await wrapDecodeError(readObject(request, target.resource.message), target.resource.kind)
  const object = decodeObject(target.resource.stored!, ofKind(value, target.resource), context, {}, problems)
  applyPathIdentity(object.metadata, target)
  return object
}

/** What is sent to a subresource: a message that the store does not keep. BadRequest for another; DecodingError. */
export async function readRequestMessage<M extends keyof Messages & string>(
  request: ResourceRequest,
  message: M,
  group: string,
  context: WriteContext,
): Promise<Messages[M]> {
  const { value, problems } = await wrapDecodeError(readObject(request, message), message)
  const decoded = inspectMessage(message, ofKind(value, { group, version: 'v1', kind: message }))
  reportProblems(inOrder(decoded.problems, problems), context)
  return decoded.object
}

/** What is read; what cannot be is refused with the words by which tools know that, before the place and the reason. */
async function wrapDecodeError<T>(reading: Promise<T>, kind: string): Promise<T> {
  try {
    return await reading
  } catch (thrown) {
    if (!(thrown instanceof HttpError) || thrown.reason !== 'BadRequest') throw thrown
    throw new HttpError(400, 'BadRequest', `${unrecognised(kind)}: ${thrown.message}`, thrown.code, thrown)
  }
}

function unrecognised(kind: string): string {
  return `the object provided is unrecognized (must be of type ${kind})`
}

/** The value with its kind and version, which a client may leave out. BadRequest for others. */
export function ofKind(
  value: JsonObject,
  wanted: { readonly group: string; readonly version: string; readonly kind: string },
): JsonObject {
  const apiVersion = apiVersionOf(wanted)
  const { kind = wanted.kind, apiVersion: said = apiVersion } = value
  if (kind !== wanted.kind)
    throw new HttpError(
      400,
      'BadRequest',
      `${unrecognised(wanted.kind)}: it is a ${JSON.stringify(kind)}, and version ${apiVersion} of ${wanted.kind} is needed`,
    )
  if (said !== apiVersion)
    throw new HttpError(
      400,
      'BadRequest',
      `the API version in the data (${typeof said === 'string' ? said : JSON.stringify(said)}) does not match the expected API version (${apiVersion})`,
    )
  return { ...value, apiVersion, kind }
}

/** Puts what is sent where the path says. BadRequest if it says another place itself. */
export function applyPathIdentity(metadata: { name: string; namespace: string }, { namespace, name }: Target): void {
  if (metadata.namespace !== '' && metadata.namespace !== namespace) {
    throw new HttpError(
      400,
      'BadRequest',
      namespace === ''
        ? `the object has namespace ${metadata.namespace}, but is of a kind without`
        : `the namespace of the provided object does not match the namespace sent on the request (${metadata.namespace} and ${namespace})`,
    )
  }
  if (name !== '' && metadata.name !== '' && metadata.name !== name)
    throw new HttpError(
      400,
      'BadRequest',
      `the name of the object (${metadata.name}) does not match the name on the URL (${name})`,
    )
  metadata.namespace = namespace
  if (name !== '') metadata.name = name
}
