import assert from 'node:assert/strict'
import { finished } from 'node:stream/promises'
import { ACCESS_ANNOTATION, ACCESS_LEVELS } from '../../../proto/objects/account-access.ts'
import type { PodStreams } from '../../../controller/dispatch/pod-streams.ts'
import { TestApiServer, type Sent } from './test-api-server.ts'
import { FakePodStreams } from './streams/fixture.ts'

const CONTEXT = { fieldManager: 'test' }
const AUTHORIZATION = '/apis/authorization.k8s.io/v1'

/** One thing that somebody may want to do. */
interface Wish {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
}

/** The request that asks for it. No request changes anything: what it names is not there, or its body says nothing. */
interface Request {
  readonly method: string
  readonly path: string
  readonly sent: Sent
}

const METHODS: Readonly<Record<string, readonly [method: string, query?: string]>> = {
  get: ['GET'],
  list: ['GET'],
  watch: ['GET', 'watch=1'],
  create: ['POST'],
  update: ['PUT'],
  patch: ['PATCH'],
  delete: ['DELETE'],
  deletecollection: ['DELETE', 'fieldSelector=metadata.name%3Dnothing'],
}
const ON_COLLECTIONS: ReadonlySet<string> = new Set(['list', 'watch', 'create', 'deletecollection'])

describe('Kubernetes face: what reviews say of access is what happens', () => {
  let face: TestApiServer
  let wishes: readonly Wish[]

  before(async () => {
    face = await TestApiServer.start({
      admission: true,
      parts: {
        pods: new FakePodStreams() as unknown as PodStreams,
        usage: { pods: () => Promise.resolve([]), nodes: () => Promise.resolve([]) } as never,
      },
    })
    for (const access of ACCESS_LEVELS) {
      await face.api.create<'ServiceAccount'>(
        {
          kind: 'ServiceAccount',
          metadata: { name: access, namespace: 'default', annotations: { [ACCESS_ANNOTATION]: access } },
        },
        CONTEXT,
      )
    }
    await face.api.create<'ServiceAccount'>(
      { kind: 'ServiceAccount', metadata: { name: 'plain', namespace: 'default' } },
      CONTEXT,
    )
    await face.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'shop' } }, CONTEXT)
    await face.reads.current()
    wishes = await served()
  })

  after(() => face.stop())

  /**
   * Every verb of every resource and subresource that discovery tells of, in the account's namespace and in another.
   */
  async function served(): Promise<Wish[]> {
    const groups = (await face.get('/apis')).json.groups as { preferredVersion: { groupVersion: string } }[]
    const found: Wish[] = []
    for (const place of [
      '/api/v1',
      ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
    ]) {
      const { groupVersion, resources } = (await face.get(place)).json as {
        groupVersion: string
        resources: { name: string; namespaced: boolean; verbs: string[] }[]
      }
      const group = groupVersion.includes('/') ? groupVersion.split('/')[0]! : ''
      for (const { name: full, namespaced, verbs } of resources) {
        const [resource, subresource = ''] = full.split('/') as [string, string?]
        for (const verb of verbs) {
          const name = subresource === '' && ON_COLLECTIONS.has(verb) ? '' : 'nothing'
          for (const namespace of !namespaced
            ? ['']
            : verb === 'get' || verb === 'create'
              ? ['default', 'shop']
              : ['default'])
            found.push({ verb, group, resource, subresource, namespace, name })
        }
      }
    }
    return found
  }

  async function requestOf(wish: Wish): Promise<Request> {
    const { group, resource, subresource, namespace, name, verb } = wish
    const version = group === '' ? 'v1' : ((await face.get(`/apis/${group}`)).json.preferredVersion.version as string)
    const [method, query = ''] = METHODS[verb]!
    const steps = [
      group === '' ? `/api/${version}` : `/apis/${group}/${version}`,
      ...(namespace === '' ? [] : ['namespaces', namespace]),
      resource,
      name,
      subresource,
    ].filter((step) => step !== '')
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    return {
      method,
      path: `${steps.join('/')}${query === '' ? '' : `?${query}`}`,
      sent: method === 'GET' || method === 'DELETE' ? {} : { body: {}, type },
    }
  }

  /** Whether the request is let in: what becomes of it then is another matter. */
  async function happens(wish: Wish, token: string): Promise<boolean> {
    const { method, path, sent } = await requestOf(wish)
    const message = await face.open(method, path, { ...sent, token })
    // A watch goes on; what ends is read, so that the next request finds the connection.
    if (wish.verb === 'watch' && message.statusCode === 200) message.destroy()
    else await finished(message.resume())
    assert.notEqual(message.statusCode, 401, path)
    return message.statusCode !== 403
  }

  for (const level of [...ACCESS_LEVELS, 'plain'] as const) {
    it(`for an account with access ${level === 'plain' ? 'that is not said' : level}`, async () => {
      const user = `system:serviceaccount:default:${level}`
      const token = (
        await face.send('POST', `/api/v1/namespaces/default/serviceaccounts/${level}/token`, { body: { spec: {} } })
      ).json.status.token as string
      const allowed = async (path: string, spec: object, sent: Sent = {}): Promise<boolean> => {
        const { status, json } = await face.send('POST', path, { body: { spec }, ...sent })
        assert.equal(status, 201, JSON.stringify(json))
        return json.status.allowed as boolean
      }
      assert.ok(wishes.length > 250, 'discovery tells of what is served')
      const verdicts = new Set<boolean>()
      for (const wish of wishes) {
        const spec = { resourceAttributes: wish }
        const local = `${AUTHORIZATION}/namespaces/${wish.namespace}/localsubjectaccessreviews`
        const answers = await Promise.all([
          happens(wish, token),
          allowed(`${AUTHORIZATION}/selfsubjectaccessreviews`, spec, { token }),
          allowed(`${AUTHORIZATION}/subjectaccessreviews`, { ...spec, user }),
          ...(wish.namespace === '' ? [] : [allowed(local, { ...spec, user })]),
        ])
        // What happens, and what the reviews of oneself, of others, and of others in the namespace say.
        assert.equal(new Set(answers).size, 1, `${JSON.stringify(wish)}: ${JSON.stringify(answers)}`)
        verdicts.add(answers[0])
      }
      assert.deepEqual([...verdicts].sort(), level === 'admin' ? [true] : [false, true])
    })
  }

  it('for an account that a review names with some of its groups only', async () => {
    const spec = {
      resourceAttributes: { verb: 'create', group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews' },
      user: 'system:serviceaccount:default:none',
      groups: ['system:serviceaccounts'],
    }
    const { json } = await face.send('POST', `${AUTHORIZATION}/subjectaccessreviews`, { body: { spec } })
    assert.equal(json.status.allowed, true, JSON.stringify(json.status))
  })
})
