import assert from 'node:assert/strict'
import type { AdmissionPlugin } from '../../../controller/api/contract.ts'
import { accountGroups } from '../../../controller/accounts/token-authenticator.ts'
import { accountUser } from '../../../controller/accounts/tokens.ts'
import type { Auditor } from '../../../controller/requests/audit.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { WatchRequest } from '../../../proto/gen/types.ts'
import { until } from '../../eventually.ts'
import { ADMINISTRATOR, BothFaces, grpcResult, type Asked, type Caller, type Result } from './both-faces.ts'

const LEVEL = { inFlight: 2, queueLength: 1, longRunning: 2 }
const FACES = ['kube', 'grpc'] as const
type Face = (typeof FACES)[number]

const account = (level: string): Caller => ({
  name: accountUser('default', level),
  groups: accountGroups('default'),
  account: level,
})
const EDITOR = account('edit')
const VIEWER = account('view')

/** Holds creations of ConfigMaps whose names begin with "held" until it is opened. */
class Gate implements AdmissionPlugin {
  readonly name = 'gate'
  readonly #held: (() => void)[] = []

  get waiting(): number {
    return this.#held.length
  }

  handles({ operation, kind }: Parameters<AdmissionPlugin['handles']>[0]): boolean {
    return operation === 'CREATE' && kind === 'ConfigMap'
  }

  async validate({ name }: { readonly name: string }): Promise<void> {
    if (name.startsWith('held')) await new Promise<void>((resolve) => this.#held.push(resolve))
  }

  open(): void {
    for (const resolve of this.#held.splice(0)) resolve()
  }
}

describe('both faces: what a user has under way by one counts for the other', () => {
  const gate = new Gate()
  let both: BothFaces

  before(async () => {
    const parts = { priorityLevels: { ordinary: LEVEL, system: LEVEL } }
    both = await BothFaces.start({ parts, plugins: () => [gate] })
  })
  after(() => both.stop())

  const about = (verb: Asked['verb'], name: string): Asked => ({
    verb,
    apiVersion: 'v1',
    kind: 'ConfigMap',
    namespace: 'default',
    name,
    ...(verb === 'create' && { body: { metadata: { name, namespace: 'default' }, data: {} } }),
  })
  const ask = (face: Face, caller: Caller, asked: Asked): Promise<Result> =>
    face === 'kube' ? both.kube(caller, asked) : both.grpc(caller, asked)
  const codesOf = async (caller: Caller, asked: Asked): Promise<string[]> =>
    Promise.all(FACES.map(async (face) => (await ask(face, caller, asked)).code))
  /** The Kubernetes face gives seats back when its answers are out. */
  const untilFree = (): Promise<void> =>
    until('the seats are free again', async () =>
      (await codesOf(EDITOR, about('list', ''))).every((code) => code === 'OK'),
    )

  for (const filler of FACES)
    it(`requests by ${filler}`, async () => {
      const held = ['held-1', 'held-2'].map((name) => ask(filler, EDITOR, about('create', name)))
      await until('they are under way', () => gate.waiting === 2)
      // A call of gRPC is at the door by the time that it returns a promise.
      const queued = both.grpc(EDITOR, about('list', ''))
      assert.deepEqual(await codesOf(EDITOR, about('list', '')), ['ResourceExhausted', 'ResourceExhausted'])
      for (const caller of [VIEWER, ADMINISTRATOR])
        assert.deepEqual(await codesOf(caller, about('list', '')), ['OK', 'OK'], caller.name)
      gate.open()
      assert.deepEqual(
        (await Promise.all([...held, queued])).map(({ code }) => code),
        ['OK', 'OK', 'OK'],
      )
      await untilFree()
    })

  it('requests by both together, and whoever waits is let in by whichever ends first', async () => {
    const held = FACES.map((face) => ask(face, EDITOR, about('create', `held-${face}`)))
    await until('they are under way', () => gate.waiting === 2)
    let answered = false
    const queued = both.grpc(EDITOR, about('list', '')).finally(() => (answered = true))
    assert.deepEqual(await codesOf(EDITOR, about('get', 'x')), ['ResourceExhausted', 'ResourceExhausted'])
    assert.equal(answered, false)
    gate.open()
    assert.equal((await queued).code, 'OK')
    assert.deepEqual(
      (await Promise.all(held)).map(({ code }) => code),
      ['OK', 'OK'],
    )
    await untilFree()
  })

  it('tells each client in the way of its face when to try again', async () => {
    const held = ['held-1', 'held-2'].map((name) => both.grpc(EDITOR, about('create', name)))
    await until('they are under way', () => gate.waiting === 2)
    const queued = both.grpc(EDITOR, about('list', ''))
    const { status, headers, json } = await both.http(EDITOR, 'GET', '/api/v1/namespaces/default/configmaps')
    const { reason, details } = json as { reason: string; details: object }
    assert.deepEqual([status, headers['retry-after'], reason], [429, '1', 'TooManyRequests'])
    assert.deepEqual(details, { kind: 'configmaps', retryAfterSeconds: 1 })
    const ref = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'default', name: 'x' }
    await assert.rejects(both.resources.get({ ref }, both.call(EDITOR)), (thrown) => {
      assert.ok(GantryError.is(thrown, 'ResourceExhausted'))
      const [{ field, value, remedy } = { field: '', value: '', remedy: '' }] = thrown.details
      assert.deepEqual([field, value, remedy], ['retryAfterSeconds', '1', 'try again in 1 s'])
      return true
    })
    gate.open()
    await Promise.all([...held, queued])
    await untilFree()
  })

  it('watches, apart from requests', async () => {
    const path = '/api/v1/namespaces/default/configmaps?watch=1'
    const request: WatchRequest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      namespace: 'default',
      labelSelector: '',
      fieldSelector: 'metadata.name=nothing',
      resourceVersion: '',
      bookmarks: false,
    }
    const ended = new AbortController()
    const watch = () => both.resources.watch(request, { ...both.call(EDITOR), signal: ended.signal }).next()
    const message = await both.open(EDITOR, path)
    assert.equal(message.statusCode, 200)
    // What was there is told at once: nothing, and a bookmark.
    assert.equal((await grpcResult(watch())).code, 'OK')
    assert.equal((await both.open(EDITOR, path)).statusCode, 429)
    assert.equal((await grpcResult(watch())).code, 'ResourceExhausted')
    assert.deepEqual(await codesOf(EDITOR, about('list', '')), ['OK', 'OK'])
    message.destroy()
    await until('the watch by HTTP has made room', async () => (await grpcResult(watch())).code === 'OK')
    assert.equal((await both.open(EDITOR, path)).statusCode, 429)
    ended.abort(new GantryError('Cancelled', 'the watchers went away'))
    await until('the watches over gRPC have made room', async () => {
      const again = await both.open(EDITOR, path)
      again.destroy()
      return again.statusCode === 200
    })
  })
})

describe('both faces: a write that waits for its seat', () => {
  it('is known not to have been made when the server stops', async () => {
    const gate = new Gate()
    let arrived = false
    const auditor: Auditor = {
      received: ({ face, verb }) => void (arrived ||= face === 'kube' && verb === 'create'),
      completed: () => undefined,
    }
    const both = await BothFaces.start({
      parts: { auditor, priorityLevels: { ordinary: LEVEL, system: LEVEL } },
      plugins: () => [gate],
    })
    const create = (name: string): Promise<Result> => {
      const body = { metadata: { name, namespace: 'default' }, data: {} }
      return both.grpc(EDITOR, {
        verb: 'create',
        apiVersion: 'v1',
        kind: 'ConfigMap',
        namespace: 'default',
        name,
        body,
      })
    }
    const held = ['held-1', 'held-2'].map(create)
    await until('they are under way', () => gate.waiting === 2)
    const path = '/api/v1/namespaces/default/configmaps'
    const queued = both.http(EDITOR, 'POST', path, { metadata: { name: 'queued' }, data: {} })
    await until('it is at the door', () => arrived)
    const stopped = both.face.stopServing()
    await both.face.clock.advance(1_000)
    const { status, json } = await queued
    // A client may try again by itself; 504 would say that its user has to look.
    assert.deepEqual([status, (json as { reason: string }).reason], [503, 'ServiceUnavailable'])
    gate.open()
    await Promise.all(held)
    await stopped
    await both.stop()
  })
})
