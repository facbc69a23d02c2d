/** Headers of HTTP/2: the examples of RFC 7541, and what Node.js's own HTTP/2 says. */
import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect as connectTcp } from 'node:net'
import fc from 'fast-check'
import { encodeFrame, FLAG, FRAME, FrameReader, PREFACE, settingsPayload } from '../../../../proto/rpc/light/frames.ts'
import { decodeHeaders, encodeHeaders, type Header } from '../../../../proto/rpc/light/hpack.ts'

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')

describe('headers of HTTP/2', () => {
  for (const [what, block, headers] of [
    ['a place in the static table (C.2.4)', '82', [[':method', 'GET']]],
    ['a literal with a name of the table (C.2.2)', '040c 2f73 616d 706c 652f 7061 7468', [[':path', '/sample/path']]],
    [
      'a literal that is never remembered (C.2.3)',
      '1008 7061 7373 776f 7264 0673 6563 7265 74',
      [['password', 'secret']],
    ],
    [
      'Huffman codes (C.4.1)',
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/'],
        [':authority', 'www.example.com'],
      ],
    ],
    [
      'long Huffman codes (C.6.1)',
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff',
      [
        [':status', '302'],
        ['cache-control', 'private'],
        ['date', 'Mon, 21 Oct 2013 20:13:21 GMT'],
      ],
    ],
    ['no table, said once more', '20 88', [[':status', '200']]],
  ] as const)
    it(`reads ${what}`, () => assert.deepEqual(decodeHeaders(hex(block)), headers))

  for (const [what, block] of [
    ['a place behind the static table', 'be'],
    ['no place', '80'],
    ['a dynamic table', '3f e1 1f'],
    ['a value that is cut off', '040c 2f73'],
    ['a name without a value', '0001 61'],
    ['a number without an end', '7f ff ff ff ff ff 0f'],
    ['a number that is cut off', '7f ff'],
    ['Huffman codes filled with zeros', '0481 00'],
    ['Huffman codes with a whole byte of filling', '0482 07ff ff'],
    ['an end within Huffman codes', '0484 ffff ffff'],
  ] as const)
    it(`refuses ${what}`, () => assert.throws(() => decodeHeaders(hex(block)), RangeError))

  it('reads what it writes', () => {
    const text = fc.stringMatching(/^[\x20-\x7e]{0,200}$/)
    const name = fc.oneof(
      fc.constantFrom(':path', ':status', 'content-type', 'te'),
      fc.stringMatching(/^[a-z-]{1,150}$/),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text)), (headers) => {
        assert.deepEqual(decodeHeaders(encodeHeaders(headers)), headers)
      }),
    )
  })

  it('is never led astray by what is no block of headers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          decodeHeaders(bytes)
        } catch (thrown) {
          assert.ok(thrown instanceof RangeError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('says to Node.js what it means', async () => {
    const seen: IncomingHttpHeaders[] = []
    const server = createServer((request, response) => {
      seen.push(request.headers)
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const socket = connectTcp(port, '127.0.0.1')
    const headers: Header[] = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', `/${'x'.repeat(300)}`],
      [':authority', 'here:1'],
      ['content-type', 'application/grpc'],
      ['x-own', 'value of my own'],
    ]
    const ended = FLAG.endHeaders | FLAG.endStream
    socket.write(
      Buffer.concat([
        PREFACE,
        encodeFrame(FRAME.settings, 0, 0, settingsPayload([])),
        encodeFrame(FRAME.headers, ended, 1, encodeHeaders(headers)),
      ]),
    )
    await new Promise((resolve) => server.once('request', resolve))
    socket.destroy()
    await new Promise((resolve) => server.close(resolve))
    assert.deepEqual(
      headers.map(([name]) => [name, seen[0]![name]]),
      headers,
    )
  })

  it('understands what Node.js says, whatever the characters', async () => {
    // Long enough for Huffman codes to be shorter than the text, which is when Node.js uses them.
    const values = Array.from({ length: 0x7f - 0x21 }, (_, index) => 'a'.repeat(60) + String.fromCharCode(0x21 + index))
    const server = createServer((_, response) => {
      values.forEach((value, index) => response.setHeader(`x-${index}`, value))
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const socket = connectTcp(port, '127.0.0.1')
    socket.write(
      Buffer.concat([
        PREFACE,
        encodeFrame(FRAME.settings, 0, 0, settingsPayload([[1, 0]])),
        encodeFrame(
          FRAME.headers,
          FLAG.endHeaders | FLAG.endStream,
          1,
          encodeHeaders([
            [':method', 'GET'],
            [':scheme', 'http'],
            [':path', '/'],
            [':authority', 'here:1'],
          ]),
        ),
      ]),
    )
    const reader = new FrameReader(1024 * 1024)
    const block = await new Promise<Buffer>((resolve) => {
      const parts: Buffer[] = []
      socket.on('data', (chunk: Buffer) => {
        for (const { type, flags, payload } of reader.push(chunk)) {
          if (type !== FRAME.headers && type !== FRAME.continuation) continue
          parts.push(payload)
          if ((flags & FLAG.endHeaders) !== 0) resolve(Buffer.concat(parts))
        }
      })
    })
    socket.destroy()
    await new Promise((resolve) => server.close(resolve))
    const headers = new Map(decodeHeaders(block))
    assert.deepEqual(
      values.map((_, index) => headers.get(`x-${index}`)),
      values,
    )
    assert.ok(block.length < values.join('').length, 'Huffman codes were used')
  })
})
