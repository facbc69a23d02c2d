/** Ports of the node that lead to pods: who has which, and the nftables table that translates them (nft(8)). */
import { familyOf, readAddress } from '../../proto/base/cidr.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { nft, type NftText } from '../host/program-text.ts'
import { PORT_PREFIX } from './commands.ts'
import type { Attachment, HostPort } from './contract.ts'
import { deleteTables } from './firewall.ts'
import type { NodeCommands } from './node-commands.ts'

export const HOST_PORTS_TABLE = 'gantry_hostports'

/** "All of the node's addresses", of one family. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

type Claimant = Pick<Attachment, 'addresses' | 'hostPorts'>

/**
 * A packet to the node's address is looked up in two maps (by address, by port alone), so that it costs the same
 * however many there are; a pod that comes or goes adds or removes its elements. Answers find their way back by
 * connection tracking. A pod that calls itself through the node's port, and the node that calls from 127.0.0.1, are
 * seen with the gateway's address: the answer would not come back otherwise.
 */
export class HostPorts {
  readonly #node: NodeCommands
  /** "TCP 80" → address of the node, or '' for all → id of who has it. */
  readonly #owners = new Map<string, Map<string, string>>()

  constructor(node: NodeCommands) {
    this.#node = node
  }

  /** The whole table in one transaction, for the pods that live on. */
  async start(pods: ReadonlyMap<string, Claimant>): Promise<void> {
    this.#owners.clear()
    for (const [id, { hostPorts = [] }] of pods) this.reserve(id, hostPorts)
    await this.#node.nft(nft.join(table(), ...[...pods.values()].flatMap((pod) => elements(pod).map(add))))
  }

  /** Takes ports for a pod, before it has an address. Conflict if another has one of them; then none is taken. */
  reserve(id: string, ports: readonly HostPort[]): void {
    for (const port of ports) {
      const owners = this.#owners.get(key(port))
      const taken = [...(owners ?? [])].find(([address, owner]) => owner !== id && overlaps(address, hostAddress(port)))
      if (taken !== undefined) {
        const [address, owner] = taken
        throw new GantryError(
          'Conflict',
          `host port ${port.hostPort}/${port.protocol}${address === '' ? '' : ` of ${address}`} is that of pod ${owner}`,
          {
            details: [
              {
                field: 'hostPort',
                value: String(port.hostPort),
                remedy: 'let the pod run on another node, or give it another host port',
              },
            ],
          },
        )
      }
    }
    for (const port of ports) {
      let owners = this.#owners.get(key(port))
      if (owners === undefined) this.#owners.set(key(port), (owners = new Map()))
      owners.set(hostAddress(port), id)
    }
  }

  /** The kernel follows. */
  async open(pod: Claimant): Promise<void> {
    if ((pod.hostPorts ?? []).length === 0) return
    await this.#node.nft(nft.join(...elements(pod).map(add)))
    await this.#forgetFlows(pod)
  }

  /**
   * The kernel follows, whether it knew of them or not. The ports stay the pods' until `release`: until nothing of it
   * is left, the next run of the agent may find it.
   */
  async close(pods: readonly Claimant[]): Promise<void> {
    const commands = pods
      .flatMap(elements)
      .map((element) => nft`${add(element)}delete element inet ${HOST_PORTS_TABLE} ${element.set} { ${element.key} }\n`)
    if (commands.length === 0) return
    await this.#node.nft(nft.join(...commands))
    for (const pod of pods) await this.#forgetFlows(pod)
  }

  /** The ports are free again. */
  release(id: string): void {
    for (const [key, owners] of this.#owners) {
      for (const [address, owner] of owners) if (owner === id) owners.delete(address)
      if (owners.size === 0) this.#owners.delete(key)
    }
  }

  async remove(): Promise<void> {
    await this.#node.nft(deleteTables(nft`inet ${HOST_PORTS_TABLE}`))
  }

  /**
   * A client that goes on sending UDP from one port would for ever go where its first packet went. conntrack(8) answers
   * 1 if there is nothing to delete.
   */
  async #forgetFlows({ addresses, hostPorts = [] }: Claimant): Promise<void> {
    const families = new Set(addresses.map(familyOf))
    for (const { protocol, hostPort } of hostPorts) {
      if (protocol !== 'UDP') continue
      for (const family of families)
        await this.#node(
          'conntrack',
          ['-D', '-f', family === 4 ? 'ipv4' : 'ipv6', '-p', 'udp', '--orig-port-dst', String(hostPort)],
          [0, 1],
        )
    }
  }
}

function key({ protocol, hostPort }: HostPort): string {
  return `${protocol} ${hostPort}`
}

/** '' for all. */
function hostAddress({ hostIP }: HostPort): string {
  return hostIP === undefined || hostIP === '' ? '' : hostIP
}

function overlaps(a: string, b: string): boolean {
  if (a === '' || b === '') return true
  if (familyOf(a) !== familyOf(b)) return false
  return WILDCARDS.has(a) || WILDCARDS.has(b) || readAddress(a)?.value === readAddress(b)?.value
}

interface Element {
  readonly set: string
  readonly key: string
  /** Undefined in a set. */
  readonly value: string | undefined
}

function elements({ addresses, hostPorts = [] }: Claimant): Element[] {
  if (hostPorts.length === 0) return []
  return addresses.flatMap((address) => {
    const family = familyOf(address)
    const mapped = hostPorts.flatMap((port): Element[] => {
      const host = hostAddress(port)
      if (host !== '' && familyOf(host) !== family) return []
      const value = `${address} . ${port.containerPort}`
      const at = `${port.protocol.toLowerCase()} . ${port.hostPort}`
      return [
        host === '' || WILDCARDS.has(host)
          ? { set: `any${family}`, key: at, value }
          : { set: `one${family}`, key: `${host} . ${at}`, value },
      ]
    })
    return mapped.length === 0
      ? []
      : [...mapped, { set: `self${family}`, key: `${address} . ${address}`, value: undefined }]
  })
}

function add({ set, key: at, value }: Element): NftText {
  return nft`add element inet ${HOST_PORTS_TABLE} ${set} { ${at}${value === undefined ? nft`` : nft` : ${value}`} }\n`
}

function table(): NftText {
  const rules = (family: 4 | 6, ip: 'ip' | 'ip6'): NftText => nft`
    dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @one${family}
    meta nfproto ipv${family} dnat ${ip} to meta l4proto . th dport map @any${family}`
  const maps = (family: 4 | 6): NftText => nft`
  map one${family} { type ipv${family}_addr . inet_proto . inet_service : ipv${family}_addr . inet_service; }
  map any${family} { type inet_proto . inet_service : ipv${family}_addr . inet_service; }
  set self${family} { type ipv${family}_addr . ipv${family}_addr; }`
  return nft`${deleteTables(nft`inet ${HOST_PORTS_TABLE}`)}table inet ${HOST_PORTS_TABLE} {${maps(4)}${maps(6)}
  chain translate {${rules(4, 'ip')}${rules(6, 'ip6')}
  }
  chain prerouting {
    type nat hook prerouting priority dstnat + 1; policy accept;
    meta l4proto { tcp, udp, sctp } fib daddr type local jump translate
  }
  chain output {
    type nat hook output priority -99; policy accept;
    meta l4proto { tcp, udp, sctp } fib daddr type local jump translate
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "${PORT_PREFIX}*" accept
    ip saddr . ip daddr @self4 masquerade
    ip6 saddr . ip6 daddr @self6 masquerade
    ip saddr 127.0.0.0/8 masquerade
  }
}
`
}
