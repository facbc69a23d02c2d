/** A subresource that writes one part of an object, as the strategy of its kind says. */
import type { ObjectSubresource } from '../../api/contract.ts'
import type { SubresourceStrategy } from '../../kinds/strategy.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import type { ServedResource, Subresource } from '../contract.ts'
import { getObject } from './reads.ts'
import { patchObject, updateObject } from './writes.ts'

export function objectSubresource(
  parent: ServedResource,
  name: ObjectSubresource,
  { replaceOnly = false }: SubresourceStrategy<Kind>,
): Subresource {
  const update: Subresource['verbs'] = { update: (request) => updateObject(request, name) }
  if (replaceOnly) return { served: { parent, name, kind: parent.kind, verbs: ['update'] }, verbs: update }
  return {
    served: { parent, name, kind: parent.kind, verbs: ['get', 'patch', 'update'] },
    verbs: { get: getObject, patch: (request) => patchObject(request, name), ...update },
  }
}
