/** The containers of a pod, of all sorts. */
import type { Container, Pod } from '../gen/types.ts'

/** Init containers, then the others, then those that were added later. */
export function allContainers({
  spec: { initContainers = [], containers, ephemeralContainers = [] },
}: Pick<Pod, 'spec'>): Container[] {
  return [...initContainers, ...containers, ...ephemeralContainers]
}

/** A container added to the running pod: it runs once, and nothing of the pod depends on it. */
export function isEphemeral({ spec }: Pick<Pod, 'spec'>, name: string): boolean {
  return spec.ephemeralContainers?.some((container) => container.name === name) === true
}

/**
 * An init container that goes on running beside the others (a sidecar).
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
 */
export function isRestartableInitContainer({ restartPolicy }: Pick<Container, 'restartPolicy'>): boolean {
  return restartPolicy === 'Always'
}

function sidecarsOf({ spec: { initContainers = [] } }: Pick<Pod, 'spec'>): Container[] {
  return initContainers.filter(isRestartableInitContainer)
}

export function isSidecar({ spec }: Pick<Pod, 'spec'>, name: string): boolean {
  return (
    spec.initContainers?.some((container) => container.name === name && isRestartableInitContainer(container)) === true
  )
}

/** The containers that are to run as long as the pod does, sidecars last. */
export function lastingContainers(pod: Pick<Pod, 'spec'>): Container[] {
  return [...pod.spec.containers, ...sidecarsOf(pod)]
}
