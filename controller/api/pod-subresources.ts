/**
 * The parts of a pod, and of a namespace, that are written by subresources of their own: what else a write says counts
 * for nothing, as in Kubernetes. Pure.
 */
import { AUTHOR_ANNOTATION } from '../../proto/objects/account-access.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource, Container, Kind, Pod, Resources } from '../../proto/gen/types.ts'
import type { WriteSubresource } from './contract.ts'

/**
 * The stored object with that part of the wanted one; the wanted one itself for subresources that write a whole half.
 * InvalidArgument for a kind without the subresource.
 */
export function mergeSubresource<K extends Kind>(
  wanted: Resources[K],
  stored: Resources[K],
  subresource: WriteSubresource,
): Resources[K] {
  switch (subresource) {
    case '':
    case 'status':
    case 'scale':
      return wanted
    case 'finalize': {
      const [next, current] = [wanted as AnyResource, stored as AnyResource]
      if (next.kind !== 'Namespace' || current.kind !== 'Namespace')
        throw new GantryError('InvalidArgument', `a ${stored.kind} has no subresource finalize`, {
          details: [{ field: 'subresource', value: subresource, message: 'is one of namespaces' }],
        })
      const { uid, resourceVersion, managedFields } = next.metadata
      return {
        ...current,
        metadata: { ...current.metadata, uid, resourceVersion, managedFields },
        spec: next.spec,
      } as AnyResource as Resources[K]
    }
    case 'ephemeralcontainers':
    case 'resize': {
      const [next, current] = [wanted as AnyResource, stored as AnyResource]
      if (next.kind !== 'Pod' || current.kind !== 'Pod')
        throw new GantryError('InvalidArgument', `a ${stored.kind} has no subresource ${subresource}`, {
          details: [{ field: 'subresource', value: subresource, message: 'is one of pods' }],
        })
      const { uid, resourceVersion, managedFields } = next.metadata
      const spec =
        subresource === 'resize'
          ? withResources(current.spec, next.spec)
          : { ...current.spec, ephemeralContainers: next.spec.ephemeralContainers }
      return {
        ...current,
        metadata: { ...current.metadata, annotations: withAuthor(current, next), uid, resourceVersion, managedFields },
        spec,
      } as Pod as Resources[K]
    }
  }
}

/** The record of who wrote the containers goes with them: an admission plugin keeps it. */
function withAuthor({ metadata: { annotations } }: Pod, next: Pod): Record<string, string> | undefined {
  const author = next.metadata.annotations?.[AUTHOR_ANNOTATION]
  if (author === annotations?.[AUTHOR_ANNOTATION]) return annotations
  const { [AUTHOR_ANNOTATION]: _before, ...others } = annotations ?? {}
  return author === undefined ? others : { ...others, [AUTHOR_ANNOTATION]: author }
}

/** Containers are found by their names; one that is not there is not added. */
function withResources(current: Pod['spec'], next: Pod['spec']): Pod['spec'] {
  const resized = (containers: readonly Container[], wanted: readonly Container[] | undefined): Container[] =>
    containers.map((container) => {
      const found = wanted?.find(({ name }) => name === container.name)
      return found === undefined ? container : { ...container, resources: found.resources }
    })
  return {
    ...current,
    containers: resized(current.containers, next.containers),
    ...(current.initContainers !== undefined && {
      initContainers: resized(current.initContainers, next.initContainers),
    }),
  }
}
