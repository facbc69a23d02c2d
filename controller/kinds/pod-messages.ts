/**
 * What admission plugins see where a pod is bound to a node or asked to leave it: not the pod, but the message that
 * Kubernetes' clients send to the subresource.
 */
import type { JsonObject, Pod } from '../../proto/gen/types.ts'

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/binding-v1/ */
export function bindingMessage({ metadata: { name, namespace, uid } }: Pod, node: string): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name, namespace, uid, creationTimestamp: null },
    target: { kind: 'Node', name: node },
  }
}

/** https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ */
export function evictionMessage(
  { metadata: { name, namespace } }: { readonly metadata: Pick<Pod['metadata'], 'name' | 'namespace'> },
  deleteOptions: JsonObject,
): JsonObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name, namespace, creationTimestamp: null },
    deleteOptions,
  }
}
