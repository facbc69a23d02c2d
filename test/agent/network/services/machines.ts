/**
 * A small network for packet tests, of namespaces: a node with two pods, a node elsewhere with one, and a client
 * outside.
 *
 *   pod-a 10.1.1.2 ──┐                        ┌── 192.168.78.2  n2 with pod-c 10.1.2.2 (knows no way to the client)
 *   pod-b 10.1.1.3 ──┤ 10.1.1.1  n1 ──────────┤
 *                                             └── 192.168.77.2  client (knows no way to pods)
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { run } from '../../../../proto/base/command.ts'

export interface Answer {
  readonly answer?: string
  readonly error?: string
}

interface Question {
  readonly host: string
  readonly port: number
  readonly timeout?: number
  /** Keeps the connection under this name. */
  readonly hold?: string
  readonly source?: string
  readonly sourcePort?: number
}

export class Machine {
  readonly netns: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (result: unknown) => void>()
  #count = 0

  private constructor(netns: string, child: ChildProcess) {
    this.netns = netns
    this.#child = child
    child.on('message', ({ id, result }: { id: number; result: unknown }) => this.#waiting.get(id)?.(result))
  }

  static async start(netns: string, name: string): Promise<Machine> {
    const program = fileURLToPath(new URL('machine.mjs', import.meta.url))
    const child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, program, name], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await once(child, 'message')
    return new Machine(netns, child)
  }

  async tcp(request: Question): Promise<Answer> {
    return (await this.#ask('tcp', request)) as Answer
  }

  async udp(request: Question): Promise<Answer> {
    return (await this.#ask('udp', request)) as Answer
  }

  /** On a TCP connection that is held. */
  async again(hold: string): Promise<Answer> {
    return (await this.#ask('again', { hold })) as Answer
  }

  /** How often each answered. */
  async many(request: Question & { readonly count: number }): Promise<Record<string, number>> {
    return (await this.#ask('many', request)) as Record<string, number>
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }

  #ask(operation: string, request: object): Promise<unknown> {
    const id = ++this.#count
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#child.send({ id, operation, request })
    })
  }
}

export const ADDRESSES = {
  podA: ['10.1.1.2', 'fd01:0:0:1::2'],
  podB: ['10.1.1.3', 'fd01:0:0:1::3'],
  podC: ['10.1.2.2', 'fd01:0:0:2::2'],
  node: ['192.168.77.1', 'fd77::1'],
  nodeElsewhere: ['192.168.78.2', 'fd78::2'],
  client: ['192.168.77.2', 'fd77::2'],
} as const

export class Machines {
  readonly podA: Machine
  readonly podB: Machine
  readonly podC: Machine
  readonly node: Machine
  readonly client: Machine
  readonly #names: readonly string[]

  private constructor(names: readonly string[], machines: readonly Machine[]) {
    this.#names = names
    ;[this.node, this.podA, this.podB, this.podC, this.client] = machines as [
      Machine,
      Machine,
      Machine,
      Machine,
      Machine,
    ]
  }

  static async start(): Promise<Machines> {
    const prefix = `gsvc${process.pid}`
    const name = (of: string): string => `${prefix}-${of}`
    const all = ['n1', 'a', 'b', 'c', 'out'].map(name)
    const links: string[] = []
    for (const machine of all) links.push(`netns add ${machine}`)
    const pair = (other: string, near: readonly string[], far: readonly string[]): void =>
      void links.push(
        `-n ${name('n1')} link add to-${other} type veth peer name eth0 netns ${name(other)}`,
        ...near.map(
          (address) => `-n ${name('n1')} addr add ${address} dev to-${other}${address.includes(':') ? ' nodad' : ''}`,
        ),
        ...far.map(
          (address) => `-n ${name(other)} addr add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`,
        ),
        `-n ${name('n1')} link set to-${other} up`,
        `-n ${name(other)} link set eth0 up`,
        `-n ${name(other)} link set lo up`,
      )
    links.push(`-n ${name('n1')} link set lo up`)
    for (const [pod, addresses] of [
      ['a', ADDRESSES.podA],
      ['b', ADDRESSES.podB],
    ] as const) {
      pair(pod, ['10.1.1.1/32', 'fd01:0:0:1::1/128'], [`${addresses[0]}/32`, `${addresses[1]}/128`])
      links.push(
        `-n ${name('n1')} route add ${addresses[0]}/32 dev to-${pod}`,
        `-n ${name('n1')} -6 route add ${addresses[1]}/128 dev to-${pod}`,
        `-n ${name(pod)} route add default via 10.1.1.1 dev eth0 onlink`,
        `-n ${name(pod)} -6 route add default via fd01:0:0:1::1 dev eth0 onlink`,
      )
    }
    pair('c', ['192.168.78.1/24', 'fd78::1/64'], ['192.168.78.2/24', 'fd78::2/64'])
    links.push(
      `-n ${name('c')} addr add ${ADDRESSES.podC[0]}/32 dev lo`,
      `-n ${name('c')} addr add ${ADDRESSES.podC[1]}/128 dev lo nodad`,
      `-n ${name('c')} route add 10.1.1.0/24 via 192.168.78.1 src ${ADDRESSES.podC[0]}`,
      `-n ${name('c')} -6 route add fd01:0:0:1::/64 via fd78::1 src ${ADDRESSES.podC[1]}`,
      `-n ${name('n1')} route add 10.1.2.0/24 via 192.168.78.2`,
      `-n ${name('n1')} -6 route add fd01:0:0:2::/64 via fd78::2`,
    )
    pair('out', ['192.168.77.1/24', 'fd77::1/64'], ['192.168.77.2/24', '192.168.77.9/24', 'fd77::2/64'])
    links.push(
      `-n ${name('out')} route add 10.96.0.0/16 via 192.168.77.1`,
      `-n ${name('out')} route add 203.0.113.0/24 via 192.168.77.1`,
    )
    try {
      for (const line of links) await run('ip', line.split(' '))
      await run('nsenter', [
        `--net=/run/netns/${name('n1')}`,
        '--',
        'sh',
        '-c',
        'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit',
      ])
      const machines = await Promise.all(
        all.map((netns, index) =>
          Machine.start(`/run/netns/${netns}`, ['n1', 'pod-a', 'pod-b', 'pod-c', 'client'][index]!),
        ),
      )
      return new Machines(all, machines)
    } catch (thrown) {
      for (const netns of all) await run('ip', ['netns', 'del', netns], { allow: [0, 1] })
      throw thrown
    }
  }

  /** Runs a program on the node. */
  async onNode(program: string, ...args: string[]): Promise<string> {
    return (await run('nsenter', [`--net=${this.node.netns}`, '--', program, ...args])).stdout
  }

  async stop(): Promise<void> {
    for (const machine of [this.node, this.podA, this.podB, this.podC, this.client]) await machine.stop()
    for (const netns of this.#names) await run('ip', ['netns', 'del', netns])
  }
}
