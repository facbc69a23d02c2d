import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AnswerCallback } from '../../../agent/dns/exchange.ts'
import { ForwardCache } from '../../../agent/dns/forward-cache.ts'
import { Forwarder, type ForwardResult } from '../../../agent/dns/forwarder.ts'
import { RCODE, render, parseQuery, scanResponse, type Query, type Question } from '../../../agent/dns/message.ts'
import { asUpstream, upstreamKey, Upstreams } from '../../../agent/dns/upstreams.ts'
import { wireName } from '../../../agent/dns/wire-name.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import * as dnsPacket from 'dns-packet'
import { FakeClock } from '../../../proto/base/clock.ts'
import { query } from './client.ts'

const QUESTION: Question = {
  name: wireName('a.example.com'),
  type: 1,
  class: 1,
  secure: false,
  checkingDisabled: false,
}

interface Asking {
  readonly server: string
  readonly done: AnswerCallback
  ended: boolean
}

function setup({ servers = ['192.0.2.1', '192.0.2.2'], stale = 3600, limits = { flights: 10, perClient: 5 } } = {}): {
  clock: FakeClock
  asking: Asking[]
  forwarder: Forwarder
  ask: (question?: Partial<Question>, client?: string) => ForwardResult[]
} {
  const clock = new FakeClock()
  const asking: Asking[] = []
  const forwarder = new Forwarder({
    clock,
    limits,
    upstreams: new Upstreams({ configured: servers, own: () => new Set(), clock, logger: silentLogger }),
    cache: new ForwardCache({ entries: 100, bytes: 1e6, stale: stale * 1000 }),
    exchange: (server, _, done) => {
      const one = { server: server.address, done, ended: false }
      asking.push(one)
      return () => (one.ended = true)
    },
  })
  const ask = (question: Partial<Question> = {}, client = 'c'): ForwardResult[] => {
    const heard: ForwardResult[] = []
    forwarder.forward({ ...QUESTION, ...question }, client, (forwarded) => heard.push(forwarded))
    return heard
  }
  return { clock, asking, forwarder, ask }
}

function answer(ttl: number, rcode = 0): NonNullable<Parameters<AnswerCallback>[0]> {
  return scanResponse(
    dnsPacket.encode({
      type: 'response',
      flags: rcode,
      questions: [{ name: 'a.example.com', type: 'A' }],
      answers: rcode === 0 ? [{ type: 'A', name: 'a.example.com', ttl, data: '192.0.2.9' }] : [],
    }),
  )!
}

describe('the forwarder', () => {
  it('asks the next server when one is slow, and takes whichever answer comes first', async () => {
    const { clock, asking, ask } = setup()
    const heard = ask()
    await clock.advance(699)
    assert.deepEqual(
      asking.map(({ server }) => server),
      ['192.0.2.1'],
    )
    await clock.advance(1)
    assert.deepEqual(
      asking.map(({ server, ended }) => [server, ended]),
      [
        ['192.0.2.1', false],
        ['192.0.2.2', false],
      ],
    )
    asking[0]!.done(answer(60))
    assert.equal(heard.length, 1)
    assert.ok(asking[1]!.ended)
  })

  it('asks the next at once when one refuses, and one that was silent last for a while', async () => {
    const { clock, asking, ask } = setup()
    ask()
    asking[0]!.done(undefined)
    assert.deepEqual(
      asking.map(({ server }) => server),
      ['192.0.2.1', '192.0.2.2'],
    )
    asking[1]!.done(answer(60))
    ask({ type: 28 })
    assert.equal(asking[2]!.server, '192.0.2.2')
    asking[2]!.done(answer(60))
    await clock.advance(10_001)
    ask({ type: 15 })
    assert.equal(asking[3]!.server, '192.0.2.1')
  })

  it('says SERVFAIL when all refuse, at once, and for a second', async () => {
    const { clock, asking, ask } = setup()
    const heard = ask()
    asking[0]!.done(undefined)
    asking[1]!.done(answer(0, RCODE.REFUSED))
    assert.equal(heard[0]!.answer.rcode, RCODE.SERVFAIL)
    ask()
    assert.equal(asking.length, 2)
    await clock.advance(1001)
    ask()
    assert.equal(asking.length, 3)
  })

  it('says SERVFAIL before a client gives up when nobody answers', async () => {
    const { clock, asking, ask, forwarder } = setup()
    const heard = ask()
    await clock.advance(4499)
    assert.equal(heard.length, 0)
    assert.equal(asking.length, 4)
    await clock.advance(1)
    assert.equal(heard[0]!.answer.rcode, RCODE.SERVFAIL)
    assert.ok(asking.every(({ ended }) => ended))
    assert.deepEqual([forwarder.flights, clock.pending], [0, 0])
  })

  it('keeps an answer for its time, and counts that down', async () => {
    const { clock, asking, ask } = setup()
    ask()
    asking[0]!.done(answer(60))
    await clock.advance(59_000)
    const [kept] = ask()
    const asked = parseQuery(query('a.example.com')) as Query
    const age = (clock.monotonic() - kept!.stored) / 1000
    assert.equal((dnsPacket.decode(render(kept!.answer, asked, 512, { age })).answers![0] as { ttl: number }).ttl, 1)
    await clock.advance(1000)
    ask()
    assert.equal(asking.length, 2)
  })

  it('gives what is too old after 1.8 s without an answer, then at once, and asks on', async () => {
    const { clock, asking, ask } = setup()
    ask()
    asking[0]!.done(answer(60))
    await clock.advance(61_000)
    const heard = ask()
    await clock.advance(1799)
    assert.equal(heard.length, 0)
    await clock.advance(1)
    assert.equal(heard[0]!.staleTtl, 30)
    assert.equal(ask().length, 1)
    await clock.advance(2700) // the flight ends: for some seconds nobody is asked
    const before = asking.length
    assert.equal(ask()[0]!.staleTtl, 30)
    assert.equal(asking.length, before)
    await clock.advance(5001)
    const again = ask()
    asking[asking.length - 1]!.done(answer(60))
    assert.equal(again[0]!.staleTtl, undefined)
  })

  it('gives nothing that is older than it may', async () => {
    const { clock, asking, ask } = setup({ stale: 10 })
    ask()
    asking[0]!.done(answer(60))
    await clock.advance(70_001)
    const heard = ask()
    await clock.advance(4500)
    assert.equal(heard[0]!.answer.rcode, RCODE.SERVFAIL)
  })

  it('bounds what one client, and what all have under way', () => {
    const { asking, ask } = setup()
    for (let at = 0; at < 5; at++) ask({ type: 100 + at }, 'greedy')
    assert.equal(ask({ type: 200 }, 'greedy')[0]!.answer.rcode, RCODE.SERVFAIL)
    for (let at = 0; at < 5; at++) assert.equal(ask({ type: 300 + at }, `c${at}`).length, 0)
    assert.equal(ask({ type: 400 }, 'late')[0]!.answer.rcode, RCODE.SERVFAIL)
    asking[0]!.done(answer(60))
    assert.equal(ask({ type: 500 }, 'greedy').length, 0)
  })

  it('says SERVFAIL at once when there is no server', () => {
    const { ask } = setup({ servers: ['nonsense'] })
    assert.equal(ask()[0]!.answer.rcode, RCODE.SERVFAIL)
  })
})

describe('the cache', () => {
  const entry = (size: number): { answer: ReturnType<typeof answer>; stored: number; expires: number } => ({
    answer: { ...answer(60), bytes: Buffer.alloc(size) },
    stored: 0,
    expires: 1e6,
  })

  it('lets the least recently used go, by count and by bytes', () => {
    const cache = new ForwardCache({ entries: 3, bytes: 3000, stale: 0 })
    for (const key of ['a', 'b', 'c']) cache.put(key, entry(50))
    cache.get('a', 1)
    cache.put('d', entry(50))
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((key) => cache.get(key, 1) !== undefined),
      [true, false, true, true],
    )
    cache.put('e', entry(2000))
    assert.ok(cache.bytes <= 3000 && cache.get('e', 1) !== undefined && cache.get('a', 1) === undefined)
    assert.equal(cache.get('e', 1e6), undefined)
    cache.clear()
    assert.deepEqual([cache.size, cache.bytes], [0, 0])
  })
})

describe('the servers of the node', () => {
  it('are those of a file, read again when it changes, never ourselves', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'gantry-dns-'))
    try {
      const file = join(directory, 'resolv.conf')
      const clock = new FakeClock()
      const upstreams = new Upstreams({
        configured: [],
        file,
        own: () => new Set(['169.254.20.10']),
        clock,
        logger: silentLogger,
      })
      assert.deepEqual(upstreams.get(), [])
      writeFileSync(
        file,
        '# nobody\nnameserver 169.254.20.10\nnameserver 192.0.2.1\nnameserver fd00::53\nnameserver nonsense\noptions edns0\n',
      )
      assert.deepEqual(upstreams.get(), [], 'it is looked at once a second')
      await clock.advance(1000)
      assert.deepEqual(upstreams.get().map(upstreamKey), ['192.0.2.1:53', '[fd00::53]:53'])
      writeFileSync(file, 'nameserver 192.0.2.77\n')
      await clock.advance(1000)
      assert.deepEqual(upstreams.get().map(upstreamKey), ['192.0.2.77:53'])
      rmSync(file)
      await clock.advance(1000)
      assert.deepEqual(upstreams.get().map(upstreamKey), ['192.0.2.77:53'])
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('are written as an address, with a port or without', () => {
    for (const [text, key] of [
      ['10.0.0.53', '10.0.0.53:53'],
      ['10.0.0.53:5353', '10.0.0.53:5353'],
      ['fd00::53', '[fd00::53]:53'],
      ['[fd00::53]:5353', '[fd00::53]:5353'],
      ['[fd00::53]', '[fd00::53]:53'],
    ] as const)
      assert.equal(upstreamKey(asUpstream(text)!), key)
    for (const text of ['dns.example.com', '10.0.0.53:0', '10.0.0.53:70000', '10.0.0.53:x', '', '[10.0.0]:53'])
      assert.equal(asUpstream(text), undefined, text)
  })
})
