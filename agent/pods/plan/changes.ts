/**
 * What can change about a pod, as values: steps, probes, the control plane and the runtime say what happened, the pod's
 * machine alone makes the next state of it (pod-changes.ts, container-changes.ts). A change of an instance names it by
 * its id: told too late, when that instance has gone, it changes nothing. Times are in milliseconds since 1970.
 */
import type { Pod, PodStatus, ResourceRequirements } from '../../../proto/gen/types.ts'
import type { Attachment } from '../../network/contract.ts'
import type {
  ContainerRecord,
  ExitedState,
  HookProgress,
  Instance,
  Kill,
  PodRecord,
  Termination,
} from '../../state/contract.ts'
import type { PreparedContainer, StepFailure } from './pod-state.ts'

/** Of the pod as a whole. */
export type PodChange =
  /** The control plane wants the pod like this, on this node. */
  | { readonly change: 'assigned'; readonly pod: Pod; readonly at: number }
  /** It does not want the pod on this node any more. */
  | { readonly change: 'unassigned'; readonly at: number }
  /** Nobody sends the pod anything through Services any more. */
  | { readonly change: 'endpointsDrained' }
  /** The node gives the pod up. */
  | { readonly change: 'failed'; readonly reason: string; readonly message: string; readonly at: number }
  /** The ConfigMaps and Secrets that the pod refers to are known in this version. */
  | { readonly change: 'configured'; readonly version: string }
  /** The volumes show the objects of this version. */
  | { readonly change: 'mounted'; readonly version: string | undefined }
  | { readonly change: 'sandboxed'; readonly attachment: Attachment | undefined; readonly at: number }
  /** The runtime does not know the sandbox any more. */
  | { readonly change: 'sandboxLost' }
  /** The node has room for the resources that the pod asks for, which its containers are to be given. */
  | { readonly change: 'resizeAccepted' }
  | { readonly change: 'resizeRejected'; readonly why: NonNullable<PodRecord['ungranted']> }
  /** All running containers have what they were granted; `restarts`: but for those that have to start again. */
  | { readonly change: 'resized'; readonly restarts: boolean }
  /** Nothing holds on to this ended instance, or root filesystem, any more. */
  | { readonly change: 'removed'; readonly id: string }
  /** A root filesystem of this id may be there that no instance will use. */
  | { readonly change: 'orphaned'; readonly id: string }
  /** Sandbox, network and volumes are gone. */
  | { readonly change: 'tornDown' }
  | { readonly change: 'released' }
  /** The wall clock was set by so many milliseconds, back if they are negative. */
  | { readonly change: 'clockJumped'; readonly by: number }
  /** What is told of the pod from now on. */
  | { readonly change: 'status'; readonly status: PodStatus; readonly at: number }

/** Of what a container's next instance is made from. */
export type PreparationChange =
  | {
      readonly change: 'prepared'
      readonly container: string
      readonly prepared: PreparedContainer
      readonly at: number
    }
  /** What was prepared for a start that will not be is given up. */
  | { readonly change: 'unprepared'; readonly container: string }
  /** The runtime is about to be asked for an instance, which is made of the container's prepared. */
  | {
      readonly change: 'creating'
      readonly container: string
      readonly instance: Instance
      readonly image: NonNullable<ContainerRecord['image']>
      readonly resources: ResourceRequirements
    }

/** Of the instance of a container that exists, or is about to. */
export type InstanceChange =
  /** The instance never ran and will not; the next one takes its number. */
  | { readonly change: 'abandoned'; readonly id: string }
  | { readonly change: 'created'; readonly id: string; readonly at: number }
  | {
      readonly change: 'running'
      readonly id: string
      readonly pid: number
      readonly startedAt: number
      readonly at: number
    }
  | { readonly change: 'exited'; readonly id: string; readonly exit: ExitedState }
  /** All that is to be known of an instance's end is known. */
  | { readonly change: 'ended'; readonly end: Termination; readonly at: number }
  /** `progress` undefined: as if it had not begun. */
  | { readonly change: 'postStart'; readonly id: string; readonly progress: HookProgress | undefined }
  | { readonly change: 'preStop'; readonly id: string; readonly progress: HookProgress | undefined }
  /** `kill` undefined: the instance is not being ended after all. What is known of the preStop hook stays. */
  | { readonly change: 'kill'; readonly id: string; readonly kill: Kill | undefined }
  /**
   * The instance failed a probe or its postStart hook and is to end, if nothing else ends it already. `why`: for
   * people, after "Container NAME". The grace is the pod's own if none is given.
   */
  | {
      readonly change: 'unhealthy'
      readonly id: string
      readonly why: string
      readonly graceSeconds: number | undefined
      readonly at: number
    }
  /** Its startup probe has succeeded. */
  | { readonly change: 'startedUp'; readonly id: string }
  | { readonly change: 'readiness'; readonly id: string; readonly ready: boolean }
  /** A running instance has these limits. */
  | { readonly change: 'resourcesSet'; readonly id: string; readonly resources: ResourceRequirements }
  /** The agent that was to see to this instance before has ended: what it sent may not have arrived. */
  | { readonly change: 'adopted'; readonly id: string; readonly pid: number; readonly startedAt: number }

/** Of the steps: nothing of it outlives the agent. */
export type StepChange =
  | { readonly change: 'stepBegun'; readonly key: string }
  | { readonly change: 'stepEnded'; readonly key: string }
  /** The step comes again, at the failure's time. */
  | { readonly change: 'stepFailed'; readonly key: string; readonly failure: StepFailure }
  | { readonly change: 'stepSucceeded'; readonly key: string }

export type Change = PodChange | PreparationChange | InstanceChange | StepChange
