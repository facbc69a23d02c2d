import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

const PODS = '/api/v1/namespaces/default/pods'
const APPLY = 'application/apply-patch+yaml'

describe('Kubernetes face: items of a keyed list with one key', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  const pod = (name: string, container: object, spec: object = {}): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'main', image: 'busybox', ...container }], ...spec },
  })
  const warnings = (headers: Record<string, unknown>): string[] =>
    String(headers.warning ?? '')
      .split(', 299')
      .filter((text) => text !== '')
      .map((text) =>
        text
          .replace(/^(299)? - "/, '')
          .replace(/"$/, '')
          .replaceAll('\\"', '"'),
      )

  it('are accepted where Kubernetes accepts them, with its warnings', async () => {
    const env = [
      { name: 'A', value: '1' },
      { name: 'A', value: '2' },
      { name: 'B', value: 'b' },
      { name: 'B', value: '$(B):c' },
    ]
    const { status, json, headers } = await face.send('POST', PODS, { body: pod('env', { env }) })
    assert.equal(status, 201, JSON.stringify(json))
    assert.deepEqual(json.spec.containers[0].env, env)
    assert.deepEqual(warnings(headers), [
      'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
    ])
    const more = await face.send('POST', PODS, {
      body: pod(
        'more',
        { ports: [{ containerPort: 80 }, { containerPort: 80 }] },
        {
          hostAliases: [
            { ip: '10.0.0.1', hostnames: ['a'] },
            { ip: '10.0.0.1', hostnames: ['b'] },
          ],
          imagePullSecrets: [{ name: 'a' }, { name: 'a' }],
        },
      ),
    })
    assert.equal(more.status, 201, JSON.stringify(more.json))
    assert.deepEqual(warnings(more.headers), [
      'spec.hostAliases[1].ip: duplicate ip "10.0.0.1"',
      'spec.imagePullSecrets[1].name: duplicate name "a"',
      'spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]',
    ])
  })

  it('are refused elsewhere', async () => {
    const { status, json } = await face.send('POST', PODS, {
      body: pod(
        'volumes',
        {},
        {
          volumes: [
            { name: 'a', emptyDir: {} },
            { name: 'a', emptyDir: {} },
          ],
        },
      ),
    })
    assert.deepEqual(
      [status, json.details.causes[0].reason, json.details.causes[0].field],
      [422, 'FieldValueDuplicate', 'spec.volumes[1].name'],
    )
  })

  it('stay under an update, warn again when it changes what is asked for, and can be changed each', async () => {
    const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
    const template = (value: string): object => ({
      metadata: { labels: { a: 'b' } },
      spec: {
        containers: [
          {
            name: 'main',
            image: 'b',
            env: [
              { name: 'A', value: '1' },
              { name: 'A', value },
            ],
          },
        ],
      },
    })
    const body = (value: string, labels = {}): object => ({
      metadata: { name: 'd', labels },
      spec: { replicas: 0, selector: { matchLabels: { a: 'b' } }, template: template(value) },
    })
    assert.equal((await face.send('POST', DEPLOYMENTS, { body: body('2') })).status, 201)
    const same = await face.send('PUT', `${DEPLOYMENTS}/d`, { body: body('2', { more: 'x' }) })
    assert.deepEqual([same.status, warnings(same.headers)], [200, []])
    const changed = await face.send('PUT', `${DEPLOYMENTS}/d`, { body: body('3') })
    assert.deepEqual(
      changed.json.spec.template.spec.containers[0].env.map(({ value }: { value: string }) => value),
      ['1', '3'],
    )
    assert.equal(warnings(changed.headers).length, 1)
  })

  it('give way to one that is applied, and cannot be applied themselves', async () => {
    const one = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'A', value: '9' }] }] } } },
    }
    const { status, json } = await face.send(
      'PATCH',
      '/apis/apps/v1/namespaces/default/deployments/d?fieldManager=m&force=true',
      { type: APPLY, body: one },
    )
    assert.equal(status, 200, JSON.stringify(json))
    assert.deepEqual(json.spec.template.spec.containers[0].env, [{ name: 'A', value: '9' }])
    const twice = await face.send('PATCH', `${PODS}/twice?fieldManager=m`, {
      type: APPLY,
      body: pod('twice', {
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      }),
    })
    assert.equal(twice.status, 422, JSON.stringify(twice.json))
  })
})
