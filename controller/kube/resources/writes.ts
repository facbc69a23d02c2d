/** create, update, patch and delete of what the store keeps. */
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { AnyResource, Kind } from '../../../proto/gen/types.ts'
import type { Draft, ObjectApi, ObjectSubresource, WriteSubresource } from '../../api/contract.ts'
import type { Answer, Handle, ResourceRequest, ServedResource, Verb } from '../contract.ts'
import { flag } from '../query-flag.ts'
import { encodableCached, encodableMessage, encodableResource } from '../encodable-object.ts'
import { HttpError } from '../status.ts'
import { listOptions } from './list-options.ts'
import { receivedPatch } from './patches.ts'
import type { StoredReads } from './reads.ts'
import { readRequestObject } from './request-object.ts'
import { deletionOf, writeContext } from './write-options.ts'

/** Deletions of one collection under way at a time. */
const BATCH = 100

export class StoredWrites {
  readonly #api: ObjectApi
  readonly #reads: StoredReads
  readonly verbs: Readonly<Partial<Record<Verb, Handle>>> = {
    create: (request) => this.#create(request),
    update: (request) => this.update(request, ''),
    patch: (request) => this.patch(request, ''),
    delete: (request) => this.#delete(request),
    deletecollection: (request) => this.#deleteCollection(request),
  }

  constructor(api: ObjectApi, reads: StoredReads) {
    this.#api = api
    this.#reads = reads
  }

  async #create(request: ResourceRequest): Promise<Answer> {
    requirePlace(request)
    const context = writeContext(request, 'CreateOptions')
    const object = await readRequestObject(request, context)
    return {
      is: 'object',
      code: 201,
      object: encodableResource(await this.#api.create(object as Draft<Kind>, context), request.target.resource),
    }
  }

  async update(request: ResourceRequest, subresource: '' | 'status' | ObjectSubresource): Promise<Answer> {
    const context = writeContext(request, 'UpdateOptions')
    const object = await readRequestObject(request, context)
    return {
      is: 'object',
      object: encodableResource(
        await (subresource === 'status'
          ? this.#api.updateStatus(object, context)
          : this.#api.update(object, context, subresource === '' ? undefined : subresource)),
        request.target.resource,
      ),
    }
  }

  async patch(request: ResourceRequest, subresource: WriteSubresource): Promise<Answer> {
    const { resource, namespace, name } = request.target
    const context = writeContext(request, 'PatchOptions')
    const received = await receivedPatch(request, context)
    if (received.is === 'patch')
      return {
        is: 'object',
        object: encodableResource(
          await this.#api.patch(
            resource.stored!,
            namespace,
            name,
            { ...received, subresource, apiVersion: apiVersionOf(resource) },
            context,
          ),
          resource,
        ),
      }
    const { object, outcome } = await this.#api.apply(
      resource.stored!,
      namespace,
      name,
      received.configuration,
      flag(request.query, 'force') === true,
      context,
      subresource,
    )
    return { is: 'object', code: outcome === 'CREATED' ? 201 : 200, object: encodableResource(object, resource) }
  }

  async #delete(request: ResourceRequest): Promise<Answer> {
    const { resource, namespace, name } = request.target
    const { options, context } = await deletionOf(request)
    const { object, removed } = await this.#api.deletion(resource.stored!, namespace, name, options, context)
    if (removed) return success(object, resource)
    // Accepted, but not done: only who waits for dependents expects to be told, as in Kubernetes.
    return {
      is: 'object',
      code: options.propagation === 'FOREGROUND' ? 202 : 200,
      object: encodableResource(object, resource),
    }
  }

  /** Each object by itself: what another has changed or removed meanwhile is left to that. */
  async #deleteCollection(request: ResourceRequest): Promise<Answer> {
    requirePlace(request)
    const { resource } = request.target
    const { options, context } = await deletionOf(request)
    const { items, metadata } = await this.#reads.page(listOptions(request))
    for (let at = 0; at < items.length; at += BATCH) {
      await Promise.all(
        items.slice(at, at + BATCH).map(
          async ({
            object: {
              metadata: { namespace, name, uid },
            },
          }) => {
            try {
              await this.#api.delete(resource.stored!, namespace, name, { uid, ...options }, context)
            } catch (thrown) {
              if (
                !GantryError.is(thrown, 'NotFound') &&
                !(
                  GantryError.is(thrown, 'Conflict') &&
                  options.uid === undefined &&
                  options.resourceVersion === undefined
                )
              )
                throw thrown
            }
          },
        ),
      )
    }
    return {
      is: 'list',
      apiVersion: apiVersionOf(resource),
      kind: resource.listKind,
      metadata,
      items: items.map((cached) => encodableCached(cached, resource)),
    }
  }
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
