/** The pod network of a node: pods' network namespaces, joined to the node by veth pairs. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Run } from '../host/launcher.ts'
import { SystemCalls, type SystemCaller } from '../host/system-calls.ts'
import { portName } from './commands.ts'
import type { Attachment, AttachRequest, PodNetwork, NodeRanges } from './contract.ts'
import { VXLAN_PORT } from './fabric/fabric-plan.ts'
import { GUARD_TABLE, MASQUERADE_TABLE } from './firewall.ts'
import { HOST_PORTS_TABLE, HostPorts } from './host-ports.ts'
import { HostVeths } from './host-veths.ts'
import { nodeCalls } from './netlink/node-calls.ts'
import { nodeCommands } from './node-commands.ts'
import { PodAddresses } from './pod-addresses.ts'
import { PodNamespaces, READY_PREFIX } from './pod-namespaces.ts'
import { findPodMtu } from './underlay.ts'

export interface RoutedNetworkOptions {
  /** Namespaces are pinned in its directory `netns`. */
  readonly stateDir: string
  readonly logger: Logger
  /** Path of the network namespace that is the node's; the agent's own if undefined. */
  readonly netns?: string | undefined
  /** The system's if undefined. */
  readonly clock: Clock
  /** Namespaces kept ready (default 8). */
  readonly prepared?: number
  /** Bytes of a pod's packet; worked out at the start if undefined. */
  readonly mtu?: number | undefined
  /** UDP port of the packets between nodes in which pods' are (default 8472). */
  readonly vxlanPort?: number
  /** The node's address in the cluster, to work out the MTU by; that of the default route if undefined. */
  readonly address?: string | undefined
  /** How programs are run (default: straight from this process). */
  readonly run?: Run
  /** Who makes calls of the kernel (default: a process of its own). */
  readonly calls?: SystemCaller
  /** Paths at which something is mounted (default: as this process sees them). */
  readonly mountPoints?: () => Promise<readonly string[]>
}

/** Namespaces made at once: each costs the kernel about a millisecond. */
const NAMESPACES_PER_BATCH = 4
/** Milliseconds from taking a ready one to making another: the pod that took it is started first. */
const REFILL_DELAY = 100
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

interface Waiter {
  readonly id: string
  readonly resolve: (attachment: Attachment) => void
  readonly reject: (error: GantryError) => void
}

interface Removal {
  readonly addresses: readonly string[]
  /** Whose it is. */
  readonly id?: string
}

/** The caller keeps ids and attachments (`known`), and whatever it does not know is a leftover. */
export class RoutedNetwork implements PodNetwork {
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #netns: string | undefined
  readonly #prepared: number
  readonly #address: string | undefined
  readonly #vxlanPort: number
  readonly #run: Run
  readonly #namespaces: PodNamespaces
  readonly #ports: HostVeths
  readonly #hostPorts: HostPorts
  readonly #attached = new Map<string, Attachment>()
  readonly #attaching = new Map<string, Promise<Attachment>>()
  readonly #detaching = new Map<string, Promise<void>>()
  /** Those whose interface was gone when this began: they can only be made anew. */
  readonly #cutOff = new Set<string>()
  /** Addresses whose namespaces are ready. */
  readonly #ready: (readonly string[])[] = []
  readonly #waiting: Waiter[] = []
  /** By directory; what cannot be removed is tried again with the next. */
  readonly #removals = new Map<string, Removal>()
  #mtu: number | undefined
  #addresses: PodAddresses | undefined
  #state: 'new' | 'starting' | 'started' | 'stopped' = 'new'
  #filling: Promise<void> | undefined
  #refill: Timer | undefined
  #removing: Promise<void> | undefined

  constructor(options: RoutedNetworkOptions) {
    this.#logger = options.logger
    this.#clock = options.clock
    this.#netns = options.netns
    this.#prepared = options.prepared ?? 8
    this.#mtu = options.mtu
    this.#address = options.address
    this.#vxlanPort = options.vxlanPort ?? VXLAN_PORT
    this.#run = options.run ?? run
    const calls = options.calls ?? new SystemCalls(options.clock)
    this.#namespaces = new PodNamespaces({
      stateDir: options.stateDir,
      calls,
      nodeNetns: options.netns,
      mountPoints: options.mountPoints,
    })
    const node = nodeCommands(this.#run, options.netns)
    this.#ports = new HostVeths(node, nodeCalls(calls, options.netns), options.logger)
    this.#hostPorts = new HostPorts(node)
  }

  /** The MTU of pods, once started. */
  get mtu(): number | undefined {
    return this.#mtu
  }

  tables(): readonly string[] {
    return this.#state === 'started'
      ? [GUARD_TABLE, MASQUERADE_TABLE, HOST_PORTS_TABLE].map((name) => `inet ${name}`)
      : []
  }

  /**
   * Also to go over to other ranges: pods that have addresses of the old ones keep them, and are reached.
   * InvalidArgument: these are no ranges; nothing is changed then.
   */
  async start(ranges: NodeRanges, known: ReadonlyMap<string, Attachment>): Promise<void> {
    const addresses = new PodAddresses(ranges.podCidrs)
    this.#state = 'starting'
    this.#refill?.cancel()
    this.#refill = undefined
    await this.#filling
    await this.#remove()
    const mounted = await this.#namespaces.start()
    for (const [id, attachment] of known) {
      if (mounted.has(attachment.netns)) this.#attached.set(id, attachment)
      else this.#logger.warn({ id, netns: attachment.netns }, 'the network namespace is gone')
    }
    const foreign: string[] = []
    for (const [id, attachment] of this.#attached) {
      const outside = addresses.reserve(attachment.addresses)
      if (outside.length > 0)
        this.#logger.warn(
          { id, addresses: outside, podCidrs: ranges.podCidrs },
          'a living pod has an address outside the pod ranges',
        )
      foreign.push(...outside)
    }
    this.#addresses = addresses
    this.#ready.length = 0
    this.#mtu ??= await findPodMtu(nodeCommands(this.#run, this.#netns), this.#address)
    const pods = [...this.#attached.values()].map((attachment) => attachment.addresses)
    const { resized, gone } = await this.#ports.start({
      addresses,
      clusterCidrs: ranges.cluster.podCidrs,
      mtu: this.#mtu,
      vxlanPort: this.#vxlanPort,
      pods,
      foreign,
    })
    for (const [id, { address }] of this.#attached) if (gone.has(address)) this.#cutOff.add(id)
    await this.#resize(resized, this.#mtu)
    await this.#hostPorts.start(this.#attached)
    await this.#namespaces.removeLeftovers(new Set([...this.#attached.values()].map(({ netns }) => netns)))
    this.#state = 'started'
    this.#fill()
  }

  attach(id: string, request: AttachRequest = {}): Promise<Attachment> {
    const under = this.#attaching.get(id)
    if (under !== undefined) return under
    const known = this.#attached.get(id)
    if (known !== undefined && !this.#removals.has(this.#namespaces.path(id)) && !this.#cutOff.has(id))
      return Promise.resolve(known)
    const attaching = this.#attach(id, request).finally(() => this.#attaching.delete(id))
    this.#attaching.set(id, attaching)
    return attaching
  }

  detach(id: string): Promise<void> {
    const under = this.#detaching.get(id)
    if (under !== undefined) return under
    const detaching = this.#detach(id).finally(() => this.#detaching.delete(id))
    this.#detaching.set(id, detaching)
    return detaching
  }

  async stop(): Promise<void> {
    const before = this.#state
    this.#state = 'stopped'
    this.#refill?.cancel()
    this.#refill = undefined
    if (before === 'new') return
    await this.#filling
    for (const addresses of this.#ready.splice(0))
      this.#removals.set(this.#namespaces.pooledPath(addresses), { addresses })
    await this.#remove()
    await this.#removeNodeParts()
  }

  async #attach(id: string, { hostPorts = [] }: AttachRequest): Promise<Attachment> {
    if (!NAME.test(id) || id.startsWith(READY_PREFIX))
      throw new GantryError('InvalidArgument', `"${id}" cannot name a network namespace`)
    await this.#detaching.get(id)
    const left = this.#attached.get(id)
    // What could not be removed of it before, or what is of no use.
    if (left !== undefined) await this.#release(id, left)
    if (this.#state === 'new' || this.#state === 'stopped')
      throw new GantryError('FailedPrecondition', 'the pod network is not started')
    this.#hostPorts.reserve(id, hostPorts)
    let taken: Attachment | undefined
    try {
      taken = await this.#take(id)
      if (hostPorts.length === 0) return taken
      const attachment = { ...taken, hostPorts }
      this.#attached.set(id, attachment)
      await this.#hostPorts.open(attachment)
      return attachment
    } catch (thrown) {
      if (taken === undefined) this.#hostPorts.release(id)
      else await this.#undo(id, taken)
      throw thrown
    }
  }

  #take(id: string): Promise<Attachment> {
    const addresses = this.#state === 'started' ? this.#ready.shift() : undefined
    if (addresses !== undefined) {
      this.#fillLater()
      return Promise.resolve(this.#give(id, addresses))
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject })
      this.#fill()
    })
  }

  #give(id: string, addresses: readonly string[]): Attachment {
    const attachment: Attachment = { netns: this.#namespaces.assign(addresses, id), address: addresses[0]!, addresses }
    this.#attached.set(id, attachment)
    return attachment
  }

  async #detach(id: string): Promise<void> {
    const attaching = this.#attaching.get(id)
    if (attaching !== undefined) await Promise.allSettled([attaching])
    const attachment = this.#attached.get(id)
    if (attachment === undefined) return
    await this.#release(id, attachment)
    if (this.#state === 'stopped') await this.#removeNodeParts()
  }

  async #release(id: string, { addresses }: Attachment): Promise<void> {
    this.#removals.set(this.#namespaces.path(id), { id, addresses })
    await this.#remove()
  }

  /** A pod that did not get what it asked for gets nothing. What is left of it goes with whatever is removed next. */
  async #undo(id: string, attachment: Attachment): Promise<void> {
    try {
      await this.#release(id, attachment)
    } catch (thrown) {
      this.#logger.warn({ id, err: GantryError.from(thrown) }, 'cannot remove a network namespace')
    }
  }

  /** Keeps one filler running as long as somebody waits or fewer than wanted are ready. */
  #fill(): void {
    if (this.#filling !== undefined || !this.#wanted()) return
    this.#filling = this.#fillUp().finally(() => {
      this.#filling = undefined
      if (this.#waiting.length > 0) this.#fill()
    })
  }

  #fillLater(): void {
    this.#refill ??= this.#clock.after(REFILL_DELAY, () => {
      this.#refill = undefined
      this.#fill()
    })
  }

  #wanted(): boolean {
    switch (this.#state) {
      case 'new':
      case 'starting':
        return false
      case 'started':
        return this.#waiting.length > 0 || this.#ready.length < this.#prepared
      case 'stopped':
        return this.#waiting.length > 0
    }
  }

  async #fillUp(): Promise<void> {
    while (this.#wanted()) {
      const count = Math.min(
        NAMESPACES_PER_BATCH,
        this.#waiting.length + Math.max(0, this.#prepared - this.#ready.length),
      )
      try {
        const made = await this.#make(Math.max(1, count))
        if (made.length === 0)
          throw new GantryError('ResourceExhausted', `no address is free in ${this.#addresses!.cidrs}`)
        for (const addresses of made) {
          const waiter = this.#waiting.shift()
          if (waiter === undefined) this.#ready.push(addresses)
          else
            try {
              waiter.resolve(this.#give(waiter.id, addresses))
            } catch (thrown) {
              waiter.reject(GantryError.from(thrown))
            }
        }
      } catch (thrown) {
        const error = GantryError.from(thrown)
        if (this.#waiting.length === 0 && error.code !== 'ResourceExhausted')
          this.#logger.warn({ err: error }, 'cannot make a network namespace ahead')
        for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
        return
      }
    }
  }

  /**
   * Makes up to `count` namespaces joined to the node; fewer when addresses run out. What a failure leaves half-made is
   * removed.
   */
  async #make(count: number): Promise<(readonly string[])[]> {
    const pool = this.#addresses!
    const take = (): (readonly string[])[] => {
      const taken: (readonly string[])[] = []
      for (
        let addresses = pool.take();
        addresses !== undefined;
        addresses = taken.length < count ? pool.take() : undefined
      )
        taken.push(addresses)
      return taken
    }
    let taken = take()
    // Some may be those of what could not be removed before.
    if (taken.length === 0 && this.#removals.size > 0) {
      await this.#remove()
      taken = take()
    }
    const made = await Promise.allSettled(
      taken.map((addresses) => this.#namespaces.make(addresses, pool.gatewaysOf(addresses), this.#mtu!)),
    )
    const failed = made.find((result) => result.status === 'rejected')
    try {
      if (failed !== undefined) throw failed.reason
      if (taken.length > 0) await this.#ports.join(taken)
      return taken
    } catch (error) {
      for (const addresses of taken) this.#removals.set(this.#namespaces.pooledPath(addresses), { addresses })
      await this.#remove()
      throw error
    }
  }

  /** Pods that live on from a time when packets could be of another size. */
  async #resize(ports: readonly string[], mtu: number): Promise<void> {
    const byPort = new Map(
      [...this.#attached.values()].map((attachment) => [portName(attachment.address), attachment.netns]),
    )
    await Promise.all(
      ports.map(async (port) => {
        await nodeCommands(this.#run, this.#netns)('ip', ['link', 'set', port, 'mtu', String(mtu)])
        await nodeCommands(this.#run, byPort.get(port))('ip', ['link', 'set', 'eth0', 'mtu', String(mtu)])
      }),
    )
  }

  /**
   * Removes everything that is queued for it; callers who come meanwhile share the next round. Whether the round under
   * way fails is not theirs.
   */
  async #remove(): Promise<void> {
    await this.#removing?.catch(() => undefined)
    if (this.#removals.size === 0) return
    this.#removing ??= this.#removeBatch().finally(() => (this.#removing = undefined))
    await this.#removing
  }

  async #removeBatch(): Promise<void> {
    const batch = [...this.#removals]
    await this.#hostPorts.close(batch.flatMap(([, { id }]) => (id === undefined ? [] : (this.#attached.get(id) ?? []))))
    await this.#ports.leave(batch.map(([, { addresses }]) => addresses))
    await this.#namespaces.unmount(batch.map(([directory]) => directory))
    for (const [directory, { addresses, id }] of batch) {
      await this.#namespaces.remove(directory)
      this.#removals.delete(directory)
      this.#addresses?.release(addresses)
      if (id === undefined) continue
      this.#attached.delete(id)
      this.#cutOff.delete(id)
      this.#hostPorts.release(id)
    }
  }

  /** With no pod left nothing of the network is. */
  async #removeNodeParts(): Promise<void> {
    if (this.#attached.size > 0) return
    await this.#ports.remove()
    await this.#hostPorts.remove()
    await this.#namespaces.removeAll()
  }
}
