/**
 * Lifecycle hooks of containers. https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
 *
 * That one was begun is written before it runs. A hook that the agent's end cuts short is not run again: it counts as
 * ended.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { delay } from '../../../proto/base/clock.ts'
import type { LifecycleHandler } from '../../../proto/gen/types.ts'
import type { Instance, PodRecord } from '../../state/contract.ts'
import { handlerTarget, containerOf } from '../health/probe-manager.ts'
import { runningInstance } from '../plan/pod-state.ts'
import type { StepHost } from './step-runner.ts'

export class Hooks {
  readonly #host: StepHost

  constructor(host: StepHost) {
    this.#host = host
  }

  /** The container counts as running once it has ended, and is ended itself where it fails. */
  async postStart(name: string, signal: AbortSignal): Promise<void> {
    const { record } = this.#host
    const container = containerOf(record, name)
    const instance = runningInstance(record, name)
    const handler = container.lifecycle?.postStart
    if (instance === undefined || handler === undefined) return
    await this.#host.persistIntent(instance, { postStart: 'begun' })
    let failure: string | undefined
    try {
      await this.#run(handler, name, instance, signal)
    } catch (thrown) {
      failure = GantryError.from(thrown).message
    }
    // Cut short because the pod or the agent ends, or the container has.
    if (signal.aborted || runningInstance(record, name) !== instance) return
    if (failure === undefined) instance.postStart = 'ended'
    else {
      this.#host.event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${failure}`, name)
      this.#host.killUnhealthy(container, instance, 'failed its postStart hook')
    }
    await this.#host.persist()
  }

  /** SIGTERM follows whether it succeeds or not. */
  async preStop(name: string, signal: AbortSignal): Promise<void> {
    const { record } = this.#host
    const instance = runningInstance(record, name)
    const handler = containerOf(record, name).lifecycle?.preStop
    if (instance?.kill === undefined || handler === undefined) return
    await this.#host.persistIntent(instance, { kill: { ...instance.kill, preStop: 'begun' } })
    try {
      await this.#run(handler, name, instance, signal)
    } catch (thrown) {
      if (this.#host.stopped || runningInstance(record, name) !== instance) return
      this.#host.event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${GantryError.from(thrown).message}`, name)
    }
    if (runningInstance(record, name) !== instance) return
    instance.kill = { ...instance.kill, preStop: 'ended' }
    await this.#host.persist()
  }

  async #run(handler: LifecycleHandler, name: string, instance: Instance, signal: AbortSignal): Promise<void> {
    const { deps, record } = this.#host
    if (handler.sleep !== undefined) await delay(deps.clock, handler.sleep.seconds * 1000, signal)
    else await deps.actions.hook(handler, handlerTarget(this.#host, containerOf(record, name), instance), signal)
  }
}

/** A record of an earlier run of the agent: hooks that were under way are not run again. */
export function markInterruptedHooksEnded(record: PodRecord): void {
  for (const { instance } of Object.values(record.containers)) {
    if (instance?.postStart === 'begun') instance.postStart = 'ended'
    if (instance?.kill?.preStop === 'begun') instance.kill = { ...instance.kill, preStop: 'ended' }
  }
}
