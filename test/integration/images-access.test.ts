/** Who may use an image that is on the node already, with a real registry that asks for a password. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pack } from 'tar-stream'
import type { Credential, Image, PullPolicy } from '../../agent/images/contract.ts'
import { ImageStore } from '../../agent/images/image-store.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { silentLogger } from '../../proto/base/logger.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { buildImage, pushImage, type BuiltImage } from '../../deploy/image-builder.ts'
import { PASSWORD, startRegistry, USER, type TestRegistry } from './images-registry.ts'

describe('an image on the node', () => {
  let open: TestRegistry
  let locked: TestRegistry
  let root: string
  let store: ImageStore
  let image: BuiltImage
  let running: TestRegistry[]

  beforeEach(async () => {
    ;[open, locked] = await Promise.all([startRegistry(), startRegistry({ basicAuth: true })])
    running = [open, locked]
    root = await mkdtemp(join(tmpdir(), 'gantry-access-'))
    await begin()
    image = await buildImage({ layers: [{ files: { a: { content: 'private' } } }] })
    await pushImage(image, {
      registry: locked.host,
      repository: 'team/app',
      tag: 'v1',
      insecure: true,
      username: USER,
      password: PASSWORD,
    })
    await pushImage(image, { registry: open.host, repository: 'app', tag: 'v1', insecure: true })
  })
  afterEach(async () => {
    await store.stop()
    await Promise.all(running.map((registry) => registry.stop()))
    await rm(root, { recursive: true, force: true })
  })

  async function begin(): Promise<void> {
    store = new ImageStore({
      root,
      registries: { insecure: [open.host, locked.host] },
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
    })
    await store.start()
  }

  /** From now on nobody answers: what is given out was not asked for. */
  async function end(registry: TestRegistry): Promise<void> {
    running = running.filter((other) => other !== registry)
    await registry.stop()
  }

  const right = (): Credential => ({ registry: locked.host, username: USER, password: PASSWORD })
  const wrong = (): Credential => ({ registry: locked.host, username: USER, password: 'guessed' })
  function ensure(policy: PullPolicy, ...credentials: Credential[]): Promise<Image> {
    return store.ensure(`${locked.host}/team/app:v1`, { policy, credentials, signal: AbortSignal.timeout(50_000) })
  }

  for (const policy of ['IfNotPresent', 'Never'] as const) {
    it(`that was pulled with credentials is not given to others (${policy})`, async () => {
      await ensure('IfNotPresent', right())
      await assert.rejects(ensure(policy), {
        code: 'Unauthenticated',
        message: /is on this node, pulled with credentials that this pod does not have/,
      })
      await assert.rejects(ensure(policy, wrong()), { code: 'Unauthenticated' })
      await assert.rejects(ensure(policy, { ...right(), registry: 'elsewhere.example' }), { code: 'Unauthenticated' })
      assert.equal((await ensure(policy, right())).digest, image.manifest.digest)
    })
  }

  it('is given to who has the credentials that it was pulled with, without asking, also after a restart', async () => {
    await ensure('IfNotPresent', right())
    await store.stop()
    await begin()
    await end(locked)
    assert.equal((await ensure('IfNotPresent', right())).digest, image.manifest.digest)
    assert.equal((await ensure('Never', right())).digest, image.manifest.digest)
    await assert.rejects(ensure('Never'), { code: 'Unavailable' })
    for (const name of await readdir(join(root, 'index')))
      assert.doesNotMatch(await readFile(join(root, 'index', name), 'utf8'), new RegExp(`${PASSWORD}|${USER}`))
  })

  it('is given to who has other credentials once the registry takes them, and then without asking', async () => {
    const shorter: Credential = { ...right(), registry: `${locked.host}/team` }
    const url: Credential = { ...right(), registry: `https://${locked.host}` }
    await ensure('IfNotPresent', shorter)
    await ensure('Never', url)
    await end(locked)
    await ensure('IfNotPresent', shorter)
    await ensure('IfNotPresent', url)
  })

  it('is pulled anew by who has credentials where the registry has it no more', async () => {
    await ensure('IfNotPresent', right())
    const other = await buildImage({ layers: [{ files: { a: { content: 'another' } } }] })
    await pushImage(other, {
      registry: locked.host,
      repository: 'team/app',
      tag: 'v1',
      insecure: true,
      username: USER,
      password: PASSWORD,
    })
    assert.equal((await ensure('IfNotPresent', right())).digest, image.manifest.digest, 'what is here will do')
    assert.equal((await ensure('Always', right())).digest, other.manifest.digest)
    await assert.rejects(ensure('IfNotPresent'), { code: 'Unauthenticated' })
  })

  it('that the registry gives to everybody is given to everybody without asking', async () => {
    const pull = (policy: PullPolicy, ...credentials: Credential[]): Promise<Image> =>
      store.ensure(`${open.host}/app:v1`, { policy, credentials, signal: AbortSignal.timeout(50_000) })
    await pull('IfNotPresent')
    await end(open)
    await pull('IfNotPresent')
    await pull('Never', { registry: open.host, username: 'a', password: 'b' })
  })

  it('that was loaded is given to everybody', async () => {
    const archive = pack()
    const reference = `${locked.host}/team/app:v1`
    const blob = (name: string, bytes: Buffer): void => void archive.entry({ name }, bytes)
    blob('config.json', image.config.bytes)
    image.layers.forEach((layer, index) => blob(`layer${index}.tar`, layer.bytes))
    blob(
      'manifest.json',
      Buffer.from(
        JSON.stringify([
          { Config: 'config.json', RepoTags: [reference], Layers: image.layers.map((_, index) => `layer${index}.tar`) },
        ]),
      ),
    )
    archive.finalize()
    await store.load(archive as unknown as AsyncIterable<Uint8Array>, { signal: AbortSignal.timeout(50_000) })
    await end(locked)
    await ensure('IfNotPresent')
    await ensure('Never', wrong())
  })
})
