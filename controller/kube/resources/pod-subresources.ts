/**
 * The subresources that write one part of a pod or a namespace: the same object, of which a write changes nothing but
 * that part.
 */
import type { PodSubresource } from '../../api/contract.ts'
import type { ServedResource, Subresource } from '../contract.ts'
import type { StoredReads } from './reads.ts'
import type { StoredWrites } from './writes.ts'

/**
 * What still holds a namespace that is being deleted; it can only be replaced.
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/
 */
export function finalizeSubresource(
  parent: ServedResource,
  { writes }: { readonly writes: StoredWrites },
): Subresource {
  return {
    served: { parent, name: 'finalize', kind: parent.kind, verbs: ['update'] },
    verbs: { update: (request) => writes.update(request, 'finalize') },
  }
}

/**
 * https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/ and
 * …/docs/tasks/configure-pod-container/resize-container-resources/
 */
export function podSubresource(
  parent: ServedResource,
  name: PodSubresource,
  { reads, writes }: { readonly reads: StoredReads; readonly writes: StoredWrites },
): Subresource {
  return {
    served: { parent, name, kind: parent.kind, verbs: ['get', 'patch', 'update'] },
    verbs: {
      get: (request) => reads.get(request),
      update: (request) => writes.update(request, name),
      patch: (request) => writes.patch(request, name),
    },
  }
}
