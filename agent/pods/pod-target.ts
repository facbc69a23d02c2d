/** A pod as streams see it: read from its record at each question. */
import { allContainers } from '../../proto/objects/containers.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { Attachment } from '../network/contract.ts'
import type { ContainerInstance, StreamTarget, TargetContainer } from '../streams/target.ts'
import type { PodRecord } from '../state/contract.ts'
import type { PodFolders } from '../volumes/pod-folders.ts'
import type { PodMachine } from './pod-machine.ts'
import { containerRecord, endIn, instanceIn, isStopping, isTornDown, runningStage } from './plan/pod-state.ts'

export class PodTarget implements StreamTarget {
  readonly #machine: PodMachine
  readonly #folders: PodFolders
  readonly #known: () => boolean

  /** `known`: whether it is still one of the node's. */
  constructor(machine: PodMachine, folders: PodFolders, known: () => boolean) {
    this.#machine = machine
    this.#folders = folders
    this.#known = known
  }

  get pod(): Pod {
    return this.#machine.record.pod
  }

  get attachment(): Attachment | undefined {
    return this.#machine.record.sandbox?.attachment
  }

  get gone(): boolean {
    const { record } = this.#machine
    return !this.#known() || isTornDown(record) || (isStopping(record) && this.anyRunning === undefined)
  }

  get allRunning(): readonly TargetContainer[] {
    return allContainers(this.pod).flatMap(({ name }) => this.#find(name) ?? [])
  }

  get anyRunning(): TargetContainer | undefined {
    return this.allRunning[0]
  }

  running(asked: string): TargetContainer {
    const name = containerName(this.pod, asked)
    const found = this.#find(name)
    if (found === undefined) throw notRunning(this.#machine.record, name)
    return found
  }

  logged(asked: string, previous: boolean): ContainerInstance {
    const { record } = this.#machine
    const name = containerName(record.pod, asked)
    const { stage, last } = containerRecord(record, name)
    const attempt = previous ? last?.attempt : (instanceIn(stage) ?? endIn(stage) ?? last)?.attempt
    if (attempt !== undefined) return { name, attempt }
    const what = previous
      ? `no instance of container "${name}" before the present one`
      : `container "${name}" has not started yet`
    throw new GantryError('FailedPrecondition', `${describeObject(record.pod)}: ${what}`)
  }

  logPath({ name, attempt }: ContainerInstance): string {
    return this.#folders.log(this.#machine.uid, name, attempt)
  }

  lives({ name, attempt }: ContainerInstance): boolean {
    return this.#machine.hasRunningAttempt(name, attempt)
  }

  exitCode({ name, id }: TargetContainer): number | undefined {
    const { stage, last } = containerRecord(this.#machine.record, name)
    if (stage.stage === 'exited' && stage.instance.id === id) return stage.exit.exitCode
    return [endIn(stage), last].find((termination) => termination?.id === id)?.exitCode
  }

  onChange(handler: () => void): () => void {
    return this.#machine.onChange(handler)
  }

  #find(name: string): TargetContainer | undefined {
    const running = runningStage(this.#machine.record, name)
    if (running === undefined) return undefined
    const { id, attempt } = running.instance
    return { name, id, attempt, pid: running.pid }
  }
}

/** The container meant: the only one if none is named. */
function containerName(pod: Pod, asked: string): string {
  const all = allContainers(pod).map((container) => container.name)
  if (asked === '' && pod.spec.containers.length === 1) return pod.spec.containers[0]!.name
  if (all.includes(asked)) return asked
  const problem = asked === '' ? 'which container?' : `no container "${asked}"`
  throw new GantryError(
    asked === '' ? 'InvalidArgument' : 'NotFound',
    `${describeObject(pod)}: ${problem} It has ${all.join(', ')}`,
    { details: [{ field: 'container', value: asked, remedy: `choose one of ${all.join(', ')}` }] },
  )
}

/** Says why: it has not started yet, or how its last instance ended. */
function notRunning(record: PodRecord, name: string): GantryError {
  const { stage, last } = containerRecord(record, name)
  const end = stage.stage === 'exited' ? stage.exit : (endIn(stage) ?? last)
  const why = end === undefined ? 'it has not started yet' : `it ended with exit code ${end.exitCode}`
  return new GantryError(
    'FailedPrecondition',
    `${describeObject(record.pod)}: container "${name}" is not running: ${why}`,
  )
}
