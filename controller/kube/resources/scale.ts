/**
 * The subresource scale: how many instances an object has, in the same form for every kind.
 * https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/scale-v1/
 */
import { inspectMessage } from '../../../proto/codec/codec.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { applyJsonPatch, applyMergePatch } from '../../../proto/merge/patch.ts'
import { apiVersionOf } from '../../../proto/schema/schema.ts'
import type { AnyResource, JsonValue, Scale } from '../../../proto/gen/types.ts'
import type { RequestContext } from '../../requests/authorized-request.ts'
import { reportProblems } from '../../api/field-validation.ts'
import { nested, scaleOf, type ScalePaths } from '../../objects/scale-form.ts'
import type { Answer, ResourceRequest, ServedResource, Subresource } from '../contract.ts'
import { encodableMessage } from '../encodable-object.ts'
import { receivedPatch } from './patches.ts'
import { flag } from '../query-flag.ts'
import { applyPathIdentity, readRequestMessage } from './request-object.ts'
import { writeContext } from './write-options.ts'

/** Tries of a patch that meets other writers. */
const ATTEMPTS = 10

export function scaleSubresource(parent: ServedResource, paths: ScalePaths): Subresource {
  const scale = new ScaleOf(paths)
  return {
    served: {
      parent,
      name: 'scale',
      kind: 'Scale',
      group: 'autoscaling',
      version: 'v1',
      verbs: ['get', 'patch', 'update'],
    },
    verbs: {
      get: (request) => scale.get(request),
      update: (request) => scale.update(request),
      patch: (request) => scale.patch(request),
    },
  }
}

class ScaleOf {
  readonly #paths: ScalePaths

  constructor(paths: ScalePaths) {
    this.#paths = paths
  }

  async get(request: ResourceRequest): Promise<Answer> {
    return this.#answer(await this.#read(request))
  }

  async update(request: ResourceRequest): Promise<Answer> {
    const context = writeContext(request, 'UpdateOptions')
    const scale = await readRequestMessage(request, 'Scale', 'autoscaling', context)
    applyPathIdentity(scale.metadata, request.target)
    const { uid, resourceVersion } = scale.metadata
    return this.#answer(await this.#set(request, scale, { uid, resourceVersion }, context))
  }

  async patch(request: ResourceRequest): Promise<Answer> {
    const { resource, name } = request.target
    const context = writeContext(request, 'PatchOptions')
    // Its own kind: the rules for lists, of which a scale has none, are those of a message.
    const asScale = { ...resource, group: 'autoscaling', version: 'v1', kind: 'Scale', message: 'Scale' }
    const received = await receivedPatch(
      Object.assign(Object.create(request) as ResourceRequest, { target: { ...request.target, resource: asScale } }),
      context,
    )
    if (received.is === 'apply') {
      const { metadata, spec } = readScale(received.configuration, context)
      const configuration = {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        metadata: {
          name: metadata.name,
          ...(metadata.resourceVersion !== '' && { resourceVersion: metadata.resourceVersion }),
        },
        ...(spec.replicas !== undefined && nested(this.#paths.replicas, spec.replicas)),
      }
      await this.#read(request)
      return this.#answer(
        (await request.authorized.apply(configuration, flag(request.query, 'force') === true, context, 'scale')).object,
      )
    }
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const stored = await this.#read(request)
      const before = scaleOf(stored, this.#paths)
      const after =
        received.type === 'JSON' ? applyJsonPatch(before, received.patch) : applyMergePatch(before, received.patch)
      const scale = readScale(after, context)
      applyPathIdentity(scale.metadata, request.target)
      const { uid, resourceVersion } = scale.metadata
      try {
        return this.#answer(await this.#set(request, scale, { uid, resourceVersion }, context))
      } catch (thrown) {
        // Met another writer, unless the patch itself said which version it is for.
        if (!GantryError.is(thrown, 'Conflict') || resourceVersion !== stored.metadata.resourceVersion) throw thrown
      }
    }
    throw new GantryError('Conflict', `${resource.plural} ${name} was changed by others ${ATTEMPTS} times in a row`, {
      details: [{ remedy: 'try again' }],
    })
  }

  async #read({ authorized }: ResourceRequest): Promise<AnyResource> {
    return (await authorized.get()).object
  }

  #set(
    { authorized }: ResourceRequest,
    { spec }: Scale,
    metadata: { uid: string; resourceVersion: string },
    context: RequestContext,
  ): Promise<AnyResource> {
    const said = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== ''))
    const patch = {
      ...(Object.keys(said).length > 0 && { metadata: said }),
      ...nested(this.#paths.replicas, spec.replicas ?? 0),
    }
    return authorized.patch({ type: 'MERGE', patch, subresource: 'scale' }, context)
  }

  #answer(object: AnyResource): Answer {
    return { is: 'object', object: encodableMessage('Scale', scaleOf(object, this.#paths)) }
  }
}

function readScale(value: JsonValue, context: RequestContext): Scale {
  const { object, problems } = inspectMessage('Scale', value)
  reportProblems(problems, context)
  return object
}
