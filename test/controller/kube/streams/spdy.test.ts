import assert from 'node:assert/strict'
import { constants, createDeflate, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { DICTIONARY } from '../../../../controller/kube/streams/spdy/dictionary.ts'
import { CONTROL_LIMIT, FrameReader, FrameWriter, type Frame } from '../../../../controller/kube/streams/spdy/frames.ts'
import { BLOCK_LIMIT, HeaderReader, HeaderWriter } from '../../../../controller/kube/streams/spdy/headers.ts'
import { GantryError } from '../../../../proto/base/errors.ts'

const streamId = fc.integer({ min: 1, max: 0x7fff_ffff })
const headers = fc
  .dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), fc.string({ maxLength: 200 }), { maxKeys: 8, noNullPrototype: true })
  .map((object) => new Map(Object.entries(object)))

/** As the frames are written, and what is to be read of them. */
const sent: fc.Arbitrary<{ write: (writer: FrameWriter) => Buffer; frame: Frame }> = fc.oneof(
  fc
    .record({ streamId, fin: fc.boolean(), bytes: fc.uint8Array({ maxLength: 3000 }) })
    .map(({ streamId, fin, bytes }) => {
      const data = Buffer.from(bytes)
      return {
        write: (writer: FrameWriter) => writer.data(streamId, data, fin),
        frame: { is: 'data' as const, streamId, data, fin },
      }
    }),
  fc
    .record({ streamId, fin: fc.boolean(), headers })
    .map(({ streamId, fin, headers }) => ({
      write: (writer: FrameWriter) => writer.synStream(streamId, headers, fin),
      frame: { is: 'syn-stream' as const, streamId, headers, fin },
    })),
  fc
    .record({ streamId, fin: fc.boolean(), headers })
    .map(({ streamId, fin, headers }) => ({
      write: (writer: FrameWriter) => writer.synReply(streamId, headers, fin),
      frame: { is: 'syn-reply' as const, streamId, headers, fin },
    })),
  fc
    .record({ streamId, status: fc.integer({ min: 1, max: 11 }) })
    .map(({ streamId, status }) => ({
      write: (writer: FrameWriter) => writer.rstStream(streamId, status),
      frame: { is: 'rst-stream' as const, streamId, status },
    })),
  fc
    .integer({ min: 1, max: 0xffff_ffff })
    .map((id) => ({ write: (writer: FrameWriter) => writer.ping(id), frame: { is: 'ping' as const, id } })),
  streamId.map((lastStreamId) => ({
    write: (writer: FrameWriter) => writer.goAway(lastStreamId, 1),
    frame: { is: 'goaway' as const, lastStreamId, status: 1 },
  })),
)

/** Cuts of the bytes, wherever. */
function chunks(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end))
}

/** Pieces of one data frame put together again. */
function whole(frames: readonly Frame[], sizes: readonly number[]): Frame[] {
  const result: Frame[] = []
  let open: { streamId: number; data: Buffer[]; left: number } | undefined
  const left = [...sizes]
  for (const frame of frames) {
    if (frame.is !== 'data') {
      result.push(frame)
      continue
    }
    open ??= { streamId: frame.streamId, data: [], left: left.shift()! }
    assert.equal(frame.streamId, open.streamId)
    open.data.push(frame.data)
    open.left -= frame.data.length
    assert.ok(open.left === 0 || !frame.fin, 'the end is told with the last piece only')
    if (open.left > 0) continue
    result.push({ is: 'data', streamId: open.streamId, data: Buffer.concat(open.data), fin: frame.fin })
    open = undefined
  }
  return result
}

const malformed = (thrown: unknown): boolean => GantryError.is(thrown, 'InvalidArgument')
const readAll = (reader: FrameReader, bytes: Buffer): Frame[] => [...reader.push(bytes)]

describe('SPDY/3.1', () => {
  describe('frames', () => {
    it('are read as they were written, wherever the bytes are cut', () => {
      fc.assert(
        fc.property(fc.array(sent, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 20 }), (all, cuts) => {
          const writer = new FrameWriter()
          const reader = new FrameReader()
          const bytes = Buffer.concat(all.map(({ write }) => write(writer)))
          const read = chunks(bytes, cuts).flatMap((chunk) => readAll(reader, chunk))
          const expected = all.map(({ frame }) => frame)
          assert.deepEqual(
            whole(
              read,
              expected.flatMap((frame) => (frame.is === 'data' ? [frame.data.length] : [])),
            ),
            expected,
          )
        }),
      )
    })

    it('hand data on before the frame is whole', () => {
      const bytes = new FrameWriter().data(1, Buffer.alloc(1_000_000, 'x'))
      const reader = new FrameReader()
      let seen = 0
      for (let at = 0; at < bytes.length; at += 1000) {
        for (const frame of reader.push(bytes.subarray(at, at + 1000)))
          seen += frame.is === 'data' ? frame.data.length : 0
        assert.equal(seen, Math.min(bytes.length, at + 1000) - 8)
      }
    })

    it('of whatever bytes are frames or an error, and never anything else', () => {
      fc.assert(
        fc.property(
          fc.uint8Array({ maxLength: 200 }),
          fc.constantFrom('', '80030001', '80030002', '80030006', '80030008'),
          (bytes, head) => {
            const input = Buffer.concat([Buffer.from(head, 'hex'), bytes])
            try {
              for (const frame of new FrameReader().push(input)) assert.ok(typeof frame.is === 'string')
            } catch (thrown) {
              assert.ok(malformed(thrown), String(thrown))
            }
          },
        ),
        { numRuns: 500 },
      )
    })

    for (const [what, hex] of [
      ['of another version', '80020001000000000000'],
      ['of an unknown type', '800300550000000000'],
      ['of no stream', '0000000000000004'],
      ['that controls no stream', '80030003000000080000000000000001'],
      ['that is too short', '8003000300000004000000010000'],
      ['without compressed headers', '800300010000000e0000000100000000000000000000'],
    ] as const) {
      it(`refuses one ${what}`, () =>
        assert.throws(() => readAll(new FrameReader(), Buffer.from(hex, 'hex')), malformed))
    }

    it('refuses a control frame that is too long before it has come', () => {
      const head = Buffer.from('8003000100000000', 'hex')
      head.writeUIntBE(CONTROL_LIMIT + 1, 5, 3)
      assert.throws(() => readAll(new FrameReader(), head), /more than/)
    })

    it('passes over windows and settings, which Kubernetes does not use', () => {
      assert.deepEqual(
        readAll(
          new FrameReader(),
          Buffer.from('80030009000000080000000100010000' + '8003000400000004' + '00000000', 'hex'),
        ),
        [],
      )
    })
  })

  describe('headers', () => {
    /** As another implementation compresses the first block. */
    const compressed = (block: Buffer, level: number): Buffer =>
      deflateSync(block, { dictionary: DICTIONARY, level, finishFlush: constants.Z_SYNC_FLUSH })

    const plain = (pairs: ReadonlyMap<string, string>): Buffer => {
      const text = (value: string): Buffer => {
        const bytes = Buffer.from(value)
        return Buffer.concat([
          Buffer.from([bytes.length >>> 24, bytes.length >>> 16, bytes.length >>> 8, bytes.length]),
          bytes,
        ])
      }
      return Buffer.concat([
        Buffer.from([0, 0, 0, pairs.size]),
        ...[...pairs].flatMap(([name, value]) => [text(name), text(value)]),
      ])
    }

    it('are read one block after the other, as written here', () => {
      fc.assert(
        fc.property(fc.array(headers, { maxLength: 30 }), (blocks) => {
          const writer = new HeaderWriter()
          const reader = new HeaderReader()
          for (const block of blocks) assert.deepEqual(reader.read(writer.write(block)), block)
        }),
      )
    })

    it('are read as zlib compresses a single block with the dictionary, at any level', () => {
      fc.assert(
        fc.property(headers, fc.integer({ min: 0, max: 9 }), (block, level) => {
          assert.deepEqual(new HeaderReader().read(compressed(plain(block), level)), block)
        }),
      )
    })

    it('are read though a block refers to what came long before it', async () => {
      const deflate = createDeflate({ dictionary: DICTIONARY, level: 9 })
      const reader = new HeaderReader()
      const value = 'port-forward '.repeat(50)
      for (let round = 0; round < 100; round++) {
        const block = new Map([
          ['streamtype', round % 2 === 0 ? 'data' : 'error'],
          ['port', '8080'],
          ['requestid', String(round >> 1)],
          ['x', value + round],
        ])
        await new Promise<void>((resolve, reject) =>
          deflate.write(plain(block), (error) => (error ? reject(error) : resolve())),
        )
        await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve))
        assert.deepEqual(reader.read(deflate.read() as Buffer), block)
      }
      deflate.destroy()
    })

    it('refuse what would be too much once decompressed', () => {
      const bomb = compressed(Buffer.alloc(BLOCK_LIMIT * 100), 9)
      assert.ok(bomb.length < CONTROL_LIMIT, 'small enough to be let through')
      assert.throws(() => new HeaderReader().read(bomb), malformed)
    })

    it('refuse lengths beyond their end, and a name that comes twice', () => {
      const read = (block: Buffer): unknown => new HeaderReader().read(compressed(block, 9))
      assert.throws(() => read(Buffer.from([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff])), /end too early/)
      assert.throws(() => read(Buffer.from([0xff, 0xff, 0xff, 0xff])), /end too early/)
      assert.throws(
        () =>
          read(
            Buffer.concat([
              Buffer.from([0, 0, 0, 2]),
              plain(new Map([['a', '1']])).subarray(4),
              plain(new Map([['a', '2']])).subarray(4),
            ]),
          ),
        /comes twice/,
      )
    })
  })
})
