import assert from 'node:assert/strict'
import { TestApiServer } from './test-api-server.ts'

const BASE = '/api/v1/namespaces/default'

describe('Kubernetes face: causes and phrases of errors', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  interface Cause {
    readonly reason: string
    readonly field: string
    readonly message: string
  }
  const pod = (spec: object, containers: readonly object[] = [{ name: 'main', image: 'busybox' }]): object => ({
    metadata: { name: 'x' },
    spec: { containers, ...spec },
  })
  const post = (path: string, body: unknown) =>
    face.send('POST', path.startsWith('/') ? path : `${BASE}/${path}`, { body })
  const main = (more: object): object[] => [{ name: 'main', image: 'busybox', ...more }]

  it('carry the reasons and fields that Kubernetes gives', async () => {
    for (const [reason, field, path, body] of [
      [
        'FieldValueDuplicate',
        'spec.containers[1].name',
        'pods',
        pod({}, [
          { name: 'a', image: 'b' },
          { name: 'a', image: 'b' },
        ]),
      ],
      ['FieldValueNotSupported', 'spec.restartPolicy', 'pods', pod({ restartPolicy: 'Perhaps' })],
      ['FieldValueRequired', 'spec.containers', 'pods', { metadata: { name: 'x' }, spec: {} }],
      [
        'FieldValueForbidden',
        'spec.volumes[0].emptyDir',
        'pods',
        pod({ volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] }),
      ],
      ['FieldValueInvalid', 'spec.containers[0].name', 'pods', pod({}, [{ name: 'A_B', image: 'b' }])],
      [
        'FieldValueNotFound',
        'spec.containers[0].volumeMounts[0].name',
        'pods',
        pod({}, main({ volumeMounts: [{ name: 'none', mountPath: '/x' }] })),
      ],
      ['FieldValueRequired', 'metadata.name', 'pods', { ...pod({}), metadata: {} }],
      ['FieldValueRequired', 'metadata.name', 'events', { metadata: {}, involvedObject: { namespace: 'default' } }],
      ['FieldValueRequired', 'spec.containers[0].name', 'pods', pod({}, [{ name: '', image: 'b' }])],
      ['FieldValueRequired', 'spec.containers[0].env[0].name', 'pods', pod({}, main({ env: [{ name: '' }] }))],
      [
        'FieldValueRequired',
        'spec.containers[0].volumeMounts[0].mountPath',
        'pods',
        pod({ volumes: [{ name: 'v', emptyDir: {} }] }, main({ volumeMounts: [{ name: 'v', mountPath: '' }] })),
      ],
      [
        'FieldValueDuplicate',
        'spec.containers[0].ports[1].hostPort',
        'pods',
        pod(
          {},
          main({
            ports: [
              { containerPort: 80, hostPort: 8080 },
              { containerPort: 81, hostPort: 8080 },
            ],
          }),
        ),
      ],
      ['FieldValueTooLong', 'data', 'configmaps', { metadata: { name: 'x' }, data: { a: 'x'.repeat(1_100_000) } }],
      [
        'FieldValueTooLong',
        'metadata.annotations',
        'configmaps',
        { metadata: { name: 'x', annotations: { a: 'x'.repeat(300_000) } } },
      ],
    ] as const) {
      const { status, json } = await post(path, body)
      const causes = json.details?.causes as Cause[] | undefined
      const cause = causes?.find((one) => one.field === field)
      assert.deepEqual(
        [status, json.reason, cause?.reason],
        [422, 'Invalid', reason],
        `${field}: ${JSON.stringify(json).slice(0, 400)}`,
      )
    }
  })

  it('carry the reasons and fields of rules between fields', async () => {
    const probe = { exec: { command: ['true'] } }
    const service = (spec: object): object => ({ metadata: { name: 's' }, spec })
    const deployment = (template: object, spec: object = {}): object => ({
      metadata: { name: 'd' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: {
          metadata: { labels: { a: 'b' } },
          spec: { containers: [{ name: 'main', image: 'b' }], ...template },
        },
        ...spec,
      },
    })
    const slice = (more: object): object => ({ metadata: { name: 'x' }, addressType: 'IPv4', ...more })
    const at = 'spec.containers[0]'
    for (const [reason, field, path, body] of [
      [
        'FieldValueDuplicate',
        'spec.initContainers[0].name',
        'pods',
        pod({ initContainers: [{ name: 'main', image: 'b' }] }),
      ],
      [
        'FieldValueInvalid',
        `${at}.env[0].valueFrom`,
        'pods',
        pod({}, main({ env: [{ name: 'A', value: 'b', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] })),
      ],
      ['FieldValueInvalid', `${at}.env[0].valueFrom`, 'pods', pod({}, main({ env: [{ name: 'A', valueFrom: {} }] }))],
      ['FieldValueInvalid', `${at}.envFrom[0]`, 'pods', pod({}, main({ envFrom: [{}] }))],
      [
        'FieldValueNotSupported',
        `${at}.env[0].valueFrom.fieldRef.fieldPath`,
        'pods',
        pod({}, main({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.labels' } } }] })),
      ],
      [
        'FieldValueInvalid',
        `${at}.env[0].valueFrom.fieldRef.fieldPath`,
        'pods',
        pod({}, main({ env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.nothing' } } }] })),
      ],
      [
        'FieldValueNotSupported',
        `${at}.env[0].valueFrom.resourceFieldRef.resource`,
        'pods',
        pod({}, main({ env: [{ name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.pods' } } }] })),
      ],
      [
        'FieldValueDuplicate',
        `${at}.ports[1].name`,
        'pods',
        pod(
          {},
          main({
            ports: [
              { name: 'a', containerPort: 1 },
              { name: 'a', containerPort: 2 },
            ],
          }),
        ),
      ],
      [
        'FieldValueDuplicate',
        `${at}.ports[1].hostPort`,
        'pods',
        pod(
          {},
          main({
            ports: [
              { hostPort: 30, containerPort: 1 },
              { hostPort: 30, containerPort: 2 },
            ],
          }),
        ),
      ],
      [
        'FieldValueForbidden',
        `${at}.volumeMounts[0].mountPropagation`,
        'pods',
        pod(
          { volumes: [{ name: 'v', emptyDir: {} }] },
          main({ volumeMounts: [{ name: 'v', mountPath: '/v', mountPropagation: 'Bidirectional' }] }),
        ),
      ],
      [
        'FieldValueInvalid',
        `${at}.securityContext`,
        'pods',
        pod({}, main({ securityContext: { privileged: true, allowPrivilegeEscalation: false } })),
      ],
      [
        'FieldValueForbidden',
        `${at}.livenessProbe.tcpSocket`,
        'pods',
        pod({}, main({ livenessProbe: { ...probe, tcpSocket: { port: 1 } } })),
      ],
      [
        'FieldValueInvalid',
        `${at}.readinessProbe.terminationGracePeriodSeconds`,
        'pods',
        pod({}, main({ readinessProbe: { ...probe, terminationGracePeriodSeconds: 3 } })),
      ],
      [
        'FieldValueInvalid',
        `${at}.lifecycle.preStop.sleep`,
        'pods',
        pod({}, main({ lifecycle: { preStop: { sleep: { seconds: 3000 } } } })),
      ],
      [
        'FieldValueInvalid',
        `${at}.resources.requests`,
        'pods',
        pod({}, main({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } })),
      ],
      [
        'FieldValueRequired',
        `${at}.resources.limits`,
        'pods',
        pod({}, main({ resources: { requests: { 'example.com/gpu': '2' } } })),
      ],
      ['FieldValueInvalid', 'spec.shareProcessNamespace', 'pods', pod({ hostPID: true, shareProcessNamespace: true })],
      [
        'FieldValueInvalid',
        'spec.tolerations[0].operator',
        'pods',
        pod({ tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] }),
      ],
      [
        'FieldValueInvalid',
        'spec.tolerations[0].effect',
        'pods',
        pod({ tolerations: [{ key: 'a', operator: 'Exists', tolerationSeconds: 3 }] }),
      ],
      [
        'FieldValueDuplicate',
        'spec.securityContext.sysctls[1].name',
        'pods',
        pod({
          securityContext: {
            sysctls: [
              { name: 'kernel.sem', value: '1' },
              { name: 'kernel/sem', value: '1' },
            ],
          },
        }),
      ],
      [
        'FieldValueForbidden',
        'spec.volumes[0].emptyDir.sizeLimit',
        'pods',
        pod({ volumes: [{ name: 'v', emptyDir: { sizeLimit: '-1' } }] }),
      ],
      ['FieldValueRequired', 'spec.dnsConfig', 'pods', pod({ dnsPolicy: 'None' })],
      [
        'FieldValueInvalid',
        'data[a]',
        'configmaps',
        { metadata: { name: 'x' }, data: { a: '' }, binaryData: { a: '' } },
      ],
      [
        'FieldValueRequired',
        'data[username]',
        'secrets',
        { metadata: { name: 'x' }, type: 'kubernetes.io/basic-auth' },
      ],
      [
        'FieldValueDuplicate',
        'spec.ports[1].name',
        'services',
        service({
          ports: [
            { name: 'a', port: 1 },
            { name: 'a', port: 2 },
          ],
        }),
      ],
      [
        'FieldValueForbidden',
        'spec.ports[0].nodePort',
        'services',
        service({ ports: [{ port: 1, nodePort: 30_000 }] }),
      ],
      [
        'FieldValueInvalid',
        'spec.clusterIPs[0]',
        'services',
        service({ type: 'NodePort', clusterIP: 'None', ports: [{ port: 1 }] }),
      ],
      [
        'FieldValueInvalid',
        'spec.externalTrafficPolicy',
        'services',
        service({ externalTrafficPolicy: 'Local', ports: [{ port: 1 }] }),
      ],
      [
        'FieldValueInvalid',
        'spec.healthCheckNodePort',
        'services',
        service({ healthCheckNodePort: 30_000, ports: [{ port: 1 }] }),
      ],
      [
        'FieldValueDuplicate',
        'spec.ipFamilies[1]',
        'services',
        service({ ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv4', 'IPv4'], ports: [{ port: 1 }] }),
      ],
      [
        'FieldValueNotSupported',
        'spec.template.spec.restartPolicy',
        '/apis/apps/v1/namespaces/default/deployments',
        deployment({ restartPolicy: 'Never' }),
      ],
      [
        'FieldValueForbidden',
        'spec.selector.matchExpressions[0].values',
        '/apis/apps/v1/namespaces/default/deployments',
        deployment({}, { selector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: ['b'] }] } }),
      ],
      [
        'FieldValueTooMany',
        'ports',
        '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
        slice({ endpoints: [], ports: Array.from({ length: 101 }, (_, index) => ({ name: `p${index}`, port: 1 })) }),
      ],
      [
        'FieldValueDuplicate',
        'ports[1].name',
        '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
        slice({
          endpoints: [],
          ports: [
            { name: 'a', port: 1 },
            { name: 'a', port: 2 },
          ],
        }),
      ],
      [
        'FieldValueInvalid',
        'spec',
        '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
        { metadata: { name: 'x' }, spec: {} },
      ],
      [
        'FieldValueRequired',
        'spec.defaultBackend',
        '/apis/networking.k8s.io/v1/namespaces/default/ingresses',
        { metadata: { name: 'x' }, spec: { defaultBackend: { service: { name: 'a', port: {} } } } },
      ],
      [
        'FieldValueRequired',
        'spec.ingress[0].from[0]',
        '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
        { metadata: { name: 'x' }, spec: { podSelector: {}, ingress: [{ from: [{}] }] } },
      ],
      [
        'FieldValueInvalid',
        'spec.ingress[0].ports[0].endPort',
        '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
        { metadata: { name: 'x' }, spec: { podSelector: {}, ingress: [{ ports: [{ endPort: 3 }] }] } },
      ],
    ] as const) {
      const { status, json } = await post(path, body)
      const causes = (json.details?.causes ?? []) as Cause[]
      assert.ok(
        status === 422 && causes.some((one) => one.field === field && one.reason === reason),
        `${reason} ${field}: ${JSON.stringify(json).slice(0, 400)}`,
      )
    }
  })

  it('say of fields that keep their value that they are immutable', async () => {
    const change = async (path: string, body: object): Promise<Cause[]> =>
      (await face.send('PATCH', `${BASE}/${path}`, { type: 'application/merge-patch+json', body })).json.details?.causes
    await post('secrets', { metadata: { name: 'kept' }, type: 'Opaque' })
    const [type] = await change('secrets/kept', { type: 'example.com/other' })
    assert.deepEqual([type?.reason, type?.field], ['FieldValueInvalid', 'type'])
    assert.match(type!.message, /field is immutable$|field is immutable /)
    await post('configmaps', { metadata: { name: 'kept' }, immutable: true, data: { a: 'b' } })
    const causes = await change('configmaps/kept', { immutable: false, data: { a: 'c' } })
    assert.deepEqual(
      causes.map(({ reason, field }) => [reason, field]),
      [
        ['FieldValueForbidden', 'immutable'],
        ['FieldValueForbidden', 'data'],
      ],
    )
    for (const { message } of causes) assert.match(message, /field is immutable when `immutable` is set/)
  })

  it('say 400 of bad base64', async () => {
    const { status, json } = await post('secrets', { metadata: { name: 'x' }, data: { a: '***' } })
    assert.deepEqual([status, json.reason], [400, 'BadRequest'])
    assert.match(json.message as string, /^Secret in version "v1" cannot be handled as a Secret: .*illegal base64 data/)
  })

  it('say 400 of texts that are no quantity and no time, which Kubernetes cannot decode', async () => {
    for (const [field, path, body] of [
      ['spec.containers[0].resources.limits[cpu]', 'pods', pod({}, main({ resources: { limits: { cpu: 'much' } } }))],
      [
        'spec.renewTime',
        '/apis/coordination.k8s.io/v1/namespaces/default/leases',
        { metadata: { name: 'x' }, spec: { renewTime: 'noon' } },
      ],
      [
        'firstTimestamp',
        'events',
        { metadata: { name: 'x' }, involvedObject: { namespace: 'default' }, firstTimestamp: 'noon' },
      ],
    ] as const) {
      const { status, json } = await post(path, body)
      assert.deepEqual(
        [status, json.reason, json.details.causes[0].field],
        [400, 'BadRequest', field],
        JSON.stringify(json),
      )
      assert.match(json.message as string, /^\w+ in version "v1" cannot be handled as a/)
    }
  })

  it('tell of a hundred faults at most', async () => {
    const { json, body } = await post('configmaps', {
      metadata: { name: 'x' },
      data: Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`a/${index}`, ''])),
    })
    assert.equal(json.details.causes.length, 100)
    assert.ok(body.length < 100_000)
  })

  it('hold the phrases that tools look for', async () => {
    assert.match(
      (await post('pods', 'not json')).json.message as string,
      /^the object provided is unrecognized \(must be of type Pod\): the body is not JSON at line 1/,
    )
    assert.match(
      (await post('pods', { apiVersion: 'v1', kind: 'Service', metadata: { name: 'x' } })).json.message as string,
      /^the object provided is unrecognized \(must be of type Pod\): it is a "Service"/,
    )
    await post('services', { metadata: { name: 'x' }, spec: { clusterIP: 'None', ports: [{ port: 80 }] } })
    const moved = await face.send('PATCH', `${BASE}/services/x`, {
      type: 'application/merge-patch+json',
      body: { spec: { clusterIP: '10.96.1.1', clusterIPs: ['10.96.1.1'] } },
    })
    assert.match(moved.json.message as string, /may not change once set/)
    const selected = (app: string): object => ({
      selector: { matchLabels: { app } },
      template: { metadata: { labels: { app } }, spec: { containers: main({}) } },
    })
    const deployments = '/apis/apps/v1/namespaces/default/deployments'
    await post(deployments, { metadata: { name: 'x' }, spec: selected('a') })
    const again = await face.send('PATCH', `${deployments}/x`, {
      type: 'application/merge-patch+json',
      body: { spec: selected('b') },
    })
    assert.match(again.json.message as string, /field is immutable/)
    await post('configmaps', { metadata: { name: 'fixed' }, immutable: true, data: { a: 'b' } })
    const filled = await face.send('PATCH', `${BASE}/configmaps/fixed`, {
      type: 'application/merge-patch+json',
      body: { data: { a: 'c' } },
    })
    assert.match(filled.json.message as string, /field is immutable when `immutable` is set/)
    assert.match(
      (await post('configmaps', { metadata: { name: 'again', resourceVersion: '1' } })).json.message as string,
      /resourceVersion should not be set on objects to be created/,
    )
    const kept = await face.send('DELETE', '/api/v1/namespaces/default')
    assert.equal(kept.json.message, 'namespaces "default" is forbidden: this namespace may not be deleted')
    await post('pods', pod({}))
    for (const type of ['application/strategic-merge-patch+json', 'application/merge-patch+json']) {
      const { status, json } = await face.send('PATCH', `${BASE}/pods/x`, {
        type,
        body: { metadata: { labels: 'invalid' } },
      })
      assert.equal(status, 400, type)
      assert.match(json.message as string, /cannot restore map from string/)
    }
    const { json } = await face.get('/openapi/v3/api/v1')
    const told = JSON.stringify(json)
    assert.match(told, /list of returned/)
    assert.match(told, /Watch for changes to the described resources/)
  })
})
