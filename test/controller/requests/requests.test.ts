import assert from 'node:assert/strict'
import { Registry } from 'prom-client'
import type { Attributes, Authorizer } from '../../../controller/authorization/authorizer.ts'
import { CONTROLLERS, MASTERS, NODES } from '../../../controller/authorization/groups.ts'
import type { PodBackend } from '../../../controller/requests/backends.ts'
import type { AuthorizedRequest } from '../../../controller/requests/authorized-request.ts'
import { NEWEST } from '../../../controller/requests/freshness.ts'
import { objectRequestInfo, type ObjectRequest, type RequestInfo } from '../../../controller/requests/request-info.ts'
import type { Requests } from '../../../controller/requests/requests.ts'
import { Selection } from '../../../controller/requests/selection.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { LogsRequest } from '../../../proto/gen/types.ts'
import { ApiBench, configDraft } from '../api/bench.ts'
import { testRequests } from './test-requests.ts'

const context = { fieldManager: 'tester' }
const anna = { name: 'anna', groups: [MASTERS] }
const agent = { name: 'system:node:n1', groups: [NODES] }

describe('the door', () => {
  let bench: ApiBench
  let requests: Requests
  let registry: Registry
  /** What the auditor was told. */
  let audited: string[]
  /** Verbs that are allowed, beside what an administrator may. */
  let allowed: (attributes: Attributes) => boolean
  let asked: Attributes[]

  beforeEach(async () => {
    bench = await ApiBench.start()
    registry = new Registry()
    audited = []
    asked = []
    allowed = () => false
    const authorizer: Authorizer = {
      decide(attributes) {
        asked.push(attributes)
        return attributes.user.groups.includes(MASTERS) || allowed(attributes)
          ? { allowed: true }
          : { allowed: false, reason: 'it is a test' }
      },
    }
    const { api, informer, reads, clock } = bench
    requests = testRequests({
      api,
      informer,
      reads,
      clock,
      registry,
      authorizer,
      auditor: {
        received: ({ verb }) => void audited.push(`received ${verb}`),
        completed: ({ verb }, { code }) => void audited.push(`completed ${verb} ${code}`),
      },
      pods: {
        logs: async function* ({ pod }: LogsRequest) {
          yield { data: Buffer.from(pod) }
        },
      } as unknown as PodBackend,
    })
  })
  afterEach(() => bench.stop())

  const info = (verb: string, more: Partial<ObjectRequest> = {}): RequestInfo =>
    objectRequestInfo({ face: 'grpc', user: anna, verb, kind: 'ConfigMap', namespace: 'default', name: 'c', ...more })
  const selection = (namespace: string | undefined): Selection => new Selection('ConfigMap', namespace, '', '')
  const handled = <T>(about: RequestInfo, work: (request: AuthorizedRequest) => Promise<T>): Promise<T> =>
    requests.handle(about, { peer: '10.0.0.1:1', signal: new AbortController().signal }, work)

  it('lets in who may, as the user who asks, and tells of each request twice', async () => {
    const made = await handled(info('create', { name: '' }), (request) => request.create(configDraft('c', {}), context))
    assert.equal(made.metadata.name, 'c')
    const shown = await handled(info('get'), (request) => request.get())
    assert.equal(shown.object.metadata.uid, made.metadata.uid)
    assert.deepEqual(audited, ['received create', 'completed create OK', 'received get', 'completed get OK'])
    assert.deepEqual(
      asked.map(({ user, verb, resource, namespace, name }) => [user.name, verb, resource, namespace, name]),
      [
        ['anna', 'create', 'configmaps', 'default', ''],
        ['anna', 'get', 'configmaps', 'default', 'c'],
      ],
    )
  })

  it('refuses who may not before anything is done, and counts what goes wrong', async () => {
    const carl = { name: 'carl', groups: [] }
    await assert.rejects(
      handled(info('get', { user: carl }), () => assert.fail('it is not let in')),
      { code: 'Forbidden', message: /"c" is forbidden: User "carl" cannot get resource "configmaps" .*: it is a test/ },
    )
    await assert.rejects(
      handled(info('get'), (request) => request.get()),
      { code: 'NotFound' },
    )
    await handled({ face: 'kube', user: carl, verb: 'get', path: '/healthz', open: true }, async () => undefined)
    assert.deepEqual(audited.slice(1, 4), ['completed get Forbidden', 'received get', 'completed get NotFound'])
    const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('gantry_requests_total'))
    assert.deepEqual(lines, [
      'gantry_requests_total{face="grpc",verb="get",group="",resource="configmaps",subresource="",code="Forbidden"} 1',
      'gantry_requests_total{face="grpc",verb="get",group="",resource="configmaps",subresource="",code="NotFound"} 1',
      'gantry_requests_total{face="kube",verb="get",group="",resource="",subresource="",code="OK"} 1',
    ])
  })

  it('lets a face do nothing but what was authorized', async () => {
    const list = { freshness: NEWEST, limit: undefined, continue: '' }
    const cases: [string, RequestInfo, (request: AuthorizedRequest) => Promise<unknown>][] = [
      ['another verb', info('get'), (request) => request.delete({}, context)],
      [
        'another namespace',
        info('create', { name: '' }),
        (r) => r.create(configDraft('c', {}, { namespace: 'x' }), context),
      ],
      ['another name', info('update'), (r) => r.update(configDraft('d', {}) as never, context)],
      ['another kind', info('create', { name: '', kind: 'Secret' }), (r) => r.create(configDraft('c', {}), context)],
      ['all namespaces', info('list', { name: '' }), (r) => r.list({ ...list, selection: selection(undefined) })],
      ['a list for a watch', info('watch', { name: '' }), (r) => r.list({ ...list, selection: selection('default') })],
      ['objects for a path', { face: 'kube', user: anna, verb: 'get', path: '/x' }, (r) => r.get()],
      [
        'another pod',
        info('get', { kind: 'Pod', name: 'a', subresource: 'log' }),
        async ({ pods }) =>
          pods.logs({ namespace: 'default', pod: 'b' } as LogsRequest, { signal: bench.clock as never, peer: '' }),
      ],
      [
        'a connection that is not admitted',
        info('create', { kind: 'Pod', name: 'a', subresource: 'exec' }),
        async ({ pods }) =>
          pods.exec(
            { input: { case: 'start', value: { namespace: 'default', pod: 'a' } as never } },
            (async function* () {})(),
            { signal: bench.clock as never, peer: '' },
          ),
      ],
      [
        "a node's session for the node",
        info('create', { kind: 'Node', namespace: '', name: 'n1' }),
        async (r) => r.openNodeSession((async function* () {})(), { signal: bench.clock as never, peer: '' }),
      ],
      [
        "a node's stream for its session",
        info('create', { kind: 'Node', namespace: '', name: 'n1', subresource: 'session', user: agent }),
        async (r) => r.openNodeStream((async function* () {})(), { signal: bench.clock as never }),
      ],
    ]
    for (const [what, about, work] of cases) await assert.rejects(handled(about, work), { code: 'Internal' }, what)
    assert.deepEqual(bench.writes, [])
  })

  it('takes a request as forwarded from controllers only', async () => {
    const forwarded = { kind: 'Pod', name: 'a', subresource: 'log', forwarded: true } as const
    const logs = async ({ pods }: AuthorizedRequest): Promise<string> => {
      const call = { signal: new AbortController().signal, peer: '' }
      for await (const { data } of pods.logs({ namespace: 'default', pod: 'a' } as LogsRequest, call))
        return Buffer.from(data!).toString()
      return ''
    }
    const controller = { name: 'system:controller:c2', groups: [CONTROLLERS] }
    assert.equal(await handled(info('get', { ...forwarded, user: controller }), logs), 'a')
    assert.deepEqual(asked, [], 'it has been authorized elsewhere')
    await assert.rejects(handled(info('get', { ...forwarded, user: { name: 'carl', groups: [] } }), logs), {
      code: 'Forbidden',
    })
    await assert.rejects(handled(info('get', { ...forwarded, forwarded: false, user: controller }), logs), {
      code: 'Forbidden',
    })
  })

  it('counts requests beyond those that may wait as refused, and gives seats back when requests are over', async () => {
    const { api, informer, reads, clock } = bench
    const level = { inFlight: 1, queueLength: 0, longRunning: 1 }
    const carl = { name: 'carl', groups: [] }
    const auditor = {
      received: () => undefined,
      completed: (_: unknown, { code }: { code: string }) => void audited.push(code),
    }
    const authorizer: Authorizer = { decide: () => ({ allowed: true }) }
    const priorityLevels = { ordinary: level, system: level }
    requests = testRequests({ api, informer, reads, clock, authorizer, auditor, priorityLevels })
    const about = info('list', { user: carl, name: '' })
    let end = (): void => undefined
    const first = new Promise<void>((resolve) => (end = resolve))
    const [exchange, work] = [{ peer: '', signal: new AbortController().signal }, async () => undefined]
    const under = requests.handle(about, exchange, () => first)
    await assert.rejects(requests.handle(about, exchange, work), { code: 'ResourceExhausted' })
    end()
    await under
    // A face that still holds something of a request keeps its seat.
    let release = (): void => assert.fail('it has no seat')
    await requests.handle(about, { ...exchange, holdSeat: (given) => (release = given) }, work)
    await assert.rejects(requests.handle(about, exchange, work), { code: 'ResourceExhausted' })
    release()
    await requests.handle(about, exchange, work)
    assert.deepEqual(audited, ['ResourceExhausted', 'OK', 'OK', 'ResourceExhausted', 'OK'])
  })

  it('begins nothing for a caller who has been told while it waited for its turn that the server stops', async () => {
    // What came first has taken long, so that what comes with it waits.
    await handled(info('list', { name: '' }), () => bench.clock.advance(20))
    const ended = new AbortController()
    const work = (): Promise<never> => assert.fail('it may be asked for again elsewhere')
    const exchange = { peer: '10.0.0.1:2', signal: ended.signal }
    const waiting = requests.handle(info('delete'), exchange, work)
    const stream = requests.stream(info('get', { kind: 'Pod', name: 'a', subresource: 'log' }), exchange, work).next()
    ended.abort(new GantryError('Unavailable', 'the server is stopping'))
    await assert.rejects(waiting, { code: 'Unavailable', message: 'the server is stopping' })
    await assert.rejects(stream, { code: 'Unavailable', message: 'the server is stopping' })
    assert.deepEqual(audited.slice(-2), ['completed delete Unavailable', 'completed get Unavailable'])
  })

  it('takes no seat of a controller for what that has let in', async () => {
    const { api, informer, reads, clock } = bench
    const level = { inFlight: 1, queueLength: 0, longRunning: 1 }
    requests = testRequests({ api, informer, reads, clock, priorityLevels: { ordinary: level, system: level } })
    const controller = { name: 'system:controller:c2', groups: [CONTROLLERS] }
    const exchange = { peer: '', signal: new AbortController().signal }
    for (const subresource of ['why', 'log']) {
      const about = info('get', { kind: 'Pod', name: 'a', subresource, forwarded: true, user: controller })
      let end = (): void => undefined
      const answer = new Promise<void>((resolve) => (end = resolve))
      const under = [1, 2, 3].map(() => requests.handle(about, exchange, () => answer))
      end()
      await Promise.all(under)
    }
  })

  it('counts a stream as done that its caller has left, and not one that something else has cancelled', async () => {
    for (const hasGone of [true, false]) {
      const gone = new AbortController()
      const exchange = { peer: '', signal: gone.signal }
      const stream = requests.stream(info('get', { kind: 'Pod', subresource: 'log' }), exchange, async () => {
        const cancelled = new GantryError('Cancelled', 'it was given up')
        if (hasGone) gone.abort(cancelled)
        throw cancelled
      })
      await assert.rejects(stream.next(), { code: 'Cancelled' })
    }
    assert.deepEqual(audited, ['received get', 'completed get OK', 'received get', 'completed get Cancelled'])
  })

  it('applies what is not there for those only who may create it', async () => {
    const carl = { name: 'carl', groups: [] }
    allowed = ({ verb }) => verb === 'patch'
    const configuration = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: '1' } }
    const apply = (): Promise<unknown> =>
      handled(info('patch', { user: carl }), (request) => request.apply(configuration, false, context))
    await assert.rejects(apply(), { code: 'Forbidden', message: /cannot create resource "configmaps"/ })
    await bench.api.create(configDraft('c', {}), context)
    await apply()
    assert.deepEqual((await bench.api.get('ConfigMap', 'default', 'c')).data, { a: '1' })
  })

  it('has a watch under way until its caller goes', async () => {
    const ended = new AbortController()
    const options = {
      selection: selection('default'),
      freshness: NEWEST,
      bookmarks: false,
      initial: 'none',
      timeout: undefined,
    } as const
    const events = await handled(info('watch', { name: '' }), (request) =>
      request.watch(options, ended.signal, ({ type }) => type),
    )
    assert.deepEqual(audited, ['received watch'])
    await bench.api.create(configDraft('c', {}), context)
    assert.deepEqual(await events.next(), { done: false, value: 'ADDED' })
    ended.abort(new GantryError('Cancelled', 'the caller went away'))
    assert.deepEqual(await events.next(), { done: true, value: undefined })
    assert.deepEqual(audited, ['received watch', 'completed watch OK'])
  })
})
