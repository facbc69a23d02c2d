import assert from 'node:assert/strict'
import { Agent, request } from 'node:https'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import { ACCESS_ANNOTATION } from '../../../proto/objects/account-access.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import { TestApiServer, type Reply, type Sent } from './test-api-server.ts'

const CONTEXT = { fieldManager: 'test' }
const ISSUER = 'https://kubernetes.default.svc.cluster.local'
const REVIEW = '/apis/authorization.k8s.io/v1'
const PODS = '/api/v1/namespaces/default/pods'

const named = (name: string, rest: object = {}): object => ({ metadata: { name }, ...rest })
const podOf = (account?: string, name = 'p'): object =>
  named(name, {
    spec: {
      ...(account !== undefined && { serviceAccountName: account }),
      containers: [{ name: 'c', image: 'busybox' }],
    },
  })
const deploymentOf = (account: string, name = 'd'): object =>
  named(name, {
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: {
        metadata: { labels: { a: 'b' } },
        spec: { serviceAccountName: account, containers: [{ name: 'c', image: 'i' }] },
      },
    },
  })

describe('Kubernetes face: who calls, and what they may', () => {
  let face: TestApiServer

  beforeEach(async () => {
    face = await TestApiServer.start({ admission: true })
  })

  afterEach(() => face.stop())

  async function account(name: string, access?: string, namespace = 'default'): Promise<void> {
    await face.api.create<'ServiceAccount'>(
      {
        kind: 'ServiceAccount',
        metadata: { name, namespace, ...(access !== undefined && { annotations: { [ACCESS_ANNOTATION]: access } }) },
      },
      CONTEXT,
    )
    await face.reads.current()
  }

  async function tokenOf(name: string, spec: object = {}, namespace = 'default'): Promise<string> {
    const { status, json } = await face.send('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
      body: { spec },
    })
    assert.equal(status, 201, JSON.stringify(json))
    return json.status.token as string
  }

  /** Who may do everything, and a token of it. */
  async function holder(access: string): Promise<string> {
    await account(access, access)
    return tokenOf(access)
  }

  const whoami = async (sent: Sent = {}): Promise<Reply['json']> => {
    const { status, json } = await face.send('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      body: {},
      ...sent,
    })
    assert.equal(status, 201, JSON.stringify(json))
    return json.status.userInfo
  }

  const isRefused = ({ status, json }: Reply, message: RegExp): void => {
    assert.deepEqual([status, json.reason], [403, 'Forbidden'], JSON.stringify(json))
    assert.match(json.message, message)
  }

  describe('authentication', () => {
    it('goes by the certificate, the token, or nothing', async () => {
      assert.deepEqual(await whoami(), { username: 'anna', groups: [MASTERS, 'system:authenticated'] })
      const token = await holder('view')
      const { uid } = face.informer.lister('ServiceAccount').get('default', 'view')!.metadata
      const { extra, ...user } = await whoami({ token })
      assert.deepEqual(user, {
        username: 'system:serviceaccount:default:view',
        uid,
        groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
      })
      assert.match(extra['authentication.kubernetes.io/credential-id'][0], /^JTI=/)
      for (const bad of ['', 'x', 'a.b.c', `${token.slice(0, -6)}AAAAAA`]) {
        const { status, json } = await face.get(PODS, { token: bad })
        assert.deepEqual([status, json.reason, json.message], [401, 'Unauthorized', json.message], bad)
      }
      const basic = await face.get(PODS, { token: '', headers: { Authorization: 'Basic YTpi' } })
      assert.equal(basic.status, 401)
    })

    it('takes the names in a certificate for what they are, whatever is in them', async () => {
      const [host, port] = face.address.split(':')
      for (const [name, groups] of [
        ['a + CN=b', ['c, d', 'e+f', 'O=g']],
        [`line\nO=${MASTERS}`, ['h = i']],
      ] as const) {
        const agent = new Agent(await face.client(name, groups))
        const json = await new Promise<string>(
          (resolve, reject) =>
            void request(
              {
                host,
                port,
                method: 'POST',
                path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
                agent,
                headers: { 'Content-Type': 'application/json' },
              },
              (message) => {
                let text = ''
                message
                  .setEncoding('utf8')
                  .on('data', (part: string) => (text += part))
                  .once('end', () => resolve(text))
              },
            )
              .on('error', reject)
              .end('{}'),
        )
        agent.destroy()
        const { username, groups: known } = (JSON.parse(json) as Reply['json']).status.userInfo
        assert.deepEqual([username, known], [name, [...groups, 'system:authenticated']])
      }
    })

    it('asks nothing of who looks at health and version, and lets nobody else in', async () => {
      for (const path of ['/version', '/healthz', '/livez', '/readyz'])
        assert.equal((await face.get(path, { token: '' })).status, 200, path)
      for (const path of ['/api', '/apis', '/openapi/v2', '/metrics', '/openid/v1/jwks', PODS])
        assert.equal((await face.get(path, { token: '' })).status, 401, path)
    })

    it('takes a certificate of another authority for none', async () => {
      const { createAuthority, issue } = await import('../../../deploy/ca.ts')
      const { ca } = await face.client('anna')
      const stranger = await issue(
        await createAuthority('other', Date.now()),
        { commonName: 'anna', organizations: [MASTERS] },
        Date.now(),
      )
      const [host, port] = face.address.split(':')
      const agent = new Agent({ ca, ...stranger })
      const status = await new Promise(
        (resolve, reject) =>
          void request({ host, port, path: PODS, agent }, (message) => {
            message.resume()
            resolve(message.statusCode)
          })
            .on('error', reject)
            .end(),
      )
      agent.destroy()
      assert.equal(status, 401)
    })

    it('lets a token go with its account, and with the pod that it was made for', async () => {
      await account('web', 'view')
      const pod = await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: 'p', namespace: 'default' },
          spec: { serviceAccountName: 'web', containers: [{ name: 'c', image: 'i' }] },
        },
        CONTEXT,
      )
      const bound = await tokenOf('web', {
        boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: pod.metadata.uid },
      })
      const free = await tokenOf('web')
      assert.deepEqual((await whoami({ token: bound })).extra['authentication.kubernetes.io/pod-name'], ['p'])
      await face.api.delete('Pod', 'default', 'p', { gracePeriodSeconds: 0 }, CONTEXT)
      const gone = await face.get(PODS, { token: bound })
      assert.deepEqual([gone.status, gone.json.message], [401, 'the pod default/p that the token was made for is gone'])
      // Another of the name is another pod.
      await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: 'p', namespace: 'default' },
          spec: { serviceAccountName: 'web', containers: [{ name: 'c', image: 'i' }] },
        },
        CONTEXT,
      )
      assert.equal((await face.get(PODS, { token: bound })).status, 401)
      assert.equal((await face.get(PODS, { token: free })).status, 200)
      await face.api.delete('ServiceAccount', 'default', 'web', {}, CONTEXT)
      await account('web')
      assert.equal((await face.get(PODS, { token: free })).status, 401)
    })

    it('knows a token of what was made a moment ago, though the cache lags', async () => {
      await account('web')
      await tokenOf('web')
      const { uid } = face.informer.lister('ServiceAccount').get('default', 'web')!.metadata
      const pod = await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: 'p', namespace: 'default' },
          spec: { serviceAccountName: 'web', containers: [{ name: 'c', image: 'i' }] },
        },
        CONTEXT,
      )
      const { token } = face.accounts.tokens.issue(
        { namespace: 'default', account: { name: 'web', uid }, pod: pod.metadata },
        [],
        600,
      )
      assert.equal((await whoami({ token })).username, 'system:serviceaccount:default:web')
    })

    it('does not take a token that is for others, or whose time is over', async () => {
      await account('web', 'view')
      const vault = await tokenOf('web', { audiences: ['vault'] })
      assert.equal((await face.get(PODS, { token: vault })).status, 401)
      const short = await tokenOf('web', { expirationSeconds: 600 })
      assert.equal((await face.get(PODS, { token: short })).status, 200)
      face.clock.set(600_000)
      assert.deepEqual(
        [(await face.get(PODS, { token: short })).status, (await face.get(PODS, { token: short })).json.message],
        [401, 'the token has expired'],
      )
    })
  })

  describe('impersonation', () => {
    const as = (user: string, more: Record<string, string | readonly string[]> = {}): Sent => ({
      headers: { 'Impersonate-User': user, ...more },
    })

    it('takes an administrator for whom they like', async () => {
      assert.deepEqual(
        await whoami(
          as('bob', {
            'Impersonate-Group': ['a, b', 'c'],
            'Impersonate-Uid': 'u1',
            'Impersonate-Extra-acme.com%2Fscopes': ['x', 'y'],
          }),
        ),
        {
          username: 'bob',
          uid: 'u1',
          groups: ['a, b', 'c', 'system:authenticated'],
          extra: { 'acme.com/scopes': ['x', 'y'] },
        },
      )
      await account('view', 'view')
      assert.deepEqual((await whoami(as('system:serviceaccount:default:view'))).groups, [
        'system:serviceaccounts',
        'system:serviceaccounts:default',
        'system:authenticated',
      ])
      assert.equal((await face.get(PODS, as('system:serviceaccount:default:view'))).status, 200)
      isRefused(
        await face.get('/api/v1/namespaces/default/secrets', as('system:serviceaccount:default:view')),
        /cannot list resource "secrets" in API group "" in the namespace "default"/,
      )
      isRefused(await face.get(PODS, as('system:anonymous')), /User "system:anonymous"/)
    })

    it('needs a user beside the rest', async () => {
      const { status, json } = await face.get(PODS, { headers: { 'Impersonate-Group': MASTERS } })
      assert.deepEqual([status, json.reason], [400, 'BadRequest'])
    })

    it('is not for those who may not do everything', async () => {
      const token = await holder('edit')
      await account('admin', 'admin')
      for (const user of ['anna', 'system:serviceaccount:default:admin', 'system:serviceaccount:default:edit'])
        isRefused(
          await face.get(PODS, { ...as(user, { 'Impersonate-Group': MASTERS }), token }),
          /cannot impersonate resource/,
        )
      assert.equal(
        (
          await face.get('/api/v1/nodes', {
            ...as('bob', { 'Impersonate-Group': MASTERS }),
            token: await tokenOf('admin'),
          })
        ).status,
        200,
      )
    })
  })

  describe('reviews', () => {
    const ask = async (path: string, spec: object, sent: Sent = {}): Promise<Reply['json']> => {
      const { status, json } = await face.send('POST', `${REVIEW}/${path}`, { body: { spec }, ...sent })
      assert.equal(status, 201, JSON.stringify(json))
      return json.status
    }

    it('tell what somebody may do', async () => {
      const token = await holder('view')
      const list = { resourceAttributes: { verb: 'list', resource: 'pods', namespace: 'default' } }
      const create = { resourceAttributes: { verb: 'create', resource: 'pods', namespace: 'default' } }
      assert.equal((await ask('selfsubjectaccessreviews', list, { token })).allowed, true)
      const no = await ask('selfsubjectaccessreviews', create, { token })
      assert.equal(no.allowed, false)
      assert.match(no.reason, /has access "view"/)
      assert.equal((await ask('selfsubjectaccessreviews', create)).allowed, true)
      assert.equal(
        (await ask('subjectaccessreviews', { ...create, user: 'system:serviceaccount:default:view' })).allowed,
        false,
      )
      assert.equal(
        (await ask('subjectaccessreviews', { ...list, user: 'system:serviceaccount:default:view' })).allowed,
        true,
      )
      assert.equal((await ask('subjectaccessreviews', { ...create, user: 'x', groups: [MASTERS] })).allowed, true)
      assert.equal(
        (await ask('subjectaccessreviews', { nonResourceAttributes: { verb: 'get', path: '/metrics' }, user: 'x' }))
          .allowed,
        false,
      )
      const local = await face.send(
        'POST',
        '/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews',
        { body: { spec: { ...list, user: 'system:serviceaccount:default:view' } } },
      )
      assert.deepEqual([local.status, local.json.status.allowed, local.json.metadata.namespace], [201, true, 'default'])
      for (const spec of [{}, { ...list, nonResourceAttributes: { verb: 'get', path: '/' } }])
        assert.equal((await face.send('POST', `${REVIEW}/selfsubjectaccessreviews`, { body: { spec } })).status, 422)
      assert.equal(
        (
          await face.send('POST', '/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews', {
            body: { spec: { user: 'x', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'shop' } } },
          })
        ).status,
        422,
      )
      isRefused(
        await face.send('POST', `${REVIEW}/subjectaccessreviews`, { body: { spec: { ...list, user: 'anna' } }, token }),
        /subjectaccessreviews/,
      )
    })

    it('tell all that somebody may do', async () => {
      assert.deepEqual((await ask('selfsubjectrulesreviews', { namespace: 'default' })).resourceRules, [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      ])
      const { resourceRules } = await ask(
        'selfsubjectrulesreviews',
        { namespace: 'default' },
        { token: await holder('view') },
      )
      const verbs = (resource: string): string[] =>
        (resourceRules as { verbs: string[]; apiGroups: string[]; resources: string[] }[])
          .filter(({ apiGroups, resources }) => apiGroups.includes('') && resources.includes(resource))
          .flatMap((rule) => rule.verbs)
      assert.deepEqual(
        [
          verbs('pods').sort(),
          verbs('secrets'),
          verbs('pods/log'),
          verbs('pods/exec'),
          verbs('nodes'),
          verbs('namespaces'),
        ],
        [['get', 'list', 'watch'], [], ['get'], [], [], ['get']],
      )
      const elsewhere = await ask('selfsubjectrulesreviews', { namespace: 'shop' }, { token: await tokenOf('view') })
      assert.deepEqual(
        (elsewhere.resourceRules as { resources: string[] }[]).flatMap(({ resources }) => resources).sort(),
        ['selfsubjectaccessreviews', 'selfsubjectreviews', 'selfsubjectrulesreviews'],
      )
    })

    it('tell whose a token is', async () => {
      const review = async (spec: object): Promise<Reply['json']> =>
        (await face.send('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { body: { spec } })).json.status
      await account('web')
      const token = await tokenOf('web', { audiences: ['vault', 'db'] })
      const good = await review({ token, audiences: ['db', 'x'] })
      assert.deepEqual(
        [good.authenticated, good.user.username, good.audiences],
        [true, 'system:serviceaccount:default:web', ['db']],
      )
      const other = await review({ token })
      assert.deepEqual([other.authenticated, other.user], [false, undefined])
      assert.match(other.error, /is for vault, db, not for https:\/\/kubernetes\.default\.svc/)
      assert.deepEqual(await review({ token: 'x' }), {
        authenticated: false,
        error: 'the token is not of this cluster',
      })
      assert.equal(
        (await face.send('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { body: { spec: {} } })).status,
        400,
      )
    })

    it('are answered in protobuf, too', async () => {
      const { status, headers } = await face.send('POST', `${REVIEW}/selfsubjectaccessreviews`, {
        body: { spec: { nonResourceAttributes: { verb: 'get', path: '/' } } },
        headers: { Accept: 'application/vnd.kubernetes.protobuf' },
      })
      assert.deepEqual([status, headers['content-type']], [201, 'application/vnd.kubernetes.protobuf'])
    })
  })

  describe('tokens on request', () => {
    it('are as they were asked for', async () => {
      await account('web')
      const { status, json } = await face.send('POST', '/api/v1/namespaces/default/serviceaccounts/web/token', {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 7200 } },
      })
      assert.deepEqual(
        [status, json.kind, json.apiVersion, json.metadata.name, json.spec.audiences, json.spec.expirationSeconds],
        [201, 'TokenRequest', 'authentication.k8s.io/v1', 'web', [ISSUER], 7200],
      )
      assert.equal(Date.parse(json.status.expirationTimestamp), Math.floor(face.clock.now() / 1000) * 1000 + 7_200_000)
    })

    it("are not made for what is not there, or is another's", async () => {
      await account('web')
      const ask = async (name: string, spec: object): Promise<number> =>
        (await face.send('POST', `/api/v1/namespaces/default/serviceaccounts/${name}/token`, { body: { spec } })).status
      await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: 'p', namespace: 'default' },
          spec: { containers: [{ name: 'c', image: 'i' }] },
        },
        CONTEXT,
      )
      assert.equal(await ask('ghost', {}), 404)
      assert.equal(await ask('web', { expirationSeconds: 60 }), 422)
      assert.equal(await ask('web', { boundObjectRef: { kind: 'Pod', name: 'ghost' } }), 404)
      assert.equal(await ask('web', { boundObjectRef: { kind: 'Pod', name: 'p' } }), 422, 'a pod of another account')
      assert.equal(await ask('default', { boundObjectRef: { kind: 'Pod', name: 'p', uid: 'other' } }), 409)
      assert.equal(await ask('default', { boundObjectRef: { kind: 'Pod', name: 'p' } }), 201)
      assert.equal(await ask('web', { boundObjectRef: { kind: 'ConfigMap', name: 'c' } }), 422)
    })

    it('are told from others by documents', async () => {
      const token = await holder('none')
      const { json } = await face.get('/.well-known/openid-configuration', { token })
      assert.deepEqual([json.issuer, json.jwks_uri], [ISSUER, `${ISSUER}/openid/v1/jwks`])
      const { json: keys, headers } = await face.get('/openid/v1/jwks', { token })
      assert.equal(headers['content-type'], 'application/jwk-set+json')
      const { kid } = JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }
      assert.deepEqual(
        (keys.keys as { kid: string; d?: string }[]).map((key) => [key.kid, key.d]),
        [[kid, undefined]],
      )
    })
  })

  describe('pods', () => {
    const made = async (path: string, body: object, sent: Sent = {}): Promise<Pod> => {
      const { status, json } = await face.send('POST', path, { body, ...sent })
      assert.equal(status, 201, JSON.stringify(json))
      return json as Pod
    }

    it('have an account, and a token of it mounted, whoever makes them', async () => {
      const { spec } = await made(PODS, podOf())
      assert.deepEqual([spec.serviceAccountName, spec.serviceAccount], ['default', 'default'])
      const volume = spec.volumes!.find(({ name }) => /^kube-api-access-[a-z0-9]{5}$/.test(name))!
      assert.deepEqual(volume.projected, {
        defaultMode: 0o644,
        sources: [
          { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          {
            downwardAPI: {
              items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
            },
          },
        ],
      })
      assert.deepEqual(spec.containers[0]!.volumeMounts, [
        { name: volume.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
      ])
      const own = await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name: 'q', namespace: 'default' },
          spec: { initContainers: [{ name: 'i', image: 'i' }], containers: [{ name: 'c', image: 'i' }] },
        },
        CONTEXT,
      )
      assert.deepEqual(
        [...own.spec.initContainers!, ...own.spec.containers].map(({ volumeMounts }) => volumeMounts?.length),
        [1, 1],
        'of the control plane itself',
      )
    })

    it('have what a namespace that was made a moment ago has', async () => {
      await face.send('POST', '/api/v1/namespaces', { body: named('shop') })
      const pods = await Promise.all(
        Array.from({ length: 10 }, (_, index) => made('/api/v1/namespaces/shop/pods', podOf(undefined, `p${index}`))),
      )
      assert.equal(pods.length, 10)
      await face.reads.current()
      assert.deepEqual(
        face.informer
          .lister('ServiceAccount')
          .list('shop')
          .map(({ metadata: { name } }) => name),
        ['default'],
      )
      assert.equal(face.informer.lister('ConfigMap').get('shop', 'kube-root-ca.crt')?.data?.['ca.crt'], 'the authority')
      await face.send('POST', '/api/v1/namespaces', { body: named('dry') })
      const dry = await face.send('POST', '/api/v1/namespaces/dry/pods?dryRun=All', { body: podOf() })
      assert.equal(dry.status, 201)
      await face.reads.current()
      assert.deepEqual(face.informer.lister('ServiceAccount').list('dry'), [])
    })

    it('are refused for an account that is not there', async () => {
      isRefused(await face.send('POST', PODS, { body: podOf('ghost') }), /its ServiceAccount default\/ghost not found/)
    })

    it('have no token where it is not wanted, or is there already', async () => {
      await face.api.create<'ServiceAccount'>(
        {
          kind: 'ServiceAccount',
          metadata: { name: 'quiet', namespace: 'default' },
          automountServiceAccountToken: false,
          imagePullSecrets: [{ name: 'registry' }],
        },
        CONTEXT,
      )
      const container = { name: 'c', image: 'busybox' }
      const quiet = await made(PODS, named('a', { spec: { serviceAccountName: 'quiet', containers: [container] } }))
      assert.deepEqual([quiet.spec.volumes, quiet.spec.imagePullSecrets], [undefined, [{ name: 'registry' }]])
      const loud = await made(
        PODS,
        named('b', {
          spec: {
            serviceAccountName: 'quiet',
            automountServiceAccountToken: true,
            imagePullSecrets: [{ name: 'mine' }],
            containers: [container],
          },
        }),
      )
      assert.deepEqual([loud.spec.volumes?.length, loud.spec.imagePullSecrets], [1, [{ name: 'mine' }]])
      const off = await made(
        PODS,
        named('c', { spec: { automountServiceAccountToken: false, containers: [container] } }),
      )
      assert.equal(off.spec.volumes, undefined)
      const mine = { name: 'mine', emptyDir: {} }
      const taken = await made(
        PODS,
        named('d', {
          spec: {
            volumes: [mine],
            containers: [
              {
                ...container,
                volumeMounts: [{ name: 'mine', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }],
              },
            ],
          },
        }),
      )
      assert.deepEqual(taken.spec.volumes, [mine])
    })

    it('stay as they are when their manifest is applied again', async () => {
      const path = `${PODS}/p?fieldManager=me`
      const apply = (): Promise<Reply> =>
        face.send('PATCH', path, {
          body: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...podOf() }),
          type: 'application/apply-patch+yaml',
        })
      const first = await apply()
      assert.equal(first.status, 201, JSON.stringify(first.json))
      const second = await apply()
      assert.equal(second.status, 200, JSON.stringify(second.json))
      assert.deepEqual(second.json.spec, first.json.spec)
      assert.equal(second.json.metadata.resourceVersion, first.json.metadata.resourceVersion)
    })
  })

  describe('nobody gets more power than they have', () => {
    let token: string

    beforeEach(async () => {
      token = await holder('edit')
      await account('admin', 'admin')
    })

    it('by writing ServiceAccounts', async () => {
      const path = '/api/v1/namespaces/default/serviceaccounts'
      const raise = { metadata: { annotations: { [ACCESS_ANNOTATION]: 'admin' } } }
      const whole = {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'edit', namespace: 'default', ...raise.metadata },
      }
      const tries: Promise<Reply>[] = [
        face.send('POST', path, { body: { metadata: { name: 'new', ...raise.metadata } }, token }),
        face.send('PUT', `${path}/edit`, { body: whole, token }),
        ...['application/merge-patch+json', 'application/strategic-merge-patch+json'].map((type) =>
          face.send('PATCH', `${path}/edit`, { body: raise, type, token }),
        ),
        face.send('PATCH', `${path}/edit`, {
          body: [{ op: 'add', path: '/metadata/annotations', value: raise.metadata.annotations }],
          type: 'application/json-patch+json',
          token,
        }),
        face.send('PATCH', `${path}/edit?fieldManager=x&force=true`, {
          body: JSON.stringify(whole),
          type: 'application/apply-patch+yaml',
          token,
        }),
        face.send('DELETE', `${path}/admin`, { token }),
        face.send('DELETE', path, { token }),
        ...['edit', 'admin', 'default'].map((name) => face.send('POST', `${path}/${name}/token`, { body: {}, token })),
      ]
      for (const reply of await Promise.all(tries)) isRefused(reply, /serviceaccounts/)
      assert.equal(
        face.informer.lister('ServiceAccount').get('default', 'edit')!.metadata.annotations![ACCESS_ANNOTATION],
        'edit',
      )
    })

    it('by having a pod run as another', async () => {
      const deployments = '/apis/apps/v1/namespaces/default/deployments'
      isRefused(
        await face.send('POST', PODS, { body: podOf('admin'), token }),
        /cannot use the ServiceAccount default\/admin, which has access "admin"/,
      )
      isRefused(
        await face.send('PATCH', `${PODS}/p?fieldManager=x`, {
          body: JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...podOf('admin') }),
          type: 'application/apply-patch+yaml',
          token,
        }),
        /cannot use/,
      )
      isRefused(await face.send('POST', deployments, { body: deploymentOf('admin'), token }), /cannot use/)
      isRefused(
        await face.send('POST', '/apis/apps/v1/namespaces/default/replicasets', { body: deploymentOf('admin'), token }),
        /cannot use/,
      )
      assert.equal((await face.send('POST', deployments, { body: deploymentOf('edit'), token })).status, 201)
      isRefused(
        await face.send('PATCH', `${deployments}/d`, {
          body: { spec: { template: { spec: { serviceAccountName: 'admin' } } } },
          type: 'application/merge-patch+json',
          token,
        }),
        /cannot use/,
      )
      // What runs as a more powerful one already is not to be changed either: another image would have its token.
      assert.equal((await face.send('POST', deployments, { body: deploymentOf('admin', 'strong') })).status, 201)
      isRefused(
        await face.send('PATCH', `${deployments}/strong`, {
          body: { spec: { template: { spec: { containers: [{ name: 'c', image: 'mine' }] } } } },
          type: 'application/strategic-merge-patch+json',
          token,
        }),
        /cannot use/,
      )
      isRefused(
        await face.send('PATCH', `${deployments}/strong`, {
          body: {
            spec: { template: { spec: { serviceAccountName: 'edit', containers: [{ name: 'c', image: 'mine' }] } } },
          },
          type: 'application/strategic-merge-patch+json',
          token,
        }),
        /cannot use/,
      )
      assert.equal((await face.send('POST', PODS, { body: podOf('admin', 'strong') })).status, 201)
      isRefused(
        await face.send('PATCH', `${PODS}/strong`, {
          body: { spec: { containers: [{ name: 'c', image: 'mine' }] } },
          type: 'application/strategic-merge-patch+json',
          token,
        }),
        /cannot use/,
      )
      for (const body of [podOf('edit', 'a'), podOf('default', 'b'), podOf(undefined, 'c')])
        assert.equal((await face.send('POST', PODS, { body, token })).status, 201)
    })

    it('by entering the pods of others', async () => {
      await face.send('POST', PODS, { body: podOf('admin', 'strong') })
      await face.reads.current()
      for (const [method, subresource] of [
        ['POST', 'exec?command=sh'],
        ['GET', 'attach'],
        ['GET', 'portforward'],
        ['GET', 'proxy'],
        ['POST', 'proxy/x'],
        ['GET', 'proxy/'],
        ['PATCH', 'ephemeralcontainers'],
      ] as const) {
        isRefused(
          await face.send(method, `${PODS}/strong/${subresource}`, {
            token,
            ...(method === 'PATCH' && { body: {}, type: 'application/merge-patch+json' }),
          }),
          /the pod runs as one with access "admin"/,
        )
      }
    })

    it('by a Secret that holds a token', async () => {
      const { status, json } = await face.send('POST', '/api/v1/namespaces/default/secrets', {
        body: {
          metadata: { name: 's', annotations: { 'kubernetes.io/service-account.name': 'admin' } },
          type: 'kubernetes.io/service-account-token',
        },
        token,
      })
      assert.equal(status, 422)
      assert.match(json.message, /kubectl create token/)
    })
  })
})
