import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { WebSocket } from 'ws'
import { StreamsFixture } from './fixture.ts'

const BASE = '/api/v1/namespaces/default'

/** Messages as they come: texts, or bytes. */
async function* messagesOf(socket: WebSocket): AsyncGenerator<string | Buffer, void, undefined> {
  const waiting: (string | Buffer)[] = []
  let told = (): void => undefined
  let over = false
  socket.on('message', (bytes: Buffer, isBinary: boolean) => {
    waiting.push(isBinary ? bytes : bytes.toString())
    told()
  })
  socket.once('close', () => {
    over = true
    told()
  })
  for (;;) {
    while (waiting.length > 0) yield waiting.shift()!
    if (over) return
    await new Promise<void>((resolve) => (told = resolve))
  }
}

async function all(socket: WebSocket): Promise<(string | Buffer)[]> {
  const messages: (string | Buffer)[] = []
  for await (const message of messagesOf(socket)) messages.push(message)
  return messages
}

describe('answers over WebSocket', () => {
  let fixture: StreamsFixture
  before(async () => {
    fixture = await StreamsFixture.start()
    await fixture.pod('web')
    await fixture.face.send('POST', `${BASE}/configmaps`, { body: { metadata: { name: 'a' } } })
  })
  after(() => fixture.stop())

  it('of a watch are one message of text for each change', async () => {
    const socket = fixture.webSocket(`${BASE}/configmaps?watch=True`, [])
    const messages = messagesOf(socket)
    const first = (await messages.next()).value as string
    assert.equal(typeof first, 'string')
    assert.deepEqual([JSON.parse(first).type, JSON.parse(first).object.metadata.name], ['ADDED', 'a'])
    await fixture.face.send('POST', `${BASE}/configmaps`, { body: { metadata: { name: 'b' } } })
    assert.equal(JSON.parse((await messages.next()).value as string).object.metadata.name, 'b')
    socket.terminate()
  })

  it('of a watch in protobuf are one message of bytes for each change', async () => {
    const socket = fixture.webSocket(`${BASE}/configmaps?watch=1&fieldSelector=metadata.name%3Da`, ['anything'], {
      Accept: 'application/vnd.kubernetes.protobuf',
    })
    const { value } = await messagesOf(socket).next()
    assert.ok(Buffer.isBuffer(value))
    // The field type of a WatchEvent, the first.
    assert.equal(value.toString('latin1', 0, 7), '\n\x05ADDED')
    socket.terminate()
  })

  it('of a log begin with an empty message, then come in bytes or in base64', async () => {
    fixture.pods.log = async function* () {
      yield 'one\n'
      yield 'two\n'
    }
    for (const protocol of ['binary.k8s.io', undefined]) {
      const socket = fixture.webSocket(`${BASE}/pods/web/log?container=main`, protocol === undefined ? [] : [protocol])
      const messages = await all(socket)
      assert.deepEqual(
        messages.map((message) => [Buffer.isBuffer(message), message.toString()]),
        [
          [true, ''],
          [true, 'one\n'],
          [true, 'two\n'],
        ],
      )
      assert.equal(socket.protocol, protocol ?? '')
    }
    const encoded = fixture.webSocket(`${BASE}/pods/web/log`, ['base64.binary.k8s.io'])
    assert.deepEqual(await all(encoded), ['', 'b25lCg==', 'dHdvCg=='])
    assert.equal(encoded.protocol, 'base64.binary.k8s.io')
  })

  it('are refused over HTTP, before anything else', async () => {
    for (const [path, protocol, code] of [
      [`${BASE}/pods/none/log`, 'binary.k8s.io', 404],
      [`${BASE}/pods/web/log`, 'unknown', 400],
      [`${BASE}/configmaps/a`, 'binary.k8s.io', 400],
      [`${BASE}/configmaps?watch=1&resourceVersion=x`, 'x', 422],
    ] as const) {
      const socket = fixture.webSocket(path, [protocol])
      const [error] = (await once(socket, 'error')) as [Error]
      assert.match(error.message, new RegExp(`Unexpected server response: ${code}`), path)
    }
  })
})
