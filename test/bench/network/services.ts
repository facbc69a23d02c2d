/**
 * What Services cost a node: connections through a few and through very many, one endpoint that changes among very
 * many, and the first load.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Launcher } from '../../../agent/host/launcher.ts'
import { ServiceProxy } from '../../../agent/network/services/service-proxy.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { run } from '../../../proto/base/command.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { endpoint, port, TestView } from '../../agent/network/services/view.ts'
import { eventually } from '../../eventually.ts'
import { median, percentile, type Figure } from '../figures.ts'

const FEW = 10
const MANY = 10_000
const ENDPOINTS = 5
const ROUNDS = 16
const CHANGES = 200
const SERVER = '10.1.1.2'
const CLIENT = '10.1.1.3'
/** Where both nodes' server is reached: the first Service of each. */
const SERVICE = '10.96.0.1'

/** A node between a client and a server, each a namespace. */
interface Lane {
  readonly node: string
  readonly client: string
  readonly names: readonly string[]
  readonly server: ChildProcess
}

async function makeLane(name: string, directory: string): Promise<Lane> {
  const [node, client, server] = ['node', 'client', 'server'].map((part) => `gbsvc${process.pid}-${name}-${part}`) as [
    string,
    string,
    string,
  ]
  const ip = async (line: string): Promise<void> => void (await run('ip', line.split(' ')))
  for (const netns of [node, client, server]) await ip(`netns add ${netns}`)
  await ip(`-n ${node} link set lo up`)
  for (const [netns, address] of [
    [server, SERVER],
    [client, CLIENT],
  ] as const) {
    const end = netns === server ? 'to-server' : 'to-client'
    await ip(`-n ${node} link add ${end} type veth peer name eth0 netns ${netns}`)
    for (const line of [
      `-n ${node} link set ${end} up`,
      `-n ${netns} link set eth0 up`,
      `-n ${netns} link set lo up`,
      `-n ${netns} addr add ${address}/32 dev eth0`,
      `-n ${netns} route add default dev eth0`,
      `-n ${node} addr add 10.1.1.1/32 dev ${end}`,
      `-n ${node} route add ${address}/32 dev ${end}`,
    ])
      await ip(line)
  }
  await run('nsenter', [
    `--net=/run/netns/${node}`,
    '--',
    'sh',
    '-c',
    'echo 1 >/proc/sys/net/ipv4/ip_forward; for link in to-server to-client; do echo 1 >/proc/sys/net/ipv4/conf/$link/proxy_arp; done',
  ])
  const configuration = join(directory, `${name}.cfg`)
  writeFileSync(
    configuration,
    `defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\nfrontend web\n  bind ${SERVER}:8080\n  http-request return status 200 content-type text/plain string ok\n`,
  )
  const child = spawn('nsenter', [`--net=/run/netns/${server}`, '--', 'haproxy', '-db', '-f', configuration], {
    stdio: 'ignore',
  })
  await eventually(
    async () =>
      (
        await run('nsenter', [`--net=/run/netns/${client}`, '--', 'curl', '-sf', `http://${SERVER}:8080/`], {
          allow: [0, 7, 28],
        })
      ).stdout === 'ok',
  )
  return { node, client, names: [node, client, server], server: child }
}

async function removeLane({ names, server }: Lane): Promise<void> {
  if (server.exitCode === null) {
    const ended = once(server, 'exit')
    server.kill('SIGKILL')
    await ended
  }
  for (const netns of names) await run('ip', ['netns', 'del', netns])
}

function address(first: number, index: number): string {
  return `${first}.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`
}

/**
 * The first Service's endpoints are all the one server, at ports that all lead to it: what is measured is the way
 * there.
 */
function fill(view: TestView, services: number): void {
  for (let index = 0; index < services; index++) {
    view.service(`s${index}`, { clusterIPs: [address(10, (96 << 16) + index + 1)], ports: [port(80)] })
    setEndpoints(
      view,
      index,
      index === 0
        ? [SERVER]
        : Array.from({ length: ENDPOINTS }, (_, each) => address(10, (2 << 16) + index * ENDPOINTS + each)),
    )
  }
}

function setEndpoints(view: TestView, index: number, addresses: readonly string[]): void {
  view.slice(
    `s${index}-1`,
    `s${index}`,
    addresses.map((one) => endpoint(one, 'n2')),
  )
}

interface Connections {
  /** New ones a second, as wrk makes them. */
  readonly rate: number
  /**
   * Microseconds of processor time that client and server, and the kernel for them, spent on one: other load on the
   * machine changes it little.
   */
  readonly cost: number
}

async function connections({ client, node, server }: Lane): Promise<Connections> {
  await run('nsenter', [`--net=/run/netns/${node}`, '--', 'conntrack', '-F'])
  const before = processorTime(server.pid!)
  const wrk = `TIMEFORMAT='cpu %U %S'; time wrk -t 1 -c 16 -d 1s -H 'Connection: close' http://${SERVICE}/`
  const { stdout, stderr } = await run('nsenter', [`--net=/run/netns/${client}`, '--', 'bash', '-c', wrk])
  const served = processorTime(server.pid!) - before
  const [, user, system] = /cpu ([\d.]+) ([\d.]+)/.exec(stderr) ?? []
  const [, requests] = /(\d+) requests in/.exec(stdout) ?? []
  const [, rate] = /Requests\/sec:\s*([\d.]+)/.exec(stdout) ?? []
  if (rate === undefined || requests === undefined || user === undefined || stdout.includes('Socket errors'))
    throw new Error(`wrk failed:\n${stdout}${stderr}`)
  return { rate: Number(rate), cost: ((Number(user) + Number(system) + served) * 1e6) / Number(requests) }
}

/** Seconds, of a process (proc_pid_stat(5), fields 14 and 15, in hundredths). */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

export async function serviceFigures(): Promise<Figure[]> {
  const directory = mkdtempSync(join(tmpdir(), 'gantry-bench-services-'))
  const launcher = new Launcher(join(directory, 'launcher'), systemClock)
  const lanes: Lane[] = []
  try {
    const [few, many] = [await makeLane('few', directory), await makeLane('many', directory)]
    lanes.push(few, many)
    const proxyOf = (lane: Lane): ServiceProxy =>
      new ServiceProxy({ node: 'n1', logger: silentLogger, run: launcher.run, netns: `/run/netns/${lane.node}` })
    const small = new TestView()
    fill(small, FEW)
    await small.tell(proxyOf(few), true)
    const large = new TestView()
    fill(large, MANY)
    const proxy = proxyOf(many)
    const before = process.memoryUsage().rss
    const began = performance.now()
    await large.tell(proxy, true)
    const load = performance.now() - began
    const grown = (process.memoryUsage().rss - before) / 2 ** 20
    const again = performance.now()
    await large.tell(proxy, true)
    const compared = performance.now() - again

    const seen: Record<'few' | 'many', Connections[]> = { few: [], many: [] }
    for (let round = 0; round < ROUNDS; round++)
      for (const name of round % 2 === 0 ? (['few', 'many'] as const) : (['many', 'few'] as const))
        seen[name].push(await connections(name === 'few' ? few : many))

    const changes: number[] = []
    for (let round = 0; round < CHANGES; round++) {
      const index = 1 + ((round * 7919) % (MANY - 1))
      setEndpoints(
        large,
        index,
        Array.from({ length: ENDPOINTS - (round % 2) }, (_, each) =>
          address(10, (2 << 16) + index * ENDPOINTS + each + (round % 3)),
        ),
      )
      const start = performance.now()
      await large.tell(proxy)
      changes.push(performance.now() - start)
    }
    // Round by round: what else the machine does changes both.
    const change = (what: keyof Connections): string =>
      `median of rounds: ${(
        (percentile(
          seen.many.map((one, round) => one[what] / seen.few[round]![what]),
          0.5,
        ) -
          1) *
        100
      ).toFixed(1)} %`
    const samples = (name: 'few' | 'many', what: keyof Connections): number[] => seen[name].map((one) => one[what])
    return [
      { name: `connections through one of ${FEW} Services`, unit: '/s', samples: samples('few', 'rate') },
      {
        name: `connections through one of ${MANY}, with ${MANY * ENDPOINTS} endpoints`,
        unit: '/s',
        samples: samples('many', 'rate'),
        floor: { name: 'the former', value: median(samples('few', 'rate')) },
        goal: { atLeast: 0.95 * median(samples('few', 'rate')) },
        note: change('rate'),
      },
      { name: 'processor time of one of the former', unit: 'µs', samples: samples('few', 'cost') },
      {
        name: 'processor time of one of the latter',
        unit: 'µs',
        samples: samples('many', 'cost'),
        floor: { name: 'the former', value: median(samples('few', 'cost')) },
        goal: { atMost: 1.05 * median(samples('few', 'cost')) },
        note: change('cost'),
      },
      { name: 'one endpoint of those changed, in the kernel', unit: 'ms', samples: changes, goal: { p99: 50 } },
      { name: 'first load of all', unit: 'ms', samples: [load], note: `memory +${grown.toFixed(0)} MiB` },
      { name: 'compared with the kernel, all right', unit: 'ms', samples: [compared] },
    ]
  } finally {
    for (const lane of lanes) await removeLane(lane)
    launcher.stop()
    rmSync(directory, { recursive: true })
  }
}
