/** What the first process of a controller and those that it starts tell each other. */

/** What a process is there for. */
export type Role =
  /** Takes part in elections, and answers the other processes and controllers only. */
  | 'leading'
  /** Serves agents and people at the addresses that all such processes share. */
  | 'serving'

/** What a process is told when it begins. Everything else it reads from the configuration, as the first one does. */
export interface Assignment {
  /** Among the replicas of the control plane: the controller's name and a number. */
  readonly name: string
  readonly role: Role
  /**
   * host:port that it does not share: there the other processes and controllers ask what only it knows. It listens to
   * the port at the host of `listen`.
   */
  readonly address: string
  readonly etcd: readonly string[]
  /** The first process runs etcd: no other running process has this one's name. */
  readonly nameIsOurs: boolean
  readonly nats: { readonly servers: readonly string[]; readonly token: string | undefined }
}

/** Numbers of one process, as `Registry.getMetricsAsJSON` of prom-client has them. */
export type Numbers = readonly object[]

export type FromProcess =
  /** It serves. */
  | { readonly say: 'ready' }
  /** What /metrics shows is wanted there. */
  | { readonly say: 'metricsWanted'; readonly id: number }
  | { readonly say: 'numbers'; readonly id: number; readonly numbers: Numbers }

export type ToProcess =
  | { readonly tell: 'numbersWanted'; readonly id: number }
  | { readonly tell: 'metrics'; readonly id: number; readonly text: string }
