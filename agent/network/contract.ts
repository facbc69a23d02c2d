/**
 * A node's network: pods' namespaces and addresses (`Network`), and what the node follows of the cluster's network
 * (`NetworkView`, followed by each `NetworkReconciler`). Every address is text, IPv4 dotted or IPv6 in canonical form
 * (RFC 5952).
 */
import type { PodNetworks } from '../../proto/objects/pod-networks.ts'
import type { NetworkEntry, NetworkUpdate, Resources } from '../../proto/gen/types.ts'

/** A port of the node that is passed on to a pod: ContainerPort's hostPort. */
export interface HostPort {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly hostPort: number
  readonly containerPort: number
  /** The node's address meant; undefined: all of them. */
  readonly hostIP: string | undefined
}

/** A further interface, in a `Network`'s segment. */
export interface SecondaryInterface {
  /** "namespace/name". */
  readonly network: string
  readonly interface: string
  readonly addresses: readonly string[]
  /** Its hardware address; undefined where the kernel chose it. */
  readonly mac?: string | undefined
}

/** A pod's network: kept in its record, so that the next run of the agent carries on with it. */
export interface Attachment {
  /** Path of the network namespace (a bind mount). */
  readonly netns: string
  /** The pod's address, of the preferred family. */
  readonly address: string
  /** All its addresses, one per family; the first is `address`. */
  readonly addresses: readonly string[]
  readonly hostPorts?: readonly HostPort[] | undefined
  readonly further?: readonly SecondaryInterface[] | undefined
  /** The pod is not on the cluster's own network: eth0 is down, and nobody is told the addresses. */
  readonly apart?: boolean | undefined
}

export interface AttachRequest {
  readonly hostPorts?: readonly HostPort[]
  /** Networks that the pod asked for, and whether it is on the cluster's own. */
  readonly networks?: PodNetworks & { readonly namespace: string }
}

/** The ranges that a node gives addresses from, and what lies beyond. CIDRs, one per family, the preferred first. */
export interface NodeRanges {
  readonly podCidrs: readonly string[]
  readonly cluster: {
    readonly podCidrs: readonly string[]
    readonly serviceCidrs: readonly string[]
    readonly domain: string
  }
}

export interface PodNetwork {
  /**
   * Makes the node's gateway and firewall rules for its ranges, or adopts them; `known` are attachments that live on.
   * Leftovers that nobody knows are removed.
   */
  start(ranges: NodeRanges, known: ReadonlyMap<string, Attachment>): Promise<void>
  /**
   * A network namespace with loopback, eth0 and an address, by id. Taken from those made ahead if there is one. The
   * same again for an id that has one, unless its interface was gone at the start or its removal has failed: then
   * another. ResourceExhausted: no address is free. Conflict: a host port is taken.
   */
  attach(id: string, request?: AttachRequest): Promise<Attachment>
  /** Removes it and frees its addresses and host ports. Not there: nothing happens. */
  detach(id: string): Promise<void>
  /** Tables of nftables that it has made and keeps until it is started anew. */
  tables?(): readonly string[]
  /** Leaves what pods use; removes what was made ahead. */
  stop(): Promise<void>
}

/** Gives pods their interfaces on Networks. */
export interface PodSegments {
  /** Interfaces of pods that live on, by uid: of an earlier run. */
  adopt(known: ReadonlyMap<string, readonly SecondaryInterface[]>): void
  /**
   * Gives a pod's namespace its interfaces; waits while a Network has not been given a part for this node yet.
   * Repeated, it answers the same. NotFound: no such Network; ResourceExhausted: no address is free; Cancelled.
   */
  attach(
    uid: string,
    netns: string,
    namespace: string,
    requests: PodNetworks['further'],
    signal: AbortSignal,
  ): Promise<readonly SecondaryInterface[]>
  /** Takes a pod's namespace off the cluster's own network. */
  leaveCluster(netns: string): Promise<void>
  /** The namespace is gone or about to be: its addresses are free. Not there: nothing happens. */
  detach(uid: string): void
}

/** Keeps pods to their NetworkPolicies: who gives a pod addresses waits for it before anything runs in the pod. */
export interface PodGuard {
  /** Pods that have addresses already, by uid: of an earlier run. Takes effect with the next change. */
  adopt(given: ReadonlyMap<string, readonly string[]>): void
  /**
   * Resolves when what the pod (by uid) sends and is sent is judged as its policies want; at once if it has none.
   * Rejects if that cannot be: Cancelled, or what nft says.
   */
  protect(uid: string, addresses: readonly string[], signal: AbortSignal): Promise<void>
  /** The pod's addresses may be given to another. */
  forget(uid: string): void
}

/** Kinds of objects in a view. */
export type ViewedKind =
  | 'Service'
  | 'EndpointSlice'
  | 'Network'
  | 'Ingress'
  | 'IngressClass'
  | 'Gateway'
  | 'GatewayClass'
  | 'HTTPRoute'
  | 'ReferenceGrant'
  | 'Namespace'
  | 'Secret'

type EntryCase = NonNullable<NetworkEntry['entry']>['case']
type EntryValue<C extends EntryCase> = Extract<NonNullable<NetworkEntry['entry']>, { case: C }>['value']

/** What the control plane has told this node of the cluster's network, whole. Shared: not to be changed. */
export interface NetworkView {
  /** The store's revision that it shows. */
  readonly revision: number
  readonly ranges: NodeRanges
  /** Objects of a kind, by "namespace/name"; those that are in no namespace by their name alone. */
  objects<K extends ViewedKind & keyof Resources>(kind: K): ReadonlyMap<string, Resources[K]>
  /** Entries that are no objects, by key. */
  entries<C extends Exclude<EntryCase, 'object'>>(entry: C): ReadonlyMap<string, EntryValue<C>>
}

/** What differs from the view that the part was last given. */
export interface NetworkChange {
  /**
   * Anything may have changed: the first view, one after a gap, or one after this part failed. What is in the kernel
   * must be compared, not assumed.
   */
  readonly complete: boolean
  /**
   * Keys set or removed, e.g. "Service/default/web"; what stands there now is in the view. With `complete` it names
   * all.
   */
  readonly keys: ReadonlySet<string>
}

/**
 * One part of the node that makes the network as the view says: routes, service translation, policies, names, the
 * ingress proxy. `apply` is never called twice at once; views that arrive meanwhile are merged into one further call.
 * When it rejects, it is called again, after a growing pause, with `complete`. It must leave what works working: what
 * is in the kernel stays while the agent is gone.
 */
export interface NetworkReconciler {
  readonly name: string
  /**
   * Until its `apply` has ended, the revision is not confirmed to the control plane: a pod is ended only when no node
   * sends it anything any more.
   */
  readonly confirmsRevision: boolean
  apply(view: NetworkView, change: NetworkChange): Promise<void>
  /**
   * Tables of nftables that it has made, if any, as "inet gantry_services": where one is gone it is called with
   * `complete`.
   */
  tables?(): readonly string[]
  /** The agent ends; what pods use stays. */
  stop(): Promise<void>
}

/** What the node follows of the cluster's network. */
export interface NetworkUpdateHandler {
  /** The control plane knows the node: a new session, whose first update is a complete one. */
  welcome(ranges: NodeRanges): Promise<void>
  update(update: NetworkUpdate): void
}
