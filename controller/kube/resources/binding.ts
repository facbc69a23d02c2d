/**
 * Where pods run: binding places one on a node, eviction asks one to leave it.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/binding-v1/ and
 * …/docs/concepts/scheduling-eviction/api-eviction/
 */
import { resourceOf, virtualResources } from '../../../proto/schema/schema.ts'
import { servedResource, servedVirtual, type Catalog } from '../catalog.ts'
import type { Answer, ResourceRequest, Subresource, VirtualResource } from '../contract.ts'
import { HttpError } from '../status.ts'
import { applyPathIdentity, readRequestMessage } from './request-object.ts'
import { deleteOptions, writeContext } from './write-options.ts'
import { success } from './writes.ts'

const PODS = servedResource(resourceOf('Pod'))

/** Bindings of their own, as old schedulers post them. */
export function bindingResource(): VirtualResource {
  const resource = servedVirtual(
    virtualResources.find(({ kind }) => kind === 'Binding')!,
    ['create'],
  )
  return { resource, verbs: { create: bind } }
}

/** binding and eviction of pods. */
export function bindingSubresources(catalog: Catalog): Subresource[] {
  const pods = catalog.find(PODS.group, PODS.version, PODS.plural)!
  return [
    { served: { parent: pods, name: 'binding', kind: 'Binding', verbs: ['create'] }, verbs: { create: bind } },
    {
      served: { parent: pods, name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
      verbs: { create: evict },
    },
  ]
}

async function bind(request: ResourceRequest): Promise<Answer> {
  const context = writeContext(request, 'CreateOptions')
  const { metadata, target } = await readRequestMessage(request, 'Binding', '', context)
  applyPathIdentity(metadata, request.target)
  const { name, uid } = metadata
  if (name === '') throw new HttpError(400, 'BadRequest', 'the binding names no pod: set metadata.name')
  const { kind = 'Node', name: node = '' } = (target as typeof target | undefined) ?? {}
  if (kind !== 'Node')
    throw new HttpError(
      422,
      'Invalid',
      `Binding "${name}" is invalid: target.kind: Unsupported value: ${JSON.stringify(kind)}: supported values: "Node", "<empty>"`,
    )
  if (node === '') throw new HttpError(422, 'Invalid', `Binding "${name}" is invalid: target.name: Required value`)
  return success(await request.authorized.bind(name, uid, node, context), PODS, 201)
}

/** Nothing forbids an eviction: there are no disruption budgets. */
async function evict(request: ResourceRequest): Promise<Answer> {
  const context = writeContext(request, 'CreateOptions')
  const { metadata, deleteOptions: options = {} } = await readRequestMessage(request, 'Eviction', 'policy', context)
  applyPathIdentity(metadata, request.target)
  const dryRun = context.dryRun === true || options.dryRun?.includes('All') === true
  const { object } = await request.authorized.evict(deleteOptions(options), { ...context, dryRun })
  return success(object, PODS, 201)
}
