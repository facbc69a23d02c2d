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

/** A container that exists, or is about to. */
export interface Instance {
  readonly id: string
  readonly attempt: number
  /** `creating`: written before the runtime was asked. */
  state: { readonly state: 'creating' } | ContainerState
  /** What the pod says, or the image; '' for SIGTERM. */
  readonly stopSignal: string
  kill?: Kill | undefined
  /** The postStart hook. `begun` is written before, so that it never runs twice. */
  postStart?: 'begun' | 'ended' | undefined
  /** Its startup probe has succeeded. Known only where there is one. */
  started?: boolean | undefined
  /** What its readiness probe said last. Known only where there is one. */
  ready?: boolean | undefined
}

export interface ContainerRecord {
  /** Of the present instance, or of the next one if there is none: what status calls restartCount. */
  attempt: number
  /** The image last used: as the spec names it, in full, and by digest. */
  image?: { readonly name: string; readonly reference: string; readonly digest: string } | undefined
  instance?: Instance | undefined
  /** The last instance's end, while no new one was begun. */
  ended?: Termination | undefined
  /** The end of the instance before that. */
  last?: Termination | undefined
  /** Ends in a row, which the next back-off is counted by. */
  failures: number
  /** No new instance before then. */
  retryAt: number
  /** What its present instance may use; undefined if none was begun, or by an agent that could not change it. */
  resources?: ResourceRequirements | undefined
  /** Of a sidecar: it was started once in this sandbox, so that what comes after it need not wait again. */
  passed?: boolean | undefined
}

export interface PodRecord {
  pod: Pod
  /** False once the control plane no longer gives the pod to this node. */
  assigned: boolean
  /** When this node took the pod. */
  readonly acceptedAt: number
  /** The pod's sandbox, once made; the attachment is absent in the host's network. */
  sandbox?: { readonly attachment?: Attachment | undefined } | undefined
  containers: Record<string, ContainerRecord>
  /** Ids of ended instances that the runtime and the image store still hold. */
  dead: string[]
  /** Since when its active deadline is counted; `acceptedAt`, but moved with the wall clock where that is set. */
  activeSince?: number | undefined
  /** What its containers may use, by name, while the node has not granted what the pod says now. */
  granted?: Readonly<Record<string, ResourceRequirements>> | undefined
  /** Why it has not. `Infeasible`: it never can; `Deferred`: it waits for room. */
  ungranted?: { readonly reason: 'Infeasible' | 'Deferred'; readonly message: string } | undefined
  /**
   * A change of what its containers may use is carried out; `restarting`: what is left to be done is that containers
   * start again.
   */
  resizing?: 'begun' | 'restarting' | undefined
  /** When stopping began. */
  stopSince?: number | undefined
  /** Nobody sends it anything through Services any more: the control plane said so. */
  withdrawn?: boolean | undefined
  /** Ended by the node itself: refused, or its deadline passed. */
  failed?: { readonly reason: string; readonly message: string } | undefined
  /** Sandbox, network and volumes are gone. */
  tornDown: boolean
  /** Nothing of it is left on the node. */
  released: boolean
  /** It had ended before this node knew it: `status` is the control plane's own and stays. */
  settled?: boolean | undefined
  timeline: TimelineStep[]
  /** As last told. */
  status: PodStatus
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
