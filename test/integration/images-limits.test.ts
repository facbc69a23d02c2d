/** Images that are small to fetch and huge to unpack, from a real registry. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ImageStore } from '../../agent/images/image-store.ts'
import type { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { buildImage, buildTar, pushImage, sha256, type LayerFile, type LayerSpec } from '../../deploy/image-builder.ts'
import { startRegistry, type TestRegistry } from './images-registry.ts'

const MEBIBYTE = 2 ** 20
const LIMITS = { bytes: 8 * MEBIBYTE, files: 100 }

describe('images that become too large', () => {
  let registry: TestRegistry
  let root: string
  let store: ImageStore

  before(async () => {
    registry = await startRegistry()
  })
  after(() => registry.stop())
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-limits-'))
    store = new ImageStore({
      root,
      registries: { insecure: [registry.host] },
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
      limits: LIMITS,
    })
    await store.start()
  })
  afterEach(async () => {
    await store.stop()
    await rm(root, { recursive: true, force: true })
  })

  async function pull(...layers: LayerSpec[]): Promise<unknown> {
    await pushImage(await buildImage({ layers }), {
      registry: registry.host,
      repository: 'bomb',
      tag: 'latest',
      insecure: true,
    })
    return store.ensure(`${registry.host}/bomb:latest`, {
      policy: 'Always',
      credentials: [],
      signal: AbortSignal.timeout(50_000),
    })
  }

  /** What is kept of images, below the store's folders. */
  async function kept(): Promise<string[]> {
    const names = await Promise.all(
      [
        'content/blobs/sha256',
        'content/ingests',
        'snapshots/staging',
        'snapshots/trash',
        'snapshots/committed',
        'index',
      ].map(async (folder) => {
        const found = await readdir(join(root, folder)).catch((error: NodeJS.ErrnoException) =>
          error.code === 'ENOENT' ? [] : Promise.reject(error),
        )
        return found.filter((name) => name !== 'empty').map((name) => `${folder}/${name}`)
      }),
    )
    return names.flat()
  }

  async function refused(layers: LayerSpec[], message: RegExp): Promise<void> {
    await assert.rejects(pull(...layers), (error: GantryError) => {
      assert.equal(error.code, 'InvalidArgument')
      assert.match(error.message, message)
      assert.ok(
        error.details.some(({ remedy }) => /the agent's setting images\./.test(remedy ?? '')),
        JSON.stringify(error.details),
      )
      return true
    })
    assert.deepEqual(await kept(), [], 'something is left on the disk')
  }

  const zeros = (mebibytes: number): Record<string, LayerFile> => ({
    zeros: { content: Buffer.alloc(mebibytes * MEBIBYTE) },
  })
  const files = (prefix: string, count: number): Record<string, LayerFile> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, { content: '' }]))

  it('are refused by the bytes of a layer', () =>
    refused([{ files: zeros(9) }], /^layer sha256:\w+ makes the image larger than 8388608 bytes when it is unpacked$/))

  it('are refused by the bytes of all layers together', () =>
    refused(
      [{ files: zeros(5) }, { files: { other: { content: Buffer.alloc(5 * MEBIBYTE) } } }],
      /larger than 8388608 bytes/,
    ))

  it('are refused by what stands behind the end of the archive', async () => {
    const tar = Buffer.concat([await buildTar({ a: { content: 'a' } }), Buffer.alloc(9 * MEBIBYTE)])
    await refused([{ tar }], /larger than 8388608 bytes/)
  })

  it('are refused where zstd has made them small', async () => {
    const tar = await buildTar(zeros(64))
    await writeFile(join(root, 'layer.tar'), tar)
    await promisify(execFile)('zstd', ['--quiet', '--rm', join(root, 'layer.tar')])
    const blob = await readFile(join(root, 'layer.tar.zst'))
    await refused(
      [{ blob, diffId: sha256(tar), mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' }],
      /larger than 8388608 bytes/,
    )
  })

  it('are refused by their number of files, all layers together', () =>
    refused(
      [{ files: files('a', 60) }, { files: files('b', 60) }],
      /^layer sha256:\w+ makes the image have more than 100 files$/,
    ))

  it('are refused by the directories that their paths need', () => {
    const deep = (prefix: string): string => `${prefix}/${'d/'.repeat(60)}file`
    return refused([{ files: { [deep('a')]: { content: '' }, [deep('b')]: { content: '' } } }], /more than 100 files/)
  })

  it('are refused by the size that the manifest tells, before anything is fetched', async () => {
    const noise = Buffer.alloc(9 * MEBIBYTE)
    for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE((at * 2_654_435_761) >>> 0, at)
    await refused(
      [{ files: { noise: { content: noise } }, compression: 'none' }],
      /has layers of 94\d+ bytes, more than the 8388608 that an image may have$/,
    )
  })

  it('leave alone what other images have, which stay within the limits', async () => {
    await pushImage(await buildImage({ layers: [{ files: zeros(7) }] }), {
      registry: registry.host,
      repository: 'large',
      tag: 'latest',
      insecure: true,
    })
    const image = await store.ensure(`${registry.host}/large:latest`, {
      policy: 'Always',
      credentials: [],
      signal: AbortSignal.timeout(50_000),
    })
    await assert.rejects(pull({ files: zeros(7) }, { files: { more: { content: Buffer.alloc(9 * MEBIBYTE) } } }), {
      code: 'InvalidArgument',
    })
    assert.deepEqual(
      (await store.list()).map(({ digest }) => digest),
      [image.digest],
    )
    // One layer, one reference, and the blobs: manifest, config, layer.
    const left = await kept()
    assert.deepEqual(
      ['snapshots/committed', 'index', 'content/blobs'].map(
        (folder) => left.filter((name) => name.startsWith(folder)).length,
      ),
      [1, 1, 3],
    )
    const { path } = await store.mountRootfs('c1', image)
    assert.equal((await readFile(join(path, 'zeros'))).length, 7 * MEBIBYTE)
    await store.removeRootfs('c1')
  })
})
