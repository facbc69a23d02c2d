/** The subresource status: the same object, of which a write changes nothing but status. */
import type { ServedResource, Subresource } from '../contract.ts'
import type { StoredReads } from './reads.ts'
import type { StoredWrites } from './writes.ts'

export function statusSubresource(
  parent: ServedResource,
  { reads, writes }: { readonly reads: StoredReads; readonly writes: StoredWrites },
): Subresource {
  return {
    served: { parent, name: 'status', kind: parent.kind, verbs: ['get', 'patch', 'update'] },
    verbs: {
      get: (request) => reads.get(request),
      update: (request) => writes.update(request, 'status'),
      patch: (request) => writes.patch(request, 'status'),
    },
  }
}
