import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { withReference } from './kubernetes-reference.ts'
import { findAnyKind, unservedKind } from '../../proto/schema/kinds.ts'
import { apiVersionOf, resources } from '../../proto/schema/schema.ts'
import { TestApiServer } from '../controller/kube/test-api-server.ts'
import { discover, REFERENCE } from './write-reference.ts'

describe('docs/kubernetes.md', () => {
  let face: TestApiServer
  before(async () => void (face = await TestApiServer.start()))
  after(() => face.stop())

  it('says what is served', async () => {
    const document = await readFile(REFERENCE, 'utf8')
    assert.equal(document, withReference(document, await discover(face)), 'the document is stale: run `npm run docs`')
  })

  it('wants to be told where its generated part begins', () => {
    assert.throws(() => withReference('# Nothing', []), /it wants the line <!-- What follows/)
  })
})

describe('kinds elsewhere', () => {
  it('are none that are served', () => {
    for (const resource of resources) {
      assert.deepEqual(findAnyKind(apiVersionOf(resource), resource.kind), { kind: resource.kind })
      assert.notEqual(
        unservedKind(resource.kind),
        resource.kind,
        `${resource.kind} is served: proto/schema/kinds.ts still says that it is not`,
      )
      for (const name of resource.shortNames)
        assert.equal(unservedKind(name), undefined, `${name} is a short name of ${resource.kind}`)
    }
  })
})
