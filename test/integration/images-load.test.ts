/** Images out of archives, as other tools write them and as nobody should. */
import assert from 'node:assert/strict'
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { runImagesCommand } from '../../agent/admin/images-command.ts'
import { serveLocally, socketPath } from '../../agent/admin/local-server.ts'
import { ImageStore } from '../../agent/images/image-store.ts'
import {
  buildImage,
  buildIndex,
  buildTar,
  writeLayout,
  type BuiltImage,
  type LayerFile,
} from '../../deploy/image-builder.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { run } from '../../proto/base/command.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { eventually } from '../eventually.ts'

describe('images out of archives', () => {
  let root: string
  let store: ImageStore
  let image: BuiltImage

  before(async () => {
    image = await buildImage({
      layers: [
        { files: { 'etc/': { dir: true }, 'etc/motd': { content: 'old' } } },
        { files: { 'etc/motd': { content: 'new' }, big: { content: Buffer.alloc(3 << 20, 7) } }, compression: 'none' },
      ],
      config: { Cmd: ['/bin/sh'] },
    })
  })
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-load-'))
    store = new ImageStore({
      root: join(root, 'images'),
      registries: {},
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
    })
    await store.start()
  })
  afterEach(async () => {
    for (const key of await store.listRootfs()) await store.removeRootfs(key)
    await store.stop()
    await rm(root, { recursive: true })
  })

  const load = (archive: Buffer, name?: string) =>
    store.load(pieces(archive), { name, signal: AbortSignal.timeout(50_000) })
  const refuses = async (archive: Buffer, message: RegExp, name?: string): Promise<void> => {
    await assert.rejects(
      load(archive, name),
      (error) => GantryError.is(error, 'InvalidArgument', 'FailedPrecondition') && message.test(error.message),
    )
    assert.deepEqual(await store.list(), [])
    assert.deepEqual(await readdir(join(root, 'images', 'loads')), [])
  }
  const motd = async (reference: string): Promise<string> => {
    const found = await store.ensure(reference, {
      policy: 'Never',
      credentials: [],
      signal: AbortSignal.timeout(50_000),
    })
    const { path } = await store.mountRootfs('c1', found)
    return readFile(join(path, 'etc/motd'), 'utf8')
  }
  /** An OCI layout as an archive. */
  const layout = async (
    name: string,
    change: (files: Record<string, LayerFile>) => void = () => undefined,
    built: Parameters<typeof writeLayout>[0] = image,
  ): Promise<Buffer> => {
    const folder = join(root, 'layout')
    await writeLayout(built, folder, name)
    const paths = [
      'oci-layout',
      'index.json',
      ...(await readdir(join(folder, 'blobs', 'sha256'))).map((blob) => `blobs/sha256/${blob}`),
    ]
    const files: Record<string, LayerFile> = Object.fromEntries(
      await Promise.all(
        paths.map(async (path): Promise<[string, LayerFile]> => [
          path,
          { content: await readFile(join(folder, path)) },
        ]),
      ),
    )
    await rm(folder, { recursive: true })
    change(files)
    return buildTar(files)
  }
  const skopeo = async (kind: 'docker-archive' | 'oci-archive', name: string): Promise<Buffer> => {
    await writeLayout(image, join(root, 'layout'), 'x')
    await run('skopeo', [
      'copy',
      '--insecure-policy',
      `oci:${join(root, 'layout')}:x`,
      `${kind}:${join(root, 'out.tar')}:${name}`,
    ])
    return readFile(join(root, 'out.tar'))
  }

  for (const kind of ['docker-archive', 'oci-archive'] as const) {
    it(`takes what other tools write: ${kind}`, async () => {
      const [loaded] = await load(await skopeo(kind, 'example.com/team/app:1.0'))
      assert.equal(loaded!.reference, 'example.com/team/app:1.0')
      assert.deepEqual(loaded!.config.cmd, ['/bin/sh'])
      assert.equal(await motd('example.com/team/app:1.0'), 'new')
      assert.deepEqual(await readdir(join(root, 'images', 'loads')), [])
    })
  }

  it('takes compressed archives, and short names as Docker does', async () => {
    await load(gzipSync(await layout('app:2')))
    const zstd = join(root, 'layout.tar')
    await run('sh', ['-c', 'cat > "$0"', zstd], { stdin: await layout('app:3') })
    await run('zstd', ['--quiet', zstd, '-o', `${zstd}.zst`])
    await load(await readFile(`${zstd}.zst`))
    assert.deepEqual((await store.list()).map(({ reference }) => reference).sort(), [
      'docker.io/library/app:2',
      'docker.io/library/app:3',
    ])
    assert.equal(await motd('app:3'), 'new')
  })

  it('takes the image of this platform out of several', async () => {
    const other = await buildImage({
      layers: [{ files: { other: { content: 'x' } } }],
      platform: { os: 'linux', architecture: 's390x' },
    })
    const [loaded] = await load(await layout('app:many', undefined, buildIndex([other, image])))
    assert.equal(loaded!.digest, image.manifest.digest)
    assert.equal(await motd('app:many'), 'new')
  })

  it('keeps what it loaded over a restart', async () => {
    await load(await layout('app:1'))
    await store.stop()
    store = new ImageStore({
      root: join(root, 'images'),
      registries: {},
      clock: systemClock,
      random: seededRandom(2),
      log: silentLogger,
    })
    await store.start()
    assert.equal(await motd('app:1'), 'new')
  })

  it('needs a name where the archive has none', async () => {
    const archive = await layout('latest')
    await refuses(archive, /does not say what the image sha256:\w+ is called/)
    const [loaded] = await load(archive, 'mine:7')
    assert.equal(loaded!.reference, 'docker.io/library/mine:7')
  })

  it('calls the only image of an archive by the name given', async () => {
    const loaded = await load(await skopeo('docker-archive', 'example.com/team/app:1.0'), 'registry.example.com/mine:8')
    assert.deepEqual(
      loaded.map(({ reference }) => reference),
      ['registry.example.com/mine:8'],
    )
  })

  it('refuses a name for one of several images', async () => {
    const manifestsOf = (files: Record<string, LayerFile>): unknown[] => {
      const { content } = files['index.json'] as { content: Buffer }
      return (JSON.parse(String(content)) as { manifests: unknown[] }).manifests
    }
    let other: Record<string, LayerFile> = {}
    await layout(
      'b:1',
      (files) => void (other = { ...files }),
      await buildImage({ layers: [{ files: { other: { content: 'x' } } }] }),
    )
    const both = await layout('a:1', (files) => {
      const manifests = [...manifestsOf(files), ...manifestsOf(other)]
      Object.assign(files, { ...other, 'index.json': { content: JSON.stringify({ schemaVersion: 2, manifests }) } })
    })
    await refuses(both, /holds 2 images, each with a name/, 'c:1')
  })

  const blobOf = (files: Record<string, LayerFile>): string =>
    Object.keys(files).find((path) => path.endsWith(image.layers[0]!.digest.slice('sha256:'.length)))!
  const damaged: [string, (files: Record<string, LayerFile>) => void, RegExp][] = [
    ['a layer is missing', (files) => delete files[blobOf(files)], /names the blob sha256:\w+ and does not hold it/],
    [
      'a layer is another',
      (files) => void (files[blobOf(files)] = { content: Buffer.alloc(image.layers[0]!.bytes.length) }),
      /digest/,
    ],
    [
      'a layer is too long',
      (files) => void (files[blobOf(files)] = { content: Buffer.alloc(image.layers[0]!.bytes.length + 1) }),
      /longer than/,
    ],
    ['the index is no JSON', (files) => void (files['index.json'] = { content: '{' }), /index\.json is not JSON/],
    [
      'the index is empty',
      (files) => void (files['index.json'] = { content: '{"schemaVersion":2,"manifests":[]}' }),
      /holds no image/,
    ],
    ['the index is missing', (files) => delete files['index.json'], /"index\.json" and does not hold it/],
  ]
  for (const [what, change, message] of damaged) {
    it(`refuses an archive whole: ${what}`, async () => {
      await refuses(await layout('app:bad', change), message)
    })
  }

  it('refuses what is no archive of images', async () => {
    await refuses(await buildTar({ readme: { content: 'hello' } }), /neither an "oci-layout" nor a "manifest\.json"/)
    await refuses(Buffer.from('no archive at all '.repeat(100)), /no tar archive at byte 0/)
    await refuses(gzipSync(await layout('app:cut')).subarray(0, 1000), /damaged/)
    await refuses((await layout('app:cut')).subarray(0, 2 << 20), /ends after \d+ bytes/)
    await refuses(
      await buildTar({
        'manifest.json': { content: '[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]' },
        'c.json': { content: '{}' },
      }),
      /names the layer "l\.tar"/,
    )
    await refuses(await layout('Upper/Case:1'), /upper-case/)
    const foreign = await buildImage({ layers: [], platform: { os: 'linux', architecture: 's390x' } })
    await refuses(await layout('app:foreign', undefined, foreign), /made for linux\/s390x/)
  })

  it('is asked for on the socket of the agent, by nobody else', async () => {
    const stop = new AbortController()
    const serving = serveLocally(root, store, stop.signal)
    try {
      await eventually(() =>
        access(socketPath(root)).then(
          () => true,
          () => false,
        ),
      )
      let printed = ''
      const streams = (archive: Buffer) => ({
        stdin: pieces(archive),
        stdout: { write: (text: string) => (printed += text) },
      })
      await runImagesCommand(['load', '--run-dir', root, '--name', 'mine:1'], streams(await layout('latest')))
      assert.equal(printed, `docker.io/library/mine:1 ${image.manifest.digest}\n`)
      await runImagesCommand(['list', '--run-dir', root], streams(Buffer.alloc(0)))
      assert.equal(printed, `docker.io/library/mine:1 ${image.manifest.digest}\n`.repeat(2))
      await assert.rejects(
        runImagesCommand(['load', '--run-dir', root], streams(Buffer.from('x'.repeat(600)))),
        /no tar archive/,
      )
      await assert.rejects(runImagesCommand(['unload'], streams(Buffer.alloc(0))), /unknown command "images unload"/)
      await assert.rejects(
        runImagesCommand(['load', 'no-such-file', '--run-dir', root], streams(Buffer.alloc(0))),
        /cannot read no-such-file/,
      )
    } finally {
      stop.abort()
      await serving
    }
    await assert.rejects(
      runImagesCommand(['list', '--run-dir', root], { stdin: pieces(Buffer.alloc(0)), stdout: process.stdout }),
      /no agent answers/,
    )
  })
})

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += 100_000) yield bytes.subarray(start, start + 100_000)
}
