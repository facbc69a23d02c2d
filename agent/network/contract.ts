/** A node's pod network: addresses, and network namespaces joined to it. */

export interface Attachment {
  /** Path of the network namespace (a bind mount). */
  readonly netns: string
  /** IPv4 address of the pod. */
  readonly address: string
}

export interface Network {
  /** Makes the node's bridge and firewall rules for a pod range (CIDR), or adopts them; `known` are attachments that live on. Leftovers that nobody knows are removed. */
  start(podCidr: string, known: ReadonlyMap<string, Attachment>): Promise<void>
  /** A network namespace with loopback, one interface and an address, by id. Taken from those made ahead if there is one. ResourceExhausted: no address is free. */
  attach(id: string): Promise<Attachment>
  /** Removes it and frees its address. Not there: nothing happens. */
  detach(id: string): Promise<void>
  /** Leaves what pods use; removes what was made ahead. */
  stop(): Promise<void>
}
