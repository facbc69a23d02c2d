/**
 * What is done to a container to learn of its health or to tell it something: commands, requests and connections.
 * `NodeHandlerRunner` does it from the node's own network; tests script it.
 */
import type { ContainerPort, LifecycleHandler, ProbeHandler } from '../../../proto/gen/types.ts'

/** Whom an action is done to. */
export interface HandlerTarget {
  /** The running instance. */
  readonly instanceId: string
  /** The pod's first address; the node's own in the host's network. */
  readonly address: string
  /** The container's, to look a port's name up. */
  readonly ports: readonly ContainerPort[]
}

/** How a probe went. The message says what was seen, at most 10 kB of it. */
export interface ProbeOutcome {
  /**
   * `warning`: a success that somebody should know of. `error`: it could not be made, and says nothing about the
   * container.
   */
  readonly verdict: 'success' | 'warning' | 'failure' | 'error'
  readonly message: string
}

export interface HandlerRunner {
  /** Never rejects. When the signal is aborted, it ends soon, as a failure that names the reason. */
  probe(handler: ProbeHandler, target: HandlerTarget, signal: AbortSignal): Promise<ProbeOutcome>
  /**
   * Runs a command or makes a request of a hook; a sleep is the caller's. Rejects when the command does not end with 0
   * or the request is not answered; whatever the answer, it is enough, as in Kubernetes. Aborted: with the signal's
   * reason, and a command is killed.
   */
  hook(handler: LifecycleHandler, target: HandlerTarget, signal: AbortSignal): Promise<void>
}
