import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ImageStore } from '../../agent/images/image-store.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { buildImage, type BuiltImage } from '../../deploy/image-builder.ts'
import { FaultRegistry } from '../agent/images/registry/fault-registry.ts'

const execute = promisify(execFile)
const BIG = randomBytes(400_000)

describe('image store against a faulty registry', () => {
  let registry: FaultRegistry
  let root: string
  let image: BuiltImage
  const stores: ImageStore[] = []

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-faults-'))
    registry = new FaultRegistry()
    await registry.start()
    image = await buildImage({
      layers: [{ files: { one: { content: BIG } } }, { files: { two: { content: randomBytes(300_000) } } }],
    })
    registry.on('GET', '/v2/app/manifests/v1', (_request, response) =>
      response.writeHead(200, { 'content-type': image.manifest.mediaType }).end(image.manifest.bytes),
    )
    for (const blob of [image.config, ...image.layers]) serve(blob.digest, blob.bytes)
  })
  afterEach(async () => {
    for (const store of stores.splice(0)) {
      for (const key of await store.listRootfs()) await store.removeRootfs(key)
      await store.stop()
    }
    await registry.stop()
    await rm(root, { recursive: true, force: true })
  })

  async function open(folder = root): Promise<ImageStore> {
    const store = new ImageStore({
      root: folder,
      registries: { insecure: [registry.host] },
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
    })
    await store.start()
    stores.push(store)
    return store
  }
  const path = (digest: string): string => `/v2/app/blobs/${digest}`
  function serve(digest: string, bytes: Buffer): void {
    registry.on('GET', path(digest), (request, response) => {
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
      const status = from === 0 ? 200 : 206
      response
        .writeHead(status, {
          'content-length': bytes.length - from,
          ...(from === 0 ? {} : { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
        })
        .end(bytes.subarray(from))
    })
  }
  const ensure = (store: ImageStore, signal = AbortSignal.timeout(50_000)) =>
    store.ensure(`${registry.host}/app:v1`, { policy: 'IfNotPresent', credentials: [], signal })
  const layer = (place: number) => image.layers[place]!

  it('gets layers side by side, each once for all who wait', async () => {
    const [first, second] = [layer(0), layer(1)]
    // The first layer is sent only when the second was asked for.
    const asked = new Promise<void>((resolve) =>
      registry.on('GET', path(second.digest), (_request, response) => (resolve(), response.end(second.bytes))),
    )
    registry.on('GET', path(first.digest), (_request, response) => void asked.then(() => response.end(first.bytes)))
    const store = await open()
    const images = await Promise.all([1, 2, 3, 4, 5].map(() => ensure(store)))
    assert.equal(new Set(images.map(({ digest }) => digest)).size, 1)
    assert.deepEqual([registry.count('GET', path(first.digest)), registry.count('GET', path(second.digest))], [1, 1])
  })

  it('continues a layer after a cut', async () => {
    const { digest, bytes } = layer(0)
    const ranges: (string | undefined)[] = []
    registry.on('GET', path(digest), (request, response, count) => {
      ranges.push(request.headers.range)
      if (count === 1)
        return void response
          .writeHead(200, { 'content-length': bytes.length })
          .write(bytes.subarray(0, 200_000), () => response.destroy())
      const from = Number(/\d+/.exec(request.headers.range!)![0])
      assert.ok(from > 0 && from <= 200_000)
      response
        .writeHead(206, { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` })
        .end(bytes.subarray(from))
    })
    const store = await open()
    const { path: rootfs } = await store.mountRootfs('c', await ensure(store))
    assert.deepEqual(await readFile(join(rootfs, 'one')), BIG)
    assert.equal(ranges.length, 2)
  })

  it('ends a pull that nobody waits for, and continues it in the next run of the agent', async () => {
    const { digest, bytes } = layer(0)
    const leaving = new AbortController()
    let closed: Promise<unknown> | undefined
    registry.on('GET', path(digest), (_request, response) => {
      closed = once(response, 'close')
      response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 200_000))
    })
    const first = await open()
    const pulling = first.ensure(`${registry.host}/app:v1`, {
      policy: 'IfNotPresent',
      credentials: [],
      signal: leaving.signal,
      progress: ({ bytesDone }) => {
        // More than the second layer alone has: some of the first is there.
        if (bytesDone > layer(1).bytes.length + 100_000) leaving.abort(new GantryError('Cancelled', 'pod deleted'))
      },
    })
    await assert.rejects(pulling, hasCode('Cancelled', /pod deleted/))
    await closed
    await first.stop()
    stores.length = 0
    const ranges: (string | undefined)[] = []
    registry.on('GET', path(digest), (request, response) => {
      ranges.push(request.headers.range)
      const from = Number(/\d+/.exec(request.headers.range!)![0])
      response
        .writeHead(206, { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` })
        .end(bytes.subarray(from))
    })
    await ensure(await open())
    assert.match(ranges[0]!, /^bytes=[1-9]\d+-$/)
  })

  it('refuses a blob with the wrong digest or size; nothing of it is visible', async () => {
    const store = await open()
    serve(layer(0).digest, Buffer.from(layer(0).bytes).fill(0, 1000, 2000))
    await assert.rejects(
      ensure(store),
      hasCode('InvalidArgument', new RegExp(`blob ${layer(0).digest} as sent by ${registry.host} has digest sha256:`)),
    )
    serve(layer(0).digest, Buffer.concat([layer(0).bytes, Buffer.from('more')]))
    await assert.rejects(ensure(store), hasCode('InvalidArgument', /longer than the \d+ bytes that its manifest says/))
    assert.ok(!(await readdir(join(root, 'content/blobs/sha256'))).includes(layer(0).digest.slice(7)))
    assert.deepEqual(await store.list(), [])
    serve(layer(0).digest, layer(0).bytes)
    await ensure(store)
  })

  it('tells the first failure of several layers, not the aborts that it caused', async () => {
    registry.on('GET', path(layer(0).digest), () => undefined)
    registry.on('GET', path(layer(1).digest), (_request, response) => response.writeHead(403).end())
    await assert.rejects(ensure(await open()), hasCode('Forbidden', /forbids anonymous users/))
  })

  it('says that the disk is full, keeps no partial blob, and works when there is room', async () => {
    const disk = join(root, 'disk')
    await mkdir(disk)
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk])
    try {
      const store = await open(disk)
      await assert.rejects(ensure(store), hasCode('ResourceExhausted', /no space left on disk for blob sha256:/))
      const whole = new Set(await readdir(join(disk, 'content/blobs/sha256')))
      assert.ok(!image.layers.every(({ digest }) => whole.has(digest.slice(7))))
      await execute('mount', ['-o', 'remount,size=8m', disk])
      await ensure(store)
      await stores.pop()!.stop()
    } finally {
      await execute('umount', [disk])
    }
  })
})

function hasCode(code: GantryError['code'], message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof GantryError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    return true
  }
}
