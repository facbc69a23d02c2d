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
