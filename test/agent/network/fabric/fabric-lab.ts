/** Nodes as network namespaces: on a switch, and behind a router. All traffic stays in them. */
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RoutedNetwork } from '../../../../agent/network/routed-network.ts'
import { ClusterView } from '../../../../agent/network/cluster-view.ts'
import type { Attachment, NodeRanges } from '../../../../agent/network/contract.ts'
import { Fabric } from '../../../../agent/network/fabric/fabric.ts'
import { OverlayGuard } from '../../../../agent/network/overlay-guard/overlay-guard.ts'
import type { Overlay } from '../../../../agent/network/fabric/fabric-plan.ts'
import { run } from '../../../../proto/base/command.ts'
import { systemClock } from '../../../../proto/base/clock.ts'
import { silentLogger } from '../../../../proto/base/logger.ts'
import type { NetworkUpdate, PeerNode } from '../../../../proto/gen/types.ts'
import { NetnsPeer } from './netns-peer.ts'

const DUAL = ['10.244.0.0/16', 'fd00:10:244::/48']

export interface LabNodeOptions {
  readonly number: number
  /** On the switch, or on a link of its own with the router. */
  readonly place: 'switch' | 'router'
  readonly overlay?: Overlay
  readonly clusterCidrs?: readonly string[]
  /** Only an IPv6 address outside. */
  readonly underlay?: 4 | 6
}

type Result = Awaited<ReturnType<typeof run>>

export class FabricLab {
  readonly directory: string
  readonly nodes = new Map<string, LabNode>()
  readonly #talkers: NetnsPeer[] = []
  #revision = 0

  private constructor(directory: string) {
    this.directory = directory
  }

  /** A switch, and a router that is on it. */
  static async make(): Promise<FabricLab> {
    const lab = new FabricLab(await mkdtemp(join(tmpdir(), 'gantry-fabric-')))
    await lab.namespace('switch')
    await lab.namespace('router')
    await lab.ip(
      'switch',
      'link add sw0 type bridge',
      'link set sw0 up',
      `link add router type veth peer name up0 netns ${lab.pin('router')}`,
      'link set router master sw0',
      'link set router up',
    )
    await lab.ip('router', 'addr add 192.0.2.254/24 dev up0', 'addr add fd00:2::fe/64 dev up0 nodad', 'link set up0 up')
    await lab.in(
      'router',
      'sh',
      '-c',
      'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
    )
    return lab
  }

  pin(name: string): string {
    return join(this.directory, name)
  }

  async namespace(name: string): Promise<void> {
    await (await open(this.pin(name), 'a')).close()
    // Link-local addresses are good at once: nothing is to be waited for.
    await run('unshare', [
      `--net=${this.pin(name)}`,
      '--',
      'sh',
      '-c',
      'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; ip link set lo up',
    ])
  }

  /** `name`: of a namespace of the lab, or a path. */
  in(name: string, program: string, ...args: string[]): Promise<Result> {
    return run('nsenter', [`--net=${name.startsWith('/') ? name : this.pin(name)}`, '--', program, ...args], {
      timeout: 15_000,
      allow: [0, 1],
    })
  }

  async ip(name: string, ...lines: string[]): Promise<void> {
    await run('nsenter', [`--net=${this.pin(name)}`, '--', 'ip', '-batch', '-'], {
      stdin: lines.map((line) => `${line}\n`).join(''),
    })
  }

  async node(options: LabNodeOptions): Promise<LabNode> {
    const { number, place, underlay = 4 } = options
    const name = `n${number}`
    await this.namespace(name)
    if (place === 'switch') {
      await this.ip(
        'switch',
        `link add ${name} type veth peer name up0 netns ${this.pin(name)}`,
        `link set ${name} master sw0`,
        `link set ${name} up`,
      )
      await this.ip(
        name,
        'link set up0 up',
        ...(underlay === 4 ? [`addr add 192.0.2.${number}/24 dev up0`, 'route add default via 192.0.2.254'] : []),
        `addr add fd00:2::${number}/64 dev up0 nodad`,
        'route add default via fd00:2::fe',
      )
    } else {
      await this.ip(
        'router',
        `link add ${name} type veth peer name up0 netns ${this.pin(name)}`,
        `addr add 198.51.100.254/24 dev ${name}`,
        `addr add fd00:3::fe/64 dev ${name} nodad`,
        `link set ${name} up`,
      )
      await this.ip(
        name,
        'link set up0 up',
        ...(underlay === 4 ? [`addr add 198.51.100.${number}/24 dev up0`, 'route add default via 198.51.100.254'] : []),
        `addr add fd00:3::${number}/64 dev up0 nodad`,
        'route add default via fd00:3::fe',
      )
    }
    const address =
      underlay === 6
        ? `fd00:${place === 'switch' ? 2 : 3}::${number}`
        : place === 'switch'
          ? `192.0.2.${number}`
          : `198.51.100.${number}`
    const node = new LabNode(this, name, options, [address])
    this.nodes.set(name, node)
    await node.start()
    return node
  }

  /** Every node follows what they all are now. */
  async follow(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.follow()))
  }

  update(nodes: readonly LabNode[] = [...this.nodes.values()]): NetworkUpdate {
    const set = nodes.map((node) => ({
      key: `PeerNode/${node.name}`,
      entry: { case: 'peer' as const, value: node.peer },
    }))
    return { complete: true, sequence: 1, revision: ++this.#revision, set, removed: [], more: false }
  }

  /** `name`: of a namespace of the lab, or a path. */
  talker(name: string): NetnsPeer {
    const talker = new NetnsPeer(name.startsWith('/') ? name : this.pin(name))
    this.#talkers.push(talker)
    return talker
  }

  /** True if it answers within two seconds. `size`: bytes of the whole packet, which is not to be cut. */
  async reaches(from: string, address: string, size?: number): Promise<boolean> {
    const headers = address.includes(':') ? 48 : 28
    return (
      (
        await this.in(
          from,
          'ping',
          '-n',
          '-c',
          '1',
          '-W',
          '2',
          ...(size === undefined ? [] : ['-M', 'do', '-s', String(size - headers)]),
          address,
        )
      ).code === 0
    )
  }

  async remove(): Promise<void> {
    await Promise.all(this.#talkers.map((talker) => talker.stop()))
    for (const node of this.nodes.values()) await node.stop()
    const pins = (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((point) => point.startsWith(`${this.directory}/`))
    if (pins.length > 0) await run('umount', pins)
    await rm(this.directory, { recursive: true })
  }
}

export class LabNode {
  readonly lab: FabricLab
  readonly name: string
  readonly ranges: NodeRanges
  readonly #options: LabNodeOptions
  #addresses: readonly string[]
  readonly pods = new Map<string, Attachment>()
  network!: RoutedNetwork
  fabric!: Fabric
  overlayGuard!: OverlayGuard

  constructor(lab: FabricLab, name: string, options: LabNodeOptions, addresses: readonly string[]) {
    this.lab = lab
    this.name = name
    this.#options = options
    this.#addresses = addresses
    const clusterCidrs = options.clusterCidrs ?? DUAL
    const own = { 4: `10.244.${options.number}.0/24`, 6: `fd00:10:244:${options.number}::/64` }
    this.ranges = {
      podCidrs: clusterCidrs.map((cidr) => own[cidr.includes(':') ? 6 : 4]),
      cluster: { podCidrs: clusterCidrs, serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' },
    }
  }

  get peer(): PeerNode {
    return {
      name: this.name,
      addresses: [...this.#addresses],
      podCidrs: [...this.ranges.podCidrs],
      labels: {},
      present: true,
    }
  }

  get address(): string {
    return this.#addresses[0]!
  }

  /** As after a start of the agent. */
  async start(): Promise<void> {
    const netns = this.lab.pin(this.name)
    this.network = new RoutedNetwork({
      stateDir: this.lab.pin(`${this.name}-state`),
      logger: silentLogger,
      clock: systemClock,
      netns,
      prepared: 0,
      address: this.address,
    })
    this.overlayGuard = new OverlayGuard({ node: this.name, run, netns })
    this.fabric = new Fabric({
      node: this.name,
      run,
      logger: silentLogger,
      clock: systemClock,
      netns,
      overlay: this.#options.overlay ?? 'auto',
      overlayGuard: this.overlayGuard,
    })
    await this.network.start(this.ranges, this.pods)
  }

  async pod(id: string, request?: Parameters<RoutedNetwork['attach']>[1]): Promise<Attachment> {
    const attachment = await this.network.attach(id, request)
    this.pods.set(id, attachment)
    return attachment
  }

  async follow(update = this.lab.update()): Promise<void> {
    const view = new ClusterView(this.ranges)
    const change = { complete: true, keys: view.update([update]) }
    await this.overlayGuard.apply(view, change)
    await this.fabric.apply(view, change)
  }

  /** The machine has another address, and says so. */
  async readdress(address: string, ...lines: string[]): Promise<void> {
    await this.lab.ip(this.name, ...lines)
    this.#addresses = [address]
  }

  async stop(): Promise<void> {
    await this.fabric.stop()
    await this.network.stop()
  }
}
