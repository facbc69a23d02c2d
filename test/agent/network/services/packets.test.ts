import assert from 'node:assert/strict'
import { ServiceProxy } from '../../../../agent/network/services/service-proxy.ts'
import { run } from '../../../../proto/base/command.ts'
import { silentLogger } from '../../../../proto/base/logger.ts'
import { eventually } from '../../../eventually.ts'
import { ADDRESSES, Machines, type Answer } from './machines.ts'
import { endpoint, port, TestView } from './view.ts'

const [A, A6] = ADDRESSES.podA
const [B, B6] = ADDRESSES.podB
const [C, C6] = ADDRESSES.podC
const WEB = '10.96.0.10'

/** A whole INIT packet (RFC 9260, sections 3.1 and 3.3.2) with its checksum, CRC32c (appendix A). */
function sctpInit(from: number, to: number): Uint8Array {
  const packet = Buffer.alloc(32)
  packet.writeUInt16BE(from, 0)
  packet.writeUInt16BE(to, 2)
  packet.writeUInt8(1, 12)
  packet.writeUInt16BE(20, 14)
  packet.writeUInt32BE(0x12345678, 16)
  packet.writeUInt32BE(65_536, 20)
  packet.writeUInt16BE(1, 24)
  packet.writeUInt16BE(1, 26)
  packet.writeUInt32BE(1, 28)
  let crc = 0xffffffff
  for (const byte of packet) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  packet.writeUInt32LE(~crc >>> 0, 8)
  return packet
}

describe('Services, with packets', function () {
  this.timeout(180_000)
  let machines: Machines
  let view: TestView
  let proxy: ServiceProxy
  const refused: string[] = []

  const newProxy = (): ServiceProxy =>
    new ServiceProxy({
      node: 'n1',
      logger: silentLogger,
      netns: machines.node.netns,
      reservedPorts: () => [{ protocol: 'TCP', port: 7443 }],
      refused: (service, text) => void refused.push(`${service}: ${text}`),
    })
  const from = ({ answer, error }: Answer): string => answer?.split(' ').slice(0, 2).join(' ') ?? error!

  before(async () => {
    machines = await Machines.start()
  })
  after(async () => await (machines as Machines | undefined)?.stop())

  beforeEach(async () => {
    view = new TestView()
    view.peer('n1', ADDRESSES.node)
    view.peer('n2', ADDRESSES.nodeElsewhere)
    refused.length = 0
    proxy = newProxy()
    await view.tell(proxy, true)
  })
  afterEach(async () => await proxy.stop())

  it('spread connections over all endpoints, from pods, from the node, and follow each change', async () => {
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [endpoint(A), endpoint(B), endpoint(C, 'n2')])
    await view.tell(proxy)
    for (const machine of [machines.podA, machines.node]) {
      const counts = await machine.many({ host: WEB, port: 80, count: 300 })
      assert.deepEqual(Object.keys(counts).sort(), ['pod-a:8080', 'pod-b:8080', 'pod-c:8080'])
      // Four standard deviations of 300 throws at one third are 33.
      for (const count of Object.values(counts)) assert.ok(Math.abs(count - 100) < 40, JSON.stringify(counts))
    }
    view.slice('web-1', 'web', [endpoint(B), endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.deepEqual(Object.keys(await machines.podA.many({ host: WEB, port: 80, count: 60 })).sort(), [
      'pod-b:8080',
      'pod-c:8080',
    ])
    view.slice('web-1', 'web', [endpoint(B)])
    await view.tell(proxy)
    assert.deepEqual(await machines.podA.many({ host: WEB, port: 80, count: 20 }), { 'pod-b:8080': 20 })
  })

  it("keep pods' addresses, and let a pod reach itself", async () => {
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.equal(from(await machines.podA.tcp({ host: WEB, port: 80 })), `pod-c:8080 ${A}`)
    view.slice('web-1', 'web', [endpoint(A)])
    await view.tell(proxy)
    assert.equal(from(await machines.podA.tcp({ host: WEB, port: 80 })), 'pod-a:8080 10.1.1.1')
    assert.equal(from(await machines.podB.tcp({ host: WEB, port: 80 })), `pod-a:8080 ${B}`)
  })

  it('serve IPv6 beside IPv4', async () => {
    view.service('web', { clusterIPs: [WEB, 'fd00:96::10'] })
    view.slice('web-1', 'web', [endpoint(A)])
    view.slice('web-2', 'web', [endpoint(B6), endpoint(C6, 'n2')])
    await view.tell(proxy)
    assert.equal(from(await machines.podB.tcp({ host: WEB, port: 80 })), `pod-a:8080 ${B}`)
    for (const machine of [machines.podA, machines.node])
      assert.deepEqual(Object.keys(await machine.many({ host: 'fd00:96::10', port: 80, count: 40 })).sort(), [
        'pod-b:8080',
        'pod-c:8080',
      ])
    view.slice('web-2', 'web', [endpoint(A6)])
    await view.tell(proxy)
    assert.equal(from(await machines.podA.tcp({ host: 'fd00:96::10', port: 80 })), 'pod-a:8080 fd01:0:0:1::1')
    assert.equal(from(await machines.podB.tcp({ host: 'fd00:96::10', port: 80 })), `pod-a:8080 ${B6}`)
    view.remove('EndpointSlice', 'web-2')
    await view.tell(proxy)
    assert.equal(from(await machines.podB.tcp({ host: 'fd00:96::10', port: 80 })), 'ECONNREFUSED')
  })

  it('have several ports by name, and UDP', async () => {
    view.service('dns', {
      clusterIPs: [WEB],
      ports: [port(80, { name: 'web' }), port(81, { name: 'admin' }), port(53, { name: 'names', protocol: 'UDP' })],
    })
    view.slice(
      'dns-1',
      'dns',
      [endpoint(A)],
      [
        { name: 'web', protocol: 'TCP', port: 8080 },
        { name: 'admin', protocol: 'TCP', port: 8081 },
        { name: 'names', protocol: 'UDP', port: 8081 },
      ],
    )
    await view.tell(proxy)
    assert.equal(from(await machines.podB.tcp({ host: WEB, port: 80 })), `pod-a:8080 ${B}`)
    assert.equal(from(await machines.podB.tcp({ host: WEB, port: 81 })), `pod-a:8081 ${B}`)
    assert.equal(from(await machines.podB.udp({ host: WEB, port: 53 })), `pod-a:8081 ${B}`)
    assert.equal(from(await machines.node.udp({ host: WEB, port: 53 })).split(' ')[0], 'pod-a:8081')
  })

  it('translate SCTP, as far as a kernel without it for itself can show: the first packet of an association reaches the endpoint', async () => {
    view.service('signal', { clusterIPs: [WEB], ports: [port(2905, { protocol: 'SCTP' })] })
    view.slice('signal-1', 'signal', [endpoint(A)], [{ name: '', protocol: 'SCTP', port: 8080 }])
    await view.tell(proxy)
    const heard = run('nsenter', [
      `--net=${machines.podA.netns}`,
      '--',
      'sh',
      '-c',
      'timeout 20 socat -u IP4-RECVFROM:132 STDOUT | od -An -tx1',
    ])
    let answered = false
    void heard.finally(() => (answered = true))
    await eventually(async () => {
      await run('nsenter', [`--net=${machines.podB.netns}`, '--', 'socat', '-u', 'STDIN', `IP4-SENDTO:${WEB}:132`], {
        stdin: sctpInit(40_000, 2905),
      })
      return answered
    })
    // Ports 40000 and, instead of 2905, 8080.
    assert.match((await heard).stdout, /9c 40 1f 90/)
    assert.match(
      await machines.onNode('conntrack', '-L', '-p', 'sctp'),
      new RegExp(`dst=${WEB} sport=40000 dport=2905 .*src=${A} .*sport=8080`),
    )
  })

  it('refuse at once what has no endpoint, what is no port, and what is no Service', async () => {
    view.service('web', { clusterIPs: [WEB], ports: [port(80), port(53, { name: 'names', protocol: 'UDP' })] })
    await view.tell(proxy)
    for (const machine of [machines.podA, machines.node, machines.client]) {
      assert.deepEqual(await machine.tcp({ host: WEB, port: 80 }), { error: 'ECONNREFUSED' })
      // A program on the node itself hears of it from its own kernel.
      assert.deepEqual(await machine.udp({ host: WEB, port: 53 }), {
        error: machine === machines.node ? 'EPERM' : 'ECONNREFUSED',
      })
      assert.deepEqual(await machine.tcp({ host: WEB, port: 99 }), { error: 'ECONNREFUSED' })
      assert.deepEqual(await machine.tcp({ host: '10.96.9.9', port: 80 }), { error: 'ECONNREFUSED' })
    }
    view.slice('web-1', 'web', [endpoint(A)])
    await view.tell(proxy)
    assert.equal(from(await machines.podB.tcp({ host: WEB, port: 80 })), `pod-a:8080 ${B}`)
    view.remove('Service', 'web')
    await view.tell(proxy)
    assert.deepEqual(await machines.podB.tcp({ host: WEB, port: 80 }), { error: 'ECONNREFUSED' })
  })

  it('answer at node ports from outside, also for a pod elsewhere, which then sees this node', async () => {
    view.service('web', { type: 'NodePort', clusterIPs: [WEB], ports: [port(80, { nodePort: 30080 })] })
    view.slice('web-1', 'web', [endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.equal(from(await machines.client.tcp({ host: '192.168.77.1', port: 30080 })), 'pod-c:8080 10.1.1.1')
    assert.equal(from(await machines.podA.tcp({ host: '192.168.78.1', port: 30080 })), `pod-c:8080 ${A}`)
    assert.match(from(await machines.node.tcp({ host: '192.168.77.1', port: 30080 })), /^pod-c:8080 /)
    view.slice('web-1', 'web', [])
    await view.tell(proxy)
    assert.deepEqual(await machines.client.tcp({ host: '192.168.77.1', port: 30080 }), { error: 'ECONNREFUSED' })
  })

  it("keep the client's address with externalTrafficPolicy Local, and drop where no endpoint is; clients inside reach all", async () => {
    view.service('web', {
      type: 'NodePort',
      clusterIPs: [WEB],
      externalTrafficPolicy: 'Local',
      ports: [port(80, { nodePort: 30080 })],
    })
    view.slice('web-1', 'web', [endpoint(A), endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.deepEqual(await machines.client.many({ host: '192.168.77.1', port: 30080, count: 20 }), { 'pod-a:8080': 20 })
    assert.equal(from(await machines.client.tcp({ host: '192.168.77.1', port: 30080 })), 'pod-a:8080 192.168.77.2')
    assert.deepEqual(Object.keys(await machines.podB.many({ host: '192.168.77.1', port: 30080, count: 40 })).sort(), [
      'pod-a:8080',
      'pod-c:8080',
    ])
    view.slice('web-1', 'web', [endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.deepEqual(await machines.client.tcp({ host: '192.168.77.1', port: 30080, timeout: 400 }), {
      error: 'ETIMEDOUT',
    })
    assert.equal(from(await machines.podB.tcp({ host: '192.168.77.1', port: 30080 })), `pod-c:8080 ${B}`)
    assert.match(from(await machines.node.tcp({ host: '192.168.77.1', port: 30080 })), /^pod-c:8080 /)
  })

  it('stay on the node with internalTrafficPolicy Local, or drop', async () => {
    view.service('web', { clusterIPs: [WEB], internalTrafficPolicy: 'Local' })
    view.slice('web-1', 'web', [endpoint(A), endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.deepEqual(await machines.podB.many({ host: WEB, port: 80, count: 20 }), { 'pod-a:8080': 20 })
    view.slice('web-1', 'web', [endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.deepEqual(await machines.podB.tcp({ host: WEB, port: 80, timeout: 400 }), { error: 'ETIMEDOUT' })
  })

  it("answer at a load balancer's and at external addresses; only clients in loadBalancerSourceRanges reach the former", async () => {
    view.service(
      'web',
      {
        type: 'LoadBalancer',
        clusterIPs: [WEB],
        externalIPs: ['203.0.113.7'],
        loadBalancerSourceRanges: ['192.168.77.2/32', '192.168.77.2/32', '10.1.0.0/16'],
      },
      { loadBalancer: { ingress: [{ ip: '192.168.77.1' }, { ip: '203.0.113.99', ipMode: 'Proxy' }] } },
    )
    view.slice('web-1', 'web', [endpoint(A)])
    await view.tell(proxy)
    assert.equal(from(await machines.client.tcp({ host: '203.0.113.7', port: 80 })), 'pod-a:8080 192.168.77.2')
    assert.match(
      from(await machines.client.tcp({ host: '192.168.77.1', port: 80, source: '192.168.77.2' })),
      /^pod-a:8080 /,
    )
    assert.deepEqual(
      await machines.client.tcp({ host: '192.168.77.1', port: 80, source: '192.168.77.9', timeout: 400 }),
      { error: 'ETIMEDOUT' },
    )
    assert.equal(from(await machines.podB.tcp({ host: '192.168.77.1', port: 80 })), `pod-a:8080 ${B}`)
    assert.notEqual(
      from(await machines.client.tcp({ host: '203.0.113.99', port: 80, timeout: 400 })).split(' ')[0],
      'pod-a:8080',
    )
    view.service(
      'web',
      { type: 'LoadBalancer', clusterIPs: [WEB], loadBalancerSourceRanges: ['192.168.77.8/29'] },
      { loadBalancer: { ingress: [{ ip: '192.168.77.1' }] } },
    )
    await view.tell(proxy)
    assert.deepEqual(
      await machines.client.tcp({ host: '192.168.77.1', port: 80, source: '192.168.77.2', timeout: 400 }),
      { error: 'ETIMEDOUT' },
    )
    assert.match(
      from(await machines.client.tcp({ host: '192.168.77.1', port: 80, source: '192.168.77.9' })),
      /^pod-a:8080 /,
    )
  })

  it('leave the node the ports that it needs itself, and say so once', async () => {
    view.service(
      'web',
      { type: 'LoadBalancer', clusterIPs: [WEB], ports: [port(7443), port(80, { name: 'web' })] },
      { loadBalancer: { ingress: [{ ip: '192.168.77.1' }] } },
    )
    view.slice(
      'web-1',
      'web',
      [endpoint(A)],
      [
        { name: '', protocol: 'TCP', port: 8080 },
        { name: 'web', protocol: 'TCP', port: 8080 },
      ],
    )
    await view.tell(proxy)
    view.slice(
      'web-1',
      'web',
      [endpoint(B)],
      [
        { name: '', protocol: 'TCP', port: 8080 },
        { name: 'web', protocol: 'TCP', port: 8080 },
      ],
    )
    await view.tell(proxy)
    assert.deepEqual(refused, [
      'default/web: 192.168.77.1:7443/TCP is not served on node n1: the node itself needs port 7443',
    ])
    assert.deepEqual(await machines.client.tcp({ host: '192.168.77.1', port: 7443 }), { error: 'ECONNREFUSED' })
    assert.match(from(await machines.client.tcp({ host: '192.168.77.1', port: 80 })), /^pod-b:8080 /)
    assert.match(from(await machines.podA.tcp({ host: WEB, port: 7443 })), /^pod-b:8080 /)
  })

  it('send a client with affinity to the same endpoint as long as that stays, whatever comes and goes beside it', async () => {
    const spec = {
      clusterIPs: [WEB],
      sessionAffinity: 'ClientIP' as const,
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
    }
    view.service('web', spec)
    view.slice('web-1', 'web', [endpoint(A), endpoint(B), endpoint(C, 'n2')])
    await view.tell(proxy)
    const chosen = Object.keys(await machines.client.many({ host: WEB, port: 80, count: 30 }))
    assert.equal(chosen.length, 1)
    const all = { 'pod-a:8080': endpoint(A), 'pod-b:8080': endpoint(B), 'pod-c:8080': endpoint(C, 'n2') }
    const mine = chosen[0] as keyof typeof all
    const others = Object.entries(all)
      .filter(([name]) => name !== mine)
      .map(([, one]) => one)
    for (const endpoints of [[others[0]!, all[mine]], [all[mine]], [...others, all[mine]]]) {
      view.slice('web-1', 'web', endpoints)
      await view.tell(proxy)
      assert.deepEqual(await machines.client.many({ host: WEB, port: 80, count: 10 }), { [mine]: 10 })
    }
    // The agent is another: what the kernel remembers stays.
    proxy = newProxy()
    await view.tell(proxy, true)
    assert.deepEqual(await machines.client.many({ host: WEB, port: 80, count: 10 }), { [mine]: 10 })
    view.slice('web-1', 'web', others)
    await view.tell(proxy)
    const next = Object.keys(await machines.client.many({ host: WEB, port: 80, count: 20 }))
    assert.equal(next.length, 1)
    assert.notEqual(next[0], mine)
    view.slice('web-1', 'web', [...others, all[mine]])
    await view.tell(proxy)
    assert.deepEqual(await machines.client.many({ host: WEB, port: 80, count: 10 }), { [next[0]!]: 10 })
  })

  it('let an open connection live on when its endpoint is withdrawn and while the agent is another; new ones go elsewhere', async () => {
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [endpoint(A)])
    await view.tell(proxy)
    assert.match(from(await machines.podB.tcp({ host: WEB, port: 80, hold: 'open' })), /^pod-a:8080/)
    proxy = newProxy()
    await view.tell(proxy, true)
    assert.match(from(await machines.podB.again('open')), /^pod-a:8080/)
    view.slice('web-1', 'web', [endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.match(from(await machines.podB.again('open')), /^pod-a:8080/)
    assert.match(from(await machines.podB.tcp({ host: WEB, port: 80 })), /^pod-c:8080/)
    view.remove('Service', 'web')
    await view.tell(proxy)
    assert.match(from(await machines.podB.again('open')), /^pod-a:8080/)
  })

  it("reset a connection to a controller that is gone, at the client's next packet", async () => {
    view.service('kubernetes', { clusterIPs: [WEB] })
    view.slice('kubernetes-1', 'kubernetes', [endpoint(A), endpoint(C, 'n2')])
    await view.tell(proxy)
    const to = async (hold: string): Promise<string> =>
      from(await machines.podB.tcp({ host: WEB, port: 80, hold })).split(':')[0]!
    // A connection to each: which one is met is chance.
    const held: Record<string, string> = {}
    for (let index = 0; held['pod-a'] === undefined || held['pod-c'] === undefined; index++)
      held[await to(`held-${index}`)] ??= `held-${index}`
    view.slice('kubernetes-1', 'kubernetes', [endpoint(C, 'n2')])
    await view.tell(proxy)
    assert.equal(from(await machines.podB.again(held['pod-a']!)), 'ECONNRESET')
    assert.match(from(await machines.podB.again(held['pod-c']!)), /^pod-c:8080/)
  })

  it('lose no connection while endpoints change without pause', async () => {
    view.service('web', { clusterIPs: [WEB] })
    const sets = [
      [endpoint(A), endpoint(B), endpoint(C, 'n2')],
      [endpoint(B)],
      [endpoint(C, 'n2'), endpoint(A)],
      [endpoint(A)],
      [endpoint(B), endpoint(A)],
    ]
    view.slice('web-1', 'web', sets[0]!)
    await view.tell(proxy)
    const load = machines.podA.many({ host: WEB, port: 80, count: 3000 })
    let done = false
    void load.finally(() => (done = true))
    for (let round = 1; !done; round++) {
      view.slice('web-1', 'web', sets[round % sets.length]!)
      await view.tell(proxy)
    }
    const counts = await load
    assert.equal(
      Object.entries(counts).reduce((sum, [name, count]) => sum + (name.startsWith('pod-') ? count : 0), 0),
      3000,
      JSON.stringify(counts),
    )
  })

  it('end UDP flows to an endpoint that is gone, and only those; to a deleted Service, too', async () => {
    view.service('dns', {
      type: 'NodePort',
      clusterIPs: [WEB],
      ports: [port(53, { protocol: 'UDP', nodePort: 30053 })],
    })
    const ports = [{ name: '', protocol: 'UDP', port: 8080 }] as const
    view.slice('dns-1', 'dns', [endpoint(A)], [...ports])
    await view.tell(proxy)
    const ask = async (): Promise<string> => from(await machines.podB.udp({ host: WEB, port: 53, hold: 'flow' }))
    const askOutside = async (): Promise<string> =>
      from(await machines.client.udp({ host: '192.168.77.1', port: 30053, hold: 'outside' }))
    assert.match(await ask(), /^pod-a:8080/)
    assert.match(await askOutside(), /^pod-a:8080/)
    assert.match(from(await machines.podB.udp({ host: A, port: 8080, hold: 'direct' })), /^pod-a:8080/)
    view.slice('dns-1', 'dns', [endpoint(A), endpoint(C, 'n2')], [...ports])
    await view.tell(proxy)
    assert.match(await ask(), /^pod-a:8080/)
    view.slice('dns-1', 'dns', [endpoint(C, 'n2')], [...ports])
    await view.tell(proxy)
    assert.match(await ask(), /^pod-c:8080/)
    assert.match(await askOutside(), /^pod-c:8080/)
    const direct = await machines.onNode('conntrack', '-L', '-p', 'udp', '--orig-dst', A)
    assert.match(direct, new RegExp(`src=${B} dst=${A} `))
    view.remove('Service', 'dns')
    await view.tell(proxy)
    assert.equal(await ask(), 'ECONNREFUSED')
    const left = await machines.onNode('conntrack', '-L', '-p', 'udp')
    assert.doesNotMatch(left, new RegExp(`dst=${WEB}|dport=30053`))
  })

  it('find UDP flows that went stale while no agent ran', async () => {
    const spec = { clusterIPs: [WEB], ports: [port(53, { protocol: 'UDP' })] }
    const ports = [{ name: '', protocol: 'UDP', port: 8080 }] as const
    view.service('dns', spec)
    view.slice('dns-1', 'dns', [endpoint(A)], [...ports])
    await view.tell(proxy)
    assert.match(from(await machines.podB.udp({ host: WEB, port: 53, hold: 'old' })), /^pod-a:8080/)
    view.slice('dns-1', 'dns', [endpoint(C, 'n2')], [...ports])
    proxy = newProxy()
    await view.tell(proxy, true)
    assert.match(from(await machines.podB.udp({ host: WEB, port: 53, hold: 'old' })), /^pod-c:8080/)
  })

  it('use endpoints on their way out only when no ready one is left', async () => {
    const leaving = endpoint(A, 'n1', { conditions: { ready: false, serving: true, terminating: true } })
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [
      leaving,
      endpoint(B),
      endpoint(C, 'n2', { conditions: { ready: false, serving: false, terminating: true } }),
    ])
    await view.tell(proxy)
    assert.deepEqual(await machines.podB.many({ host: WEB, port: 80, count: 20 }), { 'pod-b:8080': 20 })
    view.slice('web-1', 'web', [leaving])
    await view.tell(proxy)
    assert.deepEqual(await machines.podB.many({ host: WEB, port: 80, count: 20 }), { 'pod-a:8080': 20 })
  })

  it("reject pings of Services' addresses instead of leaving them unanswered", async () => {
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [endpoint(A)])
    await view.tell(proxy)
    for (const machine of [machines.podB, machines.client]) {
      const { stdout } = await run('nsenter', [`--net=${machine.netns}`, '--', 'ping', '-c', '1', '-W', '5', WEB], {
        allow: [1],
      })
      assert.match(stdout, /Destination Port Unreachable/)
    }
  })

  it('mend a table that somebody has spoiled, at the next complete change', async () => {
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [endpoint(A), endpoint(B)])
    await view.tell(proxy)
    await machines.onNode(
      'nft',
      'flush map inet gantry_services slots4; flush chain inet gantry_services chosen; add element inet gantry_services fronts4 { 10.96.0.99 . 6 . 80 : 0x47000001 }; flush chain inet gantry_services pick4_2',
    )
    await view.tell(proxy, true)
    assert.deepEqual(Object.keys(await machines.podB.many({ host: WEB, port: 80, count: 30 })).sort(), [
      'pod-a:8080',
      'pod-b:8080',
    ])
    assert.deepEqual(await machines.podB.tcp({ host: '10.96.0.99', port: 80 }), { error: 'ECONNREFUSED' })
    await machines.onNode('nft', 'delete table inet gantry_services; add table inet gantry_services')
    await view.tell(proxy, true)
    assert.deepEqual(Object.keys(await machines.podB.many({ host: WEB, port: 80, count: 30 })).sort(), [
      'pod-a:8080',
      'pod-b:8080',
    ])
  })

  it('are read back from the kernel as they were written: an agent that starts again changes no element', async () => {
    view.service(
      'web',
      {
        type: 'LoadBalancer',
        clusterIPs: [WEB, 'fd00:96::10'],
        sessionAffinity: 'ClientIP',
        externalTrafficPolicy: 'Local',
        externalIPs: ['203.0.113.7', 'FD77:0:0::1'],
        ports: [
          port(80, { nodePort: 30080 }),
          port(53, { name: 'udp', protocol: 'UDP', nodePort: 30053 }),
          port(9, { name: 'sctp', protocol: 'SCTP', nodePort: 30009 }),
        ],
        loadBalancerSourceRanges: ['10.0.0.0/8', '10.1.0.0/16', '192.168.77.2/32', '0.0.0.0/0', 'fd00::/8', '::1/128'],
      },
      { loadBalancer: { ingress: [{ ip: '192.168.77.1' }, { ip: 'fd77::1' }] } },
    )
    const ports = [
      { name: '', protocol: 'TCP', port: 22 },
      { name: 'udp', protocol: 'UDP', port: 53 },
      { name: 'sctp', protocol: 'SCTP', port: 8080 },
    ] as const
    view.slice('web-1', 'web', [endpoint(A), endpoint(B), endpoint(C, 'n2')], [...ports])
    view.slice(
      'web-2',
      'web',
      [endpoint(A6), endpoint('2001:DB8:0::1', 'n2'), endpoint('fe00::ffff:1.2.3.4')],
      [...ports],
    )
    view.service('plain', { clusterIPs: ['10.96.0.11'], internalTrafficPolicy: 'Local' })
    view.slice('plain-1', 'plain', [endpoint(C, 'n2')])
    view.service('empty', { clusterIPs: ['10.96.0.12'] })
    await view.tell(proxy)
    const texts: string[] = []
    proxy = new ServiceProxy({
      node: 'n1',
      logger: silentLogger,
      netns: machines.node.netns,
      run: (program, args, options) => {
        if (typeof options?.stdin === 'string') texts.push(options.stdin)
        return run(program, args, options)
      },
    })
    await view.tell(proxy, true)
    assert.ok(texts.length > 0)
    assert.deepEqual(
      texts
        .join('')
        .split('\n')
        .filter((line) => line.includes(' element ')),
      [],
    )
  })

  it('fail whole when the kernel refuses, and are right again with the next call', async () => {
    view.service('web', { clusterIPs: [WEB] })
    view.slice('web-1', 'web', [endpoint(A)])
    await view.tell(proxy)
    await machines.onNode('nft', 'delete table inet gantry_services')
    view.slice('web-1', 'web', [endpoint(B)])
    await assert.rejects(view.tell(proxy), { code: 'Internal' })
    await view.tell(proxy)
    assert.deepEqual(await machines.podA.many({ host: WEB, port: 80, count: 10 }), { 'pod-b:8080': 10 })
  })

  it('leave nothing in the table that no Service needs', async () => {
    view.service(
      'web',
      {
        type: 'LoadBalancer',
        clusterIPs: [WEB, 'fd00:96::10'],
        sessionAffinity: 'ClientIP',
        externalTrafficPolicy: 'Local',
        ports: [port(80, { nodePort: 30080 })],
        loadBalancerSourceRanges: ['10.0.0.0/8'],
      },
      { loadBalancer: { ingress: [{ ip: '192.168.77.1' }] } },
    )
    view.slice('web-1', 'web', [endpoint(A), endpoint(C, 'n2')])
    view.slice('web-2', 'web', [endpoint(A6)])
    await view.tell(proxy)
    assert.match(await machines.onNode('nft', 'list', 'table', 'inet', 'gantry_services'), /chain keep4_2_10800/)
    view.remove('Service', 'web')
    view.remove('EndpointSlice', 'web-1')
    view.remove('EndpointSlice', 'web-2')
    await view.tell(proxy)
    const table = await machines.onNode('nft', 'list', 'table', 'inet', 'gantry_services')
    assert.doesNotMatch(table, /elements =|chain (pick|keep)[46]_/)
  })
})
