/** The node's end of the pod network: the gateway, a port for each pod, and the rules for what passes. */
import type { Logger } from '../../proto/base/logger.ts'
import {
  addressGateway,
  deleteLinks,
  enableForwarding,
  GATEWAY,
  isPortName,
  joinPorts,
  leaveGateways,
  makeGateway,
  disableRouterAdvertisements,
  portName,
  portSettings,
  unreachableRoutes,
} from './commands.ts'
import {
  addPodElements,
  removePodElements,
  guardTable,
  GUARD_STANDBY_TABLE,
  GUARD_TABLE,
  masquerade,
  MASQUERADE_TABLE,
  deleteTables,
} from './firewall.ts'
import { ipCalls } from './netlink/ip-calls.ts'
import { nftCall } from './netlink/nft-calls.ts'
import { readJson, type NodeCommands } from './node-commands.ts'
import { ip, nft, sh } from '../host/program-text.ts'
import type { SystemCaller } from '../host/system-calls.ts'
import type { PodAddresses } from './pod-addresses.ts'

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly addr_info?: readonly { readonly scope: string; readonly local: string; readonly prefixlen: number }[]
}

export interface HostVethSettings {
  readonly addresses: PodAddresses
  readonly clusterCidrs: readonly string[]
  readonly mtu: number
  /** UDP port of the packets between nodes. */
  readonly vxlanPort: number
  /** Addresses of each pod that lives on, and those of them that are outside the node's ranges. */
  readonly pods: readonly (readonly string[])[]
  readonly foreign: readonly string[]
}

/** What a start found of pods that live on. */
export interface FoundVeths {
  /** Ports whose MTU is another one now. */
  readonly resized: readonly string[]
  /** First addresses of pods whose ports are not there. */
  readonly gone: ReadonlySet<string>
}

export class HostVeths {
  readonly #node: NodeCommands
  readonly #calls: SystemCaller
  readonly #logger: Logger
  /** One per family, once started. */
  #gateways: readonly string[] = []

  /** `node`, `calls`: where the node's network is. */
  constructor(node: NodeCommands, calls: SystemCaller, logger: Logger) {
    this.#node = node
    this.#calls = calls
    this.#logger = logger
  }

  /**
   * Makes everything, or makes what is there right: pods that live on are not disturbed. Ports that nobody knows are
   * removed.
   */
  async start({ addresses, clusterCidrs, mtu, vxlanPort, pods, foreign }: HostVethSettings): Promise<FoundVeths> {
    this.#gateways = addresses.pools.map(({ gateway }) => gateway)
    await this.#makeGateway(addresses, mtu)
    const ports = new Map((await this.#links()).map((link) => [link.ifname, link]))
    const living = pods.filter(([first]) => ports.has(portName(first!)))
    const gone = pods.filter((pod) => !living.includes(pod))
    for (const [address] of gone) this.#logger.warn({ address }, 'the interface of a living pod is gone')
    const known = new Set(living.map(([first]) => portName(first!)))
    const stray = [...ports.keys()].filter((name) => !known.has(name))
    const gateways = new Set(this.#gateways)
    const former = [...known].map((port) =>
      leaveGateways(
        port,
        globals(ports.get(port)!)
          .filter(({ local }) => !gateways.has(local))
          .map(withPrefix),
      ),
    )
    await this.#node.ipBatch(ip.join(deleteLinks(stray), joinPorts(living, this.#gateways), ...former))
    await this.#node.nft(guardTable(living, vxlanPort, GUARD_STANDBY_TABLE))
    // Tables of agents that had one for all, and that had a bridge: they would hide pods of this node from those of
    // others, and let nothing pass.
    await this.#node.nft(
      nft.join(
        deleteTables(nft`ip gantry`, nft`bridge gantry_guard`),
        guardTable(living, vxlanPort),
        masquerade(clusterCidrs, foreign, this.#gateways, vxlanPort),
      ),
    )
    await this.#node.nft(deleteTables(nft`inet ${GUARD_STANDBY_TABLE}`))
    await this.#node.sh(
      sh.lines(
        enableForwarding(new Set(addresses.pools.map(({ family }) => family))),
        disableRouterAdvertisements(GATEWAY),
        unreachableRoutes(addresses.pools.map(({ cidr }) => cidr)),
      ),
    )
    await this.#calls.make(portSettings(living))
    return {
      resized: [...known].filter((name) => ports.get(name)!.mtu !== mtu),
      gone: new Set(gone.map(([first]) => first!)),
    }
  }

  /** Pods whose interfaces have just been made. */
  async join(pods: readonly (readonly string[])[]): Promise<void> {
    await this.#calls.make([
      ...portSettings(pods),
      ...ipCalls(joinPorts(pods, this.#gateways)),
      // The kernel lets a pod send some time after its port is up. Nobody is in there yet.
      nftCall(addPodElements(pods)),
    ])
  }

  /** Their interfaces go, whether they are there or not. */
  async leave(pods: readonly (readonly string[])[]): Promise<void> {
    const links = ipCalls(deleteLinks(pods.map(([first]) => portName(first!))))
    const results = await this.#calls.makeEach([...links, nftCall(removePodElements(pods))])
    for (const [index, { errno, error }] of results.entries())
      if (error !== undefined && !(index < links.length && errno === 'ENODEV')) throw error
  }

  /** With no pod left nothing of the network is. */
  async remove(): Promise<void> {
    if ((await this.#node('ip', ['link', 'show', 'dev', GATEWAY], [0, 1])).code === 0)
      await this.#node.ipBatch(deleteLinks([GATEWAY]))
    await this.#node.sh(unreachableRoutes([]))
    await this.#node.nft(
      deleteTables(nft`inet ${GUARD_TABLE}`, nft`inet ${GUARD_STANDBY_TABLE}`, nft`inet ${MASQUERADE_TABLE}`),
    )
  }

  async #makeGateway(addresses: PodAddresses, mtu: number): Promise<void> {
    const shown = await this.#node('ip', ['-json', 'addr', 'show', 'dev', GATEWAY], [0, 1])
    const [link] = shown.code === 0 ? readJson<Link>(shown.stdout) : []
    const present = link === undefined ? [] : globals(link).map(withPrefix)
    const wanted = addresses.pools.map(({ family, gateway }) => `${gateway}/${family === 4 ? 32 : 128}`)
    const addressed = addressGateway(
      mtu,
      wanted.filter((address) => !present.includes(address)),
      present.filter((address) => !wanted.includes(address)),
    )
    await this.#node.ipBatch(link === undefined ? ip.join(makeGateway(mtu), addressed) : addressed)
  }

  /** Every interface that is a pod's, whatever it has. */
  async #links(): Promise<Link[]> {
    const { stdout } = await this.#node('ip', ['-json', 'addr', 'show', 'type', 'veth'])
    return readJson<Link>(stdout).filter(({ ifname }) => isPortName(ifname))
  }
}

type Address = NonNullable<Link['addr_info']>[number]

function globals({ addr_info: all = [] }: Link): Address[] {
  return all.filter(({ scope }) => scope === 'global')
}

function withPrefix({ local, prefixlen }: Address): string {
  return `${local}/${prefixlen}`
}
