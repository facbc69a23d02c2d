/**
 * What an agent remembers over its own end: one record per pod, and the node's address ranges. Containers outlive the
 * agent, so a record is written before the act that it describes; the next start reads the records, asks the runtime
 * what exists, and carries on.
 *
 * Implementations: file.ts (one file per pod), memory.ts (tests and simulation); test/contract/agent-state.ts is the
 * suite both pass. Secrets are never in a record: a pod's spec only refers to them, and starting a further container
 * waits until they are known again.
 */
import type { Pod, PodStatus, ResourceRequirements, TimelineStep } from '../../proto/gen/types.ts'
import type { Attachment, NodeRanges } from '../network/contract.ts'
import type { ContainerState } from '../runtime/contract.ts'

export type ExitedState = Extract<ContainerState, { state: 'exited' }>

/** How a container instance ended. Times in milliseconds since 1970. */
export interface Termination {
  readonly id: string
  readonly attempt: number
  readonly exitCode: number
  readonly signal?: number | undefined
  /**
   * Completed, Error, OOMKilled, ContainerCannotRun, StartError or ContainerStatusUnknown, as Kubernetes names them.
   */
  readonly reason: string
  readonly message: string
  readonly startedAt: number
  readonly finishedAt: number
  /** It never ran: the command is at fault, or the runtime. */
  readonly startFailed: boolean
  /**
   * The node ended it for its health: also one that ended well then is started again, where the pod's policy ever does.
   */
  readonly unhealthy?: boolean | undefined
}

/** The ending of a running instance. Times in milliseconds since 1970. */
export interface Kill {
  /**
   * `stop`: the pod ends; `changed`: the container is to run another image, or with other resources; `unhealthy`: it
   * failed a probe or its postStart hook.
   */
  readonly reason: 'stop' | 'changed' | 'unhealthy'
  readonly since: number
  /** When it is killed if it still runs. */
  readonly deadline: number
  /** NOTHING: it waits for its preStop hook, for its turn, or until nobody sends the pod anything any more. */
  readonly sent: 'NOTHING' | 'TERM' | 'KILL'
  /** The preStop hook, where it is a command or a request. `begun` is written before, so that it never runs twice. */
  readonly preStop?: 'begun' | 'ended' | undefined
  /** The grace was over before SIGTERM, which gives it a last one. */
  readonly extended?: boolean | undefined
}

/** One run of a container. */
export interface Instance {
  readonly id: string
  readonly attempt: number
  /** What the pod says, or the image; '' for SIGTERM. */
  readonly stopSignal: string
}

/** How far a lifecycle hook has come. `begun` is written before it runs, so that it never runs twice. */
export type HookProgress = 'begun' | 'ended'

/** What is known of an instance that runs. */
export interface RunningStage {
  readonly stage: 'running'
  readonly instance: Instance
  readonly pid: number
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Absent: its postStart hook, if it has one, has not begun. */
  readonly postStart?: HookProgress | undefined
  /** Its startup probe has succeeded. Known only where there is one. */
  readonly started?: boolean | undefined
  /** What its readiness probe said last. Known only where there is one. */
  readonly ready?: boolean | undefined
  /** It is being ended. */
  readonly kill?: Kill | undefined
}

/** Where a container is between two of its instances, or within one. */
export type ContainerStage =
  /** There is no instance, and nothing keeps the next one waiting: none was begun yet, or another image is to run. */
  | { readonly stage: 'idle' }
  /** Written before the runtime is asked to make the instance, which may be there or not. */
  | { readonly stage: 'creating'; readonly instance: Instance }
  /** The runtime has made the instance and is asked to start it. */
  | { readonly stage: 'created'; readonly instance: Instance }
  | RunningStage
  /** The instance has ended. What it has left (its message, its memory) is to be read before its end is told. */
  | {
      readonly stage: 'exited'
      readonly instance: Instance
      readonly exit: ExitedState
      readonly postStart?: HookProgress | undefined
      readonly kill?: Kill | undefined
    }
  /** The instance is gone and its end is told. `retryAt` (milliseconds since 1970): no new one before then. */
  | { readonly stage: 'ended'; readonly end: Termination; readonly retryAt: number }

export interface ContainerRecord {
  /** Of the present instance, or of the next one if there is none: what status calls restartCount. */
  readonly attempt: number
  /** The image last used: as the spec names it, in full, and by digest. */
  readonly image?: { readonly name: string; readonly reference: string; readonly digest: string } | undefined
  readonly stage: ContainerStage
  /** The end of the instance before the present or the last one. */
  readonly last?: Termination | undefined
  /** Ends in a row, which the next back-off is counted by. */
  readonly failures: number
  /** What its present instance may use; undefined if none was begun, or by an agent that could not change it. */
  readonly resources?: ResourceRequirements | undefined
  /** Of a sidecar: it was started once in this sandbox, so that what comes after it need not wait again. */
  readonly passed?: boolean | undefined
}

/** Where a pod is in its life on the node. It goes downwards only, unless the node is given the pod a second time. */
export type PodStage =
  /**
   * Its containers are started as its spec says, and started again. Its active deadline is counted from `since`
   * (milliseconds since 1970; moved with the wall clock where that is set).
   */
  | { readonly stage: 'active'; readonly since: number }
  /**
   * It is on its way out: deleted, given to no node or another, or given up by its own. The grace is counted from
   * `since` (milliseconds since 1970; moved likewise).
   */
  | { readonly stage: 'stopping'; readonly since: number }
  /** Its containers have ended for good; sandbox, network and volumes are gone. Its logs stay as long as its object. */
  | { readonly stage: 'tornDown' }
  /** Nothing of it is left on the node. */
  | { readonly stage: 'released' }

/**
 * What is remembered of a pod. Only its machine (agent/pods/pod-machine.ts) makes a new record out of an old one;
 * everybody else reads.
 */
export interface PodRecord {
  readonly pod: Pod
  /** False once the control plane no longer gives the pod to this node. */
  readonly assigned: boolean
  /** When this node took the pod. */
  readonly acceptedAt: number
  readonly stage: PodStage
  /** The pod's sandbox, once made; the attachment is absent in the host's network. */
  readonly sandbox?: { readonly attachment?: Attachment | undefined } | undefined
  readonly containers: Readonly<Record<string, ContainerRecord>>
  /** Ids of ended instances that the runtime and the image store still hold. */
  readonly dead: readonly string[]
  /** What its containers may use, by name, while the node has not granted what the pod says now. */
  readonly granted?: Readonly<Record<string, ResourceRequirements>> | undefined
  /** Why it has not. `Infeasible`: it never can; `Deferred`: it waits for room. */
  readonly ungranted?: { readonly reason: 'Infeasible' | 'Deferred'; readonly message: string } | undefined
  /**
   * A change of what its containers may use is carried out; `restarting`: what is left to be done is that containers
   * start again.
   */
  readonly resizing?: 'begun' | 'restarting' | undefined
  /** Nobody sends it anything through Services any more: the control plane said so, perhaps before it said why. */
  readonly withdrawn?: boolean | undefined
  /** The node gave it up: refused, evicted, or its deadline passed. */
  readonly failed?: { readonly reason: string; readonly message: string } | undefined
  /** It had ended before this node knew it: `status` is the control plane's own and stays. */
  readonly settled?: boolean | undefined
  readonly timeline: readonly TimelineStep[]
  /** As last told. */
  readonly status: PodStatus
}

export interface NodeRecord {
  /** What the node's pods have addresses of, as last told. */
  readonly ranges: NodeRanges
}

export interface StateStore {
  /**
   * Reads all that is there. A record that cannot be read is set aside and named in `damaged`; its pod is then taken
   * anew.
   */
  load(): Promise<{
    readonly pods: readonly PodRecord[]
    readonly node: NodeRecord | undefined
    readonly damaged: readonly string[]
  }>
  /**
   * Writes the record as it is at this moment: whole or not at all, in the order of the calls. Survives the agent's
   * end. ResourceExhausted: the disk is full.
   */
  put(record: PodRecord): Promise<void>
  /** Not there: nothing happens. */
  remove(uid: string): Promise<void>
  putNode(node: NodeRecord): Promise<void>
}
