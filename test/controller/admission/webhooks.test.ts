import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { admissionPlugins } from '../../../controller/admission/admission.ts'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import type { Draft } from '../../../controller/api/contract.ts'
import type { PortForwardInput, PortForwardOutput } from '../../../proto/gen/types.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { eventually } from '../../eventually.ts'
import { TestApiServer } from '../kube/test-api-server.ts'
import { configuration, patch, WebhookServer } from './webhook-server.ts'

const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1'
const PODS = '/api/v1/namespaces/default/pods'

const pod = (name: string, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, ...metadata },
  spec: { containers: [{ name: 'main', image: 'busybox' }] },
})
const configMap = (name: string, data: Record<string, string> = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
})
const about = (
  resources: readonly string[],
  operations: readonly string[],
  apiGroups: readonly string[] = [''],
): object => ({ rules: [{ operations, apiGroups, apiVersions: ['v1'], resources }] })

describe('admission webhooks', () => {
  let face: TestApiServer
  let hook: WebhookServer
  /** What port-forwards lead to. */
  const forwarded: { pod: string; port: number }[] = []

  before(async () => {
    hook = await WebhookServer.start()
    face = await TestApiServer.start({
      plugins: ({ informer, reads, accounts, clock, random }) =>
        admissionPlugins({
          informer,
          reads,
          authorizer: accounts.authorizer,
          portForward: toHook,
          clock,
          random,
          logger: silentLogger,
        }),
    })
  })

  after(async () => {
    await face.stop()
    await hook.stop()
  })

  afterEach(async () => {
    for (const plural of ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations']) {
      const { json } = await face.get(`${CONFIGURATIONS}/${plural}`)
      for (const { metadata } of json.items)
        assert.equal((await face.send('DELETE', `${CONFIGURATIONS}/${plural}/${metadata.name}`)).status, 200)
    }
    hook.answer = () => ({ allowed: true })
    hook.asked.length = 0
  })

  async function* toHook(inputs: AsyncIterable<PortForwardInput>): AsyncGenerator<PortForwardOutput, void, undefined> {
    const socket = connect(hook.port, '127.0.0.1')
    const sending = (async () => {
      for await (const { input } of inputs) {
        if (input?.case === 'start') forwarded.push({ pod: input.value.pod, port: input.value.port })
        else if (input?.case === 'data') socket.write(input.value)
        else socket.end()
      }
    })()
    for await (const chunk of socket) yield { output: { case: 'data', value: chunk as Buffer } }
    yield { output: { case: 'closed', value: true } }
    await sending
  }

  async function configure(
    kind: 'Mutating' | 'Validating',
    name: string,
    ...webhooks: readonly object[]
  ): Promise<void> {
    const reply = await face.send('POST', `${CONFIGURATIONS}/${kind.toLowerCase()}webhookconfigurations`, {
      body: configuration(
        kind,
        name,
        webhooks.map((webhook) => ({ clientConfig: hook.client(), ...webhook })),
      ),
    })
    assert.equal(reply.status, 201, reply.body.toString())
  }

  describe('validating', () => {
    it('are asked, and refuse with the status and the words that they chose', async () => {
      await configure('Validating', 'guard', {})
      hook.answer = () => ({
        allowed: false,
        status: { code: 403, reason: 'Forbidden', message: 'no pods on a Friday' },
      })
      const { status, json } = await face.send('POST', PODS, { body: pod('a', { labels: { app: 'web' } }) })
      assert.equal(status, 403)
      assert.deepEqual(
        [json.kind, json.status, json.reason, json.code, json.message],
        [
          'Status',
          'Failure',
          'Forbidden',
          403,
          'admission webhook "hook0.guard.example.com" denied the request: no pods on a Friday',
        ],
      )
      assert.equal((await face.get(`${PODS}/a`)).status, 404)

      const [asked] = hook.asked
      assert.equal(hook.asked.length, 1)
      assert.deepEqual(asked.kind, { group: '', version: 'v1', kind: 'Pod' })
      assert.deepEqual(
        [asked.resource, asked.requestResource],
        [
          { group: '', version: 'v1', resource: 'pods' },
          { group: '', version: 'v1', resource: 'pods' },
        ],
      )
      assert.deepEqual(
        [asked.name, asked.namespace, asked.operation, asked.dryRun, asked.oldObject],
        ['a', 'default', 'CREATE', false, null],
      )
      assert.equal(asked.userInfo.username, 'anna')
      assert(asked.userInfo.groups.includes(MASTERS))
      assert.deepEqual(
        [asked.object.kind, asked.object.metadata.labels, asked.object.spec.containers[0].imagePullPolicy],
        ['Pod', { app: 'web' }, 'Always'],
      )
      assert.deepEqual(
        [asked.options.kind, asked.options.apiVersion, asked.options.fieldManager],
        ['CreateOptions', 'meta.k8s.io/v1', 'test'],
      )
    })

    it('refuse with 400 when they choose no status, and say so when they give no reason', async () => {
      await configure('Validating', 'guard', {})
      hook.answer = () => ({ allowed: false })
      const { json } = await face.send('POST', PODS, { body: pod('a') })
      assert.deepEqual(
        [json.code, json.message],
        [400, 'admission webhook "hook0.guard.example.com" denied the request without explanation'],
      )
    })

    it('warn who writes', async () => {
      await configure('Validating', 'guard', {})
      hook.answer = () => ({ allowed: true, warnings: ['this image has no digest'] })
      const { status, headers } = await face.send('POST', PODS, { body: pod('warned') })
      assert.equal(status, 201)
      assert.match(headers.warning!, /^299 - "this image has no digest"$/)
    })

    it('are asked about updates, patches, status, scale, deletions and evictions, with what there was', async () => {
      await face.send('POST', PODS, { body: pod('p') })
      const deployment = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web' },
        spec: {
          replicas: 1,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: { containers: [{ name: 'main', image: 'busybox' }] },
          },
        },
      }
      const deployments = '/apis/apps/v1/namespaces/default/deployments'
      assert.equal((await face.send('POST', deployments, { body: deployment })).status, 201)
      await configure('Validating', 'all', {
        rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }],
      })
      const asked = async (method: string, path: string, body?: object, type?: string): Promise<unknown[]> => {
        hook.asked.length = 0
        const reply = await face.send(method, path, { body, type })
        assert(reply.status < 300, reply.body.toString())
        return hook.asked.map(({ operation, resource, subResource, kind, object, oldObject, options }) => [
          operation,
          resource.resource,
          subResource ?? '',
          kind.kind,
          object?.kind,
          oldObject?.kind,
          options.kind,
        ])
      }
      const merge = 'application/merge-patch+json'
      assert.deepEqual(await asked('PATCH', `${PODS}/p`, { metadata: { labels: { a: 'b' } } }, merge), [
        ['UPDATE', 'pods', '', 'Pod', 'Pod', 'Pod', 'PatchOptions'],
      ])
      assert.deepEqual(await asked('PATCH', `${PODS}/p/status`, { status: { message: 'hello' } }, merge), [
        ['UPDATE', 'pods', 'status', 'Pod', 'Pod', 'Pod', 'PatchOptions'],
      ])
      assert.deepEqual(await asked('PATCH', `${deployments}/web/scale`, { spec: { replicas: 2 } }, merge), [
        ['UPDATE', 'deployments', 'scale', 'Scale', 'Scale', 'Scale', 'PatchOptions'],
      ])
      assert.deepEqual([hook.asked[0].object.spec, hook.asked[0].oldObject.spec], [{ replicas: 2 }, { replicas: 1 }])
      assert.deepEqual(
        await asked('PUT', `${deployments}/web`, { ...deployment, spec: { ...deployment.spec, replicas: 3 } }),
        [['UPDATE', 'deployments', '', 'Deployment', 'Deployment', 'Deployment', 'UpdateOptions']],
      )
      assert.deepEqual(
        await asked('POST', `${PODS}/p/eviction`, {
          apiVersion: 'policy/v1',
          kind: 'Eviction',
          metadata: { name: 'p' },
        }),
        [['CREATE', 'pods', 'eviction', 'Eviction', 'Eviction', undefined, 'CreateOptions']],
      )
      assert.deepEqual(await asked('DELETE', `${deployments}/web?gracePeriodSeconds=0`), [
        ['DELETE', 'deployments', '', 'Deployment', undefined, 'Deployment', 'DeleteOptions'],
      ])
    })

    it('refuse a deletion, and each one of a collection', async () => {
      const path = '/api/v1/namespaces/default/configmaps'
      await face.send('POST', path, { body: configMap('kept') })
      await configure('Validating', 'keeper', about(['configmaps'], ['DELETE']))
      hook.answer = ({ name }) => ({ allowed: name !== 'kept', status: { message: 'it is needed' } })
      assert.equal(
        (await face.send('DELETE', `${path}/kept`)).json.message,
        'admission webhook "hook0.keeper.example.com" denied the request: it is needed',
      )
      assert.equal((await face.send('DELETE', path)).status, 400)
      assert.equal((await face.get(`${path}/kept`)).status, 200)
    })

    it('are told of a dry run', async () => {
      await configure('Validating', 'guard', {})
      assert.equal((await face.send('POST', `${PODS}?dryRun=All`, { body: pod('dry') })).status, 201)
      assert.deepEqual(
        hook.asked.map(({ dryRun, options }) => [dryRun, options.dryRun]),
        [[true, ['All']]],
      )
    })

    it('are asked only where namespace and object have the labels, and the conditions hold', async () => {
      for (const [name, labels] of [
        ['quiet', {}],
        ['watched', { watch: 'yes' }],
      ] as const)
        assert.equal(
          (
            await face.send('POST', '/api/v1/namespaces', {
              body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
            })
          ).status,
          201,
        )
      await configure('Validating', 'some', {
        namespaceSelector: { matchLabels: { watch: 'yes' } },
        objectSelector: { matchExpressions: [{ key: 'app', operator: 'Exists' }] },
        matchConditions: [
          { name: 'not-system', expression: "!request.userInfo.username.startsWith('system:')" },
          { name: 'named', expression: "object.metadata.name != 'exempt'" },
        ],
      })
      const make = (namespace: string, name: string, labels?: object): Promise<unknown> =>
        face.send('POST', `/api/v1/namespaces/${namespace}/pods`, { body: pod(name, { labels }) })
      await make('quiet', 'one', { app: 'x' })
      await make('watched', 'two')
      await make('watched', 'exempt', { app: 'x' })
      await make('watched', 'three', { app: 'x' })
      assert.deepEqual(
        hook.asked.map(({ namespace, name }) => `${namespace}/${name}`),
        ['watched/three'],
      )
    })

    it('fail a write when a condition cannot be evaluated', async () => {
      await configure('Validating', 'odd', {
        matchConditions: [{ name: 'odd', expression: 'object.spec.nothing == 1' }],
      })
      const { status, json } = await face.send('POST', PODS, { body: pod('a') })
      assert.equal(status, 403)
      assert.match(
        json.message,
        /^pods "a" is forbidden: webhook "hook0\.odd\.example\.com": match condition odd: expression 'object\.spec\.nothing == 1' resulted in error/,
      )
      assert.equal(hook.asked.length, 0)
    })

    it('are not asked about configurations of admission: nobody locks himself out', async () => {
      hook.answer = () => ({ allowed: false })
      await configure('Validating', 'everything', {
        rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }],
      })
      assert.equal((await face.send('POST', PODS, { body: pod('a') })).status, 400)
      assert.equal(
        (await face.send('DELETE', `${CONFIGURATIONS}/validatingwebhookconfigurations/everything`)).status,
        200,
      )
      assert.equal((await face.send('POST', PODS, { body: pod('free') })).status, 201)
    })

    it('are asked over connections that are kept', async () => {
      await configure('Validating', 'guard', about(['configmaps'], ['CREATE']))
      const before = hook.connections
      for (let index = 0; index < 5; index++)
        assert.equal(
          (await face.send('POST', '/api/v1/namespaces/default/configmaps', { body: configMap(`kept-${index}`) }))
            .status,
          201,
        )
      assert.equal(hook.asked.length, 5)
      assert(hook.connections - before <= 1)
    })

    it('are asked about connections into pods', async () => {
      await configure('Validating', 'guard', about(['pods/exec', 'pods/proxy'], ['CONNECT']))
      hook.answer = () => ({ allowed: false, status: { message: 'nobody enters' } })
      const { json } = await face.get(`${PODS}/free/proxy/index.html`)
      assert.equal(json.message, 'admission webhook "hook0.guard.example.com" denied the request: nobody enters')
      await assert.rejects(
        face.api.admitConnection(
          'Pod',
          'default',
          'free',
          'exec',
          { apiVersion: 'v1', kind: 'PodExecOptions', command: ['sh'] },
          { fieldManager: 'anna', user: { name: 'anna', groups: [] } },
        ),
        /nobody enters/,
      )
      assert.deepEqual(
        hook.asked.map(({ operation, subResource, object, oldObject }) => [
          operation,
          subResource,
          object.kind,
          oldObject,
        ]),
        [
          ['CONNECT', 'proxy', 'PodProxyOptions', null],
          ['CONNECT', 'exec', 'PodExecOptions', null],
        ],
      )
    })
  })

  describe('mutating', () => {
    it('change what is written, one after the other in the order of their names, and those who want it once more', async () => {
      const label = (name: string): object => patch({ op: 'add', path: `/metadata/labels/${name}`, value: 'yes' })
      await configure('Mutating', 'b', { clientConfig: hook.client('/second') })
      await configure('Mutating', 'a', { clientConfig: hook.client('/first'), reinvocationPolicy: 'IfNeeded' })
      const paths: string[] = []
      hook.answer = ({ object }, path) => {
        paths.push(path)
        return path === '/first'
          ? object.metadata.labels.first === 'yes'
            ? { allowed: true }
            : label('first')
          : label('second')
      }
      const { status, json } = await face.send('POST', PODS, { body: pod('m', { labels: { app: 'x' } }) })
      assert.equal(status, 201)
      assert.deepEqual(json.metadata.labels, { app: 'x', first: 'yes', second: 'yes' })
      assert.deepEqual(paths, ['/first', '/second', '/first'])
    })

    it('add a container, which gets its defaults and is validated', async () => {
      await configure('Mutating', 'sidecar', {})
      hook.answer = () => patch({ op: 'add', path: '/spec/containers/-', value: { name: 'proxy', image: 'proxy' } })
      const { json } = await face.send('POST', PODS, { body: pod('with-sidecar') })
      assert.deepEqual(
        json.spec.containers.map(
          ({ name, imagePullPolicy }: { name: string; imagePullPolicy: string }) => `${name} ${imagePullPolicy}`,
        ),
        ['main Always', 'proxy Always'],
      )
      hook.answer = () =>
        patch({ op: 'add', path: '/spec/containers/-', value: { name: 'Not_A_Name', image: 'proxy' } })
      const refused = await face.send('POST', PODS, { body: pod('refused') })
      assert.equal(refused.status, 422)
      assert.match(refused.json.message, /spec\.containers\[1\]\.name/)
    })

    it("change what reconcilers make, and are told that it is Kubernetes' controller", async () => {
      await configure('Mutating', 'sidecar', {})
      hook.answer = () => patch({ op: 'add', path: '/spec/containers/-', value: { name: 'proxy', image: 'proxy' } })
      const made = await face.api.create(pod('of-replicaset', { namespace: 'default' }) as Draft<'Pod'>, {
        fieldManager: 'replicaset-controller',
        controllerAccount: 'replicaset-controller',
      })
      assert.equal(made.spec.containers.length, 2)
      assert.equal(hook.asked[0].userInfo.username, 'system:serviceaccount:kube-system:replicaset-controller')
      // What nodes, scheduler and dispatch write is nobody's affair.
      await face.api.mutate(
        'Pod',
        'default',
        'of-replicaset',
        'status',
        (stored) => void (stored.status.phase = 'Running'),
        { fieldManager: 'gantry-agent' },
      )
      await face.api.create(pod('static', { namespace: 'default' }) as Draft<'Pod'>, {
        fieldManager: 'gantry-dispatch',
      })
      assert.equal(hook.asked.length, 1)
    })

    it('change a scale', async () => {
      const deployment = {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'scaled' },
        spec: {
          replicas: 1,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: { containers: [{ name: 'main', image: 'busybox' }] },
          },
        },
      }
      await face.send('POST', '/apis/apps/v1/namespaces/default/deployments', { body: deployment })
      await configure('Mutating', 'least', about(['deployments/scale'], ['UPDATE'], ['apps']))
      hook.answer = () => patch({ op: 'replace', path: '/spec/replicas', value: 3 })
      const { json } = await face.send('PATCH', '/apis/apps/v1/namespaces/default/deployments/scaled/scale', {
        type: 'application/merge-patch+json',
        body: { spec: { replicas: 2 } },
      })
      assert.equal(json.spec.replicas, 3)
    })

    it("tell of what is left out of their changes, and cannot touch what is the server's", async () => {
      await configure('Mutating', 'meddler', {})
      hook.answer = () =>
        patch(
          { op: 'add', path: '/spec/whatever', value: 1 },
          { op: 'replace', path: '/metadata/uid', value: 'mine' },
          { op: 'add', path: '/status/phase', value: 'Running' },
        )
      const { status, json, headers } = await face.send('POST', PODS, { body: pod('meddled') })
      assert.equal(status, 201)
      assert.notEqual(json.metadata.uid, 'mine')
      assert.equal(json.status.phase, 'Pending')
      assert.match(headers.warning!, /admission webhook \\"hook0\.meddler\.example\.com\\": .*spec\.whatever/)
      hook.answer = () => patch({ op: 'replace', path: '/metadata/name', value: 'other' })
      const renamed = await face.send('POST', PODS, { body: pod('renamed') })
      assert.deepEqual(
        [renamed.status, renamed.json.message],
        [
          500,
          'Internal error occurred: failed calling webhook "hook0.meddler.example.com": it may not change the name or namespace of the object',
        ],
      )
    })

    it('are asked once about the same change though others write the object meanwhile', async () => {
      await face.send('POST', '/api/v1/namespaces/default/configmaps', { body: configMap('contended', { a: '1' }) })
      await configure('Mutating', 'slow', about(['configmaps'], ['UPDATE']))
      let first = true
      hook.answer = async () => {
        if (first) {
          first = false
          await face.api.mutate(
            'ConfigMap',
            'default',
            'contended',
            '',
            (stored) => void (stored.metadata.annotations = { other: 'writer' }),
            { fieldManager: 'other' },
          )
        }
        return patch({ op: 'add', path: '/data/stamped', value: 'yes' })
      }
      const { json } = await face.send('PATCH', '/api/v1/namespaces/default/configmaps/contended', {
        type: 'application/merge-patch+json',
        body: { data: { b: '2' } },
      })
      assert.deepEqual(
        [json.data, json.metadata.annotations],
        [{ a: '1', b: '2', stamped: 'yes' }, { other: 'writer' }],
      )
      assert.equal(hook.asked.length, 2)
      // A refusal on what the cache shows is looked at again on the newest state, which is the same.
      hook.asked.length = 0
      hook.answer = () => ({ allowed: false })
      assert.equal(
        (
          await face.send('PATCH', '/api/v1/namespaces/default/configmaps/contended', {
            type: 'application/merge-patch+json',
            body: { data: { c: '3' } },
          })
        ).status,
        400,
      )
      assert.equal(hook.asked.length, 1)
    })
  })

  describe('that cannot be asked', () => {
    const bad: [string, () => unknown, RegExp][] = [
      ['is broken', () => 503, /HTTP status 503: it is broken/],
      ['answers what is no JSON', () => 'hello', /the answer is not JSON/],
      [
        'answers another kind',
        () => '{"kind":"Pod","apiVersion":"v1"}',
        /expected webhook response of admission\.k8s\.io\/v1, Kind=AdmissionReview/,
      ],
      ['answers another question', () => ({ uid: 'other', allowed: true }), /expected response\.uid=/],
      [
        'answers too much',
        () => ({ allowed: true, auditAnnotations: { big: 'x'.repeat(4 * 1024 * 1024) } }),
        /the answer has more than 3145728 bytes/,
      ],
    ]
    for (const [what, answer, message] of bad) {
      it(`fail a write when it ${what}, or are passed over`, async () => {
        await configure('Validating', 'guard', {})
        hook.answer = answer as never
        const { status, json } = await face.send('POST', PODS, { body: pod('a') })
        assert.deepEqual([status, json.reason], [500, 'InternalError'])
        assert.match(json.message, /^Internal error occurred: failed calling webhook "hook0\.guard\.example\.com": /)
        assert.match(json.message, message)
        await face.send('DELETE', `${CONFIGURATIONS}/validatingwebhookconfigurations/guard`)
        await configure('Validating', 'lenient', { failurePolicy: 'Ignore' })
        const passed = await face.send('POST', `${PODS}?dryRun=All`, { body: pod('a') })
        assert.equal(passed.status, 201, passed.body.toString())
      })
    }

    it('fail a write after their time', async () => {
      await configure('Validating', 'guard', { timeoutSeconds: 7 })
      hook.answer = () => undefined
      const writing = face.send('POST', PODS, { body: pod('a') })
      await eventually(() => assert.equal(hook.asked.length, 1))
      await face.clock.advance(7_000)
      const { status, json } = await writing
      assert.equal(status, 500)
      assert.match(
        json.message,
        /failed to call webhook: Post "https:\/\/127\.0\.0\.1:\d+\/\?timeout=7s": .*context deadline exceeded/,
      )
    })

    it('do not hold up others', async () => {
      await configure('Validating', 'guard', {})
      hook.answer = () => undefined
      const writing = face.send('POST', PODS, { body: pod('waits') })
      await eventually(() => assert.equal(hook.asked.length, 1))
      assert.equal(
        (await face.send('POST', '/api/v1/namespaces/default/configmaps', { body: configMap('other') })).status,
        201,
      )
      await face.clock.advance(10_000)
      assert.equal((await writing).status, 500)
    })

    it('fail a write when their certificate is not of the authority named', async () => {
      const other = await WebhookServer.start()
      await configure('Validating', 'guard', { clientConfig: { ...hook.client(), caBundle: other.caBundle } })
      await other.stop()
      const { status, json } = await face.send('POST', PODS, { body: pod('a') })
      assert.equal(status, 500)
      assert.match(json.message, /certificate/)
      assert.equal(hook.asked.length, 0)
    })

    it('fail a write when nobody listens', async () => {
      const gone = await WebhookServer.start()
      const client = gone.client()
      await gone.stop()
      await configure('Validating', 'guard', { clientConfig: client })
      const { status, json } = await face.send('POST', PODS, { body: pod('a') })
      assert.equal(status, 500)
      assert.match(json.message, /ECONNREFUSED/)
    })
  })

  describe('behind a Service', () => {
    it("are reached in one of its ready pods, whose certificate is the Service's", async () => {
      await face.send('POST', '/api/v1/namespaces', {
        body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'tools' } },
      })
      await configure('Validating', 'inside', {
        clientConfig: { service: { namespace: 'tools', name: 'hook', path: '/check' }, caBundle: hook.caBundle },
      })
      const missing = await face.send('POST', PODS, { body: pod('a') })
      assert.match(
        missing.json.message,
        /failed to call webhook: Post "https:\/\/hook\.tools\.svc(:443)?\/check\?timeout=10s": service "hook" not found/,
      )

      await face.send('POST', '/api/v1/namespaces/tools/services', {
        body: {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 'hook' },
          spec: { selector: { app: 'hook' }, ports: [{ port: 443, targetPort: 8443 }] },
        },
      })
      const none = await face.send('POST', PODS, { body: pod('a') })
      assert.match(none.json.message, /no endpoints available for service "hook"/)

      const slice = {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'hook-1', labels: { 'kubernetes.io/service-name': 'hook' } },
        addressType: 'IPv4',
        ports: [{ port: 8443, protocol: 'TCP' }],
        endpoints: [
          {
            addresses: ['10.0.0.9'],
            conditions: { ready: true },
            targetRef: { kind: 'Pod', namespace: 'tools', name: 'hook-pod', uid: 'u' },
          },
        ],
      }
      assert.equal(
        (await face.send('POST', '/apis/discovery.k8s.io/v1/namespaces/tools/endpointslices', { body: slice })).status,
        201,
      )
      const paths: string[] = []
      hook.answer = (_request, path) => {
        paths.push(path)
        return { allowed: true }
      }
      assert.equal((await face.send('POST', PODS, { body: pod('by-service') })).status, 201)
      assert.deepEqual([forwarded.at(-1), paths], [{ pod: 'hook-pod', port: 8443 }, ['/check']])
    })
  })
})
