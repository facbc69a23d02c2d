import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import fc from 'fast-check'
import { Http2Connection } from '../../../../proto/rpc/http2/connection.ts'
import { encodeHeaderFields, HeaderDecoder, type HeaderFields } from '../../../../proto/rpc/http2/header-fields.ts'
import { decodeHuffman } from '../../../../proto/rpc/http2/huffman.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const decode = (block: string): object => ({ ...new HeaderDecoder().decode(hex(block)) })

describe("the code of header fields' texts", () => {
  // https://www.rfc-editor.org/rfc/rfc7541#appendix-C.4 and following.
  for (const [bytes, text] of [
    ['f1e3 c2e5 f23a 6ba0 ab90 f4ff', 'www.example.com'],
    ['a8eb 1064 9cbf', 'no-cache'],
    ['25a8 49e9 5ba9 7d7f', 'custom-key'],
    ['25a8 49e9 5bb8 e8b4 bf', 'custom-value'],
    ['aec3 771a 4b', 'private'],
    ['d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff', 'Mon, 21 Oct 2013 20:13:21 GMT'],
    ['9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3', 'https://www.example.com'],
    ['', ''],
  ] as const)
    it(`reads ${JSON.stringify(text)}`, () => assert.equal(decodeHuffman(hex(bytes)), text))

  // https://www.rfc-editor.org/rfc/rfc7541#appendix-B: the last of each length, which tells how many there are.
  for (const [character, code, bits] of [
    [48, 0x0, 5],
    [116, 0x9, 5],
    [32, 0x14, 6],
    [117, 0x2d, 6],
    [58, 0x5c, 7],
    [122, 0x7b, 7],
    [90, 0xfd, 8],
    [63, 0x3fc, 10],
    [124, 0x7fc, 11],
    [62, 0xffb, 12],
    [0, 0x1ff8, 13],
    [126, 0x1ffd, 13],
    [125, 0x3ffd, 14],
    [123, 0x7ffe, 15],
    [208, 0x7fff2, 19],
    [226, 0xfffed, 20],
    [230, 0x1fffe8, 21],
    [233, 0x3fffeb, 22],
    [239, 0x7ffff4, 23],
    [237, 0xfffff5, 24],
    [235, 0x1ffffef, 25],
    [255, 0x3ffffee, 26],
    [254, 0x7fffff0, 27],
    [249, 0xffffffe, 28],
    [22, 0x3ffffffe, 30],
  ] as const)
    it(`has ${bits} bits for the character ${character}`, () => {
      const padded = (BigInt(code) << 8n) | 0xffn
      const whole = Math.ceil(bits / 8)
      const bytes = Buffer.alloc(8)
      bytes.writeBigUInt64BE(padded >> BigInt(bits + 8 - whole * 8))
      assert.equal(decodeHuffman(bytes.subarray(8 - whole)), String.fromCharCode(character))
    })

  for (const [what, bytes] of [
    ['more padding than there may be', '1fff'],
    ['padding that is not all ones', '00'],
    ['the mark of the end', 'ffff ffff'],
    ['half a character', 'fe'],
  ] as const)
    it(`refuses ${what}`, () => assert.throws(() => decodeHuffman(hex(bytes)), RangeError))
})

describe('header fields', () => {
  // https://www.rfc-editor.org/rfc/rfc7541#appendix-C.2, C.3.1 and C.6.1.
  for (const [what, block, fields] of [
    [
      'a new name, to be kept',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      { 'custom-key': 'custom-header' },
    ],
    ['a known name', '040c 2f73 616d 706c 652f 7061 7468', { ':path': '/sample/path' }],
    ['what must never be kept', '1008 7061 7373 776f 7264 0673 6563 7265 74', { password: 'secret' }],
    ['a known field', '82', { ':method': 'GET' }],
    [
      'a request',
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': 'www.example.com' },
    ],
    [
      'an answer in the code of texts',
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      {
        ':status': '302',
        'cache-control': 'private',
        date: 'Mon, 21 Oct 2013 20:13:21 GMT',
        location: 'https://www.example.com',
      },
    ],
    ['a table that stays at no size', '20 88', { ':status': '200' }],
    ['a name that comes twice', '0001 6101 3100 0161 0132', { a: '1, 2' }],
    ['a name as objects have it', '0009 5f5f 7072 6f74 6f5f 5f01 31', JSON.parse('{"__proto__":"1"}')],
    ['nothing', '', {}],
  ] as const)
    it(`reads ${what}`, () => assert.deepEqual(Object.entries(decode(block)), Object.entries(fields as object)))

  for (const [what, block] of [
    ['a field without a number', '80'],
    ['a field of a table that nobody keeps', 'be'],
    ['a name of one', '7f0001 31'],
    ['a table that is to be kept', '21'],
    ['a name that is cut off', '0005 6162'],
    ['a value that is cut off', '0001 6105 62'],
    ['a field without a value', '0001 61'],
    ['a number that is cut off', 'ffff'],
    ['a number that is too large', 'ffff ffff ffff ffff 7f'],
  ] as const)
    it(`refuses ${what}`, () => assert.throws(() => decode(block), RangeError))

  it('remembers blocks, not without end', () => {
    const decoder = new HeaderDecoder()
    const block = hex('88')
    assert.equal(decoder.decode(block), decoder.decode(Buffer.from(block)))
    const first = decoder.decode(block)
    for (let index = 0; index < 100; index++) decoder.decode(encodeHeaderFields({ index: String(index) }))
    assert.notEqual(decoder.decode(block), first)
    const long = encodeHeaderFields({ long: 'x'.repeat(300) })
    assert.notEqual(decoder.decode(long), decoder.decode(long))
  })

  const name = fc
    .stringMatching(/^[a-z][a-z0-9-]{0,40}$/)
    .filter(
      (text) =>
        !/^(connection|te|upgrade|http2-settings|host|keep-alive|proxy-connection|transfer-encoding|content-length|cookie|date|set-cookie|age|etag|expires|from|location|referer|server|user-agent|authorization|content-type|if-|last-|max-|proxy-|retry-)/.test(
          text,
        ),
    )
  const value = fc.oneof(
    fc.string({ unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 50 }),
    fc.string({ unit: fc.constantFrom('0', 'a', '/'), minLength: 100, maxLength: 9_000 }),
  )
  const fields = fc.dictionary(name, value, { maxKeys: 8, noNullPrototype: true })

  it('reads what itself writes', () => {
    fc.assert(
      fc.property(fields, (given) => {
        assert.deepEqual({ ...new HeaderDecoder().decode(encodeHeaderFields(given)) }, given)
      }),
    )
  })

  describe('to and from another implementation', () => {
    let server: Http2Server
    let connection: Http2Connection
    let answer: Record<string, string> = {}
    let asked: IncomingHttpHeaders = {}

    before(async () => {
      server = createServer()
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        asked = headers
        stream.respond({ ...answer }, { endStream: true })
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      await new Promise<void>((ready) => {
        connection = new Http2Connection(connect((server.address() as AddressInfo).port, '127.0.0.1'), {
          ready,
          word: () => undefined,
          draining: () => undefined,
          ended: () => undefined,
        })
      })
    })
    after(() => {
      connection.destroy(new Error('the test is over') as never)
      server.close()
    })

    it('are the same on both sides', async () => {
      await fc.assert(
        fc.asyncProperty(fields, fields, async (request, response) => {
          answer = response
          const head = encodeHeaderFields({
            ':method': 'POST',
            ':scheme': 'http',
            ':authority': 'a',
            ':path': '/',
            ...request,
          })
          const got = await new Promise<HeaderFields>((resolve, reject) => {
            connection.request(head, Buffer.alloc(0), {
              headers: (told, last) => (last ? resolve(told) : undefined),
              data: () => undefined,
              broke: ({ error }) => reject(error),
            })
          })
          const { ':status': status, date: _, ...rest } = got
          assert.equal(status, '200')
          assert.deepEqual(rest, response)
          const { ':method': method, ':scheme': scheme, ':authority': authority, ':path': path, ...sent } = asked
          assert.deepEqual([method, scheme, authority, path], ['POST', 'http', 'a', '/'])
          assert.deepEqual(Object.entries(sent).sort(), Object.entries(request).sort())
        }),
      )
    })
  })
})
