/**
 * What is to be done next for a pod: a pure function of its state and the time. Steps of one plan may run at the same
 * time; the plan is made again after each has ended. Nothing is remembered between two plans.
 *
 *   volumes ─┐
 *   sandbox ─┼─▶ start init 1 ─▶ … ─▶ start all others ─▶ (restarts) ─▶ kill … ─▶ teardown ─▶ release
 *   pull …  ─┘                          └▶ postStart                      └▶ preStop
 *
 * How a container is killed is in kill-plan.ts.
 */
import { allContainers, isSidecar } from '../../../proto/objects/containers.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { Kill, PodRecord, Termination } from '../../state/contract.ts'
import { killPlanFor, nextKillStep, terminationOrder, type KillPlan } from './kill-plan.ts'
import {
  containerRecord,
  imageChanged,
  instanceOf,
  isBeingDeleted,
  podProgress,
  shouldRestart,
  runningStage,
  type PodState,
} from './pod-state.ts'
import { needsResizeStep, resizeNeedsRestart } from './resize.ts'

export type PodStep =
  /** Makes the pod's volumes, or brings their files up to date. */
  | { readonly step: 'volumes' }
  /** Network and namespaces. */
  | { readonly step: 'sandbox' }
  /** Finds or pulls the image for a container's next start, and mounts it as root filesystem. */
  | { readonly step: 'pull'; readonly container: string; readonly image: string | undefined }
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
  /** Learns how an instance ended, and puts it on record. */
  | { readonly step: 'end'; readonly container: string }
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
    case 'end':
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
  const { record } = state
  switch (record.stage.stage) {
    case 'active':
      planRemains(record, draft)
      planActive(state, now, draft)
      break
    case 'stopping':
      planRemains(record, draft)
      planStop(state, now, draft)
      break
    case 'tornDown':
      planRemains(record, draft)
      if (isBeingDeleted(record) && record.dead.length === 0 && !hasOtherStepInProgress(state, 'release'))
        draft.add({ step: 'release' })
      break
    case 'released':
      break
  }
  return { steps: draft.steps, wakeAt: draft.wakeAt }
}

/** Instances that have ended, whatever becomes of the pod. */
function planRemains(record: PodRecord, draft: PodPlanBuilder): void {
  for (const [container, { stage }] of Object.entries(record.containers))
    if (stage.stage === 'exited') draft.add({ step: 'end', container })
  for (const id of record.dead) draft.add({ step: 'remove', id })
}

function planActive(state: PodState, now: number, draft: PodPlanBuilder): void {
  const at = podProgress(state.record)
  switch (at.progress) {
    case 'finished':
      // All have ended, or an init container has failed for good: what is left are sidecars and containers that were
      // added.
      if (planRemainingKills(state, now, draft)) planTeardown(state, draft)
      return
    case 'initializing':
      return planRun(state, now, draft, [at.container])
    case 'running':
      return planRun(state, now, draft, state.record.pod.spec.containers)
  }
}

/** `next`: the containers whose turn it is, beside those that run whatever the others do. */
function planRun(state: PodState, now: number, draft: PodPlanBuilder, next: readonly Container[]): void {
  const { record } = state
  const { activeDeadlineSeconds } = record.pod.spec
  if (activeDeadlineSeconds !== undefined && record.stage.stage === 'active') {
    const deadline = record.stage.since + activeDeadlineSeconds * 1000
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
  const eligible = new Set(next.map(({ name }) => name))
  for (const container of allContainers(record.pod)) {
    const { name } = container
    const turn =
      eligible.has(name) || containerRecord(record, name).passed === true || ephemeralMayStart(record, container)
    planContainer(state, now, draft, container, turn)
  }
}

/** A container added to the pod starts whatever the others do, but not before the one whose processes it is to see. */
function ephemeralMayStart(record: PodRecord, { name }: Container): boolean {
  const added = record.pod.spec.ephemeralContainers?.find((container) => container.name === name)
  if (added === undefined) return false
  const { targetContainerName: target = '' } = added
  return target === '' || runningStage(record, target) !== undefined
}

/** `turn`: it may start now, as far as the other containers are concerned. */
function planContainer(state: PodState, now: number, draft: PodPlanBuilder, container: Container, turn: boolean): void {
  const { record } = state
  const { name } = container
  const known = containerRecord(record, name)
  const { stage } = known
  const changed = imageChanged(container, known) || resizeNeedsRestart(record, container)
  switch (stage.stage) {
    case 'idle':
      return planStart(state, draft, container, turn)
    case 'creating':
    case 'created':
    case 'exited':
      return
    case 'running': {
      const { kill, postStart } = stage
      if (changed || kill !== undefined) planKill(draft, now, container, kill, killPlanFor(record, kill, changed, now))
      else if (container.lifecycle?.postStart !== undefined && postStart === undefined)
        draft.add({ step: 'postStart', container: name })
      return
    }
    case 'ended':
      if (!shouldRestart(record.pod, name, stage.end)) return
      if (stage.retryAt > now && !changed) draft.wake(stage.retryAt)
      else planStart(state, draft, container, turn && !mayStillRun(record, stage.end))
      return
  }
}

/**
 * A start that is told as failed may have been made, if the answer of the runtime was lost: only its removal says for
 * certain that nothing of the instance runs beside the next one.
 */
function mayStillRun({ dead }: PodRecord, { id, startFailed }: Termination): boolean {
  return startFailed && dead.includes(id)
}

function planStart(state: PodState, draft: PodPlanBuilder, { name, image }: Container, turn: boolean): void {
  const { record, configVersion } = state
  if (!state.preparedContainers.has(name)) draft.add({ step: 'pull', container: name, image })
  else if (
    turn &&
    record.sandbox !== undefined &&
    configVersion !== undefined &&
    state.volumesVersion === configVersion
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
  const alive = allContainers(record.pod).some(({ name }) => instanceOf(record, name) !== undefined)
  for (const { container, turn } of terminationOrder(record)) {
    const kill = runningStage(record, container.name)?.kill
    planKill(draft, now, container, kill, {
      ...killPlanFor(record, kill, false, now, true),
      ...(turn ? {} : { holdUntil: Infinity }),
    })
  }
  if (!alive) planTeardown(state, draft)
}

/**
 * Ends what is left of a pod that is done: what was added to it, and its sidecars, the last one first. True: nothing is
 * left.
 */
function planRemainingKills(state: PodState, now: number, draft: PodPlanBuilder): boolean {
  const { record } = state
  const { initContainers = [], ephemeralContainers = [], terminationGracePeriodSeconds: graceSeconds } = record.pod.spec
  const exists = ({ name }: Container): boolean => instanceOf(record, name) !== undefined
  const sidecars = initContainers.filter((container) => isSidecar(record.pod, container.name) && exists(container))
  const added = ephemeralContainers.filter(exists)
  for (const container of [...added, ...sidecars.slice(-1)]) {
    const running = runningStage(record, container.name)
    if (running !== undefined)
      planKill(draft, now, container, running.kill, {
        reason: 'stop',
        since: running.kill?.since ?? now,
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
