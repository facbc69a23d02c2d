/** Ends of a pod's container instances: put on record, with what follows from them. */
import { allContainers } from '../../../proto/objects/containers.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { ContainerRecord as RuntimeContainer } from '../../runtime/contract.ts'
import type { PodRecord, Termination } from '../../state/contract.ts'
import type { PodDependencies } from '../dependencies.ts'
import { isStopping } from '../plan/pod-state.ts'
import { nextFailureCount, restartBackoff } from '../plan/restart-backoff.ts'
import { exitTermination } from './termination.ts'

/** The pod. */
export interface InstanceExitsHost {
  readonly deps: Pick<PodDependencies, 'disk' | 'runtime'> & { readonly log: Logger }
  readonly record: PodRecord
  readonly uid: string
  isStepInProgress(key: string): boolean
  run(key: string, act: (signal: AbortSignal) => Promise<void>): void
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void
  abortHooks(container: string): void
  /** The wall clock; where it was set, the pod's waits have moved with it. */
  now(): number
  persist(): Promise<void>
  replan(): void
}

export class InstanceExits {
  readonly #host: InstanceExitsHost

  constructor(host: InstanceExitsHost) {
    this.#host = host
  }

  /** A container of the pod ended. Told twice, nothing more happens. */
  exited(container: RuntimeContainer): void {
    const { record, deps, uid } = this.#host
    const found = Object.entries(record.containers).find(([, known]) => known.instance?.id === container.id)
    if (found === undefined || container.state.state !== 'exited') return
    const [name, known] = found
    const instance = known.instance!
    if (this.#host.isStepInProgress(`end/${name}`)) return
    const exited = container.state
    instance.state = exited
    this.#host.abortHooks(name)
    this.#host.run(`end/${name}`, async () => {
      const spec = allContainers(record.pod).find((other) => other.name === name)
      const { disk, log } = deps
      // The end is put on record whatever is not to be learned of it: nobody tells of it again.
      const learned = async <T>(what: string, learn: () => Promise<T>): Promise<T | undefined> => {
        try {
          return await learn()
        } catch (error) {
          log.warn({ pod: uid, container: name, error }, `${what} of a container that has ended cannot be read`)
          return undefined
        }
      }
      const written =
        spec === undefined
          ? ''
          : ((await learned('the termination message', () =>
              disk.terminationMessage(uid, spec, instance.attempt, exited),
            )) ?? '')
      const message = exited.oomKilled
        ? this.#outOfMemory(
            name,
            written,
            (await learned('the memory', () => deps.runtime.stats(instance.id)))?.memoryPeak ?? 0,
          )
        : written
      this.recordTermination(name, exitTermination(instance, exited, message))
      await this.#host.persist()
    })
    this.#host.replan()
  }

  /** Puts an instance's end on record and counts what follows from it. */
  recordTermination(name: string, termination: Termination): void {
    const { record } = this.#host
    const known = record.containers[name]!
    const reason = known.instance?.kill?.reason
    known.instance = undefined
    record.dead.push(termination.id)
    if (reason === 'changed') {
      known.last = termination
      known.ended = undefined
      known.attempt = termination.attempt + 1
      known.failures = known.retryAt = 0
      return
    }
    known.ended = reason === 'unhealthy' ? { ...termination, unhealthy: true } : termination
    known.failures = nextFailureCount(
      known.failures,
      termination.startedAt === 0 ? 0 : termination.finishedAt - termination.startedAt,
    )
    const now = this.#host.now()
    known.retryAt = now + restartBackoff(known.failures)
    if (known.retryAt > now && !isStopping(record)) {
      this.#host.event(
        'Warning',
        'BackOff',
        `back-off ${restartBackoff(known.failures) / 1000} s before container ${name} is started again`,
        name,
      )
    }
  }

  /** Gives up an instance that never ran; the next one takes its number. */
  discardInstance(name: string): void {
    const { record } = this.#host
    const known = record.containers[name]!
    if (known.instance !== undefined) record.dead.push(known.instance.id)
    known.instance = undefined
  }

  #outOfMemory(name: string, written: string, memoryPeak: number): string {
    const spec = allContainers(this.#host.record.pod).find((other) => other.name === name)
    const limit = spec?.resources.limits?.memory
    const peak = memoryPeak === 0 ? '' : `, peak ${Math.ceil(memoryPeak / 1024)}Ki`
    const message = `killed by the kernel, out of memory: limit ${limit ?? 'none'}${peak}`
    this.#host.event('Warning', 'OOMKilled', `container ${name} ${message}`, name)
    return written === '' ? message : `${message}\n${written}`
  }
}
