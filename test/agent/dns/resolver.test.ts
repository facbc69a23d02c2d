import * as dnsPacket from 'dns-packet'
import fc from 'fast-check'
import assert from 'node:assert/strict'
import { run } from '../../../proto/base/command.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { ServiceRecordIndex } from '../../../agent/dns/service-record-index.ts'
import { Resolver } from '../../../agent/dns/resolver.ts'
import type { EndpointSlice, Service } from '../../../proto/gen/types.ts'
import { until } from '../../eventually.ts'
import { addresses, DnsClient, edns, overTcp, query } from './client.ts'
import { address, FakeUpstream, soa } from './fake-upstream.ts'
import { RANGES, service, slice, view } from './view.ts'

const MANY = Array.from({ length: 100 }, (_, at) => ({ address: `10.1.3.${at}`, hostname: `h${at}` }))
const OBJECTS = [
  service('shop', 'web', { clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'] }),
  service('shop', 'db', { clusterIP: 'None' }),
  slice('shop', 'db-1', 'db', [{ address: '10.1.2.3' }, { address: '10.1.2.4' }, { address: '10.1.2.5' }]),
  service('shop', 'many', { clusterIP: 'None' }),
  slice('shop', 'many-1', 'many', MANY),
  service('shop', 'ext', { type: 'ExternalName', externalName: 'example.com' }),
]

describe('the resolver', function () {
  this.timeout(60_000)
  let upstream: FakeUpstream
  let resolver: Resolver
  let client: DnsClient
  let port: number

  const tell = async (objects: readonly (Service | EndpointSlice)[], revision: number): Promise<void> =>
    resolver.zone({
      begin: { ...RANGES.cluster, address: '169.254.20.10' },
      set: [...new ServiceRecordIndex().all(view(objects))],
      commit: revision,
    })

  before(async () => {
    upstream = await FakeUpstream.start()
    resolver = new Resolver({
      settings: { upstream: [upstream.address], resolvConf: '/nowhere', cacheBytes: 1e6, serveStale: 3600 },
      logger: silentLogger,
    })
    await tell(OBJECTS, 1)
    const ports = await resolver.listen([{ address: '127.0.0.1', port: 0 }])
    port = ports[0]!
    client = await DnsClient.open(port)
  })
  after(async () => {
    client.close()
    await resolver.stop()
    await upstream.stop()
  })
  beforeEach(() => {
    upstream.asked.length = 0
    upstream.answer = (asked) => asked.reply({ rcode: 3, ...soa(60) })
  })

  describe('for names of the cluster', () => {
    it('keeps the letters of the question, and its id, also when it was answered before', async () => {
      for (let round = 0; round < 3; round++) {
        for (const name of ['web.shop.svc.cluster.local', 'WEB.shop.svc.Cluster.LOCAL']) {
          const { answers, questions } = await client.ask(name)
          assert.deepEqual(
            [questions![0]!.name, answers![0]!.name, (answers![0] as { data: string }).data],
            [name, name, '10.96.0.7'],
          )
        }
      }
    })

    it('turns addresses round', async () => {
      const first = new Set<string>()
      for (let round = 0; round < 3; round++) {
        const found = addresses(await client.ask('db.shop.svc.cluster.local'))
        assert.deepEqual([...found].sort(), ['10.1.2.3', '10.1.2.4', '10.1.2.5'])
        first.add(found[0]!)
      }
      assert.equal(first.size, 3)
    })

    it('cuts off what is too long for UDP, and has all of it over TCP', async () => {
      for (const [more, limit] of [
        [{}, 512],
        [edns(700), 700],
        [edns(65_535), 1232],
      ] as const) {
        const { bytes, flag_tc: truncated, answers } = await client.ask('many.shop.svc.cluster.local', 'A', more)
        assert.ok(truncated && bytes.length <= limit && bytes.length > limit - 30, String(bytes.length))
        assert.ok(answers!.length > 20 && new Set(addresses(dnsPacket.decode(bytes))).size === answers!.length)
      }
      const [whole] = await overTcp(port, [query('many.shop.svc.cluster.local')])
      const decoded = dnsPacket.decode(whole!)
      assert.deepEqual([decoded.flag_tc, new Set(addresses(decoded)).size], [false, 100])
    })

    it('leaves additional records out rather than the answer', async () => {
      const objects = [
        service('shop', 'x', { clusterIP: 'None' }),
        slice('shop', 'x-1', 'x', MANY.slice(0, 8), [{ name: 'p', port: 1 }]),
      ]
      await tell(objects, 2)
      const { answers, additionals, flag_tc: truncated } = await client.ask('_p._tcp.x.shop.svc.cluster.local', 'SRV')
      assert.deepEqual([answers!.length, additionals!.length, truncated], [8, 0, false])
      await tell(OBJECTS, 3)
    })

    it('answers many queries on one connection', async () => {
      const names = ['web', 'db', 'nobody', 'web'].map((name) => query(`${name}.shop.svc.cluster.local`))
      const answers = await overTcp(port, names)
      assert.deepEqual(
        answers.map((packet) => packet.readUInt16BE(0)).sort(),
        names.map((packet) => packet.readUInt16BE(0)).sort(),
      )
    })

    it('says something else as soon as it is told', async () => {
      assert.equal((await client.ask('new.shop.svc.cluster.local')).rcode, 'NXDOMAIN')
      await resolver.zone({
        set: [['shop/new', [{ name: '\x03new\x04shop\x03svc\x07cluster\x05local', type: 'A', data: '10.96.9.9' }]]],
        commit: 4,
      })
      assert.deepEqual(addresses(await client.ask('new.shop.svc.cluster.local')), ['10.96.9.9'])
      assert.equal((await resolver.stats()).revision, 4)
    })

    it('asks nobody else for them', async () => {
      for (const name of [
        'nobody.shop.svc.cluster.local',
        'web.shop.svc.cluster.local.svc.cluster.local',
        'example.com.cluster.local',
        '1.0.96.10.in-addr.arpa',
      ])
        assert.equal((await client.ask(name)).rcode, 'NXDOMAIN')
      assert.deepEqual(
        upstream.asked.filter(({ name }) => !name.endsWith('gantry-loop.internal')),
        [],
      )
    })

    it('lets dig have them', async () => {
      const { stdout } = await run('dig', [
        '@127.0.0.1',
        '-p',
        String(port),
        '+short',
        '+bufsize=4096',
        'web.shop.svc.cluster.local',
      ])
      assert.equal(stdout, '10.96.0.7\n')
    })
  })

  describe('for what it does not do', () => {
    const cases: [what: string, packet: () => Buffer, rcode: number][] = [
      ['another operation', () => query('web.shop.svc.cluster.local', 'A', { flags: 5 << 11 }), 4],
      [
        'another class',
        () => query('version.bind', 'TXT', { questions: [{ name: 'version.bind', type: 'TXT', class: 'CH' }] }),
        5,
      ],
      ['a transfer', () => query('cluster.local', 'AXFR'), 5],
      [
        'two questions',
        () =>
          query('a', 'A', {
            questions: [
              { name: 'a', type: 'A' },
              { name: 'b', type: 'A' },
            ],
          }),
        1,
      ],
      ['no question', () => query('a', 'A', { questions: [] }), 1],
      ['a question that is cut off', () => query('web.shop.svc.cluster.local').subarray(0, 20), 1],
      [
        'a question that points to itself',
        () => Buffer.concat([query('a').subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]),
        1,
      ],
      [
        'a label that is too long',
        () =>
          Buffer.concat([
            query('a').subarray(0, 12),
            Buffer.from([64]),
            Buffer.alloc(64, 97),
            Buffer.from([0, 0, 1, 0, 1]),
          ]),
        1,
      ],
      [
        'a name that is too long',
        () =>
          Buffer.concat([
            query('a').subarray(0, 12),
            ...Array.from({ length: 5 }, () => Buffer.concat([Buffer.from([60]), Buffer.alloc(60, 97)])),
            Buffer.from([0, 0, 1, 0, 1]),
          ]),
        1,
      ],
    ]
    for (const [what, packet, rcode] of cases)
      it(`refuses ${what}`, async () =>
        assert.equal((await client.raw(packet())).readUInt16BE(2) & 0x800f, 0x8000 | rcode))

    it('knows one version of EDNS', async () => {
      const { additionals, bytes } = await client.ask('web.shop.svc.cluster.local', 'A', edns(1232, 1))
      assert.deepEqual([(additionals![0] as { extendedRcode?: number }).extendedRcode, bytes[3]! & 15], [1, 0])
    })

    it('never answers an answer, nor what is no message', async () => {
      const before = client.received
      client.send(Buffer.from([1]))
      client.send(Buffer.alloc(0))
      client.send(
        dnsPacket.encode({ type: 'response', id: 1, questions: [{ name: 'web.shop.svc.cluster.local', type: 'A' }] }),
      )
      await client.ask('web.shop.svc.cluster.local')
      assert.equal(client.received, before + 1)
    })

    it('lives on after any bytes, over UDP and TCP', async () => {
      const valid = query('web.shop.svc.cluster.local', 'A', edns(1232))
      const mutated = fc
        .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
        .map((changes) => {
          const packet = Buffer.from(valid)
          for (const [at, value] of changes) packet[at] = value
          return packet
        })
      const bytes = fc.oneof(
        mutated,
        fc.uint8Array({ maxLength: 600 }).map((array) => Buffer.from(array)),
      )
      const packets = fc.sample(bytes, 3000)
      for (const [at, packet] of packets.entries()) {
        client.send(packet)
        if (at % 100 === 99) assert.equal((await client.ask('web.shop.svc.cluster.local')).rcode, 'NOERROR')
      }
      await overTcp(port, packets.slice(0, 100))
      assert.deepEqual(addresses(await client.ask('web.shop.svc.cluster.local')), ['10.96.0.7'])
    })
  })

  describe('for other names', () => {
    it('asks once however many ask, and keeps the answer', async () => {
      upstream.answer = () => undefined
      const asking = Array.from({ length: 20 }, () => client.ask('one.example.com'))
      await until('asked', () => upstream.askedFor('one.example.com').length > 0)
      for (const asked of upstream.askedFor('one.example.com')) asked.reply(address('one.example.com', '192.0.2.1'))
      for (const answer of await Promise.all(asking)) assert.deepEqual(addresses(answer), ['192.0.2.1'])
      assert.deepEqual(addresses(await client.ask('ONE.example.com')), ['192.0.2.1'])
      assert.equal(upstream.askedFor('one.example.com').length, 1)
    })

    it('takes no answer that it did not ask for', async () => {
      upstream.answer = ({ query: { id, questions }, name, send, reply }) => {
        const forged = (more: Partial<dnsPacket.Packet>): void =>
          send(
            dnsPacket.encode({
              type: 'response',
              id: id!,
              questions: questions!,
              ...address(name, '198.51.100.66'),
              ...more,
            }),
          )
        forged({ id: (id! + 1) % 65_536 })
        forged({ questions: [{ name: 'other.example.com', type: 'A' }] })
        forged({ questions: [{ name, type: 'AAAA' }] })
        forged({ type: 'query' })
        send(Buffer.from([0, 1, 2]))
        reply(address(name, '192.0.2.2'))
      }
      assert.deepEqual(addresses(await client.ask('two.example.com')), ['192.0.2.2'])
    })

    it('asks over TCP when the answer was cut off', async () => {
      upstream.answer = ({ name, transport, reply }) =>
        transport === 'udp'
          ? reply({ truncated: true })
          : reply({
              answers: Array.from({ length: 60 }, (_, at) => ({
                type: 'A' as const,
                name,
                ttl: 60,
                data: `192.0.2.${at}`,
              })),
            })
      const [whole] = await overTcp(port, [query('large.example.com')])
      assert.equal(addresses(dnsPacket.decode(whole!)).length, 60)
      const short = await client.ask('large.example.com')
      assert.ok(short.flag_tc && addresses(short).length > 5)
    })

    it('asks without EDNS a server that does not know it', async () => {
      upstream.answer = ({ query: { additionals }, name, reply }) =>
        reply(additionals!.length > 0 ? { rcode: 1 } : address(name, '192.0.2.3'))
      assert.deepEqual(addresses(await client.ask('old.example.com')), ['192.0.2.3'])
    })

    it('asks from another port with another id each time', async () => {
      upstream.answer = ({ name, reply }) => reply(address(name, '192.0.2.4'))
      await Promise.all(Array.from({ length: 30 }, (_, at) => client.ask(`n${at}.example.org`)))
      const asked = upstream.asked.filter(({ name }) => name.endsWith('.example.org'))
      assert.equal(asked.length, 30)
      assert.ok(
        new Set(asked.map(({ from }) => from.port)).size > 20 &&
          new Set(asked.map(({ query: { id } }) => id)).size > 20,
      )
    })

    it('believes an absence as long as its SOA says, and no longer than none says', async () => {
      assert.equal((await client.ask('absent.example.com')).rcode, 'NXDOMAIN')
      assert.equal((await client.ask('absent.example.com')).rcode, 'NXDOMAIN')
      assert.equal(upstream.askedFor('absent.example.com').length, 1)
      upstream.answer = ({ reply }) => reply({ rcode: 3 })
      await client.ask('vague.example.com')
      await client.ask('vague.example.com')
      assert.equal(upstream.askedFor('vague.example.com').length, 2)
    })

    it('follows an alias out of the cluster', async () => {
      upstream.answer = ({ name, reply }) =>
        reply({
          answers: [
            { type: 'CNAME', name, ttl: 60, data: 'edge.example.net' },
            { type: 'A', name: 'edge.example.net', ttl: 60, data: '192.0.2.5' },
          ],
        })
      const { answers } = await client.ask('Ext.shop.svc.cluster.local')
      assert.deepEqual(
        answers!.map((record) => `${record.name} ${record.type} ${String((record as { data: unknown }).data)}`),
        [
          'ext.shop.svc.cluster.local CNAME example.com',
          'example.com CNAME edge.example.net',
          'edge.example.net A 192.0.2.5',
        ],
      )
    })

    it('has room for every client while one asks for what nobody answers', async () => {
      upstream.answer = ({ name, reply }) => void (name === 'good.example.com' && reply(address(name, '192.0.2.6')))
      await until('nothing of the tests before is under way', async () => (await resolver.stats()).flights === 0)
      const flooding = await DnsClient.open(port, '127.0.0.2')
      for (let at = 0; at < 5000; at++) {
        flooding.send(query(`x${at}.flood.example.com`))
        if (at % 50 === 0) await client.ask('web.shop.svc.cluster.local')
      }
      assert.deepEqual(addresses(await client.ask('good.example.com')), ['192.0.2.6'])
      const { flights, refusedForLimits } = await resolver.stats()
      assert.ok(flights <= 201, String(flights))
      assert.ok(refusedForLimits > 0)
      flooding.close()
    })

    it('finds out that its server asks it back', async () => {
      const bridge = await DnsClient.open(port)
      const looping = new Resolver({
        settings: { upstream: [upstream.address], resolvConf: '/nowhere', cacheBytes: 1e6, serveStale: 0 },
        logger: silentLogger,
      })
      const [own] = await looping.listen([{ address: '127.0.0.1', port: 0 }])
      await looping.zone({ begin: { ...RANGES.cluster, address: '169.254.20.10' }, set: [], commit: 1 })
      const back = await DnsClient.open(own!)
      const probed = new Promise<void>((resolve) => {
        upstream.answer = ({ name, type, reply }) =>
          void back.ask(name, type).then(({ rcode }) => {
            reply({ rcode: rcode === 'NXDOMAIN' ? 3 : 2 })
            if (name.endsWith('.gantry-loop.internal')) resolve()
          })
      })
      const asking = await DnsClient.open(own!)
      // With it the servers are looked at. It goes round until it is given up, which is not waited for.
      void asking.ask('first.example.com')
      await probed
      const { rcode } = await asking.ask('second.example.com')
      assert.equal(rcode, 'SERVFAIL')
      assert.deepEqual(upstream.askedFor('second.example.com'), [], 'it is left out')
      for (const one of [bridge, back, asking]) one.close()
      await looping.stop()
    })
  })
})
