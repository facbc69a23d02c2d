/** References into other namespaces. https://gateway-api.sigs.k8s.io/api-types/referencegrant/ */
import type { ReferenceGrant } from '../../gen/types.ts'

export interface CrossNamespaceReference {
  readonly from: { readonly kind: 'Gateway' | 'HTTPRoute'; readonly namespace: string }
  readonly to: { readonly kind: 'Secret' | 'Service'; readonly namespace: string; readonly name: string }
}

const GROUP = 'gateway.networking.k8s.io'

/** Within one namespace always; else if a grant of the namespace referred to says so. */
export function isGranted({ from, to }: CrossNamespaceReference, grants: readonly ReferenceGrant[]): boolean {
  if (from.namespace === to.namespace) return true
  return grants.some(
    ({ metadata, spec }) =>
      metadata.namespace === to.namespace &&
      spec.from.some(
        ({ group = '', kind, namespace }) => group === GROUP && kind === from.kind && namespace === from.namespace,
      ) &&
      spec.to.some(
        ({ group = '', kind, name = '' }) => group === '' && kind === to.kind && (name === '' || name === to.name),
      ),
  )
}
