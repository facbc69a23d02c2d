/** The next state of a pod out of its state and one change: pure, and the only place where a record is written. */
import { allContainers } from '../../../proto/objects/containers.ts'
import { formatMicroTime } from '../../../proto/base/time.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { Pod, TimelineStep } from '../../../proto/gen/types.ts'
import type { ContainerRecord, PodRecord, PodStage } from '../../state/contract.ts'
import type { Change, InstanceChange, PodChange, PreparationChange, StepChange } from './changes.ts'
import {
  changeContainer,
  forgiven,
  hasInstance,
  instanceIdOf,
  movedStage,
  toRunAgain,
  wasMade,
} from './container-changes.ts'
import { containerRecord, hasContainersToRun, isStarted, isStopping, podProgress, type PodState } from './pod-state.ts'
import { caughtUpContainers } from './lost-record.ts'
import { recordResizeRequest } from './resize.ts'

export function applyChange(state: PodState, change: Change): PodState {
  switch (change.change) {
    case 'stepBegun':
    case 'stepEnded':
    case 'stepFailed':
    case 'stepSucceeded':
      return changeSteps(state, change)
    case 'prepared':
    case 'unprepared':
    case 'creating':
      return changePreparation(state, change)
    case 'abandoned':
    case 'created':
    case 'running':
    case 'exited':
    case 'ended':
    case 'postStart':
    case 'preStop':
    case 'kill':
    case 'unhealthy':
    case 'startedUp':
    case 'readiness':
    case 'resourcesSet':
    case 'adopted':
      return changeInstance(state, change)
    case 'assigned':
    case 'unassigned':
    case 'endpointsDrained':
    case 'failed':
    case 'configured':
    case 'mounted':
    case 'sandboxed':
    case 'sandboxLost':
    case 'resizeAccepted':
    case 'resizeRejected':
    case 'resized':
    case 'removed':
    case 'orphaned':
    case 'tornDown':
    case 'released':
    case 'clockJumped':
    case 'status':
      return changePod(state, change)
  }
}

function withRecord(state: PodState, fields: Partial<PodRecord>): PodState {
  return { ...state, record: { ...state.record, ...fields } }
}

function changePod(state: PodState, change: PodChange): PodState {
  const { record } = state
  switch (change.change) {
    case 'assigned':
      return assign(state, change.pod, change.at)
    case 'unassigned':
      return record.assigned ? stopIfDue(withRecord(state, { assigned: false }), change.at) : state
    case 'endpointsDrained':
      return withRecord(state, { withdrawn: true })
    case 'failed':
      return stopIfDue(withRecord(state, { failed: { reason: change.reason, message: change.message } }), change.at)
    case 'configured':
      return configure(state, change.version)
    case 'mounted':
      return { ...state, volumesVersion: change.version }
    case 'sandboxed':
      return withRecord(state, {
        sandbox: { attachment: change.attachment },
        timeline: stamped(record, 'sandbox', change.at),
      })
    case 'sandboxLost':
      return loseSandbox(state)
    case 'resizeAccepted':
      return withRecord(state, { granted: undefined, ungranted: undefined, resizing: 'begun' })
    case 'resizeRejected':
      return withRecord(state, { ungranted: change.why })
    case 'resized':
      return withRecord(state, { resizing: change.restarts ? 'restarting' : undefined })
    case 'removed':
      return withRecord(state, { dead: record.dead.filter((id) => id !== change.id) })
    case 'orphaned':
      return withRecord(state, { dead: [...record.dead, change.id] })
    case 'tornDown':
      return { ...withRecord(state, { sandbox: undefined, stage: tornDownStage(record) }), volumesVersion: undefined }
    case 'released':
      return record.stage.stage === 'tornDown' ? withRecord(state, { stage: { stage: 'released' } }) : state
    case 'clockJumped':
      return setClock(state, change.by)
    case 'status': {
      const { status } = change
      const ready = status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
      const timeline = ready === true ? stamped(record, 'ready', change.at) : record.timeline
      return withRecord(state, {
        timeline,
        status: timeline === record.timeline ? status : { ...status, timeline: [...timeline] },
      })
    }
  }
}

function changePreparation(state: PodState, change: PreparationChange): PodState {
  const { record } = state
  switch (change.change) {
    case 'prepared': {
      const preparedContainers = new Map(state.preparedContainers).set(change.container, change.prepared)
      const all = record.pod.spec.containers.every(
        ({ name }) => preparedContainers.has(name) || containerRecord(record, name).image !== undefined,
      )
      return all
        ? { ...withRecord(state, { timeline: stamped(record, 'image', change.at) }), preparedContainers }
        : { ...state, preparedContainers }
    }
    case 'unprepared':
      return drop(state, change.container)
    case 'creating':
      return create(state, change)
  }
}

/** From here on the record says that the instance is about to be. */
function create(state: PodState, change: Extract<PreparationChange, { change: 'creating' }>): PodState {
  const { container, instance, image, resources } = change
  const known = containerRecord(state.record, container)
  const last = known.stage.stage === 'ended' ? known.stage.end : known.last
  return {
    ...withContainer(state, container, {
      ...known,
      attempt: instance.attempt,
      image,
      resources,
      stage: { stage: 'creating', instance },
      ...(last !== undefined && { last }),
    }),
    preparedContainers: without(state.preparedContainers, container),
  }
}

function changeInstance(state: PodState, change: InstanceChange): PodState {
  const { record } = state
  const id = instanceIdOf(change)
  const found = Object.entries(record.containers).find(([, known]) => hasInstance(known, id))
  let next = state
  if (found !== undefined) {
    const [name, known] = found
    const changed = changeContainer(known, change, record.pod, isStopping(record))
    next = withContainer(state, name, markIfStarted(record.pod, name, changed))
  }
  switch (change.change) {
    case 'abandoned':
    case 'ended':
      return found === undefined ? next : withRecord(next, { dead: [...record.dead, id] })
    case 'created':
      return stampIfAllMade(next, 'created', change.at)
    case 'running':
      return stampIfAllMade(next, 'started', change.at)
    case 'adopted':
    case 'exited':
    case 'postStart':
    case 'preStop':
    case 'kill':
    case 'unhealthy':
    case 'startedUp':
    case 'readiness':
    case 'resourcesSet':
      return next
  }
}

function changeSteps(state: PodState, change: StepChange): PodState {
  const { key } = change
  switch (change.change) {
    case 'stepBegun':
      return { ...state, busy: new Set(state.busy).add(key) }
    case 'stepEnded':
      return { ...state, busy: new Set([...state.busy].filter((other) => other !== key)) }
    case 'stepFailed':
      return { ...state, failures: new Map(state.failures).set(key, change.failure) }
    case 'stepSucceeded':
      return state.failures.has(key) ? { ...state, failures: without(state.failures, key) } : state
  }
}

/** What was prepared or failed with a container's former image counts no more. */
function assign(state: PodState, pod: Pod, at: number): PodState {
  const { record } = state
  let next = state
  for (const { name, image } of allContainers(pod)) {
    const before = allContainers(record.pod).find((other) => other.name === name)
    if (before !== undefined && before.image !== image) next = forgetImage(next, name)
  }
  if (!sameJson(record.pod.spec, pod.spec)) next = forgiveAll(next)
  next = withRecord(next, recordResizeRequest(next.record, pod))
  const starting = (container: string): boolean => state.busy.has(`start/${container}`)
  next = withRecord(next, { containers: caughtUpContainers(next.record, pod, at, starting) })
  const resumed = !record.assigned
  next = withRecord(next, { pod, ...(resumed && { assigned: true, withdrawn: undefined }) })
  return stopIfDue(resumed ? resume(next) : next, at)
}

/** The pod was on its way out because it was not to be on this node any more. */
function resume(state: PodState): PodState {
  const { record } = state
  const active: PodStage = { stage: 'active', since: record.acceptedAt }
  switch (record.stage.stage) {
    case 'active':
    case 'released':
      return state
    case 'stopping':
      return withRecord(state, { stage: active })
    case 'tornDown':
      return isDone(record) ? state : withRecord(state, { stage: active })
  }
}

/** A pod that was given back to the node while it was torn down gets another sandbox. */
function tornDownStage(record: PodRecord): PodStage {
  return record.stage.stage === 'active' && !isDone(record) ? record.stage : { stage: 'tornDown' }
}

/** Whether no container of the pod is to run any more. */
function isDone(record: PodRecord): boolean {
  return isStopping(record) || podProgress(record).progress === 'finished'
}

/** A pod that is not to run any more is stopping from now on; what was prepared for starts is given up. */
function stopIfDue(state: PodState, at: number): PodState {
  const { record } = state
  if (!isStopping(record)) return state
  let next = record.stage.stage === 'active' ? withRecord(state, { stage: { stage: 'stopping', since: at } }) : state
  for (const name of state.preparedContainers.keys()) next = discard(next, name)
  return next
}

/** What was prepared for a start that will not be; a start under way has taken it already. */
function discard(state: PodState, name: string): PodState {
  return state.busy.has(`start/${name}`) ? state : drop(state, name)
}

function drop(state: PodState, name: string): PodState {
  const prepared = state.preparedContainers.get(name)
  if (prepared === undefined) return state
  return {
    ...withRecord(state, { dead: [...state.record.dead, prepared.id] }),
    preparedContainers: without(state.preparedContainers, name),
  }
}

function forgetImage(state: PodState, name: string): PodState {
  const known = state.record.containers[name]
  const next = known === undefined ? state : withContainer(state, name, forgiven(known))
  return discard({ ...next, failures: without(next.failures, `pull/${name}`, `start/${name}`) }, name)
}

function forgiveAll(state: PodState): PodState {
  return eachContainer(state, forgiven)
}

/**
 * What waits for ConfigMaps or Secrets is tried again at once, and so are containers that may have failed for want of
 * them.
 */
function configure(state: PodState, configVersion: string): PodState {
  const next = state.configVersion === undefined ? state : forgiveAll(state)
  const waiting = [...state.failures].filter(([key, { retryAt }]) => retryAt === Infinity || key.startsWith('pull/'))
  return { ...next, configVersion, failures: without(state.failures, ...waiting.map(([key]) => key)) }
}

/** A new sandbox begins with the init containers again. */
function loseSandbox(state: PodState): PodState {
  const next = withRecord(state, { sandbox: undefined })
  const { record } = next
  if (isStopping(record) || !hasContainersToRun(record)) return next
  const init = new Set(record.pod.spec.initContainers?.map(({ name }) => name))
  return eachContainer(next, (known, name) => (init.has(name) ? toRunAgain(known) : known))
}

/** The pod's waits are to last neither longer nor shorter than they were. */
function setClock(state: PodState, by: number): PodState {
  const moved = eachContainer(state, (known) => ({ ...known, stage: movedStage(known.stage, by) }))
  return {
    ...withRecord(moved, { stage: movedPodStage(state.record.stage, by) }),
    failures: new Map(
      [...state.failures].map(([key, failure]) => [key, { ...failure, retryAt: failure.retryAt + by }]),
    ),
  }
}

function movedPodStage(stage: PodStage, by: number): PodStage {
  switch (stage.stage) {
    case 'active':
    case 'stopping':
      return { ...stage, since: stage.since + by }
    case 'tornDown':
    case 'released':
      return stage
  }
}

/**
 * Notes of a sidecar that it has been started: what comes after it may begin, and does not wait for it again. Only of
 * the container that a change is about, since others may have been lost with their sandbox, which is told later.
 */
function markIfStarted({ spec }: Pod, name: string, known: ContainerRecord): ContainerRecord {
  const container = spec.initContainers?.find((other) => other.name === name)
  return container?.restartPolicy === 'Always' && isStarted(container, known.stage) ? { ...known, passed: true } : known
}

function stampIfAllMade(state: PodState, step: 'created' | 'started', at: number): PodState {
  const { record } = state
  const all = record.pod.spec.containers.every(({ name }) => wasMade(containerRecord(record, name), step === 'started'))
  return all ? withRecord(state, { timeline: stamped(record, step, at) }) : state
}

/** The first time that a step is reached stays. */
function stamped({ timeline }: PodRecord, step: TimelineStep['step'], at: number): PodRecord['timeline'] {
  return timeline.some((other) => other.step === step) ? timeline : [...timeline, { step, time: formatMicroTime(at) }]
}

function withContainer(state: PodState, name: string, known: ContainerRecord): PodState {
  return withRecord(state, { containers: { ...state.record.containers, [name]: known } })
}

function eachContainer(state: PodState, make: (known: ContainerRecord, name: string) => ContainerRecord): PodState {
  const entries = Object.entries(state.record.containers)
  return withRecord(state, {
    containers: Object.fromEntries(entries.map(([name, known]) => [name, make(known, name)])),
  })
}

function without<T>(map: ReadonlyMap<string, T>, ...keys: readonly string[]): ReadonlyMap<string, T> {
  return new Map([...map].filter(([key]) => !keys.includes(key)))
}
