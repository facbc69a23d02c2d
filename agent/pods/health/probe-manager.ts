/** The health of a pod's containers: runs the probes that its record asks for, and puts on record what they say. */
import type { Container, Probe } from '../../../proto/gen/types.ts'
import type { PodRecord, RunningStage } from '../../state/contract.ts'
import type { PodDependencies } from '../dependencies.ts'
import type { InstanceChange } from '../plan/changes.ts'
import { runningStage } from '../plan/pod-state.ts'
import type { ProbeOutcome } from './contract.ts'
import { handlerTarget } from './handler-target.ts'
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
  /** Puts on record what was found, and sees to what follows from it. */
  changed(change: InstanceChange): void
}

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
    for (const { stage } of Object.values(this.#host.record.containers))
      if (stage.stage === 'running') this.#adopted.add(stage.instance.id)
  }

  /** Begins and ends probes as the record asks for now. */
  syncProbes(): void {
    const { record } = this.#host
    if (this.#loops.size === 0 && !hasProbes(record.pod)) return
    const wanted = new Map(wantedProbes(record).map((probe) => [`${probe.running.instance.id}/${probe.kind}`, probe]))
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

  #begin({ container, kind, probe, running }: WantedProbe): ProbeLoop {
    const { deps, record } = this.#host
    const { id } = running.instance
    const target = handlerTarget(deps.node, record, container, id)
    return new ProbeLoop({
      kind,
      probe,
      clock: deps.clock,
      ...this.#first(container, running, kind, probe),
      attempt: (signal) => deps.actions.probe(probe, target, signal),
      onOutcome: (outcome) => this.#recordOutcome(container, kind, outcome),
      onVerdict: (healthy) => this.#onVerdict(container, id, kind, healthy),
    })
  }

  /**
   * When it is tried first, in milliseconds, and whether that counts. A container that has only begun does not answer
   * at once, which is no failure: without a delay of its own liveness waits for a period, the others count a first
   * success only.
   */
  #first(
    container: Container,
    running: RunningStage,
    kind: ProbeKind,
    { initialDelaySeconds = 0, periodSeconds }: Probe,
  ): { readonly first: number; readonly firstCounts: boolean } {
    const { id } = running.instance
    if (this.#adopted.has(id))
      return {
        first:
          this.#host.deps.random.next() * periodSeconds * 1000 + this.#remainingDelayMs(running, initialDelaySeconds),
        firstCounts: true,
      }
    if (initialDelaySeconds > 0)
      return { first: this.#remainingDelayMs(running, initialDelaySeconds), firstCounts: true }
    if (kind === 'liveness')
      return {
        first: container.startupProbe === undefined ? this.#remainingDelayMs(running, periodSeconds) : 0,
        firstCounts: true,
      }
    return { first: 0, firstCounts: false }
  }

  /**
   * Milliseconds until the instance has run for so long. Where the wall clock was set meanwhile, at most that itself.
   */
  #remainingDelayMs({ startedAt }: RunningStage, seconds: number): number {
    const ran = this.#host.deps.clock.now() - startedAt
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

  #onVerdict(container: Container, id: string, kind: ProbeKind, healthy: boolean): void {
    const running = runningStage(this.#host.record, container.name)
    if (running?.instance.id !== id) return
    switch (kind) {
      case 'startup':
        if (healthy) this.#host.changed({ change: 'startedUp', id })
        else this.#unhealthy(id, kind, container.startupProbe)
        return
      case 'readiness':
        if (running.ready !== healthy) this.#host.changed({ change: 'readiness', id, ready: healthy })
        return
      case 'liveness':
        if (!healthy) this.#unhealthy(id, kind, container.livenessProbe)
        return
    }
  }

  #unhealthy(id: string, kind: ProbeKind, probe: Probe | undefined): void {
    const graceSeconds = probe?.terminationGracePeriodSeconds
    this.#host.changed({ change: 'unhealthy', id, why: `failed ${kind} probe`, graceSeconds, at: this.#host.now() })
  }
}
