/**
 * One pod on a node: makes the plan again whenever something changed, carries its steps out (different steps at the
 * same time, one step never twice at once), and tells the status when it changed. After a failure the state is as
 * before the step, and the step comes again later.
 */
import { allContainers } from '../../proto/objects/containers.ts'
import { sameJson } from '../../proto/base/json.ts'
import { formatMicroTime } from '../../proto/base/time.ts'
import type { Timer } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Container, ObservedPod, Pod, TimelineStep } from '../../proto/gen/types.ts'
import type { ContainerRecord as RuntimeContainer } from '../runtime/contract.ts'
import type { Instance, PodRecord, Termination } from '../state/contract.ts'
import { markInterruptedHooksEnded } from './steps/hooks.ts'
import { InstanceExits } from './steps/instance-exits.ts'
import { ProbeManager } from './health/probe-manager.ts'
import { readinessGates } from './status/readiness-gates.ts'
import { acceptResize, recordResizeRequest, resizeRejection } from './plan/resize.ts'
import { StepRunner, type StepHost } from './steps/step-runner.ts'
import { hasConfiguredEnvironment } from '../../proto/objects/pod-references.ts'
import type { PodDependencies } from './dependencies.ts'
import { planPod, stepKey, type PodStep } from './plan/pod-plan.ts'
import {
  hasContainersToRun,
  isBeingDeleted,
  isStopping,
  markStartedSidecars,
  peekContainer,
  podProgress,
  type PodState,
  type PreparedContainer,
  type StepFailure,
} from './plan/pod-state.ts'
import { StatusReporter } from './status/status-reporter.ts'
import { stepFailure } from './plan/step-failure.ts'
import { lostTermination } from './steps/termination.ts'
import { clampDeadlines, CLOCK_JUMP_THRESHOLD_MS, shiftDeadlines } from './plan/clock-jumps.ts'

/** The version of volumes as an earlier run of the agent left them. */
const RETAINED_VOLUMES_VERSION = 'kept'

export class PodMachine implements StepHost {
  readonly deps: PodDependencies
  readonly record: PodRecord
  readonly provisions = new Map<string, PreparedContainer>()
  volumesVersion: string | undefined
  readonly #failures = new Map<string, StepFailure>()
  readonly #busy = new Map<string, AbortController>()
  readonly #steps: StepRunner
  readonly #exits: InstanceExits
  readonly #health: ProbeManager
  readonly #statusReporter: StatusReporter
  readonly #listeners = new Set<() => void>()
  #configVersion: string | undefined
  #scheduled = false
  #stopped = false
  #timer: Timer | undefined
  /** From the monotonic clock to the wall clock, as the pod's waits are counted: milliseconds. */
  #wallOffset: number

  constructor(deps: PodDependencies, record: PodRecord) {
    const now = deps.clock.now()
    this.deps = deps
    this.record = record
    this.#wallOffset = now - deps.clock.monotonic()
    this.#steps = new StepRunner(this)
    this.#exits = new InstanceExits(this)
    this.#health = new ProbeManager(this)
    this.#statusReporter = new StatusReporter(this)
    this.#configVersion = deps.objects.version(record.pod)
    // While the control plane is away, what is there will do to start a container again.
    if (
      this.#configVersion === undefined &&
      !hasConfiguredEnvironment(record.pod) &&
      deps.volumes.arePrepared(record.pod)
    )
      this.#configVersion = this.volumesVersion = RETAINED_VOLUMES_VERSION
    clampDeadlines(record, now)
    markInterruptedHooksEnded(record)
    if (isStopping(record)) record.stopSince ??= now
  }

  get uid(): string {
    return this.record.pod.metadata.uid
  }

  get configVersion(): string | undefined {
    return this.#configVersion
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** Calls after each turn: something about the pod may have changed. Returns the call that ends it. */
  onChange(handler: () => void): () => void {
    this.#listeners.add(handler)
    return () => this.#listeners.delete(handler)
  }

  observation(): ObservedPod {
    const { namespace, name, uid } = this.record.pod.metadata
    return { namespace, name, uid, status: this.record.status, released: this.record.released }
  }

  /** The pod as it is wanted now. */
  update(pod: Pod): void {
    const { record } = this
    for (const container of allContainers(pod)) this.#resetOnImageChange(container)
    const same = record.assigned && desiredFingerprint(record.pod) === desiredFingerprint(pod)
    if (JSON.stringify(record.pod.spec) !== JSON.stringify(pod.spec)) this.#forgetFailures()
    recordResizeRequest(record, pod)
    record.pod = pod
    if (same) return
    if (!record.assigned) {
      record.assigned = true
      record.stopSince = record.withdrawn = undefined
    }
    this.#onStopping()
    this.objectsChanged()
    this.save()
    this.replan()
  }

  /**
   * Decides on a change of what its containers may use. `others`: the pods that hold resources of the node, as granted.
   */
  decideResize(others: readonly Pod[]): void {
    const { record } = this
    const refusal = resizeRejection(record, others, this.deps.node.allocatable)
    if (refusal === undefined) {
      acceptResize(record)
      this.event('Normal', 'ResizeStarted', 'the containers are given the resources that the pod asks for')
    } else {
      if (sameJson(refusal, record.ungranted)) return
      record.ungranted = refusal
      this.event('Warning', `Resize${refusal.reason}`, refusal.message)
    }
    this.save()
    this.replan()
  }

  /** The node is not to have the pod any more. */
  unassign(): void {
    if (!this.record.assigned) return
    this.record.assigned = false
    this.#onStopping()
    this.save()
    this.replan()
  }

  /** ConfigMaps or Secrets changed, perhaps some that the pod uses: what waits for them is tried again at once. */
  objectsChanged(): void {
    const version = this.deps.objects.version(this.record.pod)
    if (version === undefined || version === this.#configVersion) return
    if (this.#configVersion !== undefined) this.#forgetFailures()
    this.#configVersion = version
    for (const [key, failure] of this.#failures)
      if (failure.retryAt === Infinity || key.startsWith('pull/')) this.#failures.delete(key)
    this.replan()
  }

  /** Compares with what the runtime has: the first thing after the agent's start. */
  adopt(containers: ReadonlyMap<string, RuntimeContainer>, sandboxExists: boolean): void {
    const { record } = this
    if (record.sandbox !== undefined && !sandboxExists) {
      record.sandbox = undefined
      // A new sandbox begins with the init containers again.
      if (!isStopping(record) && hasContainersToRun(record))
        for (const container of record.pod.spec.initContainers ?? []) this.#resetInitContainer(container.name)
    }
    for (const [name, known] of Object.entries(record.containers)) {
      const { instance } = known
      if (instance === undefined) continue
      const found = containers.get(instance.id)
      if (instance.state.state === 'exited')
        this.exited({ id: instance.id, sandboxId: this.uid, state: instance.state })
      else if (found === undefined || found.state.state === 'created') {
        if (found === undefined && instance.state.state !== 'creating')
          this.recordTermination(name, lostTermination(instance, this.deps.clock.now()))
        else this.discardInstance(name)
      } else if (found.state.state === 'running') {
        instance.state = found.state
        // Whether the agent lived to send it is not known, and twice does no harm.
        if (instance.kill?.sent === 'KILL') instance.kill = { ...instance.kill, sent: 'TERM' }
      } else this.exited(found)
    }
    this.#health.adopt()
    this.save()
    this.replan()
  }

  exited(container: RuntimeContainer): void {
    this.#exits.exited(container)
  }

  recordTermination(name: string, termination: Termination): void {
    this.#exits.recordTermination(name, termination)
  }

  discardInstance(name: string): void {
    this.#exits.discardInstance(name)
  }

  killUnhealthy(container: Container, instance: Instance, what: string): void {
    this.#health.killUnhealthy(container, instance, what)
  }

  abortHooks(name: string): void {
    for (const hook of ['postStart', 'preStop'])
      this.#busy.get(`${hook}/${name}`)?.abort(new GantryError('Cancelled', `container ${name} is being ended`))
  }

  /** Nobody sends the pod anything through Services any more. */
  endpointsDrained(): void {
    if (this.record.withdrawn === true) return
    this.record.withdrawn = true
    this.save()
    this.replan()
  }

  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void {
    this.deps.events.record(this.record.pod, type, reason, message, container)
  }

  /** The first time a step is reached stays. */
  markTimeline(step: TimelineStep['step']): void {
    if (!this.record.timeline.some((other) => other.step === step))
      this.record.timeline.push({ step, time: formatMicroTime(this.deps.clock.now()) })
  }

  /** Writes the record as it is now. */
  async persist(): Promise<void> {
    await this.deps.state.put(this.record)
  }

  async persistIntent(instance: Instance, intent: Pick<Instance, 'kill' | 'postStart'>): Promise<void> {
    const { kill, postStart } = instance
    Object.assign(instance, intent)
    try {
      await this.persist()
    } catch (thrown) {
      Object.assign(instance, { kill, postStart })
      throw thrown
    }
  }

  /** The same for who cannot wait: a failure is logged, and the next write has everything. */
  save(): void {
    this.deps.group.spawn(async () => {
      try {
        await this.persist()
      } catch (error) {
        this.deps.log.error({ pod: this.uid, error }, 'pod record cannot be written')
      }
    })
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
    for (const controller of this.#busy.values())
      controller.abort(new GantryError('Cancelled', 'the agent is stopping'))
  }

  #state(): PodState {
    return {
      record: this.record,
      preparedContainers: this.provisions,
      volumesVersion: this.volumesVersion,
      configVersion: this.#configVersion,
      failures: this.#failures,
      busy: new Set(this.#busy.keys()),
    }
  }

  /** The wall clock; where it was set, the pod's waits have moved with it. */
  now(): number {
    const { clock } = this.deps
    const now = clock.now()
    const set = now - clock.monotonic() - this.#wallOffset
    if (Math.abs(set) < CLOCK_JUMP_THRESHOLD_MS) return now
    this.#wallOffset += set
    shiftDeadlines(this.record, set)
    for (const [key, failure] of this.#failures) this.#failures.set(key, { ...failure, retryAt: failure.retryAt + set })
    return now
  }

  #turn(): void {
    const { clock } = this.deps
    const now = this.now()
    markStartedSidecars(this.record)
    const next = planPod(this.#state(), now)
    for (const step of next.steps) this.#begin(step)
    this.#timer?.cancel()
    this.#timer =
      next.wakeAt === undefined ? undefined : clock.after(Math.max(0, next.wakeAt - now), () => this.replan())
    this.#health.syncProbes()
    this.#statusReporter.update(this.#state())
    for (const listener of this.#listeners) listener()
  }

  #begin(step: PodStep): void {
    const key = stepKey(step)
    const container =
      'container' in step ? allContainers(this.record.pod).find((other) => other.name === step.container) : undefined
    this.run(key, async (signal) => {
      try {
        await this.#steps.run(step, signal)
        this.#failures.delete(key)
      } catch (thrown) {
        if (signal.aborted) return
        const failure = stepFailure(step, container, thrown, this.#failures.get(key), this.now(), this.deps.random)
        this.#failures.set(key, failure)
        this.deps.log.warn({ pod: this.uid, step: key, count: failure.count, error: thrown }, 'step failed')
        const reason = step.step === 'pull' || step.step === 'start' ? 'Failed' : failure.reason
        this.event(
          'Warning',
          reason,
          step.step === 'pull' || step.step === 'start'
            ? `${failure.reason}: ${GantryError.from(thrown).message}`
            : failure.message,
          container?.name,
        )
      }
    })
  }

  /** Whether a step of this key is under way. */
  isStepInProgress(key: string): boolean {
    return this.#busy.has(key)
  }

  /** Begins something that is under way, under this key, until it ends. */
  run(key: string, act: (signal: AbortSignal) => Promise<void>): void {
    const controller = new AbortController()
    this.#busy.set(key, controller)
    this.deps.group.spawn(async () => {
      try {
        await act(controller.signal)
      } catch (error) {
        this.deps.log.error({ pod: this.uid, step: key, error }, 'step ended unexpectedly')
      } finally {
        this.#busy.delete(key)
        this.replan()
      }
    })
  }

  #onStopping(): void {
    if (!isStopping(this.record)) return
    this.record.stopSince ??= this.now()
    for (const name of this.provisions.keys()) this.#discard(name)
    for (const [key, controller] of this.#busy) {
      if (/^(pull|sandbox|volumes|start|postStart)/.test(key))
        controller.abort(
          new GantryError(
            'Cancelled',
            isBeingDeleted(this.record) ? 'the pod is being deleted' : 'the pod is being stopped',
          ),
        )
    }
  }

  /** The node gives the pod up. */
  fail(reason: string, message: string): void {
    this.record.failed = { reason, message }
    this.#onStopping()
  }

  /** A container is to run another image: what was prepared or failed with the one before counts no more. */
  #resetOnImageChange({ name, image }: Container): void {
    const before = allContainers(this.record.pod).find((other) => other.name === name)
    if (before === undefined || before.image === image) return
    const known = this.record.containers[name]
    if (known !== undefined) known.failures = known.retryAt = 0
    for (const key of [`pull/${name}`, `start/${name}`]) this.#failures.delete(key)
    this.#busy.get(`pull/${name}`)?.abort(new GantryError('Cancelled', 'the container is to run another image'))
    this.#discard(name)
  }

  /** What was prepared for a start that will not be; a start under way has taken it already. */
  #discard(name: string): void {
    const provision = this.provisions.get(name)
    if (provision === undefined || this.#busy.has(`start/${name}`)) return
    this.provisions.delete(name)
    this.record.dead.push(provision.id)
  }

  /** The node gives the pod up because of what it took. */
  evict(message: string): void {
    if (isStopping(this.record) || podProgress(this.record).stage === 'finished') return
    this.fail('Evicted', message)
    this.event('Warning', 'Evicted', message)
    this.save()
    this.replan()
  }

  /** Something of the pod or its config was changed, perhaps what made containers fail: they need not wait any more. */
  #forgetFailures(): void {
    for (const known of Object.values(this.record.containers)) known.failures = known.retryAt = 0
  }

  /** An init container is to run again, and what comes after it is to wait for it. */
  #resetInitContainer(name: string): void {
    const known = this.record.containers[name]
    if (known === undefined) return
    known.passed = undefined
    if (known.ended === undefined) return
    known.last = known.ended
    known.attempt = known.ended.attempt + 1
    known.ended = undefined
  }

  /** Whether an instance of this number exists and runs, or is about to. */
  hasRunningAttempt(container: string, attempt: number): boolean {
    const { instance } = peekContainer(this.record, container)
    return instance !== undefined && instance.attempt === attempt && instance.state.state !== 'exited'
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
