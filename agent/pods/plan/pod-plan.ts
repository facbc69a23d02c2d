/**
 * What is to be done next for a pod: a pure function of its state and the time. Steps of one plan may run at the same
 * time; the plan is made again after each has ended. Nothing is remembered between two plans.
 *
 *   volumes ─┐
 *   sandbox ─┼─▶ start init 1 ─▶ … ─▶ start all others ─▶ (restarts) ─▶ kill … ─▶ teardown ─▶ release
 *   pull …  ─┘                          └▶ postStart                      └▶ preStop
 *
 * How a container is killed is in ending.ts.
 */
import { allContainers } from '../../../proto/objects/containers.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { Kill, PodRecord } from '../../state/contract.ts'
import { killPlanFor, nextKillStep, terminationOrder, type KillPlan } from './kill-plan.ts'
import {
  imageChanged,
  isBeingDeleted,
  isSidecar,
  isStopping,
  peekContainer,
  podProgress,
  shouldRestart,
  runningInstance,
  type PodState,
} from './pod-state.ts'
import { needsResizeStep, resizeNeedsRestart } from './resize.ts'

export type PodStep =
  /** Makes the pod's volumes, or brings their files up to date. */
  | { readonly step: 'volumes' }
  /** Network and namespaces. */
  | { readonly step: 'sandbox' }
  /** Finds or pulls the image for a container's next start, and mounts it as root filesystem. */
  | { readonly step: 'pull'; readonly container: string }
  /** Creates and starts a container's next instance. */
  | { readonly step: 'start'; readonly container: string }
  /** Sets the limits of the pod and of its running containers as granted. */
  | { readonly step: 'resize' }
  /** Runs the hook of an instance that has just started. */
  | { readonly step: 'postStart'; readonly container: string }
  /** Runs the hook of an instance that is being ended, where it is a command or a request. */
  | { readonly step: 'preStop'; readonly container: string }
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

export interface PodPlan {
  readonly steps: readonly PodStep[]
  /** Milliseconds since 1970: plan again then at the latest. Undefined: only news change anything. */
  readonly wakeAt: number | undefined
}

/** Two steps with the same key never run at the same time. */
export function stepKey(step: PodStep): string {
  switch (step.step) {
    case 'pull':
    case 'start':
    case 'postStart':
    case 'preStop':
    case 'kill':
      return `${step.step}/${step.container}`
    case 'remove':
      return `remove/${step.id}`
    case 'volumes':
    case 'sandbox':
    case 'resize':
    case 'fail':
    case 'teardown':
    case 'release':
      return step.step
  }
}

/** Gathers steps and wake times; a step that failed is left out until it may be tried again. */
class PodPlanBuilder {
  readonly #state: PodState
  readonly #now: number
  readonly steps: PodStep[] = []
  wakeAt: number | undefined

  constructor(state: PodState, now: number) {
    this.#state = state
    this.#now = now
  }

  add(step: PodStep): void {
    const failure = this.#state.failures.get(stepKey(step))
    if (failure !== undefined && failure.retryAt > this.#now) this.wake(failure.retryAt)
    else if (!this.#state.busy.has(stepKey(step))) this.steps.push(step)
  }

  wake(at: number): void {
    if (at !== Infinity) this.wakeAt = Math.min(at, this.wakeAt ?? Infinity)
  }
}

export function planPod(state: PodState, now: number): PodPlan {
  const draft = new PodPlanBuilder(state, now)
  if (!state.record.released) {
    for (const id of state.record.dead) draft.add({ step: 'remove', id })
    if (isStopping(state.record)) planStop(state, now, draft)
    else planRun(state, now, draft)
  }
  return { steps: draft.steps, wakeAt: draft.wakeAt }
}

function planRun(state: PodState, now: number, draft: PodPlanBuilder): void {
  const { record } = state
  const at = podProgress(record)
  if (at.stage === 'finished') {
    // All have ended, or an init container has failed for good: what is left are sidecars and containers that were
    // added.
    if (planRemainingKills(state, now, draft) && !record.tornDown) planTeardown(state, draft)
    return
  }
  const { activeDeadlineSeconds } = record.pod.spec
  if (activeDeadlineSeconds !== undefined) {
    const deadline = (record.activeSince ?? record.acceptedAt) + activeDeadlineSeconds * 1000
    if (now >= deadline) {
      draft.add({
        step: 'fail',
        reason: 'DeadlineExceeded',
        message: `the pod was active for longer than its deadline of ${activeDeadlineSeconds} s`,
      })
      return
    }
    draft.wake(deadline)
  }
  if (record.sandbox === undefined) draft.add({ step: 'sandbox' })
  if (needsResizeStep(record)) draft.add({ step: 'resize' })
  if (state.configVersion !== undefined && state.volumesVersion !== state.configVersion) draft.add({ step: 'volumes' })
  const eligible = new Set(
    at.stage === 'initializing' ? [at.container.name] : record.pod.spec.containers.map((container) => container.name),
  )
  for (const container of allContainers(record.pod))
    planContainer(
      state,
      now,
      draft,
      container,
      eligible.has(container.name) ||
        peekContainer(record, container.name).passed === true ||
        ephemeralMayStart(record, container),
    )
}

/** A container added to the pod starts whatever the others do, but not before the one whose processes it is to see. */
function ephemeralMayStart(record: PodRecord, { name }: Container): boolean {
  const added = record.pod.spec.ephemeralContainers?.find((container) => container.name === name)
  if (added === undefined) return false
  const { targetContainerName: target = '' } = added
  return target === '' || runningInstance(record, target) !== undefined
}

function planContainer(
  state: PodState,
  now: number,
  draft: PodPlanBuilder,
  container: Container,
  eligible: boolean,
): void {
  const { record } = state
  const { name } = container
  const known = peekContainer(record, name)
  const changed = imageChanged(container, known) || resizeNeedsRestart(record, container)
  if (known.instance !== undefined) {
    const instance = runningInstance(record, name)
    if (instance === undefined) return
    const { kill, postStart } = instance
    if (changed || kill !== undefined) planKill(draft, now, container, kill, killPlanFor(record, kill, changed, now))
    else if (container.lifecycle?.postStart !== undefined && postStart === undefined)
      draft.add({ step: 'postStart', container: name })
    return
  }
  const { ended } = known
  if (ended !== undefined && !shouldRestart(record.pod, name, ended)) return
  if (ended !== undefined && !changed && known.retryAt > now) {
    draft.wake(known.retryAt)
    return
  }
  const ready = state.preparedContainers.has(name)
  if (!ready) draft.add({ step: 'pull', container: name })
  if (
    eligible &&
    ready &&
    record.sandbox !== undefined &&
    state.configVersion !== undefined &&
    state.volumesVersion === state.configVersion
  )
    draft.add({ step: 'start', container: name })
}

function planKill(
  draft: PodPlanBuilder,
  now: number,
  container: Container,
  kill: Kill | undefined,
  ending: KillPlan,
): void {
  const { kill: next, silent = false, preStop = false, wakeAt = Infinity } = nextKillStep(container, kill, ending, now)
  if (next !== undefined) draft.add({ step: 'kill', container: container.name, kill: next, silent })
  if (preStop) draft.add({ step: 'preStop', container: container.name })
  draft.wake(wakeAt)
}

function planStop(state: PodState, now: number, draft: PodPlanBuilder): void {
  const { record } = state
  const alive = allContainers(record.pod).some(({ name }) => peekContainer(record, name).instance !== undefined)
  for (const { container, turn } of terminationOrder(record)) {
    const kill = runningInstance(record, container.name)?.kill
    planKill(draft, now, container, kill, {
      ...killPlanFor(record, kill, false, now, true),
      ...(turn ? {} : { holdUntil: Infinity }),
    })
  }
  if (alive) return
  if (!record.tornDown) planTeardown(state, draft)
  else if (isBeingDeleted(record) && record.dead.length === 0 && !hasOtherStepInProgress(state, 'release'))
    draft.add({ step: 'release' })
}

/**
 * Ends what is left of a pod that is done: what was added to it, and its sidecars, the last one first. True: nothing is
 * left.
 */
function planRemainingKills(state: PodState, now: number, draft: PodPlanBuilder): boolean {
  const { record } = state
  const { initContainers = [], ephemeralContainers = [], terminationGracePeriodSeconds: graceSeconds } = record.pod.spec
  const exists = ({ name }: Container): boolean => peekContainer(record, name).instance !== undefined
  const sidecars = initContainers.filter((container) => isSidecar(record.pod, container.name) && exists(container))
  const added = ephemeralContainers.filter(exists)
  for (const container of [...added, ...sidecars.slice(-1)]) {
    const instance = runningInstance(record, container.name)
    if (instance !== undefined)
      planKill(draft, now, container, instance.kill, {
        reason: 'stop',
        since: instance.kill?.since ?? now,
        graceSeconds,
        holdUntil: 0,
      })
  }
  return sidecars.length + added.length === 0
}

/** Once nothing else is under way, so that no step makes anew what is being removed. */
function planTeardown(state: PodState, draft: PodPlanBuilder): void {
  if (state.record.dead.length === 0 && !hasOtherStepInProgress(state, 'teardown')) draft.add({ step: 'teardown' })
}

function hasOtherStepInProgress(state: PodState, step: string): boolean {
  return [...state.busy].some((key) => key !== step)
}
