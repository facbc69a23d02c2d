/**
 * What the way between pods of two nodes costs: beside a VXLAN built by hand between two namespaces, in the same run
 * and in turns. And what a pod's namespace costs that was made ahead.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { DNS_ADDRESS, dnsFirewall } from '../../../agent/dns/node-link.ts'
import { RoutedNetwork } from '../../../agent/network/routed-network.ts'
import { ServiceProxy } from '../../../agent/network/services/service-proxy.ts'
import { Launcher } from '../../../agent/host/launcher.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { FabricLab } from '../../agent/network/fabric/fabric-lab.ts'
import { endpoint, port, TestView } from '../../agent/network/services/view.ts'
import { eventually } from '../../eventually.ts'
import { median, percentile, type Figure, type Floor } from '../figures.ts'

const ROUNDS = 7
/** Seconds of each throughput measurement. */
const SECONDS = 2
/** Round trips of each latency measurement, one after the other. */
const PINGS = 4_000
const ATTACHES = 60
const PORT = 5201

interface Lane {
  readonly name: string
  /** Paths or names of the namespaces at its ends, and the address of the second. */
  readonly from: string
  readonly to: string
  readonly address: string
}

/**
 * Two namespaces with a VXLAN device each, over the same link as nodes have; and a namespace behind each of them by a
 * veth pair, as pods are, with routes and nothing else: what a network of pods without Services, policies and guard
 * would have.
 */
async function lanesByHand(lab: FabricLab): Promise<Lane[]> {
  for (const [index, name] of ['h1', 'h2'].entries()) {
    await lab.namespace(name)
    await lab.ip(
      'switch',
      `link add ${name} type veth peer name up0 netns ${lab.pin(name)}`,
      `link set ${name} master sw0`,
      `link set ${name} up`,
    )
    await lab.ip(
      name,
      'link set up0 up',
      `addr add 192.0.2.${101 + index}/24 dev up0`,
      `link add vx0 type vxlan id 7 dstport 4789 remote 192.0.2.${102 - index} dev up0`,
      `addr add 10.7.0.${1 + index}/24 dev vx0`,
      'link set vx0 up',
    )
    await lab.namespace(`p${name}`)
    await lab.ip(
      name,
      `link add pod mtu 1450 type veth peer name eth0 mtu 1450 netns ${lab.pin(`p${name}`)}`,
      `addr add 10.8.${index}.1/24 dev pod`,
      'link set pod up',
      `route add 10.8.${1 - index}.0/24 via 10.7.0.${2 - index}`,
    )
    await lab.ip(
      `p${name}`,
      `addr add 10.8.${index}.2/24 dev eth0`,
      'link set eth0 up',
      `route add default via 10.8.${index}.1`,
    )
    await lab.in(name, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  }
  return [
    { name: 'VXLAN by hand', from: 'h1', to: 'h2', address: '10.7.0.2' },
    { name: 'namespaces behind it by hand', from: 'ph1', to: 'ph2', address: '10.8.1.2' },
  ]
}

/** What else looks at packets on a node: the rules of Services and of names. */
async function asOnNode(lab: FabricLab, node: string): Promise<void> {
  const view = new TestView()
  view.service('web', { clusterIPs: ['10.96.0.10'], ports: [port(80)] })
  view.slice('web-1', 'web', [endpoint('10.244.9.9', 'n9')])
  await view.tell(new ServiceProxy({ node, logger: silentLogger, run, netns: lab.pin(node) }), true)
  await run('nsenter', [`--net=${lab.pin(node)}`, '--', 'nft', '-f', '-'], {
    stdin: dnsFirewall([DNS_ADDRESS], ['10.0.0.0/8', 'fd00::/8']).text,
  })
}

async function throughput(lab: FabricLab, { from, to, address }: Lane): Promise<number> {
  const server = spawn(
    'nsenter',
    [`--net=${to.startsWith('/') ? to : lab.pin(to)}`, '--', 'iperf3', '-s', '-1', '-p', String(PORT)],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const gone = once(server, 'exit')
  try {
    await eventually(async () => (await lab.in(to, 'ss', '-Hltn', `sport = :${PORT}`)).stdout !== '')
    const { stdout } = await lab.in(from, 'iperf3', '-c', address, '-p', String(PORT), '-t', String(SECONDS), '-J')
    await gone
    return (
      (JSON.parse(stdout) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received.bits_per_second /
      1e9
    )
  } finally {
    if (server.exitCode === null) server.kill()
    await gone
  }
}

/** Microseconds of a round trip: one packet at a time. */
async function latency(lab: FabricLab, { from, address }: Lane): Promise<number> {
  const began = performance.now()
  const { stdout } = await lab.in(from, 'ping', '-n', '-q', '-f', '-c', String(PINGS), address)
  const average = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1]
  if (average === undefined || !stdout.includes(' 0% packet loss'))
    throw new Error(`ping failed after ${(performance.now() - began).toFixed(0)} ms:\n${stdout}`)
  return Number(average) * 1000
}

export async function fabricFigures(): Promise<Figure[]> {
  const lab = await FabricLab.make()
  try {
    const lanes: Lane[] = await lanesByHand(lab)
    for (const [name, numbers, overlay] of [
      ['pods by VXLAN', [1, 2], 'vxlan'],
      ['pods by plain routes', [3, 4], 'auto'],
    ] as const) {
      const nodes = await Promise.all(numbers.map((number) => lab.node({ number, place: 'switch', overlay })))
      const [a, b] = await Promise.all(nodes.map((node) => node.pod('a')))
      lanes.push({ name, from: a!.netns, to: b!.netns, address: b!.address })
    }
    await lab.follow()
    await Promise.all([...lab.nodes.keys()].map((node) => asOnNode(lab, node)))
    const rates = new Map(lanes.map((lane) => [lane.name, [] as number[]]))
    const trips = new Map(lanes.map((lane) => [lane.name, [] as number[]]))
    for (let round = 0; round < ROUNDS; round++) {
      const turn = lanes.map((_, index) => lanes[(index + round) % lanes.length]!)
      for (const lane of turn) rates.get(lane.name)!.push(await throughput(lab, lane))
      for (const lane of turn) trips.get(lane.name)!.push(await latency(lab, lane))
    }
    // Of the middle rounds, and of the best: what else the machine does makes some worse.
    const compared = (
      series: ReadonlyMap<string, number[]>,
      best: (...samples: number[]) => number,
      name: string,
    ): string => {
      const share = (base: string, of: (samples: readonly number[]) => number): string =>
        `${((of(series.get(name)!) / of(series.get(base)!)) * 100).toFixed(0)} %`
      const beside = (base: string): string =>
        `${share(base, (samples) => percentile(samples, 0.5))} (best: ${share(base, (samples) => best(...samples))})`
      return name === lanes[0]!.name
        ? ''
        : `${beside(lanes[0]!.name)} of by hand${name === lanes[1]!.name ? '' : `, ${beside(lanes[1]!.name)} of behind it`}`
    }
    const byHand = (series: ReadonlyMap<string, number[]>): Floor => ({
      name: 'by hand',
      value: median(series.get(lanes[0]!.name)!),
    })
    return [
      ...lanes.map(({ name }): Figure => ({
        name: `throughput, ${name}`,
        unit: 'Gbit/s',
        samples: rates.get(name)!,
        note: compared(rates, Math.max, name),
        ...(name === 'pods by VXLAN' ? { floor: byHand(rates), goal: { atLeast: 0.85 * byHand(rates).value } } : {}),
      })),
      ...lanes.map(({ name }): Figure => ({
        name: `round trip, ${name}`,
        unit: 'µs',
        samples: trips.get(name)!,
        note: compared(trips, Math.min, name),
        ...(name === 'pods by VXLAN' ? { floor: byHand(trips), goal: { atMost: 1.1 * byHand(trips).value } } : {}),
      })),
    ]
  } finally {
    await lab.remove()
  }
}

/** Both families; each after the pool is full again, as when pods come now and then. */
export async function attachFigures(): Promise<Figure[]> {
  const lab = await FabricLab.make()
  await lab.namespace('attach')
  await lab.ip(
    'attach',
    'link add up0 type veth peer name up1',
    'link set up1 up',
    'addr add 192.0.2.1/24 dev up0',
    'link set up0 up',
  )
  const launcher = new Launcher(lab.pin('launch'), systemClock)
  const network = new RoutedNetwork({
    stateDir: lab.pin('attach-state'),
    logger: silentLogger,
    clock: systemClock,
    netns: lab.pin('attach'),
    prepared: 8,
    run: launcher.run,
  })
  const ranges = {
    podCidrs: ['10.244.0.0/24', 'fd00:10:244::/64'],
    cluster: { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/48'], serviceCidrs: [], domain: 'cluster.local' },
  }
  const [ahead, detached, withPort]: number[][] = [[], [], []]
  const timed = async (samples: number[], act: () => Promise<unknown>): Promise<void> => {
    const began = performance.now()
    await act()
    samples.push(performance.now() - began)
  }
  const full = (): Promise<unknown> =>
    eventually(
      async () =>
        (
          await run('sh', ['-c', `ls -d ${join(lab.pin('attach-state'), 'netns')}/ready-* 2>/dev/null | wc -l`])
        ).stdout.trim() === '8',
    )
  try {
    await network.start(ranges, new Map())
    for (let index = 0; index < ATTACHES; index++) {
      await full()
      await timed(ahead!, () => network.attach(`p${index}`))
    }
    for (let index = 0; index < ATTACHES; index++) await timed(detached!, () => network.detach(`p${index}`))
    for (let index = 0; index < ATTACHES / 3; index++) {
      await full()
      await timed(withPort!, () =>
        network.attach(`h${index}`, {
          hostPorts: [{ protocol: 'TCP', hostPort: 8000 + index, containerPort: 80, hostIP: undefined }],
        }),
      )
    }
    for (let index = 0; index < ATTACHES / 3; index++) await network.detach(`h${index}`)
  } finally {
    await network.stop()
    launcher.stop()
    await lab.remove()
  }
  return [
    { name: 'attach, made ahead, both families', unit: 'ms', samples: ahead!, goal: { atMost: 2 } },
    { name: 'attach with a host port', unit: 'ms', samples: withPort! },
    { name: 'detach', unit: 'ms', samples: detached! },
  ]
}
