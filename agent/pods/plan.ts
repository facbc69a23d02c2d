/**
 * What is to be done next for a pod: a pure function of its state and the time. Steps of one plan may run at the same time; the plan is made
 * again after each has ended. Nothing is remembered between two plans.
 *
 *   volumes ─┐
 *   sandbox ─┼─▶ start init 1 ─▶ … ─▶ start all others ─▶ (restarts) ─▶ teardown ─▶ release
 *   pull …  ─┘
 */
import type { Container } from '../../proto/gen/types.ts'
import type { Kill } from '../state/contract.ts'
import { allContainers, imageChanged, isLeaving, isStopping, peekContainer, progress, restarts, type PodState } from './pod-state.ts'

export type Step =
  /** Makes the pod's volumes, or brings their files up to date. */
  | { readonly step: 'volumes' }
  /** Network and namespaces. */
  | { readonly step: 'sandbox' }
  /** Finds or pulls the image for a container's next start, and mounts it as root filesystem. */
  | { readonly step: 'pull'; readonly container: string }
  /** Creates and starts a container's next instance. */
  | { readonly step: 'start'; readonly container: string }
  /** Begins or sharpens the ending of a running instance. `silent`: only the deadline moves. */
  | { readonly step: 'kill'; readonly container: string; readonly kill: Kill; readonly silent: boolean }
  /** Frees what an ended instance holds. */
  | { readonly step: 'remove'; readonly id: string }
  /** The node gives the pod up: its deadline passed. */
  | { readonly step: 'fail'; readonly reason: string; readonly message: string }
  /** Removes sandbox, network and volumes. */
  | { readonly step: 'teardown' }
  /** Removes what is left (logs, files) of a pod that is leaving. */
  | { readonly step: 'release' }

export interface Plan {
  readonly steps: readonly Step[]
  /** Milliseconds since 1970: plan again then at the latest. Undefined: only news change anything. */
  readonly wakeAt: number | undefined
}

/** Two steps with the same key never run at the same time. */
export function stepKey(step: Step): string {
  switch (step.step) {
    case 'pull':
    case 'start':
    case 'kill':
      return `${step.step}/${step.container}`
    case 'remove':
      return `remove/${step.id}`
    case 'volumes':
    case 'sandbox':
    case 'fail':
    case 'teardown':
    case 'release':
      return step.step
  }
}

/** Gathers steps and wake times; a step that failed is left out until it may be tried again. */
class Draft {
  readonly #state: PodState
  readonly #now: number
  readonly steps: Step[] = []
  wakeAt: number | undefined

  constructor(state: PodState, now: number) {
    this.#state = state
    this.#now = now
  }

  add(step: Step): void {
    const failure = this.#state.failures.get(stepKey(step))
    if (failure !== undefined && failure.retryAt > this.#now) this.wake(failure.retryAt)
    else if (!this.#state.busy.has(stepKey(step))) this.steps.push(step)
  }

  wake(at: number): void {
    if (at !== Infinity) this.wakeAt = Math.min(at, this.wakeAt ?? Infinity)
  }
}

export function plan(state: PodState, now: number): Plan {
  const draft = new Draft(state, now)
  if (!state.record.released) {
    for (const id of state.record.dead) draft.add({ step: 'remove', id })
    if (isStopping(state.record)) planStop(state, now, draft)
    else planRun(state, now, draft)
  }
  return { steps: draft.steps, wakeAt: draft.wakeAt }
}

function planRun(state: PodState, now: number, draft: Draft): void {
  const { record } = state
  const at = progress(record)
  if (at.stage === 'finished') {
    // A failed init container ends the pod; what else runs (nothing, as the others wait for it) would be stopped with it.
    if (!record.tornDown) planTeardown(state, draft)
    return
  }
  const { activeDeadlineSeconds } = record.pod.spec
  if (activeDeadlineSeconds !== undefined) {
    const deadline = record.acceptedAt + activeDeadlineSeconds * 1000
    if (now >= deadline) {
      draft.add({ step: 'fail', reason: 'DeadlineExceeded', message: `the pod was active for longer than its deadline of ${activeDeadlineSeconds} s` })
      return
    }
    draft.wake(deadline)
  }
  if (record.sandbox === undefined) draft.add({ step: 'sandbox' })
  if (state.configVersion !== undefined && state.volumesVersion !== state.configVersion) draft.add({ step: 'volumes' })
  const eligible = new Set(at.stage === 'initializing' ? [at.container.name] : record.pod.spec.containers.map((container) => container.name))
  for (const container of allContainers(record.pod)) planContainer(state, now, draft, container, eligible.has(container.name))
}

function planContainer(state: PodState, now: number, draft: Draft, container: Container, eligible: boolean): void {
  const { record } = state
  const { name } = container
  const known = peekContainer(record, name)
  const changed = imageChanged(container, known)
  if (known.instance !== undefined) {
    const { state: instance, kill } = known.instance
    if (instance.state === 'running' && (changed || kill !== undefined)) planKill(draft, now, name, kill, 'changed', kill?.since ?? now, record.pod.spec.terminationGracePeriodSeconds)
    return
  }
  const { ended } = known
  if (ended !== undefined && !restarts(record.pod, name, ended)) return
  if (ended !== undefined && !changed && known.retryAt > now) {
    draft.wake(known.retryAt)
    return
  }
  const ready = state.provisions.has(name)
  if (!ready) draft.add({ step: 'pull', container: name })
  if (eligible && ready && record.sandbox !== undefined && state.configVersion !== undefined && state.volumesVersion === state.configVersion) draft.add({ step: 'start', container: name })
}

function planKill(draft: Draft, now: number, container: string, kill: Kill | undefined, reason: Kill['reason'], since: number, graceSeconds: number): void {
  const deadline = Math.min(kill?.reason === reason ? kill.deadline : Infinity, since + graceSeconds * 1000)
  if (now >= deadline) {
    if (kill?.sent !== 'KILL') draft.add({ step: 'kill', container, kill: { reason, since, deadline, sent: 'KILL' }, silent: false })
    return
  }
  if (kill === undefined) draft.add({ step: 'kill', container, kill: { reason, since, deadline, sent: 'TERM' }, silent: false })
  else if (kill.sent === 'TERM' && (kill.deadline !== deadline || kill.reason !== reason)) draft.add({ step: 'kill', container, kill: { ...kill, reason, since, deadline }, silent: true })
  draft.wake(deadline)
}

/** Seconds between SIGTERM and SIGKILL: what the deletion says, else what the pod says. */
function graceSeconds(state: Pick<PodState, 'record'>): number {
  const { metadata, spec } = state.record.pod
  return Math.max(0, metadata.deletionGracePeriodSeconds ?? spec.terminationGracePeriodSeconds)
}

function planStop(state: PodState, now: number, draft: Draft): void {
  const { record } = state
  let alive = false
  for (const { name } of allContainers(record.pod)) {
    const { instance } = peekContainer(record, name)
    if (instance === undefined) continue
    alive = true
    if (instance.state.state === 'running') planKill(draft, now, name, instance.kill, 'stop', record.stopSince ?? now, graceSeconds(state))
  }
  if (alive) return
  if (!record.tornDown) planTeardown(state, draft)
  else if (isLeaving(record) && record.dead.length === 0 && !busyWith(state, 'release')) draft.add({ step: 'release' })
}

/** Once nothing else is under way, so that no step makes anew what is being removed. */
function planTeardown(state: PodState, draft: Draft): void {
  if (state.record.dead.length === 0 && !busyWith(state, 'teardown')) draft.add({ step: 'teardown' })
}

function busyWith(state: PodState, step: string): boolean {
  return [...state.busy].some((key) => key !== step)
}
