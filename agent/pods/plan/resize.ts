/**
 * Changes of what a running pod's containers may use: pure.
 * https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
 *
 *   spec ──(room on the node?)──▶ granted ──(resize step, or a restart)──▶ in force
 *            └▶ Deferred, Infeasible
 */
import { allContainers } from '../../../proto/objects/containers.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Container, Pod, PodCondition, ResourceRequirements } from '../../../proto/gen/types.ts'
import type { Resources } from '../../runtime/contract.ts'
import type { ContainerRecord, PodRecord } from '../../state/contract.ts'
import { checkAdmission } from './admission.ts'
import { containerRecord, instanceIn, isStopping, runningStage } from './pod-state.ts'

const RESIZABLE = ['cpu', 'memory'] as const

/** A pod with other resources of its containers. */
function withResources(pod: Pod, resources: (container: Container) => ResourceRequirements): Pod {
  const given = (containers: readonly Container[]): Container[] =>
    containers.map((container) => ({ ...container, resources: resources(container) }))
  const { initContainers, containers } = pod.spec
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: given(containers),
      ...(initContainers !== undefined && { initContainers: given(initContainers) }),
    },
  }
}

function resourcesOf(pod: Pod): Record<string, ResourceRequirements> {
  return Object.fromEntries(allContainers(pod).map(({ name, resources }) => [name, resources]))
}

/** The pod with what its node has granted it. */
export function allocatedPod({ pod, granted }: Pick<PodRecord, 'pod' | 'granted'>): Pod {
  return granted === undefined ? pod : withResources(pod, ({ name, resources }) => granted[name] ?? resources)
}

/** What a container may use, as granted. */
export function allocatedResourcesOf(
  { granted }: Pick<PodRecord, 'granted'>,
  { name, resources }: Container,
): ResourceRequirements {
  return granted?.[name] ?? resources
}

/**
 * What the record says of its resources once the pod is replaced by the next: what is granted so far; nothing if the
 * next one asks for no more than that.
 */
export function recordResizeRequest(
  record: PodRecord,
  next: Pod,
): Pick<PodRecord, 'granted' | 'ungranted' | 'containers'> {
  const { containers } = record
  const granted = record.granted ?? resourcesOf(record.pod)
  if (allContainers(next).every(({ name, resources }) => sameJson(granted[name] ?? resources, resources)))
    return { containers, granted: undefined, ungranted: undefined }
  const inForce = allContainers(record.pod).flatMap((container): [string, ContainerRecord][] => {
    const known = containers[container.name]
    return known === undefined || instanceIn(known.stage) === undefined || known.resources !== undefined
      ? []
      : [[container.name, { ...known, resources: allocatedResourcesOf(record, container) }]]
  })
  return {
    containers: inForce.length === 0 ? containers : { ...containers, ...Object.fromEntries(inForce) },
    granted,
    // What was refused before is looked at anew, and told anew.
    ungranted: sameJson(resourcesOf(next), resourcesOf(record.pod)) ? record.ungranted : undefined,
  }
}

/** Whether the pod is to have other resources than it was granted. */
export function hasPendingResize(record: PodRecord): boolean {
  return record.granted !== undefined && !isStopping(record)
}

/**
 * Undefined: the node can give what the pod says now. `others`: the pods that hold resources of the node, as granted.
 */
export function resizeRejection(
  { pod }: PodRecord,
  others: readonly Pod[],
  allocatable: Readonly<Record<string, string>>,
): PodRecord['ungranted'] {
  const never = checkAdmission(pod, [], allocatable)
  if (never !== undefined) return { reason: 'Infeasible', message: never.message }
  const now = checkAdmission(pod, others, allocatable)
  return now === undefined ? undefined : { reason: 'Deferred', message: now.message }
}

/** Whether the present instance of a container is to end because it takes a restart to change what it may use. */
export function resizeNeedsRestart(record: PodRecord, container: Container): boolean {
  const { resources } = containerRecord(record, container.name)
  if (resources === undefined || runningStage(record, container.name) === undefined) return false
  const wanted = allocatedResourcesOf(record, container)
  return RESIZABLE.some(
    (name) =>
      differs(resources, wanted, name) &&
      container.resizePolicy?.some(
        (policy) => policy.resourceName === name && policy.restartPolicy === 'RestartContainer',
      ) === true,
  )
}

/** The running containers whose limits are to be changed as they run. */
export function containersToResize(record: PodRecord): Container[] {
  return allContainers(allocatedPod(record)).filter((container) => {
    const { resources } = containerRecord(record, container.name)
    return (
      runningStage(record, container.name) !== undefined &&
      resources !== undefined &&
      !sameJson(resources, container.resources) &&
      !resizeNeedsRestart(record, container)
    )
  })
}

/** Whether the resize step has something to do now. */
export function needsResizeStep(record: PodRecord): boolean {
  if (record.sandbox === undefined) return false
  if (containersToResize(record).length > 0 || record.resizing === 'begun') return true
  return record.resizing === 'restarting' && !hasPendingRestart(record)
}

/** Whether a container has still to start again with what it may use now. */
export function hasPendingRestart(record: PodRecord): boolean {
  return allContainers(record.pod).some((container) => resizeNeedsRestart(record, container))
}

/** The pod with what its containers may use at this moment. */
export function actuatedPod(record: PodRecord): Pod {
  return withResources(
    allocatedPod(record),
    (container) => containerRecord(record, container.name).resources ?? container.resources,
  )
}

/** Room for both. */
export function maxResources(a: Resources, b: Resources): Resources {
  const more = (x: number, y: number): number => (x === 0 || y === 0 ? 0 : Math.max(x, y))
  return {
    cpuShares: Math.max(a.cpuShares, b.cpuShares),
    cpuQuotaMicros: more(a.cpuQuotaMicros, b.cpuQuotaMicros),
    memoryLimit: more(a.memoryLimit, b.memoryLimit),
    pidsLimit: more(a.pidsLimit, b.pidsLimit),
  }
}

/** The conditions of a change that waits or is carried out; `failure`: why the last try to do so failed. */
export function resizeConditions(
  record: PodRecord,
  failure: string | undefined,
): Omit<PodCondition, 'lastTransitionTime'>[] {
  const { ungranted, resizing } = record
  return [
    ...(ungranted === undefined ? [] : [{ type: 'PodResizePending', status: 'True' as const, ...ungranted }]),
    ...(resizing === undefined
      ? []
      : [
          {
            type: 'PodResizeInProgress',
            status: 'True' as const,
            ...(failure !== undefined && { reason: 'Error', message: failure }),
          },
        ]),
  ]
}

function differs(a: ResourceRequirements, b: ResourceRequirements, name: string): boolean {
  return a.limits?.[name] !== b.limits?.[name] || a.requests?.[name] !== b.requests?.[name]
}
