import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContentStore, type Ingest } from '../../../../agent/images/content/content-store.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'

const BYTES = randomBytes(600_000)
const BLOB = { digest: digest(BYTES), size: BYTES.length }

describe('content store', () => {
  let root: string
  let store: ContentStore
  const clock = new FakeClock()

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-content-'))
    store = await open()
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  async function open(): Promise<ContentStore> {
    const opened = new ContentStore(root, clock)
    await opened.start()
    return opened
  }
  const send =
    (...chunks: Buffer[]) =>
    (ingest: Ingest): Promise<void> =>
      ingest.write({ host: 'test', resumed: false, stream: stream(chunks) })
  const unfinished = (): Promise<string[]> => readdir(join(root, 'ingests'))
  const visible = (): Promise<string[]> => readdir(join(root, 'blobs/sha256'))

  it('shows a blob only when it is whole and verified', async () => {
    const seen: number[] = []
    await store.ingest(
      BLOB,
      async (ingest) => {
        await send(BYTES.subarray(0, 300_000), BYTES.subarray(300_000))(ingest)
        assert.equal(store.size(BLOB.digest), undefined)
        assert.deepEqual(await visible(), [])
      },
      (bytes) => seen.push(bytes),
    )
    assert.deepEqual(seen, [300_000, 600_000])
    assert.deepEqual(await store.read(BLOB.digest), BYTES)
    assert.deepEqual(await unfinished(), [])
    assert.equal((await open()).size(BLOB.digest), BYTES.length)
  })

  it('refuses a wrong digest and a wrong size, and keeps nothing of them', async () => {
    const wrong = Buffer.concat([BYTES.subarray(1), Buffer.from('x')])
    await assert.rejects(
      store.ingest(BLOB, send(wrong), () => undefined),
      hasCode('InvalidArgument', new RegExp(`as sent by test has digest ${digest(wrong)}`)),
    )
    await assert.rejects(
      store.ingest(BLOB, send(BYTES, Buffer.from('more')), () => undefined),
      hasCode('InvalidArgument', /longer than the 600000 bytes/),
    )
    assert.deepEqual([await visible(), await unfinished()], [[], []])
    assert.equal(await store.read(BLOB.digest), undefined)
    assert.throws(() => store.stream(BLOB.digest), hasCode('NotFound', /not on this node/))
  })

  it('continues after a cut, also after a restart', async () => {
    await assert.rejects(
      store.ingest(BLOB, send(BYTES.subarray(0, 200_000)), () => undefined),
      hasCode('Unavailable', /ended after 200000 of 600000 bytes/),
    )
    store = await open()
    await store.ingest(
      BLOB,
      async (ingest) => {
        assert.equal(await ingest.offset(), 200_000)
        await ingest.write({ host: 'test', resumed: true, stream: stream([BYTES.subarray(200_000)]) })
      },
      () => undefined,
    )
    assert.deepEqual(await store.read(BLOB.digest), BYTES)
  })

  it('begins again when the sender does', async () => {
    await assert.rejects(store.ingest(BLOB, send(BYTES.subarray(0, 200_000)), () => undefined))
    await store.ingest(BLOB, send(BYTES), () => undefined)
    assert.deepEqual(await store.read(BLOB.digest), BYTES)
  })

  it('finishes without a download what was whole when the machine stopped, and drops what is not the blob', async () => {
    const path = join(root, 'ingests', BLOB.digest.slice(7))
    await writeFile(path, BYTES)
    await store.ingest(
      BLOB,
      () => Promise.reject(new Error('not needed')),
      () => undefined,
    )
    assert.equal(store.size(BLOB.digest), BYTES.length)
    await store.remove(BLOB.digest)
    await writeFile(path, Buffer.alloc(BYTES.length))
    await store.ingest(
      BLOB,
      async (ingest) => {
        assert.equal(await ingest.offset(), 0)
        await send(BYTES)(ingest)
      },
      () => undefined,
    )
    assert.deepEqual(await store.read(BLOB.digest), BYTES)
  })

  it('does not give out a blob that was damaged on disk', async () => {
    await store.ingest(BLOB, send(BYTES), () => undefined)
    await writeFile(store.path(BLOB.digest), Buffer.alloc(BYTES.length))
    assert.equal(await store.read(BLOB.digest), undefined)
    assert.deepEqual([store.size(BLOB.digest), await visible()], [undefined, []])
  })

  it('gets a blob once for two who ask', async () => {
    let downloads = 0
    const ask = (): Promise<void> =>
      store.ingest(
        BLOB,
        (ingest) => (downloads++, send(BYTES)(ingest)),
        () => undefined,
      )
    await Promise.all([ask(), ask()])
    assert.equal(downloads, 1)
  })

  it('sweeps what is neither live, nor held, nor fresh', async () => {
    const blobs = ['live', 'held', 'dead'].map((text) => Buffer.from(text))
    for (const bytes of blobs) await store.put(digest(bytes), bytes)
    await assert.rejects(store.ingest(BLOB, send(BYTES.subarray(0, 10)), () => undefined))
    const release = store.leases.acquire([digest(blobs[1]!)])
    const live = new Set([digest(blobs[0]!)])
    await store.sweep(live, 1000)
    assert.equal((await visible()).length, 3)
    await clock.advance(2000)
    await store.sweep(live, 1000)
    assert.deepEqual(
      (await visible()).sort(),
      blobs
        .slice(0, 2)
        .map((bytes) => digest(bytes).slice(7))
        .sort(),
    )
    release()
    await store.sweep(live, 0)
    assert.deepEqual(await visible(), [digest(blobs[0]!).slice(7)])
    assert.equal((await unfinished()).length, 1)
    await clock.advance(400 * 24 * 3_600_000)
    await store.sweep(live, 0)
    assert.deepEqual(await unfinished(), [])
  })

  it('sweeps while a blob is on its way, without waiting for it', async () => {
    const dead = Buffer.from('dead')
    await store.put(digest(dead), dead)
    let rest = (): void => undefined
    const held = new Promise<void>((resolve) => (rest = resolve))
    let begun = (): void => undefined
    const there = new Promise<void>((resolve) => (begun = resolve))
    const ingesting = store.ingest(
      BLOB,
      async (ingest) => {
        begun()
        await held
        await send(BYTES)(ingest)
      },
      () => undefined,
    )
    await there
    await store.sweep(new Set(), 0)
    assert.deepEqual([await visible(), (await unfinished()).length], [[], 1])
    rest()
    await ingesting
    assert.deepEqual(await store.read(BLOB.digest), BYTES)
  })
})

async function* stream(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}

function digest(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function hasCode(code: GantryError['code'], message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof GantryError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    return true
  }
}
