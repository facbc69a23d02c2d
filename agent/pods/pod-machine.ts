/**
 * One pod on a node. It makes the plan again whenever something changed, carries the plan's steps out (different steps
 * at the same time, one step never twice at once), and tells the status when it changed. Steps, probes and the runtime
 * say what happened as values (plan/changes.ts); here alone they are put on record.
 *
 *   planPod(state) ─▶ steps ─▶ runStep ─▶ done, noop, retry or fatal ─▶ applyChange(state, change) ─▶ planPod …
 */
import { sameJson } from '../../proto/base/json.ts'
import { hasConfiguredEnvironment } from '../../proto/objects/pod-references.ts'
import type { Timer } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { ObservedPod, Pod } from '../../proto/gen/types.ts'
import type { ContainerRecord as RuntimeContainer } from '../runtime/contract.ts'
import type { PodRecord } from '../state/contract.ts'
import type { PodDependencies } from './dependencies.ts'
import { ProbeManager } from './health/probe-manager.ts'
import { changeEvent } from './plan/change-events.ts'
import type { Change, InstanceChange } from './plan/changes.ts'
import { cutShort } from './plan/cut-short.ts'
import { applyChange } from './plan/pod-changes.ts'
import { planPod, stepKey, type PodStep } from './plan/pod-plan.ts'
import { containerRecord, instanceIn, isStopping, podProgress, type PodState } from './plan/pod-state.ts'
import { adoptionChanges, CLOCK_JUMP_THRESHOLD_MS, recoveredRecord } from './plan/recovery.ts'
import { resizeRejection } from './plan/resize.ts'
import { podStatus } from './status/pod-status.ts'
import { readinessGates } from './status/readiness-gates.ts'
import { StatusReporter } from './status/status-reporter.ts'
import type { RecordWrite, Retry, StepContext } from './steps/contract.ts'
import { runStep } from './steps/run-step.ts'

/** The version of volumes as an earlier run of the agent left them. */
const RETAINED_VOLUMES_VERSION = 'kept'

interface StepUnderWay {
  readonly step: PodStep
  readonly ending: AbortController
}

export class PodMachine {
  readonly deps: PodDependencies
  #state: PodState
  /** By step key. */
  readonly #underWay = new Map<string, StepUnderWay>()
  readonly #health: ProbeManager
  readonly #statusReporter: StatusReporter
  readonly #listeners = new Set<() => void>()
  #scheduled = false
  #stopped = false
  #timer: Timer | undefined
  /** From the monotonic clock to the wall clock, as the pod's waits are counted: milliseconds. */
  #wallOffset: number

  /** `record`: of a pod that is new to the node, or as an earlier run of the agent left it. */
  constructor(deps: PodDependencies, record: PodRecord) {
    const now = deps.clock.now()
    this.deps = deps
    this.#wallOffset = now - deps.clock.monotonic()
    const known = deps.objects.version(record.pod)
    // While the control plane is away, what is there will do to start a container again.
    const retained =
      known === undefined && !hasConfiguredEnvironment(record.pod) && deps.volumes.arePrepared(record.pod)
    this.#state = {
      record: recoveredRecord(record, now),
      preparedContainers: new Map(),
      configVersion: retained ? RETAINED_VOLUMES_VERSION : known,
      volumesVersion: retained ? RETAINED_VOLUMES_VERSION : undefined,
      failures: new Map(),
      busy: new Set(),
    }
    this.#health = new ProbeManager(this)
    this.#statusReporter = new StatusReporter(this)
  }

  get uid(): string {
    return this.record.pod.metadata.uid
  }

  /** As it is now; each change makes a new one. */
  get state(): PodState {
    return this.#state
  }

  get record(): PodRecord {
    return this.#state.record
  }

  /** Calls after each turn: something about the pod may have changed. Returns the call that ends it. */
  onChange(handler: () => void): () => void {
    this.#listeners.add(handler)
    return () => this.#listeners.delete(handler)
  }

  observation(): ObservedPod {
    const { pod, status, stage } = this.record
    const { namespace, name, uid } = pod.metadata
    return { namespace, name, uid, status, released: stage.stage === 'released' }
  }

  /** Whether an instance of this number exists and runs, or is about to. */
  hasRunningAttempt(container: string, attempt: number): boolean {
    const { stage } = containerRecord(this.record, container)
    return stage.stage !== 'exited' && instanceIn(stage)?.attempt === attempt
  }

  /** The pod as it is wanted now. */
  update(pod: Pod): void {
    const { record } = this
    const same = record.assigned && desiredFingerprint(record.pod) === desiredFingerprint(pod)
    const { containers } = record
    this.#apply([{ change: 'assigned', pod, at: this.now() }])
    if (same && this.record.containers === containers) return
    this.objectsChanged()
    this.#follow()
  }

  /** The node is not to have the pod any more. */
  unassign(): void {
    if (!this.record.assigned) return
    this.#apply([{ change: 'unassigned', at: this.now() }])
    this.#follow()
  }

  /** Nobody sends the pod anything through Services any more. */
  endpointsDrained(): void {
    if (this.record.withdrawn === true) return
    this.#apply([{ change: 'endpointsDrained' }])
    this.#follow()
  }

  /**
   * Decides on a change of what its containers may use. `others`: the pods that hold resources of the node, as granted.
   */
  decideResize(others: readonly Pod[]): void {
    const why = resizeRejection(this.record, others, this.deps.node.allocatable)
    if (why !== undefined && sameJson(why, this.record.ungranted)) return
    this.#apply([why === undefined ? { change: 'resizeAccepted' } : { change: 'resizeRejected', why }])
    this.#follow()
  }

  /** The node gives the pod up because of what it took. */
  evict(message: string): void {
    if (isStopping(this.record) || podProgress(this.record).progress === 'finished') return
    this.#apply([{ change: 'failed', reason: 'Evicted', message, at: this.now() }])
    this.#follow()
  }

  /** ConfigMaps or Secrets changed, perhaps some that the pod uses: what waits for them is tried again at once. */
  objectsChanged(): void {
    const version = this.deps.objects.version(this.record.pod)
    if (version === undefined || version === this.#state.configVersion) return
    this.#apply([{ change: 'configured', version }])
    this.replan()
  }

  /** Compares with what the runtime has: the first thing after the agent's start. */
  adopt(existing: ReadonlyMap<string, RuntimeContainer>, sandboxExists: boolean): void {
    this.#apply(adoptionChanges(this.record, existing, sandboxExists, this.now()))
    this.#health.adopt()
    this.#follow()
  }

  /** The runtime tells that a container has ended. Told twice, nothing more happens. */
  exited({ id, state }: RuntimeContainer): void {
    if (state.state !== 'exited') return
    this.#apply([{ change: 'exited', id, exit: state }])
    this.#cutShort()
    this.replan()
  }

  /** A probe has found something out. */
  changed(change: InstanceChange): void {
    this.#apply([change])
    this.#follow()
  }

  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    this.deps.events.record(this.record.pod, type, reason, message, container)
  }

  /** The wall clock; where it was set, the pod's waits have moved with it. */
  now(): number {
    const { clock } = this.deps
    const now = clock.now()
    const by = now - clock.monotonic() - this.#wallOffset
    if (Math.abs(by) < CLOCK_JUMP_THRESHOLD_MS) return now
    this.#wallOffset += by
    this.#apply([{ change: 'clockJumped', by }])
    return now
  }

  /** Writes the record, and nobody waits for it: a failure is logged, and the next write has everything. */
  save(): void {
    this.deps.group.spawn(() => this.#persist())
  }

  /** Plans again soon, once for all calls until then. */
  replan(): void {
    if (this.#scheduled || this.#stopped) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      if (!this.#stopped) this.#turn()
    })
  }

  /** Begins no further step; containers live on. Steps under way end by themselves, those that wait are aborted. */
  stop(): void {
    this.#stopped = true
    this.#health.stop()
    this.#timer?.cancel()
    this.#statusReporter.stop()
    for (const { ending } of this.#underWay.values())
      ending.abort(new GantryError('Cancelled', 'the agent is stopping'))
  }

  /** The only place where the pod's state becomes another. */
  #apply(changes: readonly Change[]): void {
    for (const change of changes) {
      const before = this.record
      this.#state = applyChange(this.#state, change)
      const event = changeEvent(change, before, this.record)
      if (event !== undefined) this.event(event.type, event.reason, event.message, event.container)
    }
  }

  /** What follows from a change that nobody waits for. */
  #follow(): void {
    this.#cutShort()
    this.save()
    this.replan()
  }

  /** Ends steps under way that have lost their point. */
  #cutShort(): void {
    for (const { step, ending } of this.#underWay.values()) {
      const why = cutShort(step, this.record)
      if (why !== undefined) ending.abort(new GantryError('Cancelled', why))
    }
  }

  async #persist(): Promise<void> {
    try {
      await this.deps.state.put(this.record)
    } catch (error) {
      this.deps.log.error({ pod: this.uid, error }, 'pod record cannot be written')
    }
  }

  #turn(): void {
    const { clock, origin } = this.deps
    const now = this.now()
    const { steps, wakeAt } = planPod(this.#state, now)
    for (const step of steps) this.#begin(step)
    this.#timer?.cancel()
    this.#timer = wakeAt === undefined ? undefined : clock.after(Math.max(0, wakeAt - now), () => this.replan())
    this.#health.syncProbes()
    if (this.record.settled !== true)
      this.#apply([{ change: 'status', status: podStatus(this.#state, origin, clock.now()), at: clock.now() }])
    this.#statusReporter.update(this.record)
    for (const listener of this.#listeners) listener()
  }

  #begin(step: PodStep): void {
    const key = stepKey(step)
    const ending = new AbortController()
    this.#underWay.set(key, { step, ending })
    this.#apply([{ change: 'stepBegun', key }])
    this.deps.group.spawn(async () => {
      try {
        await this.#carryOut(step, key, ending.signal)
      } catch (error) {
        this.deps.log.error({ pod: this.uid, step: key, error }, 'step ended unexpectedly')
      } finally {
        this.#underWay.delete(key)
        this.#apply([{ change: 'stepEnded', key }])
        this.replan()
      }
    })
  }

  /** Whether the step did what it was to or not, what it answers is on record when this resolves. */
  async #carryOut(step: PodStep, key: string, signal: AbortSignal): Promise<void> {
    const { configVersion } = this.#state
    const result = await runStep(step, this.#contextOf(key), signal)
    switch (result.result) {
      case 'done':
        this.#apply([...result.changes, { change: 'stepSucceeded', key }])
        this.#cutShort()
        return this.#write(result.write)
      case 'noop':
        this.#apply([{ change: 'stepSucceeded', key }])
        return
      case 'retry': {
        const { changes = [] } = result
        this.#apply(changes)
        // What it waits for may have come while it was under way: nothing would wake it then.
        const isLate = result.delay === Infinity && this.#state.configVersion !== configVersion
        if (!signal.aborted) this.#failed(step, key, isLate ? { ...result, delay: 0 } : result)
        if (changes.length > 0) await this.#persist()
        return
      }
      case 'fatal': {
        const { reason, message } = result
        this.#apply([
          { change: 'failed', reason, message, at: this.now() },
          { change: 'stepSucceeded', key },
        ])
        this.#cutShort()
        await this.#persist()
        return
      }
    }
  }

  async #write(write: RecordWrite): Promise<void> {
    switch (write) {
      case 'awaited':
        return this.#persist()
      case 'background':
        return this.save()
      case 'deferred':
        return
    }
  }

  #contextOf(key: string): StepContext {
    const state = (): PodState => this.#state
    const agentStops = (): boolean => this.#stopped
    return {
      deps: this.deps,
      uid: this.uid,
      failures: this.#state.failures.get(key)?.count ?? 0,
      get state() {
        return state()
      },
      get agentStops() {
        return agentStops()
      },
      intend: (changes, undo) => this.#intend(changes, undo),
      event: (type, reason, message, container) => this.event(type, reason, message, container),
    }
  }

  async #intend(changes: readonly Change[], undo: readonly Change[]): Promise<void> {
    this.#apply(changes)
    try {
      await this.deps.state.put(this.record)
    } catch (thrown) {
      this.#apply(undo)
      throw thrown
    }
    this.#cutShort()
  }

  #failed(step: PodStep, key: string, { reason, message, error, delay }: Retry): void {
    const count = (this.#state.failures.get(key)?.count ?? 0) + 1
    const failure = { reason, message, count, retryAt: this.now() + delay }
    this.#apply([{ change: 'stepFailed', key, failure }])
    this.deps.log.warn({ pod: this.uid, step: key, count, error }, 'step failed')
    const container = 'container' in step ? step.container : undefined
    if (step.step === 'pull' || step.step === 'start')
      this.event('Warning', 'Failed', `${reason}: ${GantryError.from(error).message}`, container)
    else this.event('Warning', reason, message, container)
  }
}

/**
 * What of a pod object concerns its node: everything but the status that the node itself told. Conditions that its
 * readiness waits for are others'.
 */
function desiredFingerprint({ metadata, spec, status }: Pod): string {
  const { labels, annotations, deletionTimestamp, deletionGracePeriodSeconds } = metadata
  return JSON.stringify([
    spec,
    labels,
    annotations,
    deletionTimestamp,
    deletionGracePeriodSeconds,
    readinessGates({ spec, status }).map((gate) => gate.status),
  ])
}
