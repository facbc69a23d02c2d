import assert from 'node:assert/strict'
import { Agent, get } from 'node:https'
import { GantryError } from '../../../proto/base/errors.ts'
import { eventually } from '../../eventually.ts'
import { TestApiServer } from './test-api-server.ts'

describe('Kubernetes face: health, version, metrics', () => {
  let face: TestApiServer
  let cutOff = false
  let storeHangs = false
  before(async () => {
    const available = (): void => {
      if (cutOff) throw new GantryError('Unavailable', 'cut off from the others')
    }
    face = await TestApiServer.start({ parts: { available } })
    const current = face.reads.current.bind(face.reads)
    face.reads.current = () => (storeHangs ? new Promise(() => undefined) : current())
  })
  afterEach(() => {
    cutOff = false
    storeHangs = false
  })
  after(() => face.stop())

  const text = async (path: string): Promise<[number, string]> => {
    const { status, body } = await face.get(path)
    return [status, body.toString()]
  }

  it('is well', async () => {
    for (const path of ['/healthz', '/livez', '/readyz', '/readyz/etcd', '/livez/ping'])
      assert.deepEqual(await text(path), [200, 'ok'], path)
    assert.deepEqual(await text('/readyz?verbose'), [
      200,
      '[+]ping ok\n[+]etcd ok\n[+]informer-sync ok\n[+]serving ok\nreadyz check passed\n',
    ])
    assert.deepEqual(await text('/livez?verbose=true'), [200, '[+]ping ok\nlivez check passed\n'])
  })

  it('is not ready while it is cut off, and lives', async () => {
    cutOff = true
    assert.deepEqual(await text('/readyz'), [
      500,
      '[+]ping ok\n[+]etcd ok\n[+]informer-sync ok\n[-]serving failed: cut off from the others\nreadyz check failed\n',
    ])
    assert.deepEqual(await text('/readyz/serving'), [500, 'internal server error: cut off from the others'])
    assert.deepEqual(await text('/readyz?exclude=serving&verbose'), [
      200,
      '[+]ping ok\n[+]etcd ok\n[+]informer-sync ok\n[+]serving excluded: ok\nreadyz check passed\n',
    ])
    assert.equal((await text('/livez'))[0], 200)
    const { status, headers, json } = await face.get('/api/v1/namespaces')
    assert.deepEqual(
      [status, headers['retry-after'], json.reason, json.details.retryAfterSeconds],
      [503, '1', 'ServiceUnavailable', 1],
    )
  })

  it('says within seconds that the store does not answer', async () => {
    storeHangs = true
    const answer = text('/readyz/etcd')
    await eventually(async () => {
      await face.clock.advance(2_000)
      return Promise.race([answer.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))])
    })
    assert.deepEqual(await answer, [500, 'internal server error: no answer within 2000 ms'])
  })

  it('has no other checks', async () => {
    const { status, json } = await face.get('/readyz/weather')
    assert.deepEqual(
      [status, json.message],
      [404, 'readyz has no check weather: there are ping, etcd, informer-sync, serving'],
    )
  })

  it('tells a version that clients understand', async () => {
    const { json } = await face.get('/version')
    assert.deepEqual([json.major, json.minor], ['1', '33'])
    assert.match(json.gitVersion, /^v1\.33\.0\+gantry-\d+\.\d+\.\d+/)
    for (const field of ['gitCommit', 'gitTreeState', 'buildDate', 'goVersion', 'compiler', 'platform'])
      assert.equal(typeof json[field], 'string', field)
  })

  it('counts what is asked', async () => {
    for (let count = 0; count < 3; count++) await face.get('/api/v1/namespaces/default')
    await face.get('/api/v1/namespaces/nothing')
    const frames = await face.watch('/api/v1/namespaces?watch=1')
    await frames.take(1)
    const { headers, body } = await face.get('/metrics')
    assert.match(headers['content-type']!, /^text\/plain; version=/)
    const value = (pattern: RegExp): string | undefined => pattern.exec(body.toString())?.[1]
    assert.equal(
      value(
        /^apiserver_request_total\{verb="GET",group="",version="v1",resource="namespaces",subresource="",scope="resource",code="200"\} (\d+)$/m,
      ),
      '3',
    )
    assert.equal(value(/^apiserver_request_total\{.*resource="namespaces".*code="404"\} (\d+)$/m), '1')
    assert.equal(
      value(/^apiserver_request_duration_seconds_count\{verb="GET",.*resource="namespaces".*\} (\d+)$/m),
      '4',
    )
    assert.equal(value(/^apiserver_longrunning_requests\{verb="WATCH",.*resource="namespaces".*\} (\d+)$/m), '1')
    assert.equal(value(/^apiserver_current_inflight_requests\{request_kind="readOnly"\} (\d+)$/m), '1')
    assert.ok(Number(value(/^process_resident_memory_bytes (\d+)$/m)) > 1e7)
    frames.close()
  })

  it('shows the numbers not to everybody, while health and version are open', async () => {
    const [host, port] = face.address.split(':')
    const agent = new Agent(await face.client('bert'))
    const statusFor = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) =>
        get({ host, port, path, agent }, (message) => resolve(message.resume().statusCode)).on('error', reject),
      )
    for (const [path, status] of [
      ['/metrics', 403],
      ['/api/v1/namespaces', 403],
      ['/healthz', 200],
      ['/readyz/ping', 200],
      ['/version', 200],
    ] as const)
      assert.equal(await statusFor(path), status, path)
    agent.destroy()
  })
})
