import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { lstat, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { PullProgress, PullPolicy, RegistriesConfig } from '../../agent/images/contract.ts'
import { ImageStore } from '../../agent/images/image-store.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock, type Clock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import {
  buildImage,
  buildIndex,
  pushImage,
  sha256,
  writeLayout,
  type BuiltImage,
  type BuiltIndex,
  type ImageSpec,
} from '../../deploy/image-builder.ts'
import { PASSWORD, startRegistry, USER, type TestRegistry } from './images-registry.ts'

const execute = promisify(execFile)

const TWO_LAYERS: ImageSpec = {
  layers: [
    {
      files: {
        'bin/': { dir: true },
        'bin/sh': { content: '#!shell', mode: 0o755 },
        'bin/su': { content: 'su', mode: 0o4755 },
        'bin/ash': { hardlink: 'bin/sh' },
        'etc/': { dir: true },
        'etc/motd': { content: 'old' },
        'etc/gone': { content: 'x' },
        'var/': { dir: true },
        'var/old/': { dir: true },
        'var/old/file': { content: 'x' },
        'tmp/': { dir: true, mode: 0o1777 },
      },
    },
    {
      files: {
        'etc/motd': { content: 'new', uid: 12, gid: 34 },
        'etc/.wh.gone': { content: '' },
        'var/old/': { dir: true },
        'var/old/.wh..wh..opq': { content: '' },
        'var/old/fresh': { content: 'y' },
        link: { symlink: '/bin/sh' },
      },
    },
  ],
  config: {
    Env: ['PATH=/bin'],
    Entrypoint: ['/bin/sh'],
    Cmd: ['-c', 'true'],
    WorkingDir: '/tmp',
    User: '12:34',
    StopSignal: 'SIGINT',
    Volumes: { '/var': {} },
    Labels: { a: 'b' },
  },
}

describe('image store against a real registry', () => {
  let registry: TestRegistry
  let locked: TestRegistry
  let root: string
  const stores: ImageStore[] = []

  before(async () => {
    ;[registry, locked] = await Promise.all([startRegistry(), startRegistry({ basicAuth: true })])
  })
  after(async () => {
    await Promise.all([registry.stop(), locked.stop()])
  })
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gantry-images-'))
  })
  afterEach(async () => {
    for (const store of stores.splice(0)) {
      for (const key of await store.listRootfs()) await store.removeRootfs(key)
      await store.stop()
    }
    await rm(root, { recursive: true, force: true })
  })

  async function open(
    registries: RegistriesConfig = { insecure: [registry.host, locked.host] },
    clock: Clock = systemClock,
  ): Promise<ImageStore> {
    const store = new ImageStore({ root, registries, clock, random: seededRandom(1), log: silentLogger })
    await store.start()
    stores.push(store)
    return store
  }
  async function push(repository: string, spec: ImageSpec | BuiltImage | BuiltIndex, tag = 'latest'): Promise<string> {
    const image = 'manifest' in spec ? spec : await buildImage(spec)
    await pushImage(image, { registry: registry.host, repository, tag, insecure: true })
    return `${registry.host}/${repository}:${tag}`
  }
  const options = (policy: PullPolicy = 'IfNotPresent', progress?: (progress: PullProgress) => void) => ({
    policy,
    credentials: [],
    signal: AbortSignal.timeout(50_000),
    ...(progress === undefined ? {} : { progress }),
  })

  it('pulls, unpacks and mounts an image of two layers', async () => {
    const reference = await push('two/layers', TWO_LAYERS)
    const store = await open()
    const seen: PullProgress[] = []
    const image = await store.ensure(
      reference,
      options('IfNotPresent', (progress) => seen.push(progress)),
    )
    assert.equal(image.reference, reference)
    assert.deepEqual(image.config, {
      env: ['PATH=/bin'],
      entrypoint: ['/bin/sh'],
      cmd: ['-c', 'true'],
      workingDir: '/tmp',
      user: '12:34',
      stopSignal: 'SIGINT',
      volumes: ['/var'],
      labels: { a: 'b' },
    })
    assert.deepEqual(seen.at(-1), { reference, layers: 2, layersDone: 2, bytes: image.size, bytesDone: image.size })

    const { path } = await store.mountRootfs('c1', image)
    assert.equal(await readFile(join(path, 'etc/motd'), 'utf8'), 'new')
    const motd = await stat(join(path, 'etc/motd'))
    assert.deepEqual([motd.uid, motd.gid], [12, 34])
    assert.deepEqual(await readdir(join(path, 'etc')), ['motd'])
    assert.deepEqual(await readdir(join(path, 'var/old')), ['fresh'])
    assert.equal((await stat(join(path, 'bin/su'))).mode & 0o7777, 0o4755)
    assert.equal((await stat(join(path, 'tmp'))).mode & 0o7777, 0o1777)
    assert.equal((await lstat(join(path, 'bin/ash'))).ino, (await lstat(join(path, 'bin/sh'))).ino)
    assert.equal(await readlink(join(path, 'link')), '/bin/sh')
  })

  it('keeps what a container wrote over a restart of the agent and over a reboot', async () => {
    const image = await buildImage(TWO_LAYERS)
    const reference = await push('two/kept', image)
    const first = await open()
    const { path } = await first.mountRootfs('c1', await first.ensure(reference, options()))
    await writeFile(join(path, 'etc/motd'), 'written')
    await first.stop()

    const second = await open()
    assert.deepEqual(await second.listRootfs(), ['c1'])
    const found = (await second.find(reference))!
    assert.equal((await second.mountRootfs('c1', found)).path, path)
    assert.equal(await readFile(join(path, 'etc/motd'), 'utf8'), 'written')
    await execute('umount', [path]) // what a reboot does
    assert.deepEqual(await readdir(path), [])
    await second.mountRootfs('c1', found)
    assert.equal(await readFile(join(path, 'etc/motd'), 'utf8'), 'written')

    await second.removeRootfs('c1')
    await second.removeRootfs('c1')
    assert.deepEqual(await second.listRootfs(), [])
    assert.doesNotMatch(await readFile('/proc/self/mountinfo', 'utf8'), new RegExp(root))
    stores.shift() // stopped already
  })

  it('follows the pull policies', async () => {
    const reference = await push('policy', { layers: [{ files: { version: { content: '1' } } }] })
    const store = await open()
    await assert.rejects(
      store.ensure(reference, options('Never')),
      hasCode('FailedPrecondition', /pull policy is Never/),
    )
    const one = await store.ensure(reference, options('IfNotPresent'))
    await push('policy', { layers: [{ files: { version: { content: '2' } } }] })
    assert.equal((await store.ensure(reference, options('IfNotPresent'))).digest, one.digest)
    assert.equal((await store.ensure(reference, options('Never'))).digest, one.digest)
    const two = await store.ensure(reference, options('Always'))
    assert.notEqual(two.digest, one.digest)
    assert.equal((await store.ensure(reference, options('Always'))).digest, two.digest)
    assert.deepEqual(
      (await store.list()).map(({ digest }) => digest),
      [two.digest],
    )
  })

  it('finds an image by reference, digest and id, and pulls by digest', async () => {
    const image = await buildImage(TWO_LAYERS)
    await push('by/digest', image)
    const store = await open()
    const pulled = await store.ensure(`${registry.host}/by/digest@${image.manifest.digest}`, options())
    assert.equal(pulled.digest, image.manifest.digest)
    assert.equal(pulled.id, image.config.digest)
    for (const name of [pulled.reference, pulled.digest, pulled.id, pulled.id.slice(7)])
      assert.deepEqual(await store.find(name), pulled)
    assert.equal(await store.find('busybox'), undefined)
    // The same digest under a tag as well needs no registry.
    const both = await store.ensure(`${registry.host}/by/digest:v1@${image.manifest.digest}`, options())
    assert.equal(both.digest, image.manifest.digest)
  })

  for (const format of ['oci', 'docker'] as const) {
    it(`chooses this machine's platform from an index (${format})`, async () => {
      const own = await buildImage({ layers: [{ files: { own: { content: 'x' } } }], format })
      const foreign = await buildImage({
        layers: [{ files: { foreign: { content: 'x' } } }],
        format,
        platform: { os: 'linux', architecture: 's390x' },
      })
      const reference = await push(`index/${format}`, buildIndex([foreign, own], format))
      const store = await open()
      assert.equal((await store.ensure(reference, options())).digest, own.manifest.digest)
      const wrong = await push(`foreign/${format}`, buildIndex([foreign], format))
      await assert.rejects(store.ensure(wrong, options()), hasCode('FailedPrecondition', /only for linux\/s390x/))
    })
  }

  it('asks for credentials and uses them', async () => {
    const image = await buildImage(TWO_LAYERS)
    await pushImage(image, {
      registry: locked.host,
      repository: 'private',
      tag: 'v1',
      insecure: true,
      username: USER,
      password: PASSWORD,
    })
    const store = await open()
    const reference = `${locked.host}/private:v1`
    await assert.rejects(store.ensure(reference, options()), hasCode('Unauthenticated', /asks for credentials/))
    await assert.rejects(
      store.ensure(reference, {
        ...options(),
        credentials: [{ registry: locked.host, username: USER, password: 'wrong' }],
      }),
      hasCode('Unauthenticated', /refuses user "reader"/),
    )
    const pulled = await store.ensure(reference, {
      ...options(),
      credentials: [
        { registry: 'docker.io', username: 'a', password: 'b' },
        { registry: locked.host, username: USER, password: PASSWORD },
      ],
    })
    assert.equal(pulled.digest, image.manifest.digest)
  })

  it('takes a mirror before the registry, and says what each said', async () => {
    await push('library/demo', TWO_LAYERS)
    const store = await open({
      mirrors: { 'docker.io': [`http://${registry.host}`], 'registry.invalid': [`http://${registry.host}`] },
    })
    assert.equal((await store.ensure('demo', options())).reference, 'docker.io/library/demo:latest')
    await assert.rejects(
      store.ensure('registry.invalid/none', options()),
      hasCode(
        'Unavailable',
        new RegExp(`http://${registry.host}: .*has no none.*https://registry.invalid: cannot reach`),
      ),
    )
  })

  it('names what is missing or not allowed', async () => {
    const store = await open()
    await assert.rejects(store.ensure(`${registry.host}/no/such:v1`, options()), hasCode('NotFound', /no\/such:v1/))
    await assert.rejects(store.ensure('Not/Valid', options()), hasCode('InvalidArgument', /image reference/))
    const strict = new ImageStore({
      root: join(root, 'strict'),
      registries: {},
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
    })
    await strict.start()
    stores.push(strict)
    await assert.rejects(strict.ensure(`${registry.host}/policy`, options()), hasCode('Unavailable', /cannot reach/))
  })

  it('pulls once for many who wait, and ends the pull when nobody waits any more', async () => {
    const reference = await push('many', TWO_LAYERS)
    const store = await open()
    const leaving = new AbortController()
    const left = store.ensure(reference, { ...options(), signal: leaving.signal })
    const staying = [1, 2, 3].map(() => store.ensure(reference, options()))
    leaving.abort(new GantryError('Cancelled', 'gave up'))
    await assert.rejects(left, hasCode('Cancelled', /gave up/))
    assert.equal(new Set((await Promise.all(staying)).map(({ digest }) => digest)).size, 1)
  })

  it('reads zstd layers', async () => {
    const plain = await buildImage({
      layers: [{ files: { 'file.txt': { content: 'from zstd' } }, compression: 'none' }],
    })
    const layout = join(root, 'plain.tar')
    await writeFile(layout, plain.layers[0]!.bytes)
    await execute('zstd', ['--quiet', layout, '-o', `${layout}.zst`])
    const reference = await push('zstd', {
      layers: [
        {
          blob: await readFile(`${layout}.zst`),
          diffId: plain.layers[0]!.digest,
          mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd',
        },
      ],
    })
    const store = await open()
    const { path } = await store.mountRootfs('z', await store.ensure(reference, options()))
    assert.equal(await readFile(join(path, 'file.txt'), 'utf8'), 'from zstd')
  })

  it('mounts an image without layers as an empty file system', async () => {
    const reference = await push('scratch', { layers: [] })
    const store = await open()
    const { path } = await store.mountRootfs('empty', await store.ensure(reference, options()))
    await writeFile(join(path, 'x'), 'y')
    assert.deepEqual(await readdir(path), ['x'])
  })

  it('reads what another tool pushed', async () => {
    const image = await buildImage(TWO_LAYERS)
    const layout = join(root, 'layout')
    await writeLayout(image, layout, 'v1')
    await execute('skopeo', [
      '--insecure-policy',
      'copy',
      '--dest-tls-verify=false',
      `oci:${layout}:v1`,
      `docker://${registry.host}/by/skopeo:v1`,
    ])
    const store = await open()
    assert.equal((await store.ensure(`${registry.host}/by/skopeo:v1`, options())).id, image.config.digest)
  })

  it('collects what is old, and keeps what is in use or mounted', async () => {
    const references = await Promise.all(
      ['a', 'b', 'c'].map((name) => push(`collect/${name}`, { layers: [{ files: { [name]: { content: name } } }] })),
    )
    let now = systemClock.now()
    const store = await open(undefined, { ...systemClock, now: () => now })
    const images = await Promise.all(references.map((reference) => store.ensure(reference, options())))
    await store.mountRootfs('uses-b', images[1]!)
    now += 2 * 3_600_000
    const removed = await store.collect({
      inUse: new Set([images[0]!.digest]),
      olderThanMillis: 3_600_000,
      highPercent: 100,
      lowPercent: 100,
    })
    assert.deepEqual(
      removed.map(({ reference }) => reference),
      [references[2]],
    )
    assert.equal(await store.find(references[2]!), undefined)
    const blobs = await readdir(join(root, 'content/blobs/sha256'))
    assert.equal(blobs.length, 6) // manifest, config and layer of two images
    await store.removeRootfs('uses-b')
    now += 120_000
    const full = await store.collect({
      inUse: new Set([images[0]!.digest]),
      olderThanMillis: 1e12,
      highPercent: 0,
      lowPercent: 0,
    })
    assert.deepEqual(
      full.map(({ reference }) => reference),
      [references[1]],
    )
    assert.deepEqual((await readdir(join(root, 'snapshots/committed'))).length, 2) // one layer, and the empty one
  })

  it('unpacks again, from the blobs that are there, what a power loss took', async () => {
    const reference = await push('power', TWO_LAYERS)
    const first = await open()
    await first.ensure(reference, options())
    await first.stop()
    stores.shift()
    for (const name of await readdir(join(root, 'snapshots/committed')))
      if (name !== 'empty') await writeFile(join(root, 'snapshots/committed', name, 'snapshot.json'), '')
    const second = await open({}) // cannot reach the registry
    const { path } = await second.mountRootfs('c', await second.ensure(reference, options('Never')))
    assert.equal(await readFile(join(path, 'etc/motd'), 'utf8'), 'new')
  })

  it('leaves nothing of an image whose layer breaks the rules', async () => {
    const good = { files: { ok: { content: 'ok' } } } as const
    const reference = await push('evil', { layers: [good, { files: { '../escape': { content: 'x' } } }] })
    const store = await open()
    await assert.rejects(store.ensure(reference, options()), (error: unknown) => {
      assert.ok(GantryError.is(error, 'InvalidArgument'), String(error))
      assert.match(error.message, /^layer sha256:[0-9a-f]{64} entry "\.\.\/escape" has "\.\." in its path$/)
      return true
    })
    assert.equal(await store.find(reference), undefined)
    assert.deepEqual(await readdir(join(root, 'snapshots/staging')), [])
  })

  it('refuses an image whose layer is not what its config says', async () => {
    const image = await buildImage({ layers: [{ files: { a: { content: 'a' } } }] })
    const reference = await push('lying', {
      layers: [
        { blob: image.layers[0]!.bytes, diffId: sha256(Buffer.from('else')), mediaType: image.layers[0]!.mediaType },
      ],
    })
    await assert.rejects(
      (await open()).ensure(reference, options()),
      hasCode('InvalidArgument', /has the uncompressed digest/),
    )
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
