/**
 * How a running container is ended: pure.
 * https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
 *
 *   begun ─▶ preStop ─┬─▶ SIGTERM ─▶ grace ─▶ SIGKILL
 *                     │
 *      nobody sends the pod anything any more (told, or 5 s); the containers that end before it have ended
 *
 * All of it counts against the grace. Where that is over before SIGTERM, the container gets a last 2 s.
 */
import { isDeleting } from '../../../proto/objects/deletion.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { Kill, PodRecord } from '../../state/contract.ts'
import { isSidecar } from '../../../proto/objects/containers.ts'
import { instanceOf, runningStage } from './pod-state.ts'

/** Milliseconds that a pod's ending waits at most to be told that no node sends it anything any more. */
export const ENDPOINT_DRAIN_TIMEOUT_MS = 5_000
/** Milliseconds from SIGTERM to SIGKILL for a container whose grace was over before, as in Kubernetes. */
const MINIMUM_GRACE_PERIOD_MS = 2_000

/** Why and how a container is ended. */
export interface KillPlan {
  readonly reason: Kill['reason']
  /** Milliseconds since 1970: the grace is counted from then. */
  readonly since: number
  readonly graceSeconds: number
  /** Milliseconds since 1970: no SIGTERM before then. */
  readonly holdUntil: number
}

/** What is to be done next for a container that is being ended, and when to look again. */
export interface KillStep {
  /** The kill as it is to be from now on. */
  readonly kill?: Kill
  /** Nothing is sent: only the kill's fields change. */
  readonly silent?: boolean
  /** The hook is to be run. */
  readonly preStop?: boolean
  readonly wakeAt?: number
}

export function nextKillStep(
  container: Container,
  kill: Kill | undefined,
  { reason, since, graceSeconds, holdUntil }: KillPlan,
  now: number,
): KillStep {
  const deadline =
    kill?.extended === true && graceSeconds > 0
      ? kill.deadline
      : Math.min(kill?.reason === reason ? kill.deadline : Infinity, since + graceSeconds * 1000)
  if (now >= deadline) {
    if (kill?.sent === 'KILL') return {}
    if (kill?.sent === 'NOTHING' && graceSeconds > 0) {
      return { kill: { ...kill, reason, since, deadline: now + MINIMUM_GRACE_PERIOD_MS, sent: 'TERM', extended: true } }
    }
    return { kill: { ...kill, reason, since, deadline, sent: 'KILL' } }
  }
  const hook = preStopEndTime(container, kill, now)
  const hold = Math.max(holdUntil, hook)
  if (kill === undefined)
    return {
      kill: { reason, since, deadline, sent: now >= hold ? 'TERM' : 'NOTHING' },
      wakeAt: now >= hold ? deadline : Math.min(deadline, hold),
    }
  if (kill.sent === 'KILL') return {}
  if (kill.sent === 'NOTHING' && now >= hold)
    return { kill: { ...kill, reason, since, deadline, sent: 'TERM' }, wakeAt: deadline }
  const moved = kill.deadline !== deadline || kill.reason !== reason
  return {
    ...(moved ? { kill: { ...kill, reason, since, deadline }, silent: true } : {}),
    preStop: kill.sent === 'NOTHING' && kill.preStop === undefined && runsPreStopHandler(container),
    wakeAt: kill.sent === 'NOTHING' ? Math.min(deadline, hold) : deadline,
  }
}

/** Milliseconds since 1970 when the container's preStop hook has ended; Infinity: not known yet. */
function preStopEndTime(container: Container, kill: Kill | undefined, now: number): number {
  const hook = container.lifecycle?.preStop
  if (hook === undefined) return 0
  if (hook.sleep !== undefined) return (kill?.since ?? now) + hook.sleep.seconds * 1000
  return kill?.preStop === 'ended' ? 0 : Infinity
}

function runsPreStopHandler({ lifecycle }: Container): boolean {
  return lifecycle?.preStop?.exec !== undefined || lifecycle?.preStop?.httpGet !== undefined
}

/**
 * How a container that runs is ended: because the pod stops, because another image is to run or it is to have other
 * resources, or because it is unhealthy.
 */
export function killPlanFor(
  record: PodRecord,
  kill: Kill | undefined,
  changed: boolean,
  now: number,
  stop = false,
): KillPlan {
  const { spec } = record.pod
  if (stop) {
    const since = record.stage.stage === 'stopping' ? record.stage.since : now
    const graceSeconds = gracePeriodSeconds(record)
    return {
      reason: 'stop',
      since,
      graceSeconds,
      holdUntil: awaitsEndpointDrain(record) ? since + Math.min(ENDPOINT_DRAIN_TIMEOUT_MS, graceSeconds * 500) : 0,
    }
  }
  const since = kill?.since ?? now
  if (!changed && kill?.reason === 'unhealthy')
    return { reason: 'unhealthy', since, graceSeconds: (kill.deadline - since) / 1000, holdUntil: 0 }
  return { reason: 'changed', since, graceSeconds: spec.terminationGracePeriodSeconds, holdUntil: 0 }
}

/** Seconds from the begin of stopping to SIGKILL: what the deletion says, else what the pod says. */
function gracePeriodSeconds({ pod: { metadata, spec } }: PodRecord): number {
  return Math.max(0, metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds)
}

/**
 * Whether a pod that is being deleted may still be sent something: it has been ready, and the control plane has not
 * said otherwise. At most half of the grace is spent waiting, so that the containers have the other half; with a grace
 * of a second none is.
 */
export function awaitsEndpointDrain(record: PodRecord): boolean {
  return (
    record.assigned &&
    isDeleting(record.pod) &&
    record.withdrawn !== true &&
    gracePeriodSeconds(record) > 1 &&
    record.timeline.some(({ step }) => step === 'ready')
  )
}

/**
 * The containers of a stopping pod that run. Those side by side have their turn at once; then the sidecars, the last
 * one first. Without a turn the hook runs and SIGTERM waits.
 */
export function terminationOrder(record: PodRecord): { readonly container: Container; readonly turn: boolean }[] {
  const { initContainers = [], containers, ephemeralContainers = [] } = record.pod.spec
  let turn = true
  const order: { container: Container; turn: boolean }[] = []
  const add = (container: Container): void => {
    if (runningStage(record, container.name) !== undefined) order.push({ container, turn })
  }
  const alive = ({ name }: Container): boolean => instanceOf(record, name) !== undefined
  const sidecars = initContainers.filter(({ name }) => isSidecar(record.pod, name))
  const others = [
    ...initContainers.filter((container) => !sidecars.includes(container)),
    ...containers,
    ...ephemeralContainers,
  ]
  others.forEach(add)
  turn = !others.some(alive)
  for (const sidecar of [...sidecars].reverse()) {
    add(sidecar)
    if (alive(sidecar)) turn = false
  }
  return order
}
