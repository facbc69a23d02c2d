import assert from 'node:assert/strict'
import { TestFace } from './face.ts'

const BASE = '/api/v1/namespaces/default'

describe('Kubernetes face: causes and phrases of errors', () => {
  let face: TestFace
  before(async () => {
    face = await TestFace.start()
  })
  after(() => face.stop())

  interface Cause { readonly reason: string; readonly field: string; readonly message: string }
  const pod = (spec: object, containers: readonly object[] = [{ name: 'main', image: 'busybox' }]): object => ({ metadata: { name: 'x' }, spec: { containers, ...spec } })
  const post = (path: string, body: unknown) => face.send('POST', path.startsWith('/') ? path : `${BASE}/${path}`, { body })
  const main = (more: object): object[] => [{ name: 'main', image: 'busybox', ...more }]

  it('carry the reasons and fields that Kubernetes gives', async () => {
    for (const [reason, field, path, body] of [
      ['FieldValueDuplicate', 'spec.containers[1].name', 'pods', pod({}, [{ name: 'a', image: 'b' }, { name: 'a', image: 'b' }])],
      ['FieldValueNotSupported', 'spec.restartPolicy', 'pods', pod({ restartPolicy: 'Perhaps' })],
      ['FieldValueRequired', 'spec.containers', 'pods', { metadata: { name: 'x' }, spec: {} }],
      ['FieldValueForbidden', 'spec.volumes[0]', 'pods', pod({ volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] })],
      ['FieldValueInvalid', 'spec.containers[0].name', 'pods', pod({}, [{ name: 'A_B', image: 'b' }])],
      ['FieldValueNotFound', 'spec.containers[0].volumeMounts[0].name', 'pods', pod({}, main({ volumeMounts: [{ name: 'none', mountPath: '/x' }] }))],
      ['FieldValueRequired', 'metadata.name', 'pods', { ...pod({}), metadata: {} }],
      ['FieldValueRequired', 'metadata.name', 'events', { metadata: {}, involvedObject: { namespace: 'default' } }],
      ['FieldValueRequired', 'spec.containers[0].name', 'pods', pod({}, [{ name: '', image: 'b' }])],
      ['FieldValueRequired', 'spec.containers[0].env[0].name', 'pods', pod({}, main({ env: [{ name: '' }] }))],
      ['FieldValueRequired', 'spec.containers[0].volumeMounts[0].mountPath', 'pods', pod({ volumes: [{ name: 'v', emptyDir: {} }] }, main({ volumeMounts: [{ name: 'v', mountPath: '' }] }))],
      ['FieldValueDuplicate', 'spec.containers[0].ports[1].hostPort', 'pods', pod({}, main({ ports: [{ containerPort: 80, hostPort: 8080 }, { containerPort: 81, hostPort: 8080 }] }))],
      ['FieldValueTooLong', 'data', 'configmaps', { metadata: { name: 'x' }, data: { a: 'x'.repeat(1_100_000) } }],
      ['FieldValueTooLong', 'metadata.annotations', 'configmaps', { metadata: { name: 'x', annotations: { a: 'x'.repeat(300_000) } } }],
    ] as const) {
      const { status, json } = await post(path, body)
      const causes = json.details?.causes as Cause[] | undefined
      const cause = causes?.find((one) => one.field === field)
      assert.deepEqual([status, json.reason, cause?.reason], [422, 'Invalid', reason], `${field}: ${JSON.stringify(json).slice(0, 400)}`)
    }
  })

  it('say 400 of bad base64', async () => {
    const { status, json } = await post('secrets', { metadata: { name: 'x' }, data: { a: '***' } })
    assert.deepEqual([status, json.reason], [400, 'BadRequest'])
    assert.match(json.message as string, /^Secret in version "v1" cannot be handled as a Secret: .*illegal base64 data/)
  })

  it('tell of a hundred faults at most', async () => {
    const { json, body } = await post('configmaps', { metadata: { name: 'x' }, data: Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`a/${index}`, ''])) })
    assert.equal(json.details.causes.length, 100)
    assert.ok(body.length < 100_000)
  })

  it('hold the phrases that tools look for', async () => {
    assert.match((await post('pods', 'not json')).json.message as string, /^the object provided is unrecognized \(must be of type Pod\): the body is not JSON at line 1/)
    assert.match((await post('pods', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'x' } })).json.message as string, /^the object provided is unrecognized \(must be of type Pod\): it is a "Service"/)
    await post('services', { metadata: { name: 'x' }, spec: { clusterIP: 'None', ports: [{ port: 80 }] } })
    const moved = await face.send('PATCH', `${BASE}/services/x`, { type: 'application/merge-patch+json', body: { spec: { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] } } })
    assert.match(moved.json.message as string, /may not change once set/)
    const selected = (app: string): object => ({ selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec: { containers: main({}) } } })
    const deployments = '/apis/apps/v1/namespaces/default/deployments'
    await post(deployments, { metadata: { name: 'x' }, spec: selected('a') })
    const again = await face.send('PATCH', `${deployments}/x`, { type: 'application/merge-patch+json', body: { spec: selected('b') } })
    assert.match(again.json.message as string, /field is immutable/)
    await post('configmaps', { metadata: { name: 'fixed' }, immutable: true, data: { a: 'b' } })
    const filled = await face.send('PATCH', `${BASE}/configmaps/fixed`, { type: 'application/merge-patch+json', body: { data: { a: 'c' } } })
    assert.match(filled.json.message as string, /field is immutable when `immutable` is set/)
    const kept = await face.send('DELETE', '/api/v1/namespaces/default')
    assert.equal(kept.json.message, 'namespaces "default" is forbidden: this namespace may not be deleted')
    await post('pods', pod({}))
    for (const type of ['application/strategic-merge-patch+json', 'application/merge-patch+json']) {
      const { status, json } = await face.send('PATCH', `${BASE}/pods/x`, { type, body: { metadata: { labels: 'invalid' } } })
      assert.equal(status, 400, type)
      assert.match(json.message as string, /cannot restore map from string/)
    }
    const { json } = await face.get('/openapi/v3/api/v1')
    const told = JSON.stringify(json)
    assert.match(told, /list of returned/)
    assert.match(told, /Watch for changes to the described resources/)
  })
})
