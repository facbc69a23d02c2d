import assert from 'node:assert/strict'
import { dnsFault } from '../../deploy/rig/faults/dns.ts'
import { TinyRig } from './tiny-rig.ts'

/** Answers every name with 192.0.2.7, over UDP and TCP; written without the parser under test. */
const SERVER = `
const answer = (query) => {
  const end = query.indexOf(0, 12) + 5
  const reply = Buffer.concat([query.subarray(0, end), Buffer.from('c00c00010001000000050004c0000207', 'hex')])
  reply.writeUInt16BE(0x8180, 2)
  reply.writeUInt16BE(1, 6)
  reply.writeUInt16BE(0, 8)
  reply.writeUInt16BE(0, 10)
  return reply
}
const udp = require('dgram').createSocket('udp4')
udp.on('message', (query, from) => udp.send(answer(query), from.port, from.address))
udp.bind(53, process.argv[1], () => {
  require('net').createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (data) => { const reply = answer(data.subarray(2)); const length = Buffer.alloc(2); length.writeUInt16BE(reply.length); socket.write(Buffer.concat([length, reply])) })
  }).listen(53, process.argv[1], () => console.log('up'))
})
`
/** One query by Node.js' resolver, which waits so many milliseconds: its answer or error, and milliseconds. */
const RESOLVE = `
const resolver = new (require('dns').promises.Resolver)({ timeout: Number(process.argv[3]), tries: 1 })
resolver.setServers([process.argv[1]])
const begun = performance.now()
const say = (what) => console.log(String(what), Math.round(performance.now() - begun))
resolver.resolve4(process.argv[2]).then(say, (error) => say(error.code))
`
/** As RESOLVE, over TCP: its code and number of answers. */
const RESOLVE_TCP = `
const name = Buffer.concat([...process.argv[2].split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])])
const query = Buffer.concat([Buffer.from('123401000001000000000000', 'hex'), name, Buffer.from('00010001', 'hex')])
const length = Buffer.alloc(2)
length.writeUInt16BE(query.length)
const socket = require('net').connect(53, process.argv[1], () => socket.write(Buffer.concat([length, query])))
let got = Buffer.alloc(0)
socket.on('data', (data) => {
  got = Buffer.concat([got, data])
  if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return
  console.log(got[5] & 15, got.readUInt16BE(8))
  socket.destroy()
})
socket.on('error', (error) => console.log(error.code))
`

describe('the fault "dns"', function () {
  this.timeout(60_000)
  let rig: TinyRig
  let server: string
  /** Pid of what holds its namespace, as n1 counts. */
  let pod: string

  before(async () => {
    rig = await TinyRig.start([dnsFault], {
      controller: { role: 'controller', index: 2 },
      n1: { role: 'node', index: 11 },
      n2: { role: 'node', index: 12 },
    })
    server = rig.machine('controller').address
    await rig.serve('controller', SERVER, server)
    // A pod of n1: a network namespace whose packets n1 forwards.
    pod = await rig.begin('n1', 'unshare', '--net', 'sh', '-c', 'echo $$; exec sleep infinity')
    await rig.machine('n1').run([
      'sh',
      '-ec',
      `
      echo 1 > /proc/sys/net/ipv4/ip_forward
      ip link add pod0 type veth peer name eth0 netns ${pod}
      ip addr add 10.244.1.1/24 dev pod0
      ip link set pod0 up
      nsenter --net --target ${pod} sh -ec 'ip addr add 10.244.1.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.244.1.1'
    `,
    ])
    await rig.machine('controller').run(['ip', 'route', 'add', '10.244.1.0/24', 'via', rig.machine('n1').address])
  })
  after(() => rig.stop())
  afterEach(() => rig.engine.heal())

  async function resolve(
    name: string,
    { from = 'n1', inside = [] as string[], patience = 10_000 } = {},
  ): Promise<{ what: string; millis: number }> {
    const [what, millis] = (
      await rig.ask(from, ...inside, process.execPath, '-e', RESOLVE, server, name, String(patience))
    ).split(' ')
    return { what: what!, millis: Number(millis) }
  }

  const inPod = (): { from: string; inside: string[] } => ({
    from: 'n1',
    inside: ['nsenter', '--net', '--target', pod],
  })
  const overTcp = (name: string): Promise<string> => rig.ask('n1', process.execPath, '-e', RESOLVE_TCP, server, name)

  it('says that there is no such name, to programs and pods of the machine and nobody else, over UDP and TCP', async () => {
    assert.equal((await resolve('a.example.com')).what, '192.0.2.7')
    assert.equal((await resolve('a.example.com', inPod())).what, '192.0.2.7')
    assert.equal(await overTcp('a.example.com'), '0 1')
    const { note } = await rig.engine.begin('dns', { machines: ['n1'], mode: 'nxdomain' })
    assert.match(note!, /to any server/)
    assert.equal((await resolve('a.example.com')).what, 'ENOTFOUND')
    assert.equal((await resolve('a.example.com', inPod())).what, 'ENOTFOUND')
    assert.equal(await overTcp('a.example.com'), '3 0')
    assert.equal((await resolve('a.example.com', { from: 'n2' })).what, '192.0.2.7')
    await rig.engine.heal()
    assert.equal((await resolve('a.example.com', inPod())).what, '192.0.2.7')
    assert.equal(await rig.ask('n1', 'nft', 'list', 'ruleset'), '')
  })

  it('fails for names below a suffix, and passes the others on', async () => {
    await rig.engine.begin('dns', { machines: ['n1'], mode: 'servfail', suffix: 'Example.com', server })
    for (const where of [{}, inPod()]) {
      assert.equal((await resolve('example.com', where)).what, 'ESERVFAIL')
      assert.equal((await resolve('a.b.example.com', where)).what, 'ESERVFAIL')
      assert.equal((await resolve('anexample.com', where)).what, '192.0.2.7')
    }
    assert.deepEqual([await overTcp('a.example.com'), await overTcp('a.example.org')], ['2 0', '0 1'])
  })

  it('gives no answer', async () => {
    await rig.engine.begin('dns', { machines: ['nodes'], mode: 'timeout' })
    for (const from of ['n1', 'n2'])
      assert.equal((await resolve('a.example.com', { from, patience: 700 })).what, 'ETIMEOUT')
  })

  it('answers late', async () => {
    await rig.engine.begin('dns', { machines: ['n1'], mode: 'slow', latency: 300, server })
    const { what, millis } = await resolve('a.example.com')
    assert(what === '192.0.2.7' && millis >= 290, `${what} after ${millis} ms`)
  })

  it('goes on after a machine was rebooted', async () => {
    await rig.engine.begin('dns', { machines: ['n2'], mode: 'nxdomain' })
    await rig.machine('n2').kill()
    await rig.engine.start('n2')
    assert.equal((await resolve('a.example.com', { from: 'n2' })).what, 'ENOTFOUND')
  })

  it('refuses what does not go together, and two on one machine', async () => {
    const begin = (given: Record<string, unknown>) => () => rig.engine.begin('dns', given)
    await assert.rejects(begin({ machines: ['n1'], mode: 'timeout', latency: 5 }), {
      code: 'InvalidArgument',
      message: /timeout takes no latency/,
    })
    await assert.rejects(begin({ machines: ['n1'], mode: 'timeout', server: 'dns.example.com' }), {
      code: 'InvalidArgument',
      message: /is not an IPv4 address/,
    })
    const { id } = await rig.engine.begin('dns', { machines: ['n1'], mode: 'timeout' })
    await assert.rejects(begin({ machines: ['nodes'], mode: 'servfail' }), {
      code: 'FailedPrecondition',
      message: `DNS of n1 fails already, by ${id}`,
    })
  })
})
