/**
 * The Networks that pods of this node are on. A part of the network that follows which there are, and what gives pods
 * their interfaces on them. It keeps no record: the caller keeps each pod's interfaces, and what nobody knows is
 * removed.
 */
import { familyOf } from '../../../proto/base/cidr.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { PodNetworkRequest } from '../../../proto/objects/pod-networks.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import { ConditionVariable } from '../../../proto/base/condition-variable.ts'
import type { Run } from '../../host/launcher.ts'
import { ip, nft, sh, type IpText } from '../../host/program-text.ts'
import type { SecondaryInterface, NetworkChange, NetworkReconciler, NetworkView, PodSegments } from '../contract.ts'
import { nodeCommands, readJson, type NodeCommands } from '../node-commands.ts'
import type { OverlayGuard } from '../overlay-guard/overlay-guard.ts'
import { findPodMtu } from '../underlay.ts'
import {
  bridgeName,
  DEFAULT_FDB_MAC,
  fdbCommands,
  freeAddresses,
  makeSegment,
  nodePortCommands,
  podInterfaceCommands,
  portName,
  segmentMac,
  segmentsOf,
  vniOf,
  vxlanName,
  type SegmentFdbEntry,
  type Segment,
} from './segment-plan.ts'
import { addPortElements, removePortElements, portGuard, SEGMENTS_TABLE } from './port-guard.ts'

export interface SegmentsOptions {
  readonly run: Run
  readonly logger: Logger
  /** This node's name. */
  readonly node: string
  /** Path of the network namespace that holds the bridges; the agent's own if undefined. */
  readonly netns?: string | undefined
  /** UDP port of VXLAN, the same on every node. */
  readonly vxlanPort: number
  /** Bytes of a pod's packet; worked out if undefined. */
  readonly mtu?: number | undefined
  /** The node's own address. */
  readonly address?: string | undefined
  /** Guards the devices, and does before there are any. */
  readonly overlayGuard?: OverlayGuard | undefined
}

export class Segments implements NetworkReconciler, PodSegments {
  readonly name = 'segments'
  readonly confirmsRevision = false
  readonly #options: SegmentsOptions
  readonly #inNode: NodeCommands
  /** By pod. */
  readonly #held = new Map<string, readonly SecondaryInterface[]>()
  /** Of pods that are gone, and are still in the table. */
  readonly #gone = new Map<string, readonly SecondaryInterface[]>()
  #guarded = false
  /** In the kernel. */
  readonly #made = new Map<string, Segment>()
  /** Networks as they are, by "namespace/name". */
  #wanted: ReadonlyMap<string, Segment> = new Map()
  #known: ReadonlySet<string> = new Set()
  /** For other Networks. */
  readonly #waiting = new ConditionVariable()
  #turn: Promise<unknown> = Promise.resolve()
  #swept = false
  #mtu: number | undefined

  constructor(options: SegmentsOptions) {
    this.#options = options
    this.#inNode = nodeCommands(options.run, options.netns)
  }

  adopt(known: ReadonlyMap<string, readonly SecondaryInterface[]>): void {
    for (const [id, interfaces] of known) this.#held.set(id, interfaces)
  }

  async apply(view: NetworkView, { complete, keys }: NetworkChange): Promise<void> {
    if (!complete && ![...keys].some((key) => /^(?:Network|PeerNode)\//.test(key))) return
    const networks = view.objects('Network')
    this.#known = new Set(networks.keys())
    this.#wanted = segmentsOf(networks, view.entries('peer').values(), this.#options.node)
    await this.#options.overlayGuard?.ready(view)
    await this.#inTurn(async () => {
      if ((complete || !this.#guarded) && this.#wanted.size + this.#held.size > 0) await this.#guard()
      if (!this.#swept) await this.#sweep()
      for (const segment of this.#wanted.values()) await this.#make(segment)
      for (const [key, segment] of this.#made) if (!this.#wanted.has(key)) await this.#remove(key, segment)
    })
    this.#waiting.broadcast()
  }

  tables(): readonly string[] {
    return this.#guarded ? [`bridge ${SEGMENTS_TABLE}`] : []
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }

  async attach(
    id: string,
    netns: string,
    namespace: string,
    requests: readonly PodNetworkRequest[],
    signal: AbortSignal,
  ): Promise<readonly SecondaryInterface[]> {
    const before = this.#held.get(id)
    if (before !== undefined) return before
    if (requests.length === 0) return []
    for (const { network } of requests) await this.#ready(`${namespace}/${network}`, signal)
    return this.#inTurn(async () => {
      signal.throwIfAborted()
      const interfaces = requests.map(({ network, interface: inside }) => ({
        network: `${namespace}/${network}`,
        interface: inside,
        addresses: this.#choose(`${namespace}/${network}`),
        mac: segmentMac(id, inside),
      }))
      const { netns: own } = this.#options
      const mtu = await this.#podMtu()
      const ports = interfaces.map(({ network, interface: inside, addresses, mac }) => ({
        segment: this.#made.get(network)!,
        port: portName(id, inside),
        inside,
        mac,
        addresses,
        mtu,
        nodeNetns: own ?? `/proc/${process.pid}/ns/net`,
      }))
      this.#held.set(id, interfaces)
      try {
        await this.#inNode.nft(nft.join(removePortElements(this.#gone), addPortElements([[id, interfaces]])))
        this.#gone.clear()
        // A pod on two networks joins them only if it says so (securityContext.sysctls); the namespace may have
        // inherited it from the node's.
        const prepared = sh.lines(
          sh`echo 0 > /proc/sys/net/ipv4/ip_forward`,
          ...ports.map(({ inside }) => sh`ip link del ${inside} 2>/dev/null`),
          sh`exec ip -batch -`,
        )
        await this.#options.run('nsenter', [`--net=${netns}`, 'sh', '-c', prepared.text], {
          stdin: ip.join(...ports.map(podInterfaceCommands)).text,
        })
        await this.#ip(ip.join(...ports.map(nodePortCommands)))
      } catch (thrown) {
        this.#held.delete(id)
        throw thrown
      }
      return interfaces
    })
  }

  async leaveCluster(netns: string): Promise<void> {
    await nodeCommands(this.#options.run, netns).ipBatch(ip.lines(ip`addr flush dev eth0`, ip`link set eth0 down`))
  }

  detach(id: string): void {
    const interfaces = this.#held.get(id)
    // Its port goes with its namespace; what is said of that port goes with the next that comes.
    if (interfaces !== undefined) this.#gone.set(id, interfaces)
    this.#held.delete(id)
  }

  async #guard(): Promise<void> {
    this.#guarded = false
    await this.#inNode.nft(portGuard(this.#held))
    this.#gone.clear()
    this.#guarded = true
  }

  async #ready(key: string, signal: AbortSignal): Promise<void> {
    while (!this.#made.has(key)) {
      if (this.#swept && !this.#known.has(key))
        throw new GantryError('NotFound', `there is no Network ${key}`, {
          details: [
            {
              remedy:
                'make it, or take it out of the annotation gantry.dev/networks; the pod starts as soon as it is there',
            },
          ],
        })
      await this.#waiting.wait(signal)
    }
  }

  #choose(key: string): string[] {
    const segment = this.#made.get(key)
    if (segment === undefined) throw new GantryError('Unavailable', `Network ${key} has just been taken from this node`)
    const used = new Set(
      [...this.#held.values()].flat().flatMap(({ network, addresses }) => (network === key ? addresses : [])),
    )
    return [...new Set(segment.ranges.map(familyOf))].map((family) => {
      const address = freeAddresses(segment, family, used).next().value
      if (address === undefined)
        throw new GantryError(
          'ResourceExhausted',
          `no address is free for this node in Network ${key} (${segment.blocks.join(', ')})`,
        )
      return address
    })
  }

  async #make(segment: Segment): Promise<void> {
    const before = this.#made.get(segment.key)
    const mtu = await this.#podMtu()
    if (before?.local !== segment.local || before.vni !== segment.vni) {
      // The device cannot change where its frames leave from: it is made anew, the bridge and pods' ports stay.
      const local = await this.#localOf(segment)
      if (local !== undefined && local !== segment.local)
        await this.#inNode('ip', ['link', 'del', vxlanName(segment.vni)])
      const links = await this.#links()
      await this.#ip(makeSegment(segment, mtu, this.#options.vxlanPort, links))
    }
    const present = await this.#forwarding(segment)
    const add = segment.remotes.filter(
      (remote) => !present.some(({ mac, dst }) => mac === DEFAULT_FDB_MAC && dst === remote),
    )
    // Also what was learned from a node that is not on the network any more, or has another address now.
    const remove = present.filter(({ dst }) => !segment.remotes.includes(dst))
    if (add.length + remove.length > 0) await this.#inNode.bridgeBatch(fdbCommands(segment, add, remove))
    this.#made.set(segment.key, segment)
  }

  /**
   * Where frames leave from now; undefined without a device. It may be of an earlier run of the agent, when the node
   * had another address.
   */
  async #localOf({ vni }: Segment): Promise<string | undefined> {
    const { code, stdout } = await this.#inNode(
      'ip',
      ['-json', '-details', 'link', 'show', 'dev', vxlanName(vni)],
      [0, 1],
    )
    if (code !== 0) return undefined
    const [link] = readJson<{ linkinfo?: { info_data?: { local?: string; local6?: string } } }>(stdout)
    const { local, local6 } = link?.linkinfo?.info_data ?? {}
    return local ?? local6 ?? ''
  }

  async #forwarding({ vni }: Segment): Promise<SegmentFdbEntry[]> {
    const { stdout } = await this.#inNode('bridge', ['-json', 'fdb', 'show', 'dev', vxlanName(vni)])
    return readJson<{ mac?: string; dst?: string }>(stdout).flatMap(({ mac, dst }) =>
      mac !== undefined && dst !== undefined ? [{ mac, dst }] : [],
    )
  }

  async #remove(key: string, { vni }: Segment): Promise<void> {
    this.#made.delete(key)
    await this.#inNode.ipBatch(
      ip.lines(ip`link del ${vxlanName(vni)}`, ip`link del ${bridgeName(vni)}`),
      ['-force'],
      [0, 1],
    )
  }

  /** Segments of the run before that are no longer wanted. */
  async #sweep(): Promise<void> {
    const wanted = new Set([...this.#wanted.values()].map(({ vni }) => vni))
    const stray = (await this.#links()).filter((link) => {
      const vni = vniOf(link)
      return vni !== undefined && !wanted.has(vni)
    })
    if (stray.length > 0) await this.#ip(ip.lines(...stray.map((link) => ip`link del ${link}`)))
    this.#swept = true
  }

  async #podMtu(): Promise<number> {
    const { mtu, run, netns, address } = this.#options
    return (this.#mtu ??= mtu ?? (await findPodMtu(nodeCommands(run, netns), address)))
  }

  async #links(): Promise<string[]> {
    const { stdout } = await this.#inNode('ip', ['-json', 'link', 'show'])
    return readJson<{ ifname: string }>(stdout).map(({ ifname }) => ifname)
  }

  async #ip(batch: IpText): Promise<void> {
    if (batch.text !== '') await this.#inNode.ipBatch(batch)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = Promise.allSettled([turn])
    return turn
  }
}
