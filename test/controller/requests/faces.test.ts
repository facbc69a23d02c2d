import assert from 'node:assert/strict'
import { ADMINISTRATOR, BothFaces, CALLERS, grpcResult, kubeResult, type Asked, type Caller } from './both-faces.ts'
import { cronTabs } from '../custom/plane.ts'
import { FakePodStreams } from '../kube/streams/fixture.ts'
import type { Backends, PodBackend } from '../../../controller/requests/backends.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { JsonObject, ObjectBytes, WatchRequest } from '../../../proto/gen/types.ts'

const CONTEXT = { fieldManager: 'test' }
const POD_SPEC: JsonObject = { containers: [{ name: 'main', image: 'busybox' }] }
const TEMPLATE: JsonObject = { metadata: { labels: { a: 'b' } }, spec: POD_SPEC }

/** A kind to ask for: what its objects hold, and, where one refuses it, what they may not. */
interface AskedKind {
  readonly apiVersion: string
  readonly kind: string
  readonly namespaced?: false
  readonly content: JsonObject
  readonly status?: JsonObject
}

const KINDS: readonly AskedKind[] = [
  { apiVersion: 'v1', kind: 'ConfigMap', content: { data: { a: '1' } } },
  { apiVersion: 'v1', kind: 'Secret', content: { data: { a: 'MQ==' } } },
  { apiVersion: 'v1', kind: 'Pod', content: { spec: POD_SPEC }, status: { phase: 'Running' } },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    content: { spec: { selector: { matchLabels: { a: 'b' } }, template: TEMPLATE } },
    status: { replicas: 1 },
  },
  { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', content: { spec: { holderIdentity: 'x' } } },
  { apiVersion: 'v1', kind: 'ServiceAccount', content: {} },
  { apiVersion: 'v1', kind: 'Node', namespaced: false, content: {}, status: {} },
  { apiVersion: 'v1', kind: 'Namespace', namespaced: false, content: {}, status: {} },
  {
    apiVersion: 'stable.example.com/v1',
    kind: 'CronTab',
    content: { spec: { cronSpec: '* * * * */5' } },
    status: { replicas: 1 },
  },
]

describe('both faces: what is asked of either is answered alike', () => {
  let both: BothFaces

  before(async () => {
    both = await BothFaces.start({
      parts: {
        pods: new FakePodStreams() as unknown as PodBackend,
        events: { list: async () => ({ events: [], after: 0 }), read: async function* () {} } as Partial<
          Backends['events']
        >,
        usage: { of: async () => ({ time: 0, windowMillis: 1, machine: undefined, pods: [] }) } as never,
        nodePages: { read: async () => ({ code: 200, contentType: 'text/plain', body: Buffer.from('page') }) },
        cluster: { version: '1', controller: 'c1', leader: () => 'c1', why: () => ({ summary: 'because' }) },
      },
    })
    const { api } = both.face
    await api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'other' } }, CONTEXT)
    await api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'kube-node-lease' } }, CONTEXT)
    await both.define(cronTabs())
    for (const kind of KINDS)
      for (const namespace of kind.namespaced === false ? [''] : ['default', 'other']) {
        const made = await both.make({
          ...asked(kind, 'create', 'there', namespace),
          body: objectOf(kind, 'there', namespace),
        })
        assert.equal(made.code, 'OK', `${kind.kind} ${JSON.stringify(made)}`)
      }
    await both.face.reads.current()
  })

  after(() => both.stop())

  function asked(kind: AskedKind, verb: Asked['verb'], name: string, namespace: string): Asked {
    return { verb, apiVersion: kind.apiVersion, kind: kind.kind, namespace, name }
  }

  function objectOf({ content }: AskedKind, name: string, namespace: string): JsonObject {
    return { metadata: { name, ...(namespace !== '' && { namespace }) }, ...content }
  }

  /** Everything that is asked of a kind in a namespace, by what of it matters to the answer. */
  function* questions(kind: AskedKind, namespace: string): Generator<Asked> {
    for (const name of ['there', 'absent']) {
      const of = (verb: Asked['verb']): Asked => asked(kind, verb, name, namespace)
      yield of('get')
      const body = objectOf(kind, name, namespace)
      yield { ...of('create'), body }
      yield { ...of('update'), body }
      yield { ...of('update'), body: { ...body, metadata: { ...(body['metadata'] as object), resourceVersion: '1' } } }
      if (kind.status !== undefined) yield { ...of('status'), body: { ...body, status: kind.status } }
      yield { ...of('patch'), body: { metadata: { labels: { x: 'y' } } } }
      yield { ...of('patch'), body: { metadata: { name: 'else' } } }
      yield { ...of('apply'), body: objectOf(kind, name, namespace) }
      yield { ...of('apply'), body: { ...body, nonsense: true } }
      yield of('delete')
      if (kind.kind === 'Pod') yield of('evict')
    }
    const list = asked(kind, 'list', '', namespace)
    yield list
    yield { ...list, labelSelector: 'a=b' }
    yield { ...list, labelSelector: 'a==' + '=' }
    yield { ...list, fieldSelector: 'metadata.name=there' }
    yield { ...list, fieldSelector: 'spec.nothing=1' }
    yield { ...list, limit: 1 }
    yield { ...list, limit: -1 }
    yield { ...list, continue: 'nonsense' }
  }

  const told = ({ verb, kind, namespace, name, body, ...more }: Asked): string =>
    `${verb} ${kind} ${namespace}/${name} ${JSON.stringify(body ?? '')} ${JSON.stringify(more)}`

  for (const [who, caller] of CALLERS)
    for (const kind of KINDS)
      it(`${kind.kind} for ${who}`, async () => {
        const namespaces = kind.namespaced === false ? [''] : ['default', 'other', '']
        let refused = 0
        let count = 0
        for (const namespace of namespaces)
          for (const question of questions(kind, namespace)) {
            // Only lists are of all namespaces.
            if (namespace === '' && kind.namespaced !== false && question.verb !== 'list') continue
            const [kube, grpc] = [await both.kube(caller, question), await both.grpc(caller, question)]
            assert.equal(grpc.code, kube.code, told(question))
            assert.deepEqual(settled(grpc.answer), settled(kube.answer), told(question))
            count++
            if (kube.code === 'Forbidden') refused++
          }
        const expected = expectedRefusals(caller, kind)
        if (expected !== undefined) assert.equal(refused === count ? 'all' : refused === 0 ? 'none' : 'some', expected)
      })

  describe('watches', () => {
    const collection = '/api/v1/namespaces/default/configmaps'
    const request = (more: Partial<WatchRequest> = {}): WatchRequest => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      namespace: 'default',
      labelSelector: 'on=yes',
      fieldSelector: '',
      resourceVersion: '',
      bookmarks: false,
      ...more,
    })
    const set = async (name: string, labels: JsonObject, value: string): Promise<void> => {
      const body = { metadata: { labels }, data: { value } }
      await both.http(ADMINISTRATOR, 'PATCH', `${collection}/${name}`, body, 'application/merge-patch+json')
    }
    const bodyOf = (name: string, labels: JsonObject): JsonObject => ({ metadata: { name, labels }, data: {} })

    for (const from of ['what is there', 'a revision'] as const)
      it(`from ${from}`, async () => {
        const ended = new AbortController()
        const name = from === 'a revision' ? 'second' : 'first'
        await both.http(ADMINISTRATOR, 'POST', collection, bodyOf(`${name}-present`, { on: 'yes' }))
        const listed = (await both.http(ADMINISTRATOR, 'GET', collection)).json.metadata.resourceVersion as string
        const resourceVersion = from === 'a revision' ? listed : ''
        const query = `watch=1&labelSelector=on%3Dyes&resourceVersion=${resourceVersion}`
        const frames = await both.face.watch(`${collection}?${query}`)
        const call = { ...both.call(ADMINISTRATOR), signal: ended.signal }
        const events = both.resources.watch(request({ resourceVersion }), call)
        // It begins with its first event: what is there. From a revision on nothing is missed, whenever it begins.
        if (resourceVersion === '') await events.next()
        await both.http(ADMINISTRATOR, 'POST', collection, bodyOf(name, { on: 'no' }))
        await set(name, { on: 'yes' }, '1')
        await set(name, { on: 'yes' }, '2')
        await set(name, { on: 'no' }, '3')
        await set(name, { on: 'yes' }, '4')
        await both.http(ADMINISTRATOR, 'DELETE', `${collection}/${name}`)
        const own = (object: { metadata: { name: string; resourceVersion: string } }): boolean =>
          object.metadata.name === name
        const kube: string[] = []
        while (kube.length < 5) {
          const { type, object } = (await frames.next())!
          if (own(object)) kube.push(`${type} ${object.metadata.resourceVersion} ${object.data.value}`)
        }
        const grpc: string[] = []
        while (grpc.length < 5) {
          const { value } = await events.next()
          const { type, object } = value as { type: string; object: ObjectBytes }
          const read = both.shown(object) as {
            metadata: { name: string; resourceVersion: string }
            data: { value: string }
          }
          if (own(read)) grpc.push(`${type} ${read.metadata.resourceVersion} ${read.data.value}`)
        }
        assert.deepEqual(grpc, kube)
        assert.deepEqual(
          kube.map((line) => line.replace(/ \d+ /, ' ')),
          ['ADDED 1', 'MODIFIED 2', 'DELETED 2', 'ADDED 4', 'DELETED 4'],
        )
        frames.close()
        ended.abort(new GantryError('Cancelled', 'the test is over'))
      })

    it('are refused alike', async () => {
      for (const [who, caller] of CALLERS)
        for (const more of [
          {},
          { labelSelector: 'on==' + '=' },
          { fieldSelector: 'spec.nothing=1' },
          { resourceVersion: 'nonsense' },
          { namespace: '' },
          { apiVersion: 'v1', kind: 'Secret' },
        ] as Partial<WatchRequest>[]) {
          const ended = new AbortController()
          const asked = request(more)
          const path = `/api/v1${asked.namespace === '' ? '' : '/namespaces/default'}/${asked.kind === 'Secret' ? 'secrets' : 'configmaps'}`
          const { labelSelector, fieldSelector, resourceVersion } = asked
          // One second, and it ends.
          const query = new URLSearchParams({
            watch: '1',
            timeoutSeconds: '1',
            labelSelector,
            fieldSelector,
            resourceVersion,
          })
          const answered = both.http(caller, 'GET', `${path}?${query}`)
          const kube = await both.face.passUntil(
            answered.then((reply) => (reply.status < 300 ? { code: 'OK' } : kubeResult(reply))),
          )
          const events = both.resources.watch(asked, { ...both.call(caller), signal: ended.signal })
          const grpc = await grpcResult(events.next().then(() => undefined))
          assert.equal(grpc.code, kube.code, `${JSON.stringify(more)} for ${who}`)
          ended.abort(new GantryError('Cancelled', 'the test is over'))
        }
    })
  })

  it('connections to pods, and what else is asked of them', async () => {
    const spec = { nodeName: 'n1', containers: [{ name: 'main', image: 'busybox' }] }
    await both.face.api.create<'Pod'>(
      { kind: 'Pod', metadata: { name: 'placed', namespace: 'default' }, spec },
      CONTEXT,
    )
    await both.face.reads.current()
    const start = { namespace: 'default', pod: 'placed', container: 'main' }
    for (const [who, caller] of CALLERS) {
      const call = both.call(caller)
      const pod = '/api/v1/namespaces/default/pods/placed'
      const rows: [
        what: string,
        path: string,
        method: string,
        grpc: () => AsyncIterable<unknown> | Promise<unknown>,
      ][] = [
        [
          'log',
          `${pod}/log`,
          'GET',
          () => both.pods.logs({ ...start, follow: false, previous: false, timestamps: false, sinceTime: '' }, call),
        ],
        [
          'exec',
          `${pod}/exec?command=true&stdout=1`,
          'POST',
          () =>
            both.pods.exec(
              only({
                input: {
                  case: 'start',
                  value: { ...start, command: ['exit'], stdin: false, tty: false, size: undefined },
                },
              }),
              call,
            ),
        ],
        [
          'attach',
          `${pod}/attach?stdout=1`,
          'POST',
          () =>
            both.pods.attach(
              only(
                {
                  input: {
                    case: 'attach',
                    value: { ...start, stdin: false, tty: false, size: undefined, fromStart: false },
                  },
                },
                { input: { case: 'stdinClosed', value: true } },
              ),
              call,
            ),
        ],
        [
          'usage of a node',
          '/apis/metrics.k8s.io/v1beta1/nodes/there',
          'GET',
          () => both.cluster.nodeUsage({ node: 'there' }, call),
        ],
        [
          'page of a node',
          '/api/v1/nodes/there/proxy/metrics',
          'GET',
          () => both.cluster.nodePage({ node: 'there', path: '/metrics' }, call),
        ],
        [
          'events',
          '/api/v1/namespaces/default/events',
          'GET',
          () =>
            both.cluster.events({ namespace: 'default', kind: '', name: '', since: '', follow: false, type: '' }, call),
        ],
        ['version', '/version', 'GET', () => both.cluster.version({}, call)],
      ]
      for (const [what, path, method, ask] of rows) {
        const kube = kubeResult(await both.http(caller, method, path))
        const grpc = await grpcResult(drained(ask()))
        // A connection that is let in is one to be upgraded.
        const outcome = (code: string): string => (code === 'Forbidden' ? 'refused' : 'let in')
        assert.equal(outcome(grpc.code), outcome(kube.code), `${what} for ${who}: ${grpc.code}, ${kube.code}`)
      }
    }
  })
})

/** Guards against a suite that refuses, or lets in, everybody: how much of what is asked is refused. */
function expectedRefusals(caller: Caller, { kind }: AskedKind): 'all' | 'some' | 'none' | undefined {
  if (caller === ADMINISTRATOR || caller.account === 'admin') return 'none'
  if (caller.account === undefined || caller.account === 'none') return kind === 'Namespace' ? undefined : 'all'
  if (kind === 'Node') return 'all'
  if (kind === 'ConfigMap' || (kind === 'Secret' && caller.account === 'edit')) return 'some'
  return undefined
}

/** Without what differs between two answers to the same question: uids and times of objects that are not stored. */
function settled(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer ?? null, (key, value: unknown) =>
      key === 'uid' || key === 'creationTimestamp' || key === 'time' || key === 'resourceVersion' ? undefined : value,
    ),
  )
}

async function* only<T>(...items: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* items
}

async function drained(work: AsyncIterable<unknown> | Promise<unknown>): Promise<unknown> {
  if (work instanceof Promise) return work
  for await (const _item of work) continue
  return undefined
}
