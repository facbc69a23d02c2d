/**
 * The part of a node's network that reaches pods of other nodes: follows the cluster's nodes with routes and overlay
 * devices.
 */
import type { Clock, Timer } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import type { PeerNode } from '../../../proto/gen/types.ts'
import type { Run } from '../../host/launcher.ts'
import type { NetworkChange, NetworkReconciler, NetworkView } from '../contract.ts'
import { nodeCommands, type NodeCommands } from '../node-commands.ts'
import type { OverlayGuard } from '../overlay-guard/overlay-guard.ts'
import { findPodMtu } from '../underlay.ts'
import { FabricKernel } from './fabric-kernel.ts'
import { overlayDevices, planFabric, fabricCommands, VXLAN_PORT, type Overlay } from './fabric-plan.ts'

export interface FabricParts {
  /** This node's name. */
  readonly node: string
  readonly run: Run
  readonly logger: Logger
  readonly clock: Clock
  /** Path of the node's network namespace, if it is not the agent's own. */
  readonly netns?: string | undefined
  /** `auto` (default): plain routes to nodes on a shared link, VXLAN to the others; `vxlan`: to all. */
  readonly overlay?: Overlay
  /** UDP port of VXLAN, the same on all nodes. */
  readonly vxlanPort?: number
  /** Bytes of a pod's packet; worked out if undefined. */
  readonly mtu?: number | undefined
  /** Guards the devices, and does before there are any. */
  readonly overlayGuard?: OverlayGuard | undefined
}

/**
 * Milliseconds between looks at the kernel: routes go with an interface that was down for a moment, and nobody is told.
 */
const RESYNC_INTERVAL_MS = 15_000

/** Each time the kernel is read and compared: nothing is assumed of it, whoever changed what. */
export class Fabric implements NetworkReconciler {
  readonly name = 'fabric'
  /** A pod that ends is not sent anything for lack of a route being gone. */
  readonly confirmsRevision = false
  readonly #node: NodeCommands
  readonly #kernel: FabricKernel
  readonly #parts: FabricParts
  readonly #clock: Clock
  #peers: readonly PeerNode[] = []
  /** What was last made, to see whether a change matters. */
  #made: string | undefined
  #reportedUnreachable: string | undefined
  #timer: Timer | undefined
  #looking: Promise<void> | undefined
  #stopped = false

  constructor(parts: FabricParts) {
    this.#parts = parts
    this.#node = nodeCommands(parts.run, parts.netns)
    this.#kernel = new FabricKernel(this.#node)
    this.#clock = parts.clock
  }

  async apply(view: NetworkView, change: NetworkChange): Promise<void> {
    if (!change.complete && ![...change.keys].some((key) => key.startsWith('PeerNode/'))) return
    await this.#looking
    const peers = [...view.entries('peer').values()]
    // Signs of life, labels: nothing that a route depends on.
    const text = JSON.stringify(peers.map(({ name, addresses, podCidrs }) => [name, addresses, podCidrs]))
    if (!change.complete && text === this.#made) return
    this.#made = undefined
    this.#peers = peers
    await this.#parts.overlayGuard?.ready(view)
    await this.#follow()
    this.#made = text
    this.#scheduleResync()
  }

  /** Routes stay, for the pods that do. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#looking
  }

  async #follow(): Promise<void> {
    const { node, overlay = 'auto', vxlanPort = VXLAN_PORT } = this.#parts
    const own = this.#peers.find(({ name }) => name === node)
    // Others reach this node as its entry says: before there is one, nothing is known.
    if (own === undefined || own.addresses.length === 0) return
    const addresses = [...new Set(this.#peers.filter((peer) => peer !== own).flatMap((peer) => peer.addresses))]
    const [has, ways, mtus] = await Promise.all([
      this.#kernel.read(),
      this.#kernel.lookUpRoutes(addresses),
      Promise.all(
        own.addresses.map(
          async (address) => [address, this.#parts.mtu ?? (await findPodMtu(this.#node, address))] as const,
        ),
      ),
    ])
    const mtu = new Map(mtus)
    const { unreachable, ...wanted } = planFabric(
      own,
      this.#peers,
      ways,
      overlayDevices(own, vxlanPort, (address) => mtu.get(address)!),
      overlay,
    )
    await this.#kernel.apply(fabricCommands(wanted, has))
    this.#tell(unreachable)
  }

  #tell(unreachable: readonly { readonly node: string; readonly why: string }[]): void {
    const told = JSON.stringify(unreachable)
    if (told !== this.#reportedUnreachable)
      for (const { node, why } of unreachable)
        this.#parts.logger.warn({ peer: node, why }, 'pods of another node cannot be reached')
    this.#reportedUnreachable = told
  }

  #scheduleResync(): void {
    this.#timer?.cancel()
    if (this.#stopped) return
    this.#timer = this.#clock.after(RESYNC_INTERVAL_MS, () => {
      this.#looking = this.#resync().finally(() => {
        this.#looking = undefined
        this.#scheduleResync()
      })
    })
  }

  async #resync(): Promise<void> {
    try {
      await this.#follow()
    } catch (thrown) {
      this.#parts.logger.warn(
        { err: GantryError.from(thrown) },
        'cannot compare the routes to other nodes with what the kernel has',
      )
    }
  }
}
