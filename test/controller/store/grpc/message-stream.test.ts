import assert from 'node:assert/strict'
import { constants } from 'node:http2'
import { GrpcChannel } from '../../../../controller/store/grpc/channel.ts'
import type { MessageStream } from '../../../../controller/store/grpc/message-stream.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import { seededRandom } from '../../../../proto/base/random.ts'
import { failsWith } from '../../../contract/store.ts'
import { until } from '../../../eventually.ts'
import { FakeMember, framed, type FakeCall } from './fake-member.ts'

const PATH = '/etcdserverpb.Watch/Watch'
const MIB = 1024 * 1024

describe('a stream of messages', () => {
  let member: FakeMember
  let channel: GrpcChannel
  let stream: MessageStream
  let call: FakeCall
  let messages: AsyncIterator<Buffer>
  const next = async (): Promise<string | undefined> => {
    const { done, value } = await messages.next()
    return done === true ? undefined : (value as Buffer).toString()
  }

  beforeEach(async () => {
    member = await FakeMember.start(() => undefined)
    channel = new GrpcChannel({
      endpoints: [member.endpoint],
      tls: undefined,
      timeout: 3_000,
      clock: new FakeClock(),
      random: seededRandom(1),
    })
    stream = await channel.stream(PATH, { hasleader: 'true' })
    messages = stream.messages()
    await until('it has begun', () => member.calls.length === 1)
    call = member.calls[0]!
    call.begin()
  })
  afterEach(async () => {
    stream.cancel()
    channel.close()
    await member.stop()
  })

  it('passes messages in both directions, one by one', async () => {
    assert.equal(call.path, PATH)
    assert.equal(call.headers.hasleader, 'true')
    stream.send(framed('create'))
    stream.send(framed('progress'))
    const both = Buffer.concat([framed('create'), framed('progress')])
    await until('both have come', () => call.request.equals(both))
    call.stream.write(Buffer.concat([framed('one'), framed('two'), framed('three').subarray(0, 6)]))
    assert.deepEqual([await next(), await next()], ['one', 'two'])
    call.stream.write(framed('three').subarray(6))
    assert.equal(await next(), 'three')
  })

  it('ends with the status that the member gives, after the messages before it', async () => {
    call.stream.write(framed('one'))
    call.end(framed('two'), { 'grpc-status': '14', 'grpc-message': 'etcdserver: no leader' })
    assert.deepEqual([await next(), await next()], ['one', 'two'])
    await assert.rejects(next(), { code: 'Unavailable', message: 'etcd: etcdserver: no leader' })
    stream.send(framed('nobody hears it'))
  })

  it('is over as well when the member ends it in good order', async () => {
    call.end(Buffer.alloc(0), { 'grpc-status': '0' })
    await assert.rejects(next(), { code: 'Unavailable', message: 'etcd: the stream has ended' })
  })

  it('breaks with the connection, and when the member resets it', async () => {
    call.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    await assert.rejects(next(), { code: 'Unavailable', message: 'etcd: the stream broke' })
    const another = await channel.stream(PATH, {})
    const [waiting] = [another.messages().next()]
    await until('it has begun', () => member.calls.length === 2)
    member.cut()
    await assert.rejects(waiting, { code: 'Unavailable', message: 'etcd: the stream broke' })
  })

  it('is over when a message cannot be read', async () => {
    call.stream.write(Buffer.concat([framed('good'), Buffer.of(1, 0, 0, 0, 0)]))
    assert.equal(await next(), 'good')
    await assert.rejects(next(), failsWith('Unavailable'))
    await until('the member hears so', () => call.rstCode === constants.NGHTTP2_CANCEL)
  })

  it('ends without an error when it is cancelled, and tells the member', async () => {
    const waiting = next()
    stream.cancel()
    assert.equal(await waiting, undefined)
    await until('the member hears so', () => call.rstCode === constants.NGHTTP2_CANCEL)
  })

  it('slows the member down when nobody reads, while other calls on the connection go on', async () => {
    const size = 256 * 1024
    const count = 200
    let sent = 0
    const sending = (async () => {
      for (let index = 0; index < count; index++) {
        await new Promise((taken) => call.stream.write(framed(Buffer.alloc(size, index)), taken))
        sent += size
      }
    })()
    let [before, looks] = [0, 0]
    await until('the member cannot send any more', () => {
      looks = sent === before ? looks + 1 : 0
      before = sent
      return sent > 0 && looks > 5
    })
    const asked = channel.call('/etcdserverpb.KV/Range', framed('question'), 'read')
    await until('it is asked', () => member.calls.length === 2)
    member.calls[1]!.answer('answer')
    assert.equal((await asked).toString(), 'answer')
    assert.ok(sent >= 4 * MIB && sent < (count * size) / 2, `${sent} bytes are sent to one who does not read`)
    for (let index = 0; index < count; index++) {
      const { value } = (await messages.next()) as { value: Buffer }
      assert.ok(value.length === size && value[0] === index && value.at(-1) === index)
    }
    await sending
  })
})
