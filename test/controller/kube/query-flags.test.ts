import assert from 'node:assert/strict'
import { flag } from '../../../controller/kube/query-flag.ts'
import { wantsPretty } from '../../../controller/kube/negotiation.ts'
import { StreamsFixture } from './streams/fixture.ts'

const BASE = '/api/v1/namespaces/default'

describe('booleans of queries', () => {
  let fixture: StreamsFixture
  before(async () => {
    fixture = await StreamsFixture.start()
  })
  after(() => fixture.stop())

  it('are true unless they are "false" in any case or "0"', () => {
    const values: Record<string, boolean | undefined> = {
      '': undefined,
      'x=': true,
      x: true,
      'x=true': true,
      'x=True': true,
      'x=TRUE': true,
      'x=1': true,
      'x=yes': true,
      'x=no': true,
      'x=2': true,
      'x=false': false,
      'x=False': false,
      'x=FALSE': false,
      'x=0': false,
      'x=false&x=true': false,
      'x=true&x=false': true,
      'X=true': undefined,
    }
    for (const [query, expected] of Object.entries(values))
      assert.equal(flag(new URLSearchParams(query), 'x'), expected, query)
  })

  it('lay JSON out for the values that Go takes for true', () => {
    for (const [query, expected] of [
      ['', true],
      ['pretty=', true],
      ['pretty=true', true],
      ['pretty=True', true],
      ['pretty=t', true],
      ['pretty=1', true],
      ['pretty=False', false],
      ['pretty=0', false],
      ['pretty=yes', false],
    ] as const) {
      assert.equal(wantsPretty(new URLSearchParams(query), 'curl/8.0'), expected, query)
    }
  })

  it('begin a watch, however a client writes true', async () => {
    const { face } = fixture
    await face.send('POST', `${BASE}/configmaps`, { body: { metadata: { name: 'watched' } } })
    for (const value of ['True', 'TRUE', 'yes', '']) {
      const frames = await face.watch(`${BASE}/configmaps?watch=${value}&allowWatchBookmarks=False`)
      const { type, object } = (await frames.next())!
      assert.deepEqual([type, object.kind], ['ADDED', 'ConfigMap'], value)
      frames.close()
    }
    for (const value of ['False', '0'])
      assert.equal((await face.get(`${BASE}/configmaps?watch=${value}`)).json.kind, 'ConfigMapList', value)
    const marked = await face.watch(
      `${BASE}/configmaps?watch=True&sendInitialEvents=True&allowWatchBookmarks=True&resourceVersionMatch=NotOlderThan&fieldSelector=metadata.name%3Dnone`,
    )
    assert.equal((await marked.next())!.type, 'BOOKMARK')
    marked.close()
  })

  it('orphan dependents only where they say so', async () => {
    const { face } = fixture
    const remove = async (value: string): Promise<readonly string[]> => {
      const body = { metadata: { name: 'owner', finalizers: ['example.com/hold'] } }
      await face.send('POST', `${BASE}/configmaps`, { body })
      const { status, json } = await face.send('DELETE', `${BASE}/configmaps/owner?orphanDependents=${value}`)
      assert.equal(status, 200)
      await face.send('PATCH', `${BASE}/configmaps/owner`, {
        type: 'application/merge-patch+json',
        body: { metadata: { finalizers: null } },
      })
      return json.metadata.finalizers as string[]
    }
    for (const value of ['False', 'FALSE', '0']) assert.deepEqual(await remove(value), ['example.com/hold'], value)
    for (const value of ['True', '1', 'yes'])
      assert.deepEqual(await remove(value), ['example.com/hold', 'orphan'], value)
  })

  it('take no fields from others where force is false', async () => {
    const { face } = fixture
    const apply = (manager: string, value: string, force: string) => {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'forced' }, data: { v: value } }
      return face.send('PATCH', `${BASE}/configmaps/forced?fieldManager=${manager}&force=${force}`, {
        type: 'application/apply-patch+yaml',
        body,
      })
    }
    assert.equal((await apply('a', '1', 'False')).status, 201)
    assert.equal((await apply('b', '2', 'False')).status, 409)
    assert.equal((await apply('b', '2', 'True')).status, 200)
  })

  it('follow logs and join streams, however a client writes them', async () => {
    const { face, pods } = fixture
    await fixture.pod('web')
    await face.get(`${BASE}/pods/web/log?follow=False&previous=True&timestamps=`)
    const { follow, previous, timestamps } = pods.logged.at(-1)!
    assert.deepEqual([follow, previous, timestamps], [false, true, true])
    const socket = fixture.webSocket(
      `${BASE}/pods/web/exec?command=exit&stdin=False&stdout=True&stderr=0&tty=FALSE`,
      'v5.channel.k8s.io',
    )
    await new Promise((resolve, reject) => socket.once('close', resolve).once('error', reject))
    const begun = pods.started.at(-1)
    assert.ok(begun?.case === 'start')
    assert.deepEqual([begun.value.stdin, begun.value.tty], [false, false])
  })
})
