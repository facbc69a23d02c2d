import assert from 'node:assert/strict'
import { GantryError } from '../../../../proto/base/errors.ts'
import { eventually } from '../../../eventually.ts'
import { StreamsFixture } from './fixture.ts'

const BASE = '/api/v1/namespaces/default/pods'

describe('logs of the Kubernetes face', () => {
  let fixture: StreamsFixture

  before(async () => {
    fixture = await StreamsFixture.start()
    await fixture.pod('web')
    await fixture.pod('two', { containers: ['a', 'b'] })
    await fixture.pod('starting', { state: { waiting: { reason: 'ContainerCreating' } }, phase: 'Pending' })
    await fixture.pod('pending', { node: '', phase: 'Pending' })
  })

  afterEach(() => {
    fixture.pods.log = async function* () {
      yield 'line\n'
    }
  })

  after(() => fixture.stop())

  it('are plain text, of the only container, all of it', async () => {
    const { status, headers, body } = await fixture.face.get(`${BASE}/web/log`)
    assert.deepEqual([status, headers['content-type'], body.toString()], [200, 'text/plain', 'line\n'])
    const none = {
      sinceTime: '',
      tailLines: undefined,
      sinceSeconds: undefined,
      limitBytes: undefined,
      stream: undefined,
    }
    assert.deepEqual(fixture.pods.logged.at(-1), {
      namespace: 'default',
      pod: 'web',
      container: 'main',
      follow: false,
      previous: false,
      timestamps: false,
      ...none,
    })
  })

  it('are asked for with everything that the query says', async () => {
    await fixture.face.get(
      `${BASE}/two/log?container=b&follow=true&previous=1&timestamps=TRUE&sinceSeconds=5&limitBytes=10&stream=Stderr&insecureSkipTLSVerifyBackend=true&pretty=true`,
    )
    assert.deepEqual(fixture.pods.logged.at(-1), {
      namespace: 'default',
      pod: 'two',
      container: 'b',
      follow: true,
      previous: true,
      timestamps: true,
      sinceTime: '',
      tailLines: undefined,
      sinceSeconds: 5,
      limitBytes: 10,
      stream: 'stderr',
    })
    await fixture.face.get(`${BASE}/two/log?container=b&follow=false&tailLines=0&sinceTime=2026-01-01T00:00:00Z`)
    assert.deepEqual(fixture.pods.logged.at(-1), {
      namespace: 'default',
      pod: 'two',
      container: 'b',
      follow: false,
      previous: false,
      timestamps: false,
      sinceTime: '2026-01-01T00:00:00Z',
      tailLines: 0,
      sinceSeconds: undefined,
      limitBytes: undefined,
      stream: undefined,
    })
  })

  it('come as they are written, until the client goes away', async () => {
    let next = (_text: string): void => undefined
    let ended = false
    fixture.pods.log = async function* (_, { signal }) {
      try {
        for (;;)
          yield await new Promise<string>((resolve, reject) => {
            next = resolve
            signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
          })
      } finally {
        ended = true
      }
    }
    const opening = fixture.face.open('GET', `${BASE}/web/log?follow=true`)
    await eventually(() => fixture.pods.logged.at(-1)!.follow && next.length === 1)
    next('first\n')
    const message = await opening
    let text = ''
    message.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await eventually(() => text === 'first\n')
    next('second\n')
    await eventually(() => text === 'first\nsecond\n')
    message.destroy()
    await eventually(() => ended)
  })

  it('are no longer read than a slow client takes', async () => {
    let given = 0
    fixture.pods.log = async function* () {
      for (; given < 100_000; given++) yield 'x'.repeat(32 * 1024)
    }
    const message = await fixture.face.open('GET', `${BASE}/web/log`)
    let before = -1
    await eventually(() => {
      const stands = given > 0 && given === before
      before = given
      return stands
    })
    assert.ok(given < 2000, `${given} pieces of 32 KiB are under way`)
    message.destroy()
  })

  it('that break off in the middle are seen to', async () => {
    fixture.pods.log = async function* () {
      yield 'begun\n'
      throw new GantryError('Unavailable', 'node n1 lost its session')
    }
    await assert.rejects(fixture.face.get(`${BASE}/web/log`), /aborted|socket hang up|ECONNRESET/)
  })

  describe('are refused with a Status', () => {
    const nothing = (code: 'FailedPrecondition' | 'Unavailable'): void => {
      fixture.pods.log = async function* () {
        throw new GantryError(code, 'Pod default/starting: container "main" has not started yet')
      }
    }

    it('of what has not started, in the words that clients know', async () => {
      nothing('FailedPrecondition')
      const { json } = await fixture.face.get(`${BASE}/starting/log`)
      assert.deepEqual(
        [json.code, json.reason, json.message],
        [400, 'BadRequest', 'container "main" in pod "starting" is waiting to start: ContainerCreating'],
      )
      assert.equal(
        (await fixture.face.get(`${BASE}/web/log?previous=true`)).json.message,
        'previous terminated container "main" in pod "web" not found',
      )
    })

    it('while the node cannot be reached', async () => {
      nothing('Unavailable')
      const { json } = await fixture.face.get(`${BASE}/web/log`)
      assert.deepEqual([json.code, json.reason], [503, 'ServiceUnavailable'])
    })

    for (const [path, code, words] of [
      ['none/log', 404, /pods "none" not found/],
      ['two/log', 400, /a container name must be specified for pod two, choose one of: \[a b\]/],
      ['two/log?container=c', 400, /container c is not valid for pod two/],
      ['pending/log', 400, /does not have a host assigned/],
      ['web/log?tailLines=many', 400, /tailLines: "many" is not a number/],
      ['web/log?tailLines=-1', 422, /tailLines: Invalid value: -1: must be greater than or equal to 0/],
      ['web/log?sinceSeconds=0', 422, /sinceSeconds: Invalid value: 0: must be greater than or equal to 1/],
      ['web/log?limitBytes=0', 422, /limitBytes/],
      ['web/log?sinceTime=yesterday', 400, /sinceTime/],
      [
        'web/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z',
        422,
        /at most one of sinceTime or sinceSeconds may be specified/,
      ],
      ['web/log?stream=Stdlog', 422, /supported are All, Stdout, Stderr/],
      ['web/log?stream=Stdout&tailLines=1', 422, /tailLines/],
    ] as const) {
      it(path, async () => {
        const { status, json } = await fixture.face.get(`${BASE}/${path}`)
        assert.deepEqual([status, json.kind, json.code], [code, 'Status', code])
        assert.match(json.message as string, words)
      })
    }
  })
})
