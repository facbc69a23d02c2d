import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { writeAnswer } from '../../../controller/kube/answer.ts'
import type { RawExchange, WatchFrame, EncodableObject } from '../../../controller/kube/contract.ts'
import { FakeClock } from '../../../proto/base/clock.ts'

/** A change of an object of so many bytes. */
function change(name: string, size: number): WatchFrame {
  const object = { metadata: { name }, data: 'x'.repeat(size) }
  const sendable = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    object,
    json: () => Buffer.from(JSON.stringify(object)),
    protobuf: () => undefined,
  } as unknown as EncodableObject
  return { type: 'MODIFIED', object: sendable }
}

describe('frames of a watch', () => {
  it('wait for the turn of their user where they are large, and go out at once where they are small', async () => {
    const turns: (() => void)[] = []
    const answer = new PassThrough()
    const response = Object.assign(answer, {
      req: { headers: {} },
      writeHead: () => answer,
      flushHeaders: () => undefined,
      setTimeout: () => answer,
    })
    let text = ''
    answer.on('data', (bytes: Buffer) => (text += bytes.toString()))
    const names = (): string[] => [...text.matchAll(/"name":"(\w+)"/g)].map(([, name]) => name!)
    async function* frames(): AsyncGenerator<WatchFrame, void, undefined> {
      yield change('small', 10)
      yield change('large', 20_000)
      yield change('last', 10)
    }
    const written = writeAnswer(
      { request: {}, response } as unknown as RawExchange,
      { is: 'watch', frames: frames() },
      {
        query: new URLSearchParams(),
        target: undefined,
        warnings: [],
        call: { isOver: false },
        clock: new FakeClock(),
        stall: 1000,
        turn: () => new Promise((resolve) => turns.push(resolve)),
      },
    )
    while (turns.length === 0) await new Promise(setImmediate)
    assert.deepEqual(names(), ['small'])
    turns[0]!()
    await written
    await new Promise(setImmediate)
    assert.deepEqual(names(), ['small', 'large', 'last'])
    assert.equal(turns.length, 1)
  })
})
