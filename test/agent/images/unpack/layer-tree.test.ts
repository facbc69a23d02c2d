import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ByteReader } from '../../../../agent/images/unpack/byte-reader.ts'
import { LayerTree, type LowerLayers } from '../../../../agent/images/unpack/layer-tree.ts'
import type { EntryType, TarEntry } from '../../../../agent/images/unpack/tar-entry.ts'
import { TarReader } from '../../../../agent/images/unpack/tar-reader.ts'
import { encodeHeader, END_OF_ARCHIVE, padding } from '../../../../agent/images/unpack/tar-writer.ts'
import { GantryError } from '../../../../proto/base/errors.ts'

const PLAIN: TarEntry = {
  path: 'f',
  type: 'file',
  link: '',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: '0',
  size: 0,
  major: 0,
  minor: 0,
  xattrs: new Map(),
}
const byteString = (maxLength: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength,
  })

describe('tar headers', () => {
  it('are read as they were written, whatever bytes they hold', async () => {
    const entries = fc
      .record({
        path: byteString(300).filter((path) => !path.endsWith('/')),
        link: fc.oneof(fc.constant(''), byteString(300)),
        mode: fc.integer({ min: 0, max: 0o7777 }),
        uid: fc.integer({ min: 0, max: 2 ** 32 }),
        gid: fc.integer({ min: 0, max: 2 ** 32 }),
        mtime: fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }).map(String), fc.constantFrom('-5', '12.25')),
        type: fc.constantFrom<EntryType>('file', 'symlink', 'hardlink', 'directory', 'fifo', 'character', 'block'),
        size: fc.integer({ min: 0, max: 2000 }),
        major: fc.integer({ min: 0, max: 255 }),
        minor: fc.integer({ min: 0, max: 255 }),
        xattrs: fc
          .dictionary(fc.stringMatching(/^user\.[a-z]{1,9}$/), byteString(50))
          .map((values) => new Map(Object.entries(values))),
      })
      .map((entry): TarEntry => {
        const device = entry.type === 'character' || entry.type === 'block'
        return {
          ...entry,
          size: entry.type === 'file' ? entry.size : 0,
          major: device ? entry.major : 0,
          minor: device ? entry.minor : 0,
        }
      })
    await fc.assert(
      fc.asyncProperty(
        fc.array(entries, { maxLength: 4 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.boolean(),
        async (written, pieceSize, readContent) => {
          const archive = Buffer.concat([
            ...written.flatMap((entry) => [encodeHeader(entry), Buffer.alloc(entry.size, 7), padding(entry.size)]),
            END_OF_ARCHIVE,
          ])
          const reader = new TarReader(new ByteReader(pieces(archive, pieceSize)))
          for (const entry of written) {
            const read = (await reader.next())!
            assert.deepEqual(read, entry)
            if (readContent) assert.equal((await collect(reader.content(read))).length, entry.size)
          }
          assert.equal(await reader.next(), undefined)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('rules of a layer', () => {
  const nothing: LowerLayers = { lookup: () => Promise.resolve(undefined) }
  const path = fc
    .array(fc.constantFrom('a', 'b', 'c', '..', '.', '', '.wh.a', '.wh..wh..opq', '.wh...'), {
      minLength: 1,
      maxLength: 5,
    })
    .map((names) => names.join('/'))
  const entries = fc
    .record({
      path,
      link: path,
      type: fc.constantFrom<EntryType>('file', 'directory', 'symlink', 'symlink', 'hardlink'),
    })
    .map((entry): TarEntry => ({
      ...PLAIN,
      ...entry,
      link: entry.type === 'file' || entry.type === 'directory' ? '' : entry.link,
    }))

  for (const [name, lower] of [
    ['an empty image', nothing],
    [
      'links that lead out below',
      {
        lookup: (at: string) =>
          Promise.resolve(
            at === 'c'
              ? ({ type: 'symlink', target: '../../b', hostPath: '/below/c' } as const)
              : at === 'b'
                ? ({ type: 'symlink', target: '/', hostPath: '/below/b' } as const)
                : undefined,
          ),
      },
    ],
  ] as const) {
    it(`never write through a link or outside of the root, on ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(entries, { maxLength: 12 }), async (archive) => {
          const tree = new LayerTree(lower)
          const written = new Map<string, EntryType>()
          const check = (all: readonly TarEntry[]): void => {
            for (const entry of all) {
              if (entry.path !== '.')
                assert.ok(
                  entry.path.split('/').every((part) => !['', '.', '..'].includes(part)),
                  entry.path,
                )
              for (let slash = entry.path.lastIndexOf('/'); slash > 0; slash = entry.path.lastIndexOf('/', slash - 1))
                assert.equal(written.get(entry.path.slice(0, slash)), 'directory', entry.path)
              if (written.has(entry.path))
                assert.deepEqual([written.get(entry.path), entry.type], ['directory', 'directory'])
              if (entry.type === 'hardlink')
                assert.ok(
                  entry.link.startsWith('/below/') ||
                    ['file', 'symlink', 'hardlink'].includes(written.get(entry.link)!),
                  entry.link,
                )
              written.set(entry.path, entry.type)
            }
          }
          for (const entry of archive) {
            try {
              check(await tree.add(entry))
            } catch (error) {
              assert.ok(GantryError.is(error, 'InvalidArgument'), String(error))
              return // a layer is refused whole
            }
          }
          check((await tree.finish()).entries)
        }),
        { numRuns: 400 },
      )
    })
  }

  it('bound what an archive makes the agent remember', async () => {
    const tree = new LayerTree(nothing)
    const long = 'd'.repeat(250)
    const xattrs = new Map([['user.large', 'x'.repeat(1 << 20)]])
    const fill = async (): Promise<void> => {
      for (let count = 0; count < 300; count++)
        await tree.add({ ...PLAIN, path: `${long}${count}`, type: 'directory', xattrs })
    }
    await assert.rejects(
      fill(),
      (error: unknown) =>
        GantryError.is(error, 'InvalidArgument') && /bytes of paths and attributes/.test(error.message),
    )
  })

  it('bound attributes for all entries, however many headers bring them', async () => {
    async function* archive(): AsyncGenerator<Buffer> {
      for (let count = 0; count < 100; count++) {
        const header = encodeHeader({
          ...PLAIN,
          path: 'f',
          size: 0,
          xattrs: new Map([[`user.n${count}`, 'x'.repeat(60_000)]]),
        })
        header.write('g', 156)
        yield await Promise.resolve(withChecksum(header).subarray(0, -512))
      }
    }
    await assert.rejects(
      new TarReader(new ByteReader(archive())).next(),
      (error: unknown) => GantryError.is(error, 'InvalidArgument') && /attributes for all entries/.test(error.message),
    )
  })
})

/** Of the first block. */
function withChecksum(header: Buffer): Buffer {
  const checksum = header
    .subarray(0, 512)
    .reduce((sum, byte, place) => sum + (place >= 148 && place < 156 ? 32 : byte), 0)
  header.write(checksum.toString(8).padStart(6, '0'), 148)
  return header
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += size)
    yield await Promise.resolve(bytes.subarray(start, start + size))
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}
