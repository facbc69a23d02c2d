/** What the builder of images promises beyond the format, which pulls of its images show. */
import assert from 'node:assert/strict'
import { buildImage, type LayerSpec } from '../../deploy/image-builder.ts'

describe('the builder of images', () => {
  const base: LayerSpec = { files: { 'etc/base': { content: 'base' } } }

  it('makes a layer that several images share once', async () => {
    const [one, two] = await Promise.all([
      buildImage({ layers: [base] }),
      buildImage({ layers: [base, { files: { top: { content: 'top' } } }], format: 'docker' }),
    ])
    assert.equal(one.layers[0]!.bytes, two.layers[0]!.bytes)
    assert.deepEqual(
      [one, two].map(({ layers }) => layers[0]!.mediaType),
      ['application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.docker.image.rootfs.diff.tar.gzip'],
    )
  })

  it('gives layers of the same files the same digest, however they are described', async () => {
    const [one, two] = await Promise.all([
      buildImage({ layers: [base] }),
      buildImage({ layers: [{ files: { 'etc/base': { content: Buffer.from('base') } } }] }),
    ])
    assert.equal(one.layers[0]!.digest, two.layers[0]!.digest)
    assert.equal(one.config.digest, two.config.digest)
  })
})
