/** The parts of a pod that are written by subresources of their own. Pure. */
import { AUTHOR_ANNOTATION } from '../../proto/objects/account-access.ts'
import type { Container, Pod } from '../../proto/gen/types.ts'

/** https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/ */
export function mergeEphemeralContainers(wanted: Pod, stored: Pod): Pod {
  return merged(wanted, stored, { ...stored.spec, ephemeralContainers: wanted.spec.ephemeralContainers })
}

/** https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/ */
export function mergeResize(wanted: Pod, stored: Pod): Pod {
  return merged(wanted, stored, withResources(stored.spec, wanted.spec))
}

function merged({ metadata }: Pod, stored: Pod, spec: Pod['spec']): Pod {
  const { uid, resourceVersion, managedFields } = metadata
  return {
    ...stored,
    metadata: { ...stored.metadata, annotations: withAuthor(stored, metadata), uid, resourceVersion, managedFields },
    spec,
  }
}

/** The record of who wrote the containers goes with them: an admission plugin keeps it. */
function withAuthor({ metadata: { annotations } }: Pod, wanted: Pod['metadata']): Record<string, string> | undefined {
  const author = wanted.annotations?.[AUTHOR_ANNOTATION]
  if (author === annotations?.[AUTHOR_ANNOTATION]) return annotations
  const { [AUTHOR_ANNOTATION]: _before, ...others } = annotations ?? {}
  return author === undefined ? others : { ...others, [AUTHOR_ANNOTATION]: author }
}

/** Containers are found by their names; one that is not there is not added. */
function withResources(current: Pod['spec'], next: Pod['spec']): Pod['spec'] {
  const resized = (containers: readonly Container[], wanted: readonly Container[] = []): Container[] => {
    const resources = new Map([...wanted].reverse().map((container) => [container.name, container.resources]))
    return containers.map((container) => {
      const found = resources.get(container.name)
      return found === undefined ? container : { ...container, resources: found }
    })
  }
  return {
    ...current,
    containers: resized(current.containers, next.containers),
    ...(current.initContainers !== undefined && {
      initContainers: resized(current.initContainers, next.initContainers),
    }),
  }
}
