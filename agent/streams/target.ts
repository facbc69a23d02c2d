/** The pod that a stream is about, as it is at this moment. */
import type { Attachment } from '../network/contract.ts'
import type { Pod } from '../../proto/gen/types.ts'

/** One instance of a container, which may be gone. */
export interface ContainerInstance {
  readonly name: string
  readonly attempt: number
}

/** An instance that runs, or ran a moment ago. */
export interface TargetContainer extends ContainerInstance {
  /** The runtime's. */
  readonly id: string
  /** Its first process. */
  readonly pid: number
}

export interface StreamTarget {
  readonly pod: Pod
  /** Undefined: the pod uses the node's own network, or has none yet. */
  readonly attachment: Attachment | undefined
  /**
   * The one that runs, by name; '' is the pod's only one. NotFound or InvalidArgument if there is none of the name,
   * FailedPrecondition if it does not run.
   */
  running(container: string): TargetContainer
  /**
   * The present or last instance of a container, or with `previous` the one before it, whose log is there. Errors as
   * for `running`; FailedPrecondition if there was none.
   */
  logged(container: string, previous: boolean): ContainerInstance
  /** Those that run now. */
  readonly allRunning: readonly TargetContainer[]
  /** Any that runs. */
  readonly anyRunning: TargetContainer | undefined
  /** True once the pod has ended or is no longer the node's. */
  readonly gone: boolean
  /** Path of the log of an instance. */
  logPath(instance: ContainerInstance): string
  /** False once this instance has ended. */
  lives(instance: ContainerInstance): boolean
  /** How an instance ended; undefined if that is not known yet. */
  exitCode(container: TargetContainer): number | undefined
  /** Calls when any of this may have changed; returns the call that stops it. */
  onChange(handler: () => void): () => void
}

/** NotFound: no pod of this uid is on the node. */
export type FindTarget = (podUid: string) => StreamTarget
