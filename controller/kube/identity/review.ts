/** What reviews have in common: asked by create, answered with what was sent and a status. */
import { encodeFields } from '../../../proto/codec/codec.ts'
import { apiVersionOf, virtualResources } from '../../../proto/schema/schema.ts'
import type { Messages } from '../../../proto/gen/types.ts'
import { servedVirtual } from '../catalog.ts'
import type { Answer, ResourceRequest, VirtualResource } from '../contract.ts'
import { applyPathIdentity, readRequestMessage } from '../resources/request-object.ts'
import { writeContext } from '../resources/write-options.ts'
import { encodableMessage } from '../encodable-object.ts'

/** Messages of reviews. */
type Review =
  | 'TokenReview'
  | 'SelfSubjectReview'
  | 'SubjectAccessReview'
  | 'LocalSubjectAccessReview'
  | 'SelfSubjectAccessReview'
  | 'SelfSubjectRulesReview'

/** A review whose answer `judge` finds: the status. */
export function reviewResource<M extends Review>(
  message: M,
  judge: (review: Messages[M], request: ResourceRequest) => Messages[M]['status'] | Promise<Messages[M]['status']>,
): VirtualResource {
  const resource = servedVirtual(
    virtualResources.find(({ kind }) => kind === message)!,
    ['create'],
  )
  const create = async (request: ResourceRequest): Promise<Answer> => {
    const review = await readRequestMessage(request, message, resource.group, writeContext(request, 'CreateOptions'))
    applyPathIdentity(review.metadata, request.target)
    return messageAnswer(message, resource.group, { ...review, status: await judge(review, request) })
  }
  return { resource, verbs: { create } }
}

/** A message that was made on the spot; as if it had been created. */
export function messageAnswer(message: keyof Messages & string, group: string, object: object): Answer {
  return {
    is: 'object',
    code: 201,
    object: encodableMessage(message, {
      ...encodeFields(message, object),
      apiVersion: apiVersionOf({ group, version: 'v1' }),
      kind: message,
    }),
  }
}
