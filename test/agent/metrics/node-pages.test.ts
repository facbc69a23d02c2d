import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NodePages } from '../../../agent/metrics/node-pages.ts'
import { parseInterfaces } from '../../../agent/metrics/snapshot.ts'
import type { ContainerCounters } from '../../../agent/runtime/contract.ts'
import type { StreamTarget } from '../../../agent/streams/target.ts'
import { FakeClock } from '../../../proto/base/clock.ts'

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       7       1    0    0    0     0          0         0        7       1    0    0    0     0       0          0
  eth0:    1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0
`

const counters = (cpuNanos: number): ContainerCounters => ({
  cpuNanos,
  cpuUserNanos: cpuNanos / 2,
  cpuSystemNanos: cpuNanos / 4,
  cpuPeriods: 10,
  cpuThrottledPeriods: 2,
  cpuThrottledNanos: 500_000_000,
  memoryUsage: 3000,
  memoryPeak: 4000,
  memoryWorkingSet: 2000,
  memoryRss: 1000,
  memoryCache: 900,
  memoryMapped: 100,
  pageFaults: 7,
  majorPageFaults: 1,
  oomKills: 1,
  processes: 2,
})

function target(name: string, containers: readonly string[], hostNetwork = false): StreamTarget {
  const running = containers.map((container, index) => ({
    name: container,
    id: `${name}-${container}`,
    attempt: 0,
    pid: 100 + index,
  }))
  return {
    pod: {
      metadata: { namespace: 'team', name, uid: `uid-${name}`, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: {
        hostNetwork,
        containers: ['main', 'side'].map((container) => ({
          name: container,
          image: `registry.example/${container}:1`,
        })),
      },
    },
    allRunning: running,
    anyRunning: running[0],
    gone: false,
  } as unknown as StreamTarget
}

/** What promtool says about metrics: nothing but hints on names that are not ours to choose. */
function promtool(text: string): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile('promtool', ['check', 'metrics'], (_error, stdout, stderr) => resolve(stdout + stderr))
    child.stdin!.end(text)
  })
}

describe('pages of a node', () => {
  let proc: string
  let targets: StreamTarget[]
  const clock = new FakeClock()
  const machine = {
    hostname: 'n1',
    architecture: 'amd64',
    cpus: 4,
    memory: 8 << 20,
    disk: 1,
    kernelVersion: '6.1.0',
    osImage: 'Debian "13"',
    machineId: 'm',
    systemUuid: 's',
    bootId: 'b',
    address: '10.0.0.1',
  }

  beforeEach(async () => {
    proc = await mkdtemp(join(tmpdir(), 'gantry-proc-'))
    await writeFile(join(proc, 'stat'), 'cpu  100 0 50 1000 0 0 0 0 0 0\nbtime 1700000000\n')
    await writeFile(join(proc, 'meminfo'), 'MemTotal: 8192 kB\nMemAvailable: 2048 kB\n')
    await mkdir(join(proc, '100', 'net'), { recursive: true })
    await writeFile(join(proc, '100', 'net', 'dev'), NET_DEV)
    await writeFile(
      join(proc, '100', 'stat'),
      `100 (a ) b) S ${Array.from({ length: 18 }, () => '0').join(' ')} 5000 0 0\n`,
    )
    targets = [target('web', ['main', 'side']), target('starting', []), target('host', ['main'], true)]
  })
  afterEach(() => rm(proc, { recursive: true }))

  const pages = (described = machine): NodePages =>
    new NodePages({
      node: 'n1',
      version: 'v1.33.0+gantry-0.1.0',
      targets: () => targets,
      clock,
      stateDir: '/',
      proc,
      machine: () => Promise.resolve(described),
      runtime: { counters: (id) => Promise.resolve(id === 'web-side' ? undefined : counters(1_500_000_000)) },
    })
  const read = async (path: string): Promise<string> => Buffer.from((await pages().page(path)).body).toString()
  const lines = (text: string, start: string): string[] => text.split('\n').filter((line) => line.startsWith(start))

  it('have what containers use under the names of cAdvisor, with its labels', async () => {
    const text = await read('/metrics/cadvisor')
    const web =
      'container="main",id="/gantry/poduid-web/web-main",image="registry.example/main:1",name="web-main",namespace="team",pod="web"'
    const all = 'container="",id="/gantry/poduid-web",image="",name="",namespace="team",pod="web"'
    assert.deepEqual(lines(text, 'container_cpu_usage_seconds_total{').slice(0, 3), [
      'container_cpu_usage_seconds_total{container="",id="/",image="",name="",namespace="",pod=""} 1.5',
      `container_cpu_usage_seconds_total{${all}} 1.5`,
      `container_cpu_usage_seconds_total{${web}} 1.5`,
    ])
    assert.ok(text.includes(`container_memory_working_set_bytes{${web}} 2000\n`))
    assert.ok(text.includes(`container_memory_failures_total{${web},failure_type="pgmajfault",scope="container"} 1\n`))
    assert.ok(text.includes(`container_start_time_seconds{${web}} 1700000050\n`))
    assert.deepEqual(
      lines(text, 'container_network_receive_bytes_total{'),
      [`container_network_receive_bytes_total{${all},interface="eth0"} 1000`],
      "a pod in the node's network has none of its own",
    )
    assert.deepEqual(lines(text, 'container_network_transmit_packets_dropped_total{'), [
      `container_network_transmit_packets_dropped_total{${all},interface="eth0"} 4`,
    ])
    assert.deepEqual(lines(text, 'machine_'), [
      'machine_cpu_cores{machine_id="m",system_uuid="s",boot_id="b"} 4',
      `machine_memory_bytes{machine_id="m",system_uuid="s",boot_id="b"} ${8 << 20}`,
    ])
    const unnamed = Buffer.from((await pages({ ...machine, systemUuid: '' }).page('/metrics/cadvisor')).body).toString()
    assert.deepEqual(
      lines(unnamed, 'machine_cpu_cores'),
      ['machine_cpu_cores{machine_id="m",system_uuid="m",boot_id="b"} 4'],
      'the same as nodeInfo.systemUUID',
    )
    assert.ok(text.includes('osVersion="Debian \\"13\\""'))
    assert.deepEqual(
      lines(text, 'container_cpu_usage_seconds_total{').filter((line) => line.includes('starting')),
      [],
      'a pod without containers',
    )
  })

  it("have the agent's own numbers and those of resources", async () => {
    const own = await read('/metrics')
    assert.match(own, /^kubelet_node_name\{node="n1"\} 1$/m)
    assert.match(own, /^kubelet_running_pods 2$/m)
    assert.match(own, /^# TYPE process_cpu_seconds_total counter$/m)
    const resource = await read('/metrics/resource')
    assert.ok(resource.includes('pod_memory_working_set_bytes{namespace="team",pod="web"} 2000\n'))
    assert.ok(resource.includes('node_cpu_usage_seconds_total 1.5\n'))
    assert.ok(resource.includes('container_cpu_usage_seconds_total{container="main",namespace="team",pod="web"} 1.5\n'))
  })

  it('have a summary of node and pods', async () => {
    const { contentType, body } = await pages().page('/stats/summary?only_cpu_and_memory=true')
    const { node, pods } = JSON.parse(Buffer.from(body).toString())
    assert.equal(contentType, 'application/json')
    assert.deepEqual(
      [node.nodeName, node.cpu.usageCoreNanoSeconds, node.memory.workingSetBytes],
      ['n1', 1_500_000_000, 6 << 20],
    )
    const web = pods.find(({ podRef }: { podRef: { name: string } }) => podRef.name === 'web')
    assert.deepEqual(web.podRef, { name: 'web', namespace: 'team', uid: 'uid-web' })
    assert.deepEqual(
      [web.network.rxBytes, web.network.txBytes, web.containers.length, web.containers[0].memory.rssBytes],
      [1000, 2000, 1, 1000],
    )
  })

  it('are nothing else', async () => {
    assert.deepEqual((await pages().page('/healthz')).code, 200)
    assert.deepEqual([(await pages().page('/')).code, (await pages().page('/pods')).code], [404, 404])
  })

  it('are such as promtool accepts', async () => {
    // Names that are cAdvisor's and kubelet's, and that promtool would have chosen otherwise.
    const given =
      /^(cadvisor_version_info|container_|machine_|kubelet_|nodejs_)\S* (label names should be written|.*(unit|abbreviated))/
    for (const path of ['/metrics', '/metrics/cadvisor', '/metrics/resource']) {
      const said = (await promtool(await read(path))).split('\n').filter((line) => line !== '' && !given.test(line))
      assert.deepEqual(said, [], path)
    }
    assert.match(await promtool('broken{ 1\n'), /error|expected/, 'promtool is there, and finds what is wrong')
  })

  it('read interfaces without the loopback', () => {
    assert.deepEqual(parseInterfaces(NET_DEV), [
      {
        name: 'eth0',
        receive: { bytes: 1000, packets: 10, errors: 1, dropped: 2 },
        transmit: { bytes: 2000, packets: 20, errors: 3, dropped: 4 },
      },
    ])
    assert.deepEqual(parseInterfaces(''), [])
  })
})
