/** The health of a pod's containers: runs the probes that its record asks for, and puts on record what they say. */
import { allContainers } from '../../../proto/objects/containers.ts'
import type { Container, Probe } from '../../../proto/gen/types.ts'
import type { Instance, PodRecord } from '../../state/contract.ts'
import type { PodDependencies } from '../dependencies.ts'
import { isStopping, runningInstance } from '../plan/pod-state.ts'
import type { HandlerTarget, ProbeOutcome } from './contract.ts'
import type { ProbeKind } from './probe-count.ts'
import { ProbeLoop } from './probe-loop.ts'
import { hasProbes, wantedProbes, type WantedProbe } from './wanted-probes.ts'

/** The pod. */
export interface ProbeManagerHost {
  readonly deps: Pick<PodDependencies, 'clock' | 'random' | 'actions' | 'node'>
  readonly record: PodRecord
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void
  /** The wall clock; where it was set, the pod's waits have moved with it. */
  now(): number
  save(): void
  replan(): void
}

/** Seconds: a container that is ended for its health has at least so many, as in Kubernetes. */
const MIN_GRACE_PERIOD_SECONDS = 2
/** Characters of an event's message about a probe at most. */
const MESSAGE_LIMIT = 1200

const PROBE_LABELS: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  readiness: 'Readiness',
  liveness: 'Liveness',
}

export class ProbeManager {
  readonly #host: ProbeManagerHost
  /** By instance id and kind. */
  readonly #loops = new Map<string, ProbeLoop>()
  /** Instances that ran when the agent started. */
  readonly #adopted = new Set<string>()

  constructor(host: ProbeManagerHost) {
    this.#host = host
  }

  /** The pod's containers were found running: their probes do not begin all at one moment. */
  adopt(): void {
    for (const { instance } of Object.values(this.#host.record.containers))
      if (instance?.state.state === 'running') this.#adopted.add(instance.id)
  }

  /** Begins and ends probes as the record asks for now. */
  syncProbes(): void {
    const { record } = this.#host
    if (this.#loops.size === 0 && !hasProbes(record.pod)) return
    const wanted = new Map(wantedProbes(record).map((probe) => [`${probe.instance.id}/${probe.kind}`, probe]))
    for (const [key, loop] of this.#loops) {
      if (wanted.has(key)) continue
      loop.stop()
      this.#loops.delete(key)
    }
    for (const [key, probe] of wanted) if (!this.#loops.has(key)) this.#loops.set(key, this.#begin(probe))
  }

  stop(): void {
    for (const loop of this.#loops.values()) loop.stop()
    this.#loops.clear()
  }

  /**
   * Ends a container for its health; what its pod's policy says follows. `what`: for people, after "Container NAME".
   */
  killUnhealthy(container: Container, instance: Instance, what: string, graceSeconds?: number): void {
    const { record } = this.#host
    if (isStopping(record) || instance.kill !== undefined || runningInstance(record, container.name) !== instance)
      return
    const since = this.#host.now()
    const grace = Math.max(MIN_GRACE_PERIOD_SECONDS, graceSeconds ?? record.pod.spec.terminationGracePeriodSeconds)
    instance.kill = { reason: 'unhealthy', since, deadline: since + grace * 1000, sent: 'NOTHING' }
    this.#host.event(
      'Normal',
      'Killing',
      `Container ${container.name} ${what}${record.pod.spec.restartPolicy === 'Never' ? '' : ', will be restarted'}`,
      container.name,
    )
    this.#host.save()
    this.#host.replan()
  }

  #begin({ container, kind, probe, instance }: WantedProbe): ProbeLoop {
    const { clock, actions } = this.#host.deps
    const target = handlerTarget(this.#host, container, instance)
    return new ProbeLoop({
      kind,
      probe,
      clock,
      ...this.#first(container, instance, kind, probe),
      attempt: (signal) => actions.probe(probe, target, signal),
      onOutcome: (outcome) => this.#recordOutcome(container, kind, outcome),
      onVerdict: (healthy) => this.#onVerdict(container, instance, kind, healthy),
    })
  }

  /**
   * When it is tried first, in milliseconds, and whether that counts. A container that has only begun does not answer
   * at once, which is no failure: without a delay of its own liveness waits for a period, the others count a first
   * success only.
   */
  #first(
    container: Container,
    instance: Instance,
    kind: ProbeKind,
    { initialDelaySeconds = 0, periodSeconds }: Probe,
  ): { readonly first: number; readonly firstCounts: boolean } {
    const { id } = instance
    if (this.#adopted.has(id))
      return {
        first:
          this.#host.deps.random.next() * periodSeconds * 1000 + this.#remainingDelayMs(instance, initialDelaySeconds),
        firstCounts: true,
      }
    if (initialDelaySeconds > 0)
      return { first: this.#remainingDelayMs(instance, initialDelaySeconds), firstCounts: true }
    if (kind === 'liveness')
      return {
        first: container.startupProbe === undefined ? this.#remainingDelayMs(instance, periodSeconds) : 0,
        firstCounts: true,
      }
    return { first: 0, firstCounts: false }
  }

  /**
   * Milliseconds until the instance has run for so long. Where the wall clock was set meanwhile, at most that itself.
   */
  #remainingDelayMs({ state }: Instance, seconds: number): number {
    const ran = state.state === 'running' ? this.#host.deps.clock.now() - state.startedAt : 0
    return Math.min(seconds * 1000, Math.max(0, seconds * 1000 - ran))
  }

  #recordOutcome(container: Container, kind: ProbeKind, { verdict, message }: ProbeOutcome): void {
    const said = message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT)}…` : message
    switch (verdict) {
      case 'success':
        return
      case 'warning':
        return this.#host.event(
          'Warning',
          'ProbeWarning',
          `${PROBE_LABELS[kind]} probe warning: ${said}`,
          container.name,
        )
      case 'failure':
        return this.#host.event('Warning', 'Unhealthy', `${PROBE_LABELS[kind]} probe failed: ${said}`, container.name)
      case 'error':
        return this.#host.event('Warning', 'Unhealthy', `${PROBE_LABELS[kind]} probe errored: ${said}`, container.name)
    }
  }

  #onVerdict(container: Container, instance: Instance, kind: ProbeKind, healthy: boolean): void {
    if (runningInstance(this.#host.record, container.name) !== instance) return
    switch (kind) {
      case 'startup':
        if (!healthy)
          return this.killUnhealthy(
            container,
            instance,
            'failed startup probe',
            container.startupProbe?.terminationGracePeriodSeconds,
          )
        instance.started = true
        break
      case 'readiness':
        if (instance.ready === healthy) return
        instance.ready = healthy
        break
      case 'liveness':
        if (!healthy)
          this.killUnhealthy(
            container,
            instance,
            'failed liveness probe',
            container.livenessProbe?.terminationGracePeriodSeconds,
          )
        return
    }
    this.#host.save()
    this.#host.replan()
  }
}

/** Whom probes and hooks of a container speak to. */
export function handlerTarget(
  { deps, record }: Pick<ProbeManagerHost, 'record'> & { readonly deps: Pick<PodDependencies, 'node'> },
  container: Container,
  instance: Instance,
): HandlerTarget {
  return {
    instanceId: instance.id,
    address: record.sandbox?.attachment?.address ?? deps.node.address,
    ports: container.ports ?? [],
  }
}

/** The container of this name. */
export function containerOf(record: PodRecord, name: string): Container {
  return allContainers(record.pod).find((container) => container.name === name)!
}
