/** create, update, patch and delete of what the store keeps. */
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { AnyResource, Kind } from '../../../proto/gen/types.ts'
import type { Draft, ObjectSubresource, WriteSubresource } from '../../api/contract.ts'
import type { Answer, Handle, ResourceRequest, ServedResource, Verb } from '../contract.ts'
import { flag } from '../query-flag.ts'
import { encodableMessage, encodableResource } from '../encodable-object.ts'
import { HttpError } from '../status.ts'
import { listOptions } from './list-options.ts'
import { receivedPatch } from './patches.ts'
import { listAnswer, ofParameter } from './reads.ts'
import { readRequestObject } from './request-object.ts'
import { deletionOf, writeContext } from './write-options.ts'

export const writeVerbs: Readonly<Partial<Record<Verb, Handle>>> = {
  create: createObject,
  update: (request) => updateObject(request, ''),
  patch: (request) => patchObject(request, ''),
  delete: deleteObject,
  deletecollection: deleteCollection,
}

async function createObject(request: ResourceRequest): Promise<Answer> {
  requirePlace(request)
  const context = writeContext(request, 'CreateOptions')
  const object = await readRequestObject(request, context)
  const made = await request.authorized.create(object as Draft<Kind>, context)
  return { is: 'object', code: 201, object: encodableResource(made, request.target.resource) }
}

export async function updateObject(
  request: ResourceRequest,
  subresource: '' | 'status' | ObjectSubresource,
): Promise<Answer> {
  const context = writeContext(request, 'UpdateOptions')
  const object = await readRequestObject(request, context)
  const written = await request.authorized.update(object, context, subresource)
  return { is: 'object', object: encodableResource(written, request.target.resource) }
}

export async function patchObject(request: ResourceRequest, subresource: WriteSubresource): Promise<Answer> {
  const {
    authorized,
    target: { resource },
  } = request
  const context = writeContext(request, 'PatchOptions')
  const received = await receivedPatch(request, context)
  if (received.is === 'patch') {
    const { type, patch } = received
    const written = await authorized.patch({ type, patch, subresource, apiVersion: apiVersionOf(resource) }, context)
    return { is: 'object', object: encodableResource(written, resource) }
  }
  const force = flag(request.query, 'force') === true
  const { object, outcome } = await authorized.apply(received.configuration, force, context, subresource)
  return { is: 'object', code: outcome === 'CREATED' ? 201 : 200, object: encodableResource(object, resource) }
}

async function deleteObject(request: ResourceRequest): Promise<Answer> {
  const { resource } = request.target
  const { options, context } = await deletionOf(request)
  const { object, removed } = await request.authorized.delete(options, context)
  if (removed) return success(object, resource)
  // Accepted, but not done: only who waits for dependents expects to be told, as in Kubernetes.
  return {
    is: 'object',
    code: options.propagation === 'FOREGROUND' ? 202 : 200,
    object: encodableResource(object, resource),
  }
}

async function deleteCollection(request: ResourceRequest): Promise<Answer> {
  requirePlace(request)
  const { options, context } = await deletionOf(request)
  const list = listOptions(request)
  const page = await ofParameter(request.authorized.deleteCollection(list, options, context))
  return listAnswer(page, list.selection, request.target.resource)
}

/** What is made or deleted is so in one namespace. */
export function requirePlace({ verb, target: { resource, namespace } }: ResourceRequest): void {
  if (resource.namespaced && namespace === '')
    throw new HttpError(
      405,
      'MethodNotAllowed',
      `${verb} is not possible for ${resource.plural} of all namespaces: name one in the path`,
    )
}

/** Said of what has been done to an object, where there is no object to show. */
export function success(
  { metadata: { name, uid } }: Pick<AnyResource, 'metadata'>,
  { group, plural }: ServedResource,
  code = 200,
): Answer {
  return {
    is: 'object',
    code,
    object: encodableMessage('Status', {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name, ...(group !== '' && { group }), kind: plural, uid },
      ...(code !== 200 && { code }),
    }),
  }
}
