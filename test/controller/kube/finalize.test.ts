import assert from 'node:assert/strict'
import { eventually } from '../../eventually.ts'
import { TestApiServer } from './test-api-server.ts'

const NAMESPACES = '/api/v1/namespaces'

describe('Kubernetes face: namespaces/NAME/finalize', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  it('replaces what holds a namespace, and nothing else of it', async () => {
    await face.send('POST', NAMESPACES, { body: { metadata: { name: 'held' } } })
    const kept = await face.send('PUT', `${NAMESPACES}/held`, {
      body: { metadata: { name: 'held', labels: { a: 'b' } }, spec: { finalizers: [] } },
    })
    assert.deepEqual(
      [kept.status, kept.json.spec.finalizers],
      [200, ['kubernetes']],
      'an update of the namespace itself changes nothing of that',
    )
    const { status, json } = await face.send('PUT', `${NAMESPACES}/held/finalize`, {
      body: {
        metadata: { name: 'held', labels: { c: 'd' } },
        spec: { finalizers: ['example.com/mine', 'kubernetes'] },
      },
    })
    assert.equal(status, 200, JSON.stringify(json))
    assert.deepEqual(
      [json.kind, json.spec.finalizers, json.metadata.labels.a, json.metadata.labels.c],
      ['Namespace', ['example.com/mine', 'kubernetes'], 'b', undefined],
    )
  })

  it('lets a namespace go that is being deleted', async () => {
    await face.send('POST', NAMESPACES, { body: { metadata: { name: 'going' } } })
    await face.send('DELETE', `${NAMESPACES}/going`)
    assert.equal((await face.get(`${NAMESPACES}/going`)).json.status.phase, 'Terminating')
    const stale = await face.send('PUT', `${NAMESPACES}/going/finalize`, {
      body: { metadata: { name: 'going', resourceVersion: '1' }, spec: {} },
    })
    assert.equal(stale.status, 409)
    assert.equal(
      (await face.send('PUT', `${NAMESPACES}/going/finalize`, { body: { metadata: { name: 'going' }, spec: {} } }))
        .status,
      200,
    )
    await eventually(async () => (await face.get(`${NAMESPACES}/going`)).status === 404)
  })

  it('is only replaced', async () => {
    for (const method of ['GET', 'DELETE'])
      assert.equal((await face.send(method, `${NAMESPACES}/default/finalize`)).status, 405, method)
  })
})
