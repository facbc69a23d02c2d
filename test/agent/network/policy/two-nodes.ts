/**
 * Two nodes with pods, in network namespaces: pods reach everything through their node's forwarding, as in the real
 * network; no bridge, no overlay.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { run } from '../../../../proto/base/command.ts'

const PEER = join(import.meta.dirname, 'pod-peer.mjs')

export interface PeerLocation {
  readonly node: 'a' | 'b'
  readonly addresses: readonly [string, string]
}

/** A machine outside of the cluster, behind node a. */
export const OUTSIDE = { addresses: ['198.51.100.7', '2001:db8::7'] } as const

export class Peer {
  readonly addresses: readonly [string, string]
  readonly #child: ChildProcess
  readonly #waiting = new Map<
    number,
    { readonly resolve: (result: never) => void; readonly reject: (error: Error) => void }
  >()
  #count = 0

  constructor(netns: string, addresses: readonly [string, string]) {
    this.addresses = addresses
    this.#child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, PEER], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const { id, result, error } = JSON.parse(line) as { id: number; result: never; error?: string }
      const waiting = this.#waiting.get(id)!
      this.#waiting.delete(id)
      if (error === undefined) waiting.resolve(result)
      else waiting.reject(new Error(error))
    })
  }

  ask<T>(action: string, words: object = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#count, { resolve, reject })
      this.#child.stdin!.write(`${JSON.stringify({ id: this.#count, action, ...words })}\n`)
    })
  }

  tcp(address: string, port: number, hold?: string): Promise<string> {
    return this.ask('tcp', { address, port, hold })
  }

  udp(address: string, port: number): Promise<string> {
    return this.ask('udp', { address, port })
  }

  /** What has arrived so far, e.g. "TCP/80": 1. */
  async arrived(key: string): Promise<number> {
    return (await this.ask<Record<string, number>>('counts'))[key] ?? 0
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.stdin!.end()
    await exit
  }
}

export class TwoNodes {
  readonly #directory: string
  readonly #peers: Peer[] = []
  readonly #pins: string[] = []
  #pods = 0

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async make(): Promise<TwoNodes> {
    const world = new TwoNodes(await mkdtemp(join(tmpdir(), 'gantry-policy-')))
    try {
      await world.#lay()
      return world
    } catch (error) {
      await world.remove()
      throw error
    }
  }

  async #lay(): Promise<void> {
    for (const name of ['a', 'b', 'outside']) await this.#namespace(name)
    // A kernel says only so often that something is refused: here everything that is must hear of it.
    const forwarding =
      'for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do echo 1 > $f; done; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit; echo 0 > /proc/sys/net/ipv6/icmp/ratelimit; for f in icmp_msgs_per_sec icmp_msgs_burst; do [ ! -w /proc/sys/net/ipv4/$f ] || echo 100000 > /proc/sys/net/ipv4/$f; done'
    for (const name of ['a', 'b']) await this.in(name, 'sh', ['-c', forwarding])
    await this.#ip(
      'a',
      `link add mesh type veth peer name mesh netns ${this.netns('b')}`,
      `link add wan type veth peer name eth0 netns ${this.netns('outside')}`,
    )
    await this.#ip(
      'a',
      'link set mesh up',
      'addr add 192.0.2.1/24 dev mesh',
      'addr add fd00:ff::1/64 dev mesh nodad',
      'route add 10.9.2.0/24 via 192.0.2.2',
      '-6 route add fd00:9:2::/48 via fd00:ff::2',
      'link set wan up',
      'addr add 198.51.100.1/24 dev wan',
      'addr add 2001:db8::1/64 dev wan nodad',
    )
    await this.#ip(
      'b',
      'link set mesh up',
      'addr add 192.0.2.2/24 dev mesh',
      'addr add fd00:ff::2/64 dev mesh nodad',
      'route add default via 192.0.2.1',
      '-6 route add default via fd00:ff::1',
    )
    await this.#ip(
      'outside',
      'link set eth0 up',
      'addr add 198.51.100.7/24 dev eth0',
      'addr add 2001:db8::7/64 dev eth0 nodad',
      'route add default via 198.51.100.1',
      '-6 route add default via 2001:db8::1',
    )
  }

  netns(name: string): string {
    return join(this.#directory, name)
  }

  /** A pod with its peer, which listens on the ports. */
  async pod(
    { node, addresses }: PeerLocation,
    listen: { readonly tcp: readonly number[]; readonly udp: readonly number[] },
  ): Promise<Peer> {
    const name = `pod${++this.#pods}`
    await this.#namespace(name)
    const [v4, v6] = addresses
    await this.#ip(
      node,
      `link add ${name} type veth peer name eth0 netns ${this.netns(name)}`,
      `link set ${name} up`,
      `addr add 169.254.1.1/32 dev ${name}`,
      `addr add fe80::1/64 dev ${name} nodad`,
      `route add ${v4}/32 dev ${name}`,
      `-6 route add ${v6}/128 dev ${name}`,
    )
    await this.#ip(
      name,
      'link set eth0 up',
      `addr add ${v4}/32 dev eth0`,
      `addr add ${v6}/128 dev eth0 nodad`,
      'route add 169.254.1.1 dev eth0',
      'route add default via 169.254.1.1',
      '-6 route add default via fe80::1 dev eth0',
    )
    return this.peer(name, addresses, listen)
  }

  async peer(
    name: string,
    addresses: readonly [string, string],
    listen: { readonly tcp: readonly number[]; readonly udp: readonly number[] },
  ): Promise<Peer> {
    const peer = new Peer(this.netns(name), addresses)
    this.#peers.push(peer)
    await peer.ask('serve', listen)
    return peer
  }

  in(
    name: string,
    program: string,
    args: readonly string[],
    stdin?: string,
    allow: readonly number[] = [0],
  ): Promise<{ code: number; stdout: string }> {
    return run('nsenter', [`--net=${this.netns(name)}`, '--', program, ...args], {
      allow,
      timeout: 20_000,
      ...(stdin === undefined ? {} : { stdin }),
    })
  }

  async remove(): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer.end()))
    if (this.#pins.length > 0) await run('umount', this.#pins)
    await rm(this.#directory, { recursive: true })
  }

  async #namespace(name: string): Promise<void> {
    await (await open(this.netns(name), 'a')).close()
    await run('unshare', [`--net=${this.netns(name)}`, '--', 'ip', 'link', 'set', 'lo', 'up'])
    this.#pins.push(this.netns(name))
  }

  async #ip(name: string, ...commands: readonly string[]): Promise<void> {
    // A family is a switch of the program, not of a line.
    for (const family of ['-4', '-6']) {
      const chosen = commands
        .filter((command) => command.startsWith('-6 ') === (family === '-6'))
        .map((command) => command.replace(/^-6 /, ''))
      if (chosen.length > 0)
        await this.in(name, 'ip', [...(family === '-6' ? ['-6'] : []), '-batch', '-'], `${chosen.join('\n')}\n`)
    }
  }
}
