import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import fc from 'fast-check'
import { Http2Connection } from '../../../../proto/rpc/http2/connection.ts'
import { FrameReader } from '../../../../proto/rpc/http2/frame-reader.ts'
import {
  FLAG,
  FRAME,
  frame,
  goaway,
  PREFACE,
  SETTING,
  settings,
  windowUpdate,
} from '../../../../proto/rpc/http2/frames.ts'
import { encodeHeaderFields, HeaderDecoder } from '../../../../proto/rpc/http2/header-fields.ts'
import type { Http2Stream } from '../../../../proto/rpc/http2/stream.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { until } from '../../../eventually.ts'

interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

const HEAD = encodeHeaderFields({ ':method': 'POST', ':scheme': 'http', ':path': '/' })
const OK = encodeHeaderFields({ ':status': '200' })
const TRAILERS = encodeHeaderFields({ 'grpc-status': '0' })
const WINDOW = 65_535

describe('frames', () => {
  it('are cut out of what comes, in whatever pieces', () => {
    const one = fc.record({
      type: fc.constantFrom(0, 1, 2, 4, 9, 77),
      flags: fc.nat(255),
      stream: fc.nat(2 ** 31 - 1),
      payload: fc.uint8Array({ maxLength: 40 }),
    })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 6 }), fc.array(fc.nat(300)), (frames, cuts) => {
        const bytes = Buffer.concat(
          frames.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)),
        )
        const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort((a, b) => a - b)
        const seen: Frame[] = []
        const reader = new FrameReader(
          (type, flags, stream, payload) => void seen.push({ type, flags, stream, payload }),
        )
        ends.forEach((end, index) => reader.push(bytes.subarray(ends[index - 1] ?? 0, end)))
        assert.deepEqual(
          seen.map((got) => ({ ...got, payload: Buffer.from(got.payload) })),
          frames.map((given) => ({ ...given, payload: Buffer.from(given.payload) })),
        )
      }),
    )
  })
})

describe('a connection of HTTP/2', () => {
  let listener: Server
  let peer: Socket
  /** What the client sent. */
  let sent: Frame[]
  let preface: Buffer
  let connection: Http2Connection
  let events: string[]
  let ended: GantryError | undefined

  /** What came on a stream, in words. */
  class Told {
    readonly words: string[] = []
    bytes = 0
    headers(fields: object, last: boolean): void {
      this.words.push(
        `${Object.entries(fields)
          .map(([name, value]) => `${name}=${value}`)
          .join(' ')}${last ? ' .' : ''}`,
      )
    }
    data(bytes: Buffer, last: boolean): void {
      this.bytes += bytes.length
      this.words.push(`${bytes.length > 20 ? bytes.length : bytes.toString()}${last ? ' .' : ''}`)
    }
    broke({ refused, error }: { refused: boolean; error: GantryError }): void {
      this.words.push(refused ? 'refused' : `broke: ${error.message}`)
    }
  }
  const of = (type: number): Frame[] => sent.filter((one) => one.type === type)
  const has = (type: number, count = 1): Promise<void> =>
    until(`${count} frames of type ${type}`, () => of(type).length >= count)
  /** Everything that came before is handled when a ping is answered. */
  const handled = async (): Promise<void> => {
    const before = of(FRAME.ping).length
    peer.write(frame(FRAME.ping, 0, 0, Buffer.alloc(8, 1)))
    await has(FRAME.ping, before + 1)
  }
  const ask = (told: Told, body = Buffer.from('body')): Http2Stream => connection.request(HEAD, body, told)

  async function open(first: Buffer = settings([]), lastStream?: number): Promise<void> {
    sent = []
    events = []
    ended = undefined
    listener = createServer()
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const accepted = once(listener, 'connection')
    connection = new Http2Connection(
      connect((listener.address() as AddressInfo).port, '127.0.0.1'),
      {
        ready: () => void events.push('ready'),
        word: () => undefined,
        draining: () => void events.push('draining'),
        ended: (error) => {
          events.push('ended')
          ended = error
        },
      },
      lastStream,
    )
    ;[peer] = (await accepted) as [Socket]
    peer.on('error', () => undefined)
    let start = Buffer.alloc(0)
    const reader = new FrameReader(
      (type, flags, stream, payload) => void sent.push({ type, flags, stream, payload: Buffer.from(payload) }),
    )
    peer.on('data', (bytes: Buffer) => {
      if (start.length >= PREFACE.length) return reader.push(bytes)
      start = Buffer.concat([start, bytes])
      if (start.length < PREFACE.length) return
      preface = start.subarray(0, PREFACE.length)
      reader.push(start.subarray(PREFACE.length))
    })
    peer.write(first)
    if (first.length > 0) await until('it is ready', () => events.length > 0)
  }

  afterEach(async () => {
    connection.destroy(new GantryError('Cancelled', 'the test is over'))
    peer.destroy()
    listener.close()
    await Promise.resolve()
  })

  it('begins as the protocol wants it', async () => {
    await open()
    await has(FRAME.settings, 2)
    assert.equal(preface.toString(), 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    assert.deepEqual(
      sent.map(({ type, flags, stream }) => [type, flags, stream]),
      [
        [FRAME.settings, 0, 0],
        [FRAME.windowUpdate, 0, 0],
        [FRAME.settings, FLAG.ack, 0],
      ],
    )
    const values = sent[0]!.payload
    assert.deepEqual([values.readUInt16BE(0), values.readUInt32BE(2)], [SETTING.headerTableSize, 0])
    assert.deepEqual([values.readUInt16BE(6), values.readUInt32BE(8)], [SETTING.enablePush, 0])
    assert.deepEqual(events, ['ready'])
    assert.ok(connection.isOpen)
  })

  it('is not open before the other side has said anything', async () => {
    await open(Buffer.alloc(0))
    await has(FRAME.settings)
    assert.ok(!connection.isOpen)
    peer.write(frame(FRAME.ping, 0, 0, Buffer.alloc(8)))
    await until('it has ended', () => ended !== undefined)
    assert.match(ended!.message, /settings must come first/)
  })

  it('sends a request and takes the answer, with frames that it does not know between', async () => {
    await open()
    const told = new Told()
    const stream = ask(told)
    await has(FRAME.data)
    const [head] = of(FRAME.headers)
    assert.deepEqual(
      { ...new HeaderDecoder().decode(head!.payload) },
      { ':method': 'POST', ':scheme': 'http', ':path': '/' },
    )
    assert.deepEqual([head!.flags, head!.stream], [FLAG.endHeaders, 1])
    assert.deepEqual([of(FRAME.data)[0]!.flags, of(FRAME.data)[0]!.payload.toString()], [FLAG.endStream, 'body'])
    peer.write(
      Buffer.concat([
        frame(77, 255, 1, Buffer.from('of a later version')),
        frame(FRAME.priority, 0, 1, Buffer.alloc(5)),
        frame(FRAME.headers, FLAG.endHeaders, 1, OK),
        frame(FRAME.data, 0, 1, Buffer.from('one')),
        frame(FRAME.data, 0, 1),
        frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, TRAILERS),
      ]),
    )
    await handled()
    assert.deepEqual(told.words, [':status=200', 'one', '', 'grpc-status=0 .'])
    assert.ok(stream.isClosed)
    assert.equal(connection.streams, 0)
    stream.reset(8)
    stream.send(Buffer.from('x'))
    stream.consumed(1)
    assert.equal(ask(new Told()).id, 3)
  })

  it('takes padding, priorities, and header fields in several frames', async () => {
    await open()
    const told = new Told()
    ask(told)
    const padded = (payload: Buffer, padding: number): Buffer =>
      Buffer.concat([Buffer.of(padding), payload, Buffer.alloc(padding)])
    peer.write(
      Buffer.concat([
        frame(
          FRAME.headers,
          FLAG.padded | FLAG.priority,
          1,
          padded(Buffer.concat([Buffer.alloc(5), OK.subarray(0, 0)]), 7),
        ),
        frame(FRAME.continuation, 0, 1, OK),
        frame(FRAME.continuation, FLAG.endHeaders, 1, encodeHeaderFields({ a: 'b' })),
        frame(FRAME.data, FLAG.padded, 1, padded(Buffer.from('padded'), 255)),
        frame(FRAME.data, FLAG.padded | FLAG.endStream, 1, padded(Buffer.alloc(0), 0)),
      ]),
    )
    await handled()
    assert.deepEqual(told.words, [':status=200 a=b', 'padded', ' .'])
  })

  it('sends no more than the windows let it, and goes on as they grow', async () => {
    await open()
    const bodies = [Buffer.alloc(100_000, 1), Buffer.alloc(50_000, 2)]
    for (const body of bodies) ask(new Told(), body)
    const got = (stream: number): number =>
      of(FRAME.data)
        .filter((one) => one.stream === stream)
        .reduce((sum, { payload }) => sum + payload.length, 0)
    const sending = (first: number, second: number): Promise<void> =>
      until(`${first} and ${second} bytes`, () => got(1) === first && got(3) === second)
    // The window of both together is used up by the first.
    await sending(WINDOW, 0)
    peer.write(windowUpdate(0, 10_000))
    await sending(WINDOW, 10_000)
    peer.write(Buffer.concat([windowUpdate(1, 20_000), windowUpdate(0, 15_000)]))
    await sending(WINDOW + 15_000, 10_000)
    peer.write(windowUpdate(0, 1_000_000))
    await sending(WINDOW + 20_000, 50_000)
    // The window of every stream, also of those that are open.
    peer.write(settings([[SETTING.initialWindowSize, WINDOW + 1_000_000]]))
    await sending(100_000, 50_000)
    assert.deepEqual(
      of(FRAME.data)
        .filter(({ flags }) => flags === FLAG.endStream)
        .map(({ stream }) => stream)
        .sort(),
      [1, 3],
    )
    assert.ok(of(FRAME.data).every(({ payload }) => payload.length <= 16_384))
    assert.ok(
      Buffer.concat(
        of(FRAME.data)
          .filter(({ stream }) => stream === 1)
          .map(({ payload }) => payload),
      ).equals(bodies[0]!),
    )
  })

  it('sends nothing while a window is negative', async () => {
    await open()
    ask(new Told(), Buffer.alloc(70_000))
    const got = (): number => of(FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0)
    await until('the window is full', () => got() === WINDOW)
    peer.write(
      Buffer.concat([settings([[SETTING.initialWindowSize, 0]]), windowUpdate(0, 1_000_000), windowUpdate(1, WINDOW)]),
    )
    await handled()
    assert.equal(got(), WINDOW)
    peer.write(windowUpdate(1, 100))
    await until('as much as there is room for', () => got() === WINDOW + 100)
  })

  it('sends larger frames only to who takes them', async () => {
    await open(settings([[SETTING.maxFrameSize, 50_000]]))
    let bytes = Buffer.alloc(0)
    peer.removeAllListeners('data').on('data', (piece: Buffer) => (bytes = Buffer.concat([bytes, piece])))
    ask(new Told(), Buffer.alloc(50_000))
    const head = frame(FRAME.data, FLAG.endStream, 1, Buffer.alloc(50_000)).subarray(0, 9)
    await until('it has come', () => bytes.includes(head))
  })

  it('sends messages of a stream as they are given, and nothing after its end', async () => {
    await open()
    const stream = connection.request(HEAD, undefined, new Told())
    await has(FRAME.headers)
    assert.equal(of(FRAME.data).length, 0)
    stream.send(Buffer.from('one'))
    stream.send(Buffer.from('two'))
    await has(FRAME.data, 2)
    assert.deepEqual(
      of(FRAME.data).map(({ flags, payload }) => [flags, payload.toString()]),
      [
        [0, 'one'],
        [0, 'two'],
      ],
    )
    stream.reset(8)
    await has(FRAME.reset)
    assert.equal(of(FRAME.reset)[0]!.payload.readUInt32BE(), 8)
    stream.send(Buffer.from('three'))
    await handled()
    assert.equal(of(FRAME.data).length, 2)
    assert.equal(connection.streams, 0)
  })

  it('drops what still comes of a stream that it has ended, and counts it', async () => {
    await open()
    const told = new Told()
    ask(told).reset(8)
    const piece = Buffer.alloc(16_384)
    const count = (8 * 1024 * 1024) / piece.length
    peer.write(
      Buffer.concat([
        frame(FRAME.headers, FLAG.endHeaders, 1, OK),
        ...Array.from({ length: count }, () => frame(FRAME.data, 0, 1, piece)),
        frame(FRAME.reset, 0, 1, Buffer.alloc(4)),
        windowUpdate(1, 5),
      ]),
    )
    await has(FRAME.windowUpdate, 2)
    assert.deepEqual(
      [of(FRAME.windowUpdate)[1]!.stream, of(FRAME.windowUpdate)[1]!.payload.readUInt32BE()],
      [0, count * piece.length],
    )
    assert.deepEqual(told.words, [])
  })

  it('asks for more of a stream when half of its window is taken', async () => {
    await open()
    const told = new Told()
    const stream = ask(told)
    const piece = Buffer.alloc(16_384)
    peer.write(
      Buffer.concat([
        frame(FRAME.headers, FLAG.endHeaders, 1, OK),
        ...Array.from({ length: 128 }, () => frame(FRAME.data, 0, 1, piece)),
      ]),
    )
    await until('all has come', () => told.bytes === 128 * piece.length)
    stream.consumed(127 * piece.length)
    await handled()
    assert.equal(of(FRAME.windowUpdate).length, 1)
    stream.consumed(piece.length)
    await has(FRAME.windowUpdate, 2)
    assert.deepEqual(
      [of(FRAME.windowUpdate)[1]!.stream, of(FRAME.windowUpdate)[1]!.payload.readUInt32BE()],
      [1, told.bytes],
    )
  })

  it('takes an answer that comes before the request is all sent', async () => {
    await open()
    const told = new Told()
    const stream = ask(told, Buffer.alloc(100_000))
    peer.write(
      Buffer.concat([
        frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, OK),
        frame(FRAME.reset, 0, 1, Buffer.alloc(4)),
      ]),
    )
    await handled()
    assert.deepEqual(told.words, [':status=200 .'])
    assert.ok(stream.isClosed)
  })

  it('begins no more streams than the other side takes at a time', async () => {
    await open(settings([[SETTING.maxConcurrentStreams, 2]]))
    ask(new Told())
    assert.ok(connection.isOpen)
    ask(new Told())
    assert.ok(!connection.isOpen)
    peer.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, OK))
    await handled()
    assert.ok(connection.isOpen)
  })

  it('begins no more streams when their numbers end', async () => {
    await open(settings([]), 4)
    ask(new Told())
    assert.ok(connection.isOpen)
    assert.equal(ask(new Told()).id, 3)
    assert.ok(!connection.isOpen)
    assert.deepEqual(events, ['ready', 'draining'])
  })

  it('answers pings with what they hold, and hears the answers to its own', async () => {
    await open()
    const payload = Buffer.from('12345678')
    peer.write(frame(FRAME.ping, 0, 0, payload))
    await has(FRAME.ping)
    assert.deepEqual([of(FRAME.ping)[0]!.flags, of(FRAME.ping)[0]!.payload], [FLAG.ack, payload])
    const heard: number[] = []
    connection.ping(() => void heard.push(1))
    connection.ping(() => void heard.push(2))
    await has(FRAME.ping, 3)
    peer.write(frame(FRAME.ping, FLAG.ack, 0, of(FRAME.ping)[1]!.payload))
    await until('the first is answered', () => heard.length === 1)
    peer.write(frame(FRAME.ping, FLAG.ack, 0, of(FRAME.ping)[2]!.payload))
    await until('the second is answered', () => heard.length === 2)
    peer.write(frame(FRAME.ping, FLAG.ack, 0, Buffer.alloc(8)))
    await handled()
    assert.deepEqual(heard, [1, 2])
  })

  it('ends with those that are open when the other side begins to end it', async () => {
    await open()
    const told = [new Told(), new Told(), new Told()]
    for (const one of told) ask(one)
    peer.write(goaway(2 ** 31 - 1, 0))
    await until('it begins no more', () => !connection.isOpen)
    assert.deepEqual(events, ['ready', 'draining'])
    peer.write(
      Buffer.concat([
        goaway(3, 0),
        frame(FRAME.reset, 0, 3, Buffer.of(0, 0, 0, 7)),
        frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, OK),
      ]),
    )
    await handled()
    assert.deepEqual(
      told.map(({ words }) => words),
      [[':status=200 .'], ['refused'], ['refused']],
    )
    peer.end()
    await until('it has ended', () => ended !== undefined)
    assert.deepEqual(events, ['ready', 'draining', 'ended'])
  })

  const violations: { what: string; bytes: Buffer; message: RegExp }[] = [
    {
      what: 'a frame that is too large',
      bytes: Buffer.concat([Buffer.of(0, 0x40, 1, 0, 0, 0, 0, 0, 1)]),
      message: /a frame of 16385 bytes/,
    },
    {
      what: 'another protocol',
      bytes: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      message: /does not speak HTTP\/2: a frame of/,
    },
    { what: 'a ping of a wrong size', bytes: frame(FRAME.ping, 0, 0, Buffer.alloc(7)), message: /type 6 with 7 bytes/ },
    {
      what: 'a goaway that is cut off',
      bytes: frame(FRAME.goaway, 0, 0, Buffer.alloc(7)),
      message: /type 7 with 7 bytes/,
    },
    { what: 'settings that are cut off', bytes: frame(FRAME.settings, 0, 0, Buffer.alloc(5)), message: /cut off/ },
    { what: 'a window that cannot be', bytes: settings([[SETTING.initialWindowSize, 2 ** 31]]), message: /too large/ },
    { what: 'a window that grows over all', bytes: windowUpdate(0, 2 ** 31 - 1), message: /too large/ },
    {
      what: 'data of a stream that was never begun',
      bytes: frame(FRAME.data, 0, 3, Buffer.alloc(1)),
      message: /no stream 3/,
    },
    { what: 'a stream of its own', bytes: frame(FRAME.headers, FLAG.endHeaders, 2, OK), message: /no stream 2/ },
    { what: 'a push', bytes: frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.alloc(8)), message: /push/ },
    {
      what: 'header fields that are none',
      bytes: frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.of(0x80)),
      message: /header field/,
    },
    {
      what: 'header fields that are interrupted',
      bytes: Buffer.concat([frame(FRAME.headers, 0, 1, OK), frame(FRAME.data, 0, 1)]),
      message: /not continued/,
    },
    {
      what: 'a continuation of nothing',
      bytes: frame(FRAME.continuation, FLAG.endHeaders, 1, OK),
      message: /not continued/,
    },
    {
      what: 'header fields without end',
      bytes: Buffer.concat([
        frame(FRAME.headers, 0, 1, OK),
        ...Array.from({ length: 10 }, () => frame(FRAME.continuation, 0, 1, OK)),
      ]),
      message: /without end/,
    },
    {
      what: 'padding that is longer than all',
      bytes: frame(FRAME.data, FLAG.padded, 1, Buffer.of(5, 1)),
      message: /less than it says/,
    },
    { what: 'padding without its length', bytes: frame(FRAME.data, FLAG.padded, 1), message: /less than it says/ },
  ]
  for (const { what, bytes, message } of violations) {
    it(`ends at ${what}, and says why`, async () => {
      await open()
      const told = new Told()
      ask(told)
      await has(FRAME.data)
      peer.write(bytes)
      await until('it has ended', () => ended !== undefined)
      assert.match(ended!.message, message)
      assert.match(told.words.join(), /^broke: /)
      await has(FRAME.goaway)
      assert.equal(of(FRAME.goaway)[0]!.payload.readUInt32BE(4), 1)
      assert.deepEqual(events, ['ready', 'ended'])
    })
  }

  it('ends at more data of a stream than there is room for', async () => {
    await open()
    const told = new Told()
    const stream = ask(told)
    const piece = Buffer.alloc(16_384)
    const room = (4 * 1024 * 1024) / piece.length
    const pieces = (count: number): Buffer =>
      Buffer.concat(Array.from({ length: count }, () => frame(FRAME.data, 0, 1, piece)))
    peer.write(pieces(room))
    await until('all has come', () => told.bytes === room * piece.length)
    stream.consumed(told.bytes)
    await has(FRAME.windowUpdate, 2)
    peer.write(pieces(room))
    await until('as much has come again', () => told.bytes === 2 * room * piece.length)
    assert.equal(ended, undefined)
    peer.write(frame(FRAME.data, 0, 1, Buffer.alloc(1)))
    await until('it has ended', () => ended !== undefined)
    assert.match(ended!.message, /more data than there is room for/)
  })

  for (const [what, late] of [
    ['data', frame(FRAME.data, 0, 1, Buffer.from('late'))],
    ['header fields', frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, TRAILERS)],
  ] as const)
    it(`ends at ${what} after the end of a stream of which there is more to send`, async () => {
      await open()
      const told = new Told()
      connection.request(HEAD, undefined, told)
      peer.write(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, OK))
      await handled()
      peer.write(late)
      await until('it has ended', () => ended !== undefined)
      assert.match(ended!.message, /after the end of stream 1/)
      assert.equal(told.words[0], ':status=200 .')
      assert.match(told.words[1]!, /^broke: /)
    })

  for (const [what, question] of [
    ['pings', frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ['settings', settings([])],
  ] as const)
    it(`ends at ${what} of which nobody reads the answers`, async () => {
      await open()
      await handled()
      peer.pause()
      const questions = Buffer.alloc(10_000 * question.length, question)
      const write = (): void => {
        while (peer.write(questions));
      }
      peer.on('drain', write)
      write()
      await until('it has ended', () => ended !== undefined)
      assert.match(ended!.message, /of which no answer is read/)
    })

  it('breaks all streams when the other side ends it by an error, is gone, or it is destroyed', async () => {
    for (const end of [
      (): unknown => peer.write(goaway(1, 11)),
      (): unknown => peer.resetAndDestroy(),
      (): unknown => peer.end(),
      (): unknown => connection.destroy(new GantryError('Cancelled', 'enough')),
    ]) {
      await open()
      const told = [new Told(), new Told()]
      for (const one of told) ask(one)
      await has(FRAME.data, 2)
      end()
      await until('it has ended', () => ended !== undefined)
      for (const { words } of told) assert.match(words.join(), /^broke: /)
      assert.deepEqual(events, ['ready', 'ended'])
      assert.ok(!connection.isOpen)
      listener.close()
    }
  })

  it('sends all requests of a turn in one piece', async () => {
    await open()
    const pieces: number[] = []
    peer.on('data', (bytes: Buffer) => void pieces.push(bytes.length))
    for (let index = 0; index < 50; index++) ask(new Told())
    await has(FRAME.data, 50)
    assert.equal(pieces.length, 1)
  })
})
