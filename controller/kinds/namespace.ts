/**
 * Namespaces: one that is deleted stays, Terminating, until the namespace reconciler has emptied it.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Strategy } from './strategy.ts'

/** The finalizer that every namespace has in spec.finalizers: it goes once the namespace is empty. */
export const NAMESPACE_FINALIZER = 'kubernetes'

/** They cannot be deleted, as in Kubernetes. */
const PROTECTED_NAMESPACES: readonly string[] = ['default', 'kube-public', 'kube-system']

export const namespaceStrategy: Strategy<'Namespace'> = {
  prepareForCreate(namespace) {
    namespace.spec = {}
    namespace.status = { phase: 'Active' }
  },
  /** Users may not touch what lets a namespace go, the control plane's own parts may. */
  prepareForUpdate(next, stored, { author }) {
    if (author === 'user') next.spec = stored.spec
  },
  /** Here, since whoever makes a namespace does not own its finalizer. */
  canonicalize(namespace) {
    namespace.spec = { finalizers: [NAMESPACE_FINALIZER] }
  },
  subresources: {
    /** What still holds a namespace that is being deleted. */
    finalize: {
      author: 'controller',
      replaceOnly: true,
      merge(wanted, stored) {
        const { uid, resourceVersion, managedFields } = wanted.metadata
        return { ...stored, metadata: { ...stored.metadata, uid, resourceVersion, managedFields }, spec: wanted.spec }
      },
    },
  },
  /** All that the control plane changes of a namespace is what lets it go, a subresource of its own in Kubernetes. */
  controllerSubresource: 'finalize',
  deletion: {
    refuse({ metadata: { name } }) {
      if (PROTECTED_NAMESPACES.includes(name))
        throw new GantryError('Forbidden', `namespaces "${name}" is forbidden: this namespace may not be deleted`)
    },
    begin(namespace) {
      namespace.status = { ...namespace.status, phase: 'Terminating' }
    },
    isHeld: ({ spec }) => (spec.finalizers ?? []).length > 0,
  },
  /**
   * Creations look at the cache for whether a namespace is going: whoever has been told that it is must not get one
   * through any more.
   */
  acknowledgedWhenCached: 'deletion',
}
