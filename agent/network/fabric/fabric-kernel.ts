/** What the node's kernel has of the fabric, and the making of changes to it: ip(8) and bridge(8). */
import { familyOf } from '../../../proto/base/cidr.ts'
import { ip, sh, type ShellText } from '../../host/program-text.ts'
import { disableRouterAdvertisements, OVERLAY_DEVICES } from '../commands.ts'
import { readJson, type NodeCommands } from '../node-commands.ts'
import { ROUTE_PROTOCOL, type KernelFabric, type FabricCommands, type RouteLookup } from './fabric-plan.ts'

interface LinkJson {
  readonly ifname: string
  readonly mtu: number
  readonly address: string
  readonly flags: readonly string[]
  readonly linkinfo?: {
    readonly info_data?: {
      readonly id?: number
      readonly port?: number
      readonly local?: string
      readonly local6?: string
    }
  }
}

interface RouteJson {
  readonly type?: string
  readonly dst: string
  readonly gateway?: string
  readonly via?: unknown
  readonly dev?: string
}

interface NeighbourJson {
  readonly dst: string
  readonly lladdr?: string
}

interface ForwardingJson {
  readonly mac: string
  readonly dst?: string
}

const OVERLAY_DEVICE_NAMES: readonly string[] = Object.values(OVERLAY_DEVICES)

export class FabricKernel {
  readonly #node: NodeCommands

  constructor(node: NodeCommands) {
    this.#node = node
  }

  async read(): Promise<KernelFabric> {
    const [links, routes4, routes6] = await Promise.all([
      this.#node('ip', ['-json', '-details', 'link', 'show', 'type', 'vxlan']),
      this.#node('ip', ['-json', 'route', 'show', 'proto', String(ROUTE_PROTOCOL)]),
      // A kernel without IPv6 says so.
      this.#node('ip', ['-json', '-6', 'route', 'show', 'proto', String(ROUTE_PROTOCOL)], [0, 1, 2]),
    ])
    const devices = readJson<LinkJson>(links.stdout).filter(({ ifname }) => OVERLAY_DEVICE_NAMES.includes(ifname))
    const [neighbours, forwardings] = await Promise.all([
      this.#each<NeighbourJson>(devices, 'ip', (name) => ['-json', 'neigh', 'show', 'dev', name, 'nud', 'permanent']),
      this.#each<ForwardingJson>(devices, 'bridge', (name) => ['-json', 'fdb', 'show', 'dev', name]),
    ])
    return {
      devices: devices.map(({ ifname, mtu, address, flags, linkinfo }) => ({
        name: ifname,
        mac: address,
        mtu,
        up: flags.includes('UP'),
        vni: linkinfo?.info_data?.id ?? 0,
        port: linkinfo?.info_data?.port ?? 0,
        local: linkinfo?.info_data?.local6 ?? linkinfo?.info_data?.local,
      })),
      routes: [routes4, routes6]
        .flatMap(({ code, stdout }) => (code === 0 ? readJson<RouteJson>(stdout) : []))
        .map(({ dst, gateway = '', dev = '' }) => ({ to: withPrefix(dst), via: gateway, dev })),
      neighbours: neighbours.map(({ dev, item }) => ({ dev, address: item.dst, mac: item.lladdr ?? '' })),
      forwardings: forwardings.flatMap(({ dev, item }) =>
        item.dst === undefined ? [] : [{ dev, mac: item.mac, remote: item.dst }],
      ),
    }
  }

  /** How each address is reached; those that are not are left out. */
  async lookUpRoutes(addresses: readonly string[]): Promise<ReadonlyMap<string, RouteLookup>> {
    if (addresses.length === 0) return new Map()
    // -force: what one address fails with does not keep the others from being asked for. The exit code then tells of
    // it.
    const { stdout } = await this.#node.ipBatch(
      ip.lines(...addresses.map((address) => ip`route get ${address}`)),
      ['-force', '-json'],
      [0, 1, 2],
    )
    // One list a line.
    const answers = stdout.split('\n').flatMap((line) => readJson<RouteJson>(line))
    return new Map(
      answers.flatMap(({ type = 'unicast', dst, gateway, via, dev }): [string, RouteLookup][] =>
        dev !== undefined && (type === 'unicast' || type === 'local')
          ? [[dst, { dev, gateway: gateway !== undefined || via !== undefined, local: type === 'local' }]]
          : [],
      ),
    )
  }

  async apply({ devices, made, forwardings, routes }: FabricCommands): Promise<void> {
    if (devices.text !== '') await this.#node.ipBatch(devices)
    if (made.length > 0) await this.#node.sh(sh.lines(...made.map(settings)))
    if (forwardings.text !== '') await this.#node.bridgeBatch(forwardings)
    if (routes.text !== '') await this.#node.ipBatch(routes)
  }

  async #each<T>(
    devices: readonly LinkJson[],
    program: string,
    args: (name: string) => string[],
  ): Promise<{ dev: string; item: T }[]> {
    const shown = await Promise.all(
      devices.map(async ({ ifname }) =>
        readJson<T>((await this.#node(program, args(ifname))).stdout).map((item) => ({ dev: ifname, item })),
      ),
    )
    return shown.flat()
  }
}

/**
 * A pod's answer may come by the overlay although the node would go another way (RFC 3704, 2.4: a peer that has chosen
 * otherwise); no router is listened to.
 */
function settings(device: string): ShellText {
  return sh.lines(
    sh`echo 2 > /proc/sys/net/ipv4/conf/${device}/rp_filter`,
    sh`echo 0 > /proc/sys/net/ipv4/conf/${device}/send_redirects`,
    disableRouterAdvertisements(device),
  )
}

/** iproute2 leaves out the prefix of a single address. */
function withPrefix(range: string): string {
  return range.includes('/') ? range : `${range}/${familyOf(range) === 4 ? 32 : 128}`
}
