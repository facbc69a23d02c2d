/** A pod as streams see it: read from its record at each question. */
import { allContainers } from '../../proto/api/containers.ts'
import { GantryError } from '../../proto/api/errors.ts'
import { describeObject } from '../../proto/api/schema.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { Attachment } from '../network/contract.ts'
import type { StreamTarget, TargetContainer } from '../streams/target.ts'
import type { PodFolders } from '../volumes/pod-folders.ts'
import type { PodMachine } from './pod-machine.ts'
import { isStopping, peekContainer } from './pod-state.ts'
import { containerName } from './pods.ts'

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
    return !this.#known() || record.tornDown || (isStopping(record) && this.anyRunning === undefined)
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
    if (found === undefined) throw new GantryError('FailedPrecondition', `${describeObject(this.pod)}: container "${name}" is not running`)
    return found
  }

  logPath({ name, attempt }: TargetContainer): string {
    return this.#folders.log(this.#machine.uid, name, attempt)
  }

  lives({ name, attempt }: TargetContainer): boolean {
    return this.#machine.runs(name, attempt)
  }

  exitCode({ name, id }: TargetContainer): number | undefined {
    const { instance, ended, last } = peekContainer(this.#machine.record, name)
    if (instance?.id === id && instance.state.state === 'exited') return instance.state.exitCode
    return [ended, last].find((termination) => termination?.id === id)?.exitCode
  }

  onChange(handler: () => void): () => void {
    return this.#machine.onChange(handler)
  }

  #find(name: string): TargetContainer | undefined {
    const { instance } = peekContainer(this.#machine.record, name)
    return instance?.state.state === 'running' ? { name, id: instance.id, attempt: instance.attempt, pid: instance.state.pid } : undefined
  }
}
