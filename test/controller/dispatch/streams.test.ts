import assert from 'node:assert/strict'
import { Streams } from '../../../controller/dispatch/streams.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import { Channel } from '../../../proto/base/channel.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { ControllerMessage, StreamDown, StreamUp } from '../../../proto/gen/types.ts'
import type { Input } from '../../../proto/codec/wire.ts'
import { eventually } from '../../eventually.ts'

const LOGS = {
  podUid: 'u',
  request: {
    case: 'logs' as const,
    value: {
      namespace: 'default',
      pod: 'a',
      container: '',
      follow: false,
      previous: false,
      sinceTime: '',
      timestamps: false,
    },
  },
}
const MANY = 1_000

describe('streams between a caller and a node', () => {
  let clock: FakeClock
  let streams: Streams
  let told: Input<ControllerMessage>[]
  let caller: AbortController

  beforeEach(() => {
    clock = new FakeClock()
    streams = new Streams(clock, seededRandom(1))
    told = []
    caller = new AbortController()
  })

  const context = (name: string): CallContext => ({ signal: caller.signal, user: { name, groups: [] }, peer: 'test' })
  const open = (
    input: AsyncIterable<Input<StreamDown>> = new Channel(),
    tell = (message: Input<ControllerMessage>): boolean => told.push(message) > 0,
  ): AsyncGenerator<StreamUp> => streams.open('n1', LOGS, input, tell, context('admin'))

  const serve = (
    answers: AsyncIterable<StreamUp>,
    signal = new AbortController().signal,
  ): AsyncGenerator<Input<StreamDown>> => streams.serve('n1', answers, signal)

  function asked(): string | false {
    const message = told.find(({ message }) => message?.case === 'openStream')?.message
    return message?.case === 'openStream' && (message.value?.streamId ?? false)
  }

  async function* pieces(streamId: string, sent: { count: number; ended: boolean }): AsyncGenerator<StreamUp> {
    try {
      yield { message: { case: 'opened', value: streamId } }
      for (; sent.count < MANY; sent.count++) yield { message: { case: 'logs', value: { data: Buffer.alloc(1) } } }
    } finally {
      sent.ended = true
    }
  }

  it('takes no more of a node than a slow caller reads', async () => {
    const sent = { count: 0, ended: false }
    const up = open()
    const first = up.next()
    const down = serve(pieces(await eventually(asked), sent))
    const served = down.next()
    await first
    let most = 0
    let read = 1
    for (let next = await up.next(); next.done !== true; next = await up.next()) {
      read++
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      most = Math.max(most, sent.count - read)
    }
    assert.deepEqual([read, (await served).done], [MANY, true])
    assert.ok(most <= 10, `${most} pieces were under way`)
  })

  it('takes no more of a caller than a slow node reads', async () => {
    let sent = 0
    const input = (async function* (): AsyncGenerator<Input<StreamDown>> {
      for (; sent < MANY; sent++)
        yield { message: { case: 'exec', value: { input: { case: 'stdin', value: Buffer.alloc(1) } } } }
    })()
    const up = open(input)
    const first = up.next()
    const answers = new Channel<StreamUp>()
    answers.push({ message: { case: 'opened', value: await eventually(asked) } })
    const down = serve(answers)
    let most = 0
    for (let read = 1; read <= MANY; read++) {
      assert.equal((await down.next()).done, false)
      for (let turn = 0; turn < 20; turn++) await Promise.resolve()
      most = Math.max(most, sent - read)
    }
    assert.ok(most <= 10, `${most} pieces were under way`)
    answers.close()
    assert.deepEqual([(await first).done, (await down.next()).done], [true, true])
  })

  it('lets go of a node that is in the middle of much when the caller leaves', async () => {
    const sent = { count: 0, ended: false }
    const up = open()
    const first = up.next()
    const served = serve(pieces(await eventually(asked), sent)).next()
    await first
    await up.return(undefined)
    assert.equal((await served).done, true)
    await eventually(() => sent.ended)
    assert.ok(sent.count < MANY)
    assert.equal(told.at(-1)?.message?.case, 'closeStream')
  })

  it('gives up on a node that does not open the stream, and on one that loses its session', async () => {
    const late = open().next()
    await eventually(asked)
    await clock.advance(10_000)
    await assert.rejects(
      late,
      (error) => GantryError.is(error, 'Unavailable') && error.message.includes('did not answer within 10 s'),
    )
    const lost = open().next()
    streams.abandon('n2')
    streams.abandon('n1')
    await assert.rejects(
      lost,
      (error) => GantryError.is(error, 'Unavailable') && error.message.includes('lost its session'),
    )
    assert.equal(clock.pending, 0)
  })

  it('does not take a connection that broke for the end of a log', async () => {
    const up = open()
    const first = up.next()
    const [answers, broken] = [new Channel<StreamUp>(), new AbortController()]
    answers.push({ message: { case: 'opened', value: await eventually(asked) } })
    answers.push({ message: { case: 'logs', value: { data: Buffer.alloc(1) } } })
    const served = serve(answers, broken.signal).next()
    assert.equal((await first).done, false)
    // As the call's messages end when the node is gone.
    broken.abort(new GantryError('Cancelled', 'the caller went away'))
    answers.close()
    await assert.rejects(
      up.next(),
      (error) =>
        GantryError.is(error, 'Unavailable') && error.message === 'node n1 was lost in the middle of the stream',
    )
    assert.equal((await served).done, true)
  })

  it('asks nothing of a node for a caller that has left already', async () => {
    caller.abort(new GantryError('Cancelled', 'gone'))
    await assert.rejects(open().next(), (error) => GantryError.is(error, 'Cancelled'))
    assert.equal(clock.pending, 0)
  })

  it('joins a stream once', async () => {
    const up = open().next()
    const streamId = await eventually(asked)
    const answers = new Channel<StreamUp>()
    answers.push({ message: { case: 'opened', value: streamId } })
    const first = serve(answers).next()
    await assert.rejects(serve(pieces(streamId, { count: 0, ended: false })).next(), (error) =>
      GantryError.is(error, 'NotFound'),
    )
    answers.close()
    assert.deepEqual([(await first).done, (await up).done], [true, true])
  })
})
