import assert from 'node:assert/strict'
import { contentOf } from '../../../../../deploy/rig/faults/program/registry-proxy.ts'

describe('what a request to a registry is about', () => {
  it('is told by its path', () => {
    const cases: Record<string, string | undefined> = {
      '/v2/': undefined,
      '/v2/hello/manifests/latest': 'manifests',
      '/v2/a/b/c/blobs/sha256:0123': 'blobs',
      '/v2/library/manifests/blobs/sha256:0123': 'blobs',
      '/v2/hello/manifests/latest?ns=docker.io': 'manifests',
      '/v2/hello/blobs/uploads/': undefined,
      '/v2/hello/blobs/uploads/1234': undefined,
      '/v2/hello/tags/list': undefined,
      '/v2/hello/tags/list?x=/blobs/y': undefined,
    }
    for (const [path, content] of Object.entries(cases)) assert.equal(contentOf(path), content, path)
  })
})
