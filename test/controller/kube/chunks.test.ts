/** Long bodies on their way out. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { CHUNK_SIZE, writeChunks } from '../../../controller/kube/chunks.ts'
import { until } from '../../eventually.ts'

describe('long bodies', () => {
  let server: Server
  let serve: (response: ServerResponse) => void

  before(async () => {
    server = createServer((_, response) => serve(response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })

  const ask = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, agent: false }, resolve).on(
        'error',
        reject,
      )
    })
  const text = async (message: IncomingMessage): Promise<Buffer> => Buffer.concat((await message.toArray()) as Buffer[])

  it('arrive as they are, whatever their pieces, many at a time', async () => {
    const length = fc.oneof(
      fc.nat(300),
      fc.nat(3 * CHUNK_SIZE),
      fc.constantFrom(0, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(length, { maxLength: 12 }), { minLength: 1, maxLength: 8 }),
        async (bodies) => {
          const pieces = bodies.map((lengths, body) =>
            lengths.map((size, index) => Buffer.alloc(size, `${body}:${index} `)),
          )
          let next = 0
          serve = (response) => {
            const body = next++
            response.setHeader('x-body', body)
            void writeChunks(response, pieces[body]!).then(() => response.end())
          }
          const answers = await Promise.all(
            bodies.map(async () => {
              const message = await ask()
              return { body: Number(message.headers['x-body']), bytes: await text(message) }
            }),
          )
          for (const { body, bytes } of answers) assert.ok(bytes.equals(Buffer.concat(pieces[body]!)))
        },
      ),
      { numRuns: 30 },
    )
  })

  it('are not written any further when their client is gone, and hold up nobody', async () => {
    let written: Promise<void> | undefined
    const piece = Buffer.alloc(100_000, 'x')
    let begun = 0
    serve = (response) => {
      begun++
      written = writeChunks(
        response,
        Array.from({ length: 1000 }, () => piece),
      )
    }
    const message = await ask()
    await once(message, 'readable')
    message.destroy()
    await written
    // What was meant for the one who is gone is not in the next answer.
    serve = (response) => void writeChunks(response, [Buffer.alloc(CHUNK_SIZE + 5, 'y')]).then(() => response.end())
    assert.ok((await text(await ask())).equals(Buffer.alloc(CHUNK_SIZE + 5, 'y')))
    assert.equal(begun, 1)
  })

  it('wait for a client that reads slowly', async () => {
    let done = false
    const count = 2_000
    serve = (response) =>
      void writeChunks(
        response,
        Array.from({ length: count }, () => Buffer.alloc(20_000, 'z')),
      ).then(() => {
        done = true
        response.end()
      })
    const message = await ask()
    await once(message, 'readable')
    assert.equal(done, false)
    const bytes = await text(message)
    assert.equal(bytes.length, count * 20_000)
    await until('all is written', () => done)
  })
})
