/**
 * Takes VXLAN packets only from the peers there are, and of each only what comes from addresses that live behind it.
 */
import type { Run } from '../../host/launcher.ts'
import type { NetworkChange, NetworkReconciler, NetworkView } from '../contract.ts'
import { VXLAN_PORT } from '../fabric/fabric-plan.ts'
import { nodeCommands, type NodeCommands } from '../node-commands.ts'
import { OVERLAY_TABLE, overlayChange, overlayElements, overlayTable, type OverlayElements } from './overlay-table.ts'

export interface OverlayGuardOptions {
  /** This node's name. */
  readonly node: string
  readonly run: Run
  /** Path of the network namespace in which the packets arrive; the agent's own if undefined. */
  readonly netns?: string | undefined
  /** UDP port of VXLAN, the same on all nodes. */
  readonly vxlanPort?: number
}

export class OverlayGuard implements NetworkReconciler {
  readonly name = 'overlay'
  /** A pod that ends is not sent anything for want of it. */
  readonly confirmsRevision = false
  readonly #node: NodeCommands
  readonly #options: OverlayGuardOptions
  /** In the kernel; undefined: not known. */
  #elements: OverlayElements | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: OverlayGuardOptions) {
    this.#options = options
    this.#node = nodeCommands(options.run, options.netns)
  }

  apply(view: NetworkView, { complete, keys }: NetworkChange): Promise<void> {
    if (!complete && ![...keys].some((key) => /^(?:PeerNode|Network)\//.test(key))) return Promise.resolve()
    return this.#inTurn(() => this.#follow(view, complete))
  }

  /** For who makes devices: the kernel guards what the view says before there is a device that packets could reach. */
  ready(view: NetworkView): Promise<void> {
    return this.#inTurn(() => this.#follow(view, false))
  }

  tables(): readonly string[] {
    return this.#elements === undefined ? [] : [`inet ${OVERLAY_TABLE}`]
  }

  /** What is in the kernel stays: so do the devices. */
  stop(): Promise<void> {
    return Promise.resolve()
  }

  async #follow(view: NetworkView, complete: boolean): Promise<void> {
    const { node, vxlanPort = VXLAN_PORT } = this.#options
    const wanted = overlayElements(node, view.entries('peer').values(), view.objects('Network').values())
    const before = complete ? undefined : this.#elements
    const text = before === undefined ? overlayTable(vxlanPort, wanted) : overlayChange(before, wanted)
    if (text.text !== '') {
      // After a failure nobody knows what is there.
      this.#elements = undefined
      await this.#node.nft(text)
    }
    this.#elements = wanted
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work)
    this.#turn = Promise.allSettled([turn])
    return turn
  }
}
