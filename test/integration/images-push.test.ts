/** What a rig's registry is filled with: archives as other tools write them, pushed to a real registry. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { buildImage, buildIndex, pushImage, writeLayout, type BuiltImage } from '../../deploy/image-builder.ts'
import { pushImages } from '../../deploy/rig/images/push.ts'
import { listRegistryImages } from '../../deploy/rig/images/registry-images.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { run } from '../../proto/base/command.ts'
import { startRegistry, type TestRegistry } from './images-registry.ts'

describe('images for a registry', function () {
  this.timeout(60_000)
  let signal: AbortSignal
  let registry: TestRegistry
  let folder: string
  let image: BuiltImage

  before(async () => {
    registry = await startRegistry()
    image = await buildImage({
      layers: [
        { files: { 'etc/motd': { content: 'hello' } } },
        { files: { big: { content: Buffer.alloc(3 << 20, 7) } }, compression: 'none' },
      ],
    })
  })
  after(() => registry.stop())
  beforeEach(async () => {
    signal = AbortSignal.timeout(30_000)
    folder = await mkdtemp(join(tmpdir(), 'gantry-push-test-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  const listed = async (name: string): Promise<{ image: string; digest: string; size: number | undefined }> => {
    const found = (await listRegistryImages(registry.host, signal)).find((one) => one.image === name)
    assert.ok(found, `${name} is not listed`)
    return found
  }

  it('come from layouts, with several platforms too', async () => {
    await writeLayout(image, folder, 'x')
    assert.deepEqual(await pushImages(folder, registry.host, { name: 'app:1', signal }), [
      { reference: 'app:1', digest: image.manifest.digest },
    ])
    const size = [image.config, ...image.layers].reduce((sum, { bytes }) => sum + bytes.length, 0)
    assert.deepEqual(await listed('app:1'), { image: 'app:1', digest: image.manifest.digest, size })
    const index = buildIndex([
      image,
      await buildImage({ layers: [], platform: { os: 'linux', architecture: 's390x' } }),
    ])
    await rm(folder, { recursive: true })
    await writeLayout(index, folder, 'x')
    await pushImages(folder, registry.host, { name: 'quay.io/team/both:2', signal })
    assert.deepEqual(await listed('quay.io/team/both:2'), {
      image: 'quay.io/team/both:2',
      digest: index.manifest.digest,
      size: undefined,
    })
  })

  for (const kind of ['docker-archive', 'oci-archive']) {
    it(`come from a ${kind}, compressed or not`, async () => {
      await writeLayout(image, join(folder, 'layout'), 'x')
      const archive = join(folder, 'out.tar')
      await run('skopeo', [
        'copy',
        '--insecure-policy',
        `oci:${join(folder, 'layout')}:x`,
        `${kind}:${archive}:ghcr.io/${kind}/app:3`,
      ])
      await pushImages(archive, registry.host, { signal })
      await writeFile(`${archive}.gz`, gzipSync(await readFile(archive)))
      const [pushed] = await pushImages(`${archive}.gz`, registry.host, { signal })
      assert.equal(pushed!.reference, `ghcr.io/${kind}/app:3`)
      assert.equal((await listed(pushed!.reference)).digest, pushed!.digest)
      await run('skopeo', ['inspect', '--tls-verify=false', `docker://${registry.host}/ghcr.io/${kind}/app:3`])
    })
  }

  it('of which an archive holds one platform: that one', async () => {
    const other = await buildImage({
      layers: [{ files: { a: { content: 'other' } } }],
      platform: { os: 'linux', architecture: 's390x' },
    })
    const index = buildIndex([image, other])
    await writeLayout(index, folder, 'x')
    await rm(join(folder, 'blobs/sha256', other.manifest.digest.slice('sha256:'.length)))
    const [pushed] = await pushImages(folder, registry.host, { name: 'partial', signal })
    assert.deepEqual(pushed, { reference: 'partial:latest', digest: image.manifest.digest })
  })

  it('are named as manifests name them', async () => {
    for (const repository of ['library/tool', 'team/tool', 'registry.example_5000/tool', 'localhost/tool'])
      await pushImage(image, { registry: registry.host, repository, tag: 'v1', insecure: true })
    for (const name of ['tool:v1', 'team/tool:v1', 'registry.example:5000/tool:v1', 'localhost/tool:v1'])
      await listed(name)
  })

  it('are refused where they are damaged, or where no registry answers', async () => {
    await writeFile(join(folder, 'a.tar'), gzipSync(Buffer.alloc(1000)).subarray(0, 15))
    await assert.rejects(
      pushImages(join(folder, 'a.tar'), registry.host, { signal }),
      (error) => GantryError.is(error, 'InvalidArgument') && /the archive .*a\.tar is damaged/.test(error.message),
    )
    await assert.rejects(
      listRegistryImages('127.0.0.1:1', signal),
      (error) => GantryError.is(error, 'Unavailable') && /127\.0\.0\.1:1 does not answer/.test(error.message),
    )
  })
})
