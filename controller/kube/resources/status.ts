/** The subresource status: the same object, of which a write changes nothing but status. */
import type { ServedResource, Subresource } from '../contract.ts'
import { getObject } from './reads.ts'
import { patchObject, updateObject } from './writes.ts'

export function statusSubresource(parent: ServedResource): Subresource {
  return {
    served: { parent, name: 'status', kind: parent.kind, verbs: ['get', 'patch', 'update'] },
    verbs: {
      get: getObject,
      update: (request) => updateObject(request, 'status'),
      patch: (request) => patchObject(request, 'status'),
    },
  }
}
