import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { connect } from 'node:tls'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { eventually } from '../../eventually.ts'
import { TestApiServer, type Reply, type Sent } from './test-api-server.ts'

const CONFIGS = '/api/v1/namespaces/default/configmaps'
const PODS = '/api/v1/namespaces/default/pods'
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'

const deployment = (name: string, spec: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'main', image: 'busybox' }] } },
    ...spec,
  },
})

interface Case {
  readonly what: string
  readonly send: readonly [method: string, path: string, sent?: Sent]
  readonly status: number
  readonly reason?: string
  readonly message?: RegExp
}

describe('Kubernetes face: writes', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
  })
  after(() => face.stop())

  async function check(cases: readonly Case[]): Promise<void> {
    for (const { what, send, status, reason, message } of cases) {
      const reply = await face.send(...send)
      assert.equal(reply.status, status, `${what}: ${reply.body.toString()}`)
      if (reason !== undefined) assert.equal(reply.json.reason, reason, what)
      if (message !== undefined) assert.match(reply.json.message as string, message, what)
    }
  }

  const ownersOf = ({ json }: Reply): string[] =>
    json.metadata.managedFields.map(({ manager, operation, subresource }: any) =>
      [manager, operation, subresource].filter(Boolean).join(' '),
    )

  describe('create', () => {
    it('makes objects, with a name, or one that it makes up', async () => {
      const made = await face.send('POST', CONFIGS, {
        body: {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'made', creationTimestamp: null },
          data: { a: '1' },
        },
      })
      assert.deepEqual(
        [made.status, made.json.kind, made.json.metadata.namespace, made.json.data],
        [201, 'ConfigMap', 'default', { a: '1' }],
      )
      const bare = await face.send('POST', CONFIGS, { body: { metadata: { generateName: 'bare-' } } })
      assert.equal(bare.status, 201)
      assert.match(bare.json.metadata.name as string, /^bare-[a-z0-9]{5}$/)
      const yaml = await face.send('POST', CONFIGS, { type: 'application/yaml', body: 'metadata:\n  name: yaml\n' })
      assert.equal(yaml.status, 201)
      const cluster = await face.send('POST', '/api/v1/namespaces', { body: { metadata: { name: 'other' } } })
      assert.equal(cluster.status, 201)
    })

    it('knows programs by their name, and managers by theirs', async () => {
      const kubectl = await face.send('POST', CONFIGS, {
        body: { metadata: { name: 'own1' }, data: { a: '1' } },
        headers: { 'User-Agent': 'kubectl/v1.32.0 (linux/amd64) kubernetes/abc' },
      })
      assert.deepEqual(ownersOf(kubectl), ['kubectl Update'])
      assert.deepEqual(
        ownersOf(
          await face.send('POST', `${CONFIGS}?fieldManager=me`, {
            body: { metadata: { name: 'own2' }, data: { a: '1' } },
          }),
        ),
        ['me Update'],
      )
    })

    it('makes nothing on a dry run', async () => {
      const dry = await face.send('POST', `${CONFIGS}?dryRun=All`, { body: { metadata: { name: 'dry' } } })
      assert.deepEqual([dry.status, dry.json.metadata.name], [201, 'dry'])
      assert.equal((await face.get(`${CONFIGS}/dry`)).status, 404)
    })

    it('takes what is null or empty as absent', async () => {
      const { status, json } = await face.send('POST', `${DEPLOYMENTS}?fieldValidation=Strict`, {
        body: {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { creationTimestamp: null, name: 'empty' },
          status: {},
          spec: {
            strategy: {},
            selector: { matchLabels: { app: 'empty' } },
            template: {
              metadata: { creationTimestamp: null, labels: { app: 'empty' } },
              spec: { containers: [{ name: 'main', image: 'busybox', resources: {} }] },
            },
          },
        },
      })
      assert.equal(status, 201, JSON.stringify(json))
      assert.equal(json.spec.strategy.type, 'RollingUpdate')
    })

    it("refuses what is wrong, with Kubernetes' words", async () => {
      await face.send('POST', CONFIGS, { body: { metadata: { name: 'taken' } } })
      await check([
        {
          what: 'a name that is taken',
          send: ['POST', CONFIGS, { body: { metadata: { name: 'taken' } } }],
          status: 409,
          reason: 'AlreadyExists',
          message: /^configmaps "taken" already exists$/,
        },
        {
          what: 'another kind',
          send: ['POST', CONFIGS, { body: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' } } }],
          status: 400,
          reason: 'BadRequest',
          message: /must be of type ConfigMap\): it is a "Pod"/,
        },
        {
          what: 'another version',
          send: ['POST', DEPLOYMENTS, { body: { ...deployment('x'), apiVersion: 'apps/v1beta1' } }],
          status: 400,
          reason: 'BadRequest',
          message: /apps\/v1beta1\) does not match the expected API version \(apps\/v1\)/,
        },
        {
          what: 'another namespace',
          send: ['POST', CONFIGS, { body: { metadata: { name: 'x', namespace: 'other' } } }],
          status: 400,
          reason: 'BadRequest',
          message: /does not match the namespace sent/,
        },
        {
          what: 'a namespace where there is none',
          send: ['POST', '/api/v1/namespaces', { body: { metadata: { name: 'x', namespace: 'default' } } }],
          status: 400,
          reason: 'BadRequest',
        },
        {
          what: 'a namespace that does not exist',
          send: ['POST', '/api/v1/namespaces/nowhere/configmaps', { body: { metadata: { name: 'x' } } }],
          status: 404,
          reason: 'NotFound',
          message: /^namespaces "nowhere" not found$/,
        },
        { what: 'no name', send: ['POST', CONFIGS, { body: { metadata: {} } }], status: 422, reason: 'Invalid' },
        {
          what: 'a version',
          send: ['POST', CONFIGS, { body: { metadata: { name: 'x', resourceVersion: '5' } } }],
          status: 422,
          reason: 'Invalid',
        },
        {
          what: 'a missing field',
          send: ['POST', PODS, { body: { metadata: { name: 'x' }, spec: { containers: [{ name: 'main' }] } } }],
          status: 422,
          reason: 'Invalid',
          message: /^Pod "x" is invalid: spec\.containers\[0\]\.image: Required value/,
        },
        {
          what: 'a field of another type',
          send: ['POST', DEPLOYMENTS, { body: deployment('x', { replicas: 'three' }) }],
          status: 400,
          reason: 'BadRequest',
          message: /^Deployment in version "v1" cannot be handled as a Deployment: spec\.replicas: "three" is a string/,
        },
        {
          what: 'all namespaces',
          send: ['POST', '/api/v1/configmaps', { body: { metadata: { name: 'x' } } }],
          status: 405,
          reason: 'MethodNotAllowed',
        },
        {
          what: 'another dry run',
          send: ['POST', `${CONFIGS}?dryRun=Some`, { body: { metadata: { name: 'x' } } }],
          status: 422,
          reason: 'Invalid',
          message: /CreateOptions\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value: "Some"/,
        },
        {
          what: 'another validation',
          send: ['POST', `${CONFIGS}?fieldValidation=Lax`, { body: { metadata: { name: 'x' } } }],
          status: 422,
          reason: 'Invalid',
          message: /fieldValidation: Unsupported value/,
        },
        {
          what: 'a long manager',
          send: ['POST', `${CONFIGS}?fieldManager=${'x'.repeat(129)}`, { body: { metadata: { name: 'x' } } }],
          status: 422,
          reason: 'Invalid',
          message: /fieldManager: Too long/,
        },
        { what: 'no body', send: ['POST', CONFIGS], status: 400, reason: 'BadRequest' },
        { what: 'a list', send: ['POST', CONFIGS, { body: '[]' }], status: 400, reason: 'BadRequest' },
        {
          what: 'another content type',
          send: ['POST', CONFIGS, { body: 'x', type: 'text/plain' }],
          status: 415,
          reason: 'UnsupportedMediaType',
        },
      ])
    })
  })

  describe('field validation', () => {
    const pod = (name: string, text: string) =>
      `{"metadata":{"name":"${name}"},"spec":{${text},"containers":[{"name":"main","image":"busybox"}]}}`

    it('warns of what is too much where nothing is said, and leaves it out', async () => {
      const { status, headers, json } = await face.send('POST', PODS, {
        body: pod(
          'warned',
          '"hostPid":true,"runtimeClassName":"gvisor","restartPolicy":"Never","restartPolicy":"Always"',
        ),
      })
      assert.equal(status, 201)
      assert.match(headers.warning as string, /299 - "unknown field \\"spec\.hostPid\\"/)
      assert.match(headers.warning as string, /299 - "duplicate field \\"spec\.restartPolicy\\"/)
      assert.match(
        headers.warning as string,
        /299 - "spec\.runtimeClassName: Kubernetes has it, Gantry does not act on it yet/,
      )
      assert.deepEqual([json.spec.restartPolicy, json.spec.runtimeClassName], ['Always', undefined])
    })

    it('refuses all of it under Strict and is silent under Ignore', async () => {
      await check([
        {
          what: 'unknown',
          send: ['POST', `${PODS}?fieldValidation=Strict`, { body: pod('x', '"hostPid":true') }],
          status: 400,
          reason: 'BadRequest',
          message:
            /^Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec\.hostPid"/,
        },
        {
          what: 'twice',
          send: [
            'POST',
            `${PODS}?fieldValidation=Strict`,
            { body: pod('x', '"restartPolicy":"Never","restartPolicy":"Always"') },
          ],
          status: 400,
          message: /strict decoding error: duplicate field "spec\.restartPolicy"/,
        },
        {
          what: 'unknown and twice',
          send: [
            'POST',
            `${PODS}?fieldValidation=Strict`,
            { body: pod('x', '"restartPolicy":"Never","hostPid":true,"restartPolicy":"Always","dup":1,"dup":2') },
          ],
          status: 400,
          message:
            /strict decoding error: unknown field "spec\.hostPid", unknown field "spec\.dup", duplicate field "spec\.restartPolicy" \(spec\.hostPid: did you mean hostPID\?; [^()]*spec\.restartPolicy: keep one\)$/,
        },
        {
          what: 'not acted on',
          send: ['POST', `${PODS}?fieldValidation=Strict`, { body: pod('x', '"runtimeClassName":"gvisor"') }],
          status: 400,
          message: /strict decoding error: spec\.runtimeClassName: Kubernetes has it/,
        },
        {
          what: 'wrong otherwise',
          send: ['POST', `${PODS}?fieldValidation=Ignore`, { body: pod('x', '"restartPolicy":"Perhaps"') }],
          status: 422,
          reason: 'Invalid',
        },
      ])
      const { status, headers } = await face.send('POST', `${PODS}?fieldValidation=Ignore`, {
        body: pod('ignored', '"hostPid":true,"runtimeClassName":"gvisor"'),
      })
      assert.deepEqual([status, headers.warning], [201, undefined])
    })

    it('holds for updates and every kind of patch', async () => {
      await face.send('POST', CONFIGS, { body: { metadata: { name: 'validated' }, data: { a: '1' } } })
      const path = `${CONFIGS}/validated`
      const patches: readonly (readonly [type: string, body: unknown])[] = [
        ['application/merge-patch+json', { dada: {} }],
        ['application/strategic-merge-patch+json', { dada: {} }],
        ['application/json-patch+json', [{ op: 'add', path: '/dada', value: {} }]],
        ['application/apply-patch+yaml', { apiVersion: 'v1', kind: 'ConfigMap', dada: {} }],
      ]
      for (const [type, body] of patches) {
        const refused = await face.send('PATCH', `${path}?fieldValidation=Strict&fieldManager=m`, { type, body })
        assert.deepEqual([refused.status, refused.json.reason], [400, 'BadRequest'], type)
        assert.match(refused.json.message as string, /strict decoding error: unknown field "dada"/)
        const warned = await face.send('PATCH', `${path}?fieldManager=m`, { type, body })
        assert.equal(warned.status, 200, type)
        assert.match(warned.headers.warning as string, /unknown field \\"dada\\"/)
      }
      const put = await face.send('PUT', `${path}?fieldValidation=Strict`, { body: { dada: {} } })
      assert.equal(put.status, 400)
    })
  })

  describe('update', () => {
    it('replaces an object, of the version that was read or of any', async () => {
      const { json: made } = await face.send('POST', DEPLOYMENTS, { body: deployment('updated') })
      const path = `${DEPLOYMENTS}/updated`
      const first = await face.send('PUT', path, { body: { ...made, spec: { ...made.spec, replicas: 2 } } })
      assert.deepEqual([first.status, first.json.spec.replicas, first.json.metadata.generation], [200, 2, 2])
      const stale = await face.send('PUT', path, { body: { ...made, spec: { ...made.spec, replicas: 3 } } })
      assert.deepEqual([stale.status, stale.json.reason], [409, 'Conflict'])
      assert.match(
        stale.json.message as string,
        /^Operation cannot be fulfilled on deployments\.apps "updated": the object has been modified/,
      )
      const any = await face.send('PUT', path, { body: deployment('updated', { replicas: 4 }) })
      assert.deepEqual([any.status, any.json.spec.replicas], [200, 4])
      const dry = await face.send('PUT', `${path}?dryRun=All`, { body: deployment('updated', { replicas: 5 }) })
      assert.deepEqual([dry.status, dry.json.spec.replicas, (await face.get(path)).json.spec.replicas], [200, 5, 4])
      await check([
        {
          what: 'what is not there',
          send: ['PUT', `${DEPLOYMENTS}/nothing`, { body: deployment('nothing') }],
          status: 404,
          reason: 'NotFound',
        },
        {
          what: 'another name',
          send: ['PUT', path, { body: deployment('other') }],
          status: 400,
          reason: 'BadRequest',
          message: /the name of the object \(other\) does not match the name on the URL \(updated\)/,
        },
        {
          what: 'another uid',
          send: ['PUT', path, { body: { ...deployment('updated'), metadata: { name: 'updated', uid: 'other' } } }],
          status: 409,
          reason: 'Conflict',
        },
        {
          what: 'what may not change',
          send: [
            'PUT',
            path,
            {
              body: deployment('updated', {
                selector: { matchLabels: { app: 'x' } },
                template: {
                  metadata: { labels: { app: 'x' } },
                  spec: { containers: [{ name: 'main', image: 'busybox' }] },
                },
              }),
            },
          ],
          status: 422,
          reason: 'Invalid',
        },
      ])
    })

    it('keeps whose the fields are, clears it when it is told to, and takes what a client says', async () => {
      const path = `${CONFIGS}/owned`
      await face.send('POST', `${CONFIGS}?fieldManager=one`, {
        body: { metadata: { name: 'owned' }, data: { a: '1' } },
      })
      const two = await face.send('PUT', `${path}?fieldManager=two`, {
        body: { data: { a: '1', b: '2' }, metadata: { managedFields: [] } },
      })
      assert.deepEqual(ownersOf(two), ['one Update', 'two Update'])
      const cleared = await face.send('PATCH', `${path}?fieldManager=three`, {
        type: 'application/merge-patch+json',
        body: { metadata: { managedFields: [{}] } },
      })
      assert.deepEqual([cleared.status, cleared.json.metadata.managedFields], [200, undefined])
      const migrated = [
        {
          manager: 'kubectl',
          operation: 'Apply',
          apiVersion: 'v1',
          time: '2026-01-01T00:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:data': { 'f:a': {} } },
        },
      ]
      const taken = await face.send('PATCH', path, {
        type: 'application/json-patch+json',
        body: [
          { op: 'add', path: '/metadata/managedFields', value: migrated },
          { op: 'replace', path: '/metadata/resourceVersion', value: cleared.json.metadata.resourceVersion },
        ],
      })
      assert.deepEqual(ownersOf(taken), ['kubectl Apply'])
      const wrong = await face.send('PATCH', path, {
        type: 'application/merge-patch+json',
        body: { metadata: { managedFields: [{ manager: 'x', operation: 'Update', fieldsV1: { 'k:{': {} } }] } },
      })
      assert.deepEqual([wrong.status, wrong.json.details.causes[0].field], [422, 'metadata.managedFields[0].fieldsV1'])
    })
  })

  describe('in doubt', () => {
    let own: TestApiServer | undefined
    /** Called with what was written, before that is known. */
    let written: () => Promise<void> | void = () => undefined
    const commits: Pick<GroupCommit, 'writeAll'> = {
      async writeAll(operations, term) {
        const result = await new GroupCommit(own!.store).writeAll(operations, term)
        await written()
        return result
      },
    }

    beforeEach(async () => {
      own = await TestApiServer.start({ core: { commits }, plugins: (made) => ((own = made), []) })
    })
    afterEach(async () => {
      written = () => undefined
      await own!.stop()
    })

    it('are those that lost the store: they are left to the user, for clients would try them again unseen, and do it twice', async () => {
      written = () => Promise.reject(new GantryError('Unavailable', 'etcd: Deadline exceeded'))
      const { status, headers, json } = await own!.send('POST', CONFIGS, {
        body: { metadata: { generateName: 'made-' } },
      })
      assert.deepEqual(
        [status, json.reason, headers['retry-after'], json.details.retryAfterSeconds],
        [504, 'Timeout', undefined, undefined],
      )
      assert.match(
        json.message as string,
        /^etcd: Deadline exceeded; whether the change was made is not known: look at the object, then try again$/,
      )
      await eventually(async () => assert.equal(((await own!.get(CONFIGS)).json.items as object[]).length, 1))
    })

    it('are not those under way when the server stops: they are done first, while who watches goes at once', async () => {
      const frames = await own!.watch(`${CONFIGS}?watch=true`)
      let goOn = (): void => undefined
      const begun = new Promise<void>((resolve) => {
        written = () =>
          new Promise((done) => {
            goOn = done
            resolve()
          })
      })
      const made = own!.send('POST', CONFIGS, { body: { metadata: { name: 'made' } } })
      await begun
      const stopped = own!.stopServing()
      while ((await frames.next()) !== undefined);
      goOn()
      assert.equal((await made).status, 201)
      await own!.passUntil(stopped)
    })

    it('are not those that come while the server stops, on a connection that it had accepted: that is closed after them', async () => {
      let goOn = (): void => undefined
      const begun = new Promise<void>((resolve) => {
        written = () =>
          new Promise((done) => {
            goOn = done
            resolve()
          })
      })
      const [host, port] = own!.address.split(':') as [string, string]
      const socket = connect({ host, port: Number(port), ...(await own!.client('anna', ['system:masters'])) })
      await once(socket, 'secureConnect')
      const made = own!.send('POST', CONFIGS, { body: { metadata: { name: 'made' } } })
      await begun
      const stopped = own!.stopServing()
      const closed = text(socket)
      socket.write('GET /version HTTP/1.1\r\nhost: here\r\n\r\n')
      assert.match(await closed, /^HTTP\/1\.1 200 OK\r\n(?:.*\r\n)*connection: close\r\n/i)
      goOn()
      assert.equal((await made).status, 201)
      await own!.passUntil(stopped)
    })
  })

  describe('secrets', () => {
    it('hold plain text as data', async () => {
      const { json } = await face.send('POST', '/api/v1/namespaces/default/secrets', {
        body: { metadata: { name: 's' }, stringData: { password: 'x' } },
      })
      assert.deepEqual([json.type, json.data, json.stringData], ['Opaque', { password: 'eA==' }, undefined])
    })
  })
})
