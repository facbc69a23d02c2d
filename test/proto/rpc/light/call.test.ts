/** What the light client makes of what a server says, right or wrong, frame by frame. */
import assert from 'node:assert/strict'
import { GantryError, type ErrorCode } from '../../../../proto/base/errors.ts'
import { encode } from '../../../../proto/codec/wire.ts'
import type { Connection } from '../../../../proto/rpc/contract.ts'
import {
  ERROR_CODE,
  FLAG,
  FRAME,
  frame,
  goaway,
  reset,
  SETTING,
  settings,
  windowUpdate,
} from '../../../../proto/rpc/http2/frames.ts'
import { connect } from '../../../../proto/rpc/light/connect.ts'
import { MESSAGE_LIMIT } from '../../../../proto/rpc/methods.ts'
import { data, headers, message, ScriptedServer, trailers, type Peer } from './scripted-server.ts'

const ANSWER = message(encode('WhyResponse', { summary: 'because' }))

describe('calls of the light client', () => {
  let server: ScriptedServer
  let connection: Connection

  beforeEach(async () => {
    server = await ScriptedServer.start()
    connection = connect(server.address)
  })

  afterEach(async () => {
    connection.close()
    await server.stop()
  })

  /** A call, and what the server says to it. */
  async function call(answer: (peer: Peer, stream: number) => void): Promise<string> {
    const called = connection.client('Cluster').why({ namespace: 'a', pod: 'b' })
    called.catch(() => undefined)
    const peer = await server.peer()
    answer(peer, await peer.asked())
    return (await called).summary
  }

  const answers: Record<string, (stream: number) => readonly Buffer[]> = {
    'in one piece': (stream) => [headers(stream), data(stream, ANSWER), trailers(stream)],
    'byte by byte': (stream) => [
      headers(stream),
      ...[...ANSWER].map((byte) => data(stream, Buffer.of(byte))),
      trailers(stream),
    ],
    'after a hint': (stream) => [
      headers(stream, { ':status': '103' }),
      headers(stream),
      data(stream, ANSWER),
      trailers(stream),
    ],
    'with the end on an empty frame, and the status before it': (stream) => [
      headers(stream),
      data(stream, ANSWER),
      headers(stream, { 'grpc-status': '0' }),
      data(stream, Buffer.alloc(0), FLAG.endStream),
    ],
    'and goes away': (stream) => [
      goaway(stream, ERROR_CODE.none),
      headers(stream),
      data(stream, ANSWER),
      trailers(stream),
    ],
  }
  for (const [how, frames] of Object.entries(answers))
    it(`take an answer ${how}`, async () => {
      assert.equal(await call((peer, stream) => peer.send(...frames(stream))), 'because')
    })

  const failures: Record<string, [(stream: number) => readonly Buffer[], ErrorCode, RegExp]> = {
    'a status alone': [
      (stream) => [trailers(stream, { ':status': '200', 'grpc-status': '5', 'grpc-message': 'no%20such%C3%A4' })],
      'NotFound',
      /^no suchä$/,
    ],
    'a message that is no percent-encoding': [
      (stream) => [trailers(stream, { 'grpc-status': '7', 'grpc-message': '100%' })],
      'Forbidden',
      /^100%$/,
    ],
    'a status that is none': [(stream) => [trailers(stream, { 'grpc-status': '99' })], 'Internal', /^$/],
    'an error that is no message': [
      (stream) => [trailers(stream, { 'grpc-status': '2', 'gantry-error-bin': '/w==' })],
      'Internal',
      /are not a ErrorStatus/,
    ],
    'a code that is a name of every object': [
      (stream) => [
        trailers(stream, {
          'grpc-status': '2',
          'gantry-error-bin': Buffer.from(encode('ErrorStatus', { code: 'constructor', message: 'odd' })).toString(
            'base64',
          ),
        }),
      ],
      'Internal',
      /^odd$/,
    ],
    'no status': [(stream) => [trailers(stream, { x: 'y' })], 'Internal', /without a status/],
    'no answer': [(stream) => [headers(stream), trailers(stream)], 'Internal', /answered with nothing/],
    'half an answer': [
      (stream) => [headers(stream), data(stream, ANSWER.subarray(0, 8)), trailers(stream)],
      'Internal',
      /cut off/,
    ],
    'a compressed answer': [(stream) => [headers(stream), data(stream, message(ANSWER, 1))], 'Internal', /compressed/],
    'an answer that is too large': [
      (stream) => [headers(stream), data(stream, message(Buffer.alloc(0), 0, MESSAGE_LIMIT + 1))],
      'ResourceExhausted',
      /larger than/,
    ],
    'an answer that is no message': [
      (stream) => [headers(stream), data(stream, message(Buffer.from('nonsense')))],
      'Internal',
      /are not a WhyResponse/,
    ],
    'an answer of HTTP': [(stream) => [headers(stream, { ':status': '503' })], 'Unavailable', /HTTP status 503/],
    'a page of HTTP': [(stream) => [trailers(stream, { ':status': '404' })], 'Unsupported', /HTTP status 404/],
    'a call that was not begun': [(stream) => [reset(stream, ERROR_CODE.refusedStream)], 'Unavailable', /code 7/],
    'a call that was given up': [
      (stream) => [headers(stream), reset(stream, ERROR_CODE.cancel)],
      'Unavailable',
      /code 8/,
    ],
    'a server that goes away': [
      (stream) => [goaway(stream - 1, ERROR_CODE.none)],
      'Unavailable',
      /ends the connection/,
    ],
    'a server that ends the connection': [(stream) => [goaway(stream, 11)], 'Unavailable', /with code 11/],
    'what is no HTTP/2': [() => [Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], 'Unavailable', /does not speak/],
  }
  for (const [what, [frames, code, text]] of Object.entries(failures))
    it(`fail with ${what}`, async () => {
      await assert.rejects(
        call((peer, stream) => peer.send(...frames(stream))),
        (thrown: unknown) => GantryError.is(thrown, code) && text.test(thrown.message),
      )
    })

  it('fail when the server closes the connection, or breaks it, and connect anew', async () => {
    for (const end of [(peer: Peer) => peer.socket.end(), (peer: Peer) => peer.socket.resetAndDestroy()])
      await assert.rejects(
        call((peer) => void end(peer)),
        (thrown: unknown) => GantryError.is(thrown, 'Unavailable'),
      )
    assert.equal(
      await call((peer, stream) => peer.send(headers(stream), data(stream, ANSWER), trailers(stream))),
      'because',
    )
  })

  it('fail when the server does not answer any more that it is there', async () => {
    connection.close()
    connection = connect(server.address, undefined, { time: 10, timeout: 50 })
    const called = connection.client('Cluster').why({})
    called.catch(() => undefined)
    const peer = await server.peer()
    for (let time = 0; time < 3; time++) {
      const { payload } = await peer.next(FRAME.ping)
      peer.send(frame(FRAME.ping, FLAG.ack, 0, payload))
    }
    await assert.rejects(
      called,
      (thrown: unknown) => GantryError.is(thrown, 'Unavailable') && /does not answer any more/.test(thrown.message),
    )
  })

  it('send requests as the server takes them, and say when there are no more', async () => {
    const given: string[] = []
    async function* inputs(): AsyncGenerator<{ input: { case: 'stdin'; value: Buffer } }, void, undefined> {
      for (const text of ['first', 'second']) {
        given.push(text)
        yield { input: { case: 'stdin', value: Buffer.from(text.repeat(1000)) } }
      }
    }
    await server.stop()
    server = await ScriptedServer.start(settings([[SETTING.initialWindowSize, 100]]))
    connection = connect(server.address)
    await connection.ready(5_000)
    const outputs = connection.client('Pods').exec(inputs())[Symbol.asyncIterator]()
    const next = outputs.next()
    next.catch(() => undefined)
    const peer = await server.peer()
    const stream = await peer.asked()
    for (let left = 100; left > 0;) left -= (await peer.next(FRAME.data)).payload.length
    assert.deepEqual(given, ['first'])
    peer.send(windowUpdate(stream, 100_000))
    for (let last = false; !last;) last = ((await peer.next(FRAME.data)).flags & FLAG.endStream) !== 0
    assert.deepEqual(given, ['first', 'second'])
    peer.send(headers(stream), trailers(stream))
    assert.equal((await next).done, true)
  })

  it('give the server room as what comes is taken, and none for what nobody takes', async () => {
    const lines = connection.client('Pods').logs({ pod: 'a' })[Symbol.asyncIterator]()
    const first = lines.next()
    const peer = await server.peer()
    const stream = await peer.asked()
    const line = message(encode('LogsResponse', { data: Buffer.alloc(15_000) }))
    const count = 250 // as many as there is room for before any is taken
    peer.send(headers(stream), ...Array.from({ length: count }, () => data(stream, line)))
    await first
    const room: number[] = []
    const handled = async (): Promise<void> => {
      peer.send(frame(FRAME.ping, 0, 0, Buffer.alloc(8)))
      for (let seen = await peer.next(); seen.type !== FRAME.ping; seen = await peer.next())
        if (seen.type === FRAME.windowUpdate && seen.stream === stream) room.push(seen.payload.readUInt32BE(0))
    }
    await handled()
    assert.deepEqual(room, [])
    for (let taken = 1; taken < count; taken++) await lines.next()
    await handled()
    assert.ok(room.length > 0)
    await lines.return?.()
    assert.equal((await peer.next(FRAME.reset)).payload.readUInt32BE(0), ERROR_CODE.cancel)
  })
})
