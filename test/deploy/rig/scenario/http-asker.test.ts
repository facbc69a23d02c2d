/** Asking by http from a machine, by the program that runs there: here on this host. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { probeFromHost, probeFromMachine, ONCE } from '../../../../deploy/rig/scenario/http-prober.ts'
import { run } from '../../../../proto/base/command.ts'
import { pod } from '../../../cli/objects.ts'
import { FakeRig, ScenarioFixture, statuses } from './fake-rig.ts'

describe('asking by http', () => {
  let rig: FakeRig
  let server: Server
  let address: string
  let asked: number
  /** Status by the number of the request, from 1. */
  let answer: (number: number) => number | Promise<number>
  const { signal } = new AbortController()

  beforeEach(async () => {
    rig = await FakeRig.open()
    rig.scripts.n1 = (words) => run(process.execPath, words.slice(1))
    asked = 0
    answer = () => 200
    server = createServer((_, response) => {
      void Promise.resolve(answer(++asked)).then((status) => response.writeHead(status).end('hello'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })

  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve))
    await rig.dispose()
  })

  it('tells status and body', async () => {
    answer = () => 404
    const wanted = { asked: 1, answers: [{ from: 'x', status: 404, body: 'hello' }] }
    assert.deepEqual(await probeFromMachine(rig, 'n1', address, 'x', ONCE, signal), wanted)
    assert.deepEqual(await probeFromHost(address, signal), {
      asked: 1,
      answers: [{ from: address, status: 404, body: 'hello' }],
    })
  })

  it('tells why there is no answer', async () => {
    const nobody = address.replace('127.0.0.1', '127.0.0.2')
    assert.match((await probeFromMachine(rig, 'n1', nobody, 'x', ONCE, signal)).answers[0]!.body, /ECONNREFUSED/)
    assert.match((await probeFromHost(nobody, signal)).answers[0]!.body, /ECONNREFUSED/)
    assert.deepEqual(await probeFromMachine(rig, 'n2', address, 'x', ONCE, signal), {
      asked: 1,
      answers: [{ from: 'x', status: 0, body: 'n2: n2 is off' }],
    })
  })

  it('goes on until its time is over, or an answer is of another kind', async () => {
    const steady = await probeFromMachine(rig, 'n1', address, 'x', { span: 100, every: 5 }, signal)
    assert.equal(steady.asked, asked)
    assert.deepEqual(steady.answers, [{ from: 'x', status: 200, body: 'hello' }])
    asked = 0
    answer = (number) => (number === 4 ? 503 : 200)
    const broken = await probeFromMachine(rig, 'n1', address, 'x', { span: 60_000, every: 1 }, signal)
    assert.equal(broken.asked, 4)
    assert.deepEqual(
      broken.answers.map(({ status }) => status),
      [200, 503],
    )
  })

  it('finds one failed request among many, in an always', async () => {
    answer = (number) => (number === 7 ? 500 : 200)
    const stage = new ScenarioFixture(rig)
    const result = await stage.run(`steps:\n  - always: { http: "${address}", on: n1, every: 1ms }\n  - pause: 1h`)
    assert.equal(statuses(result), '1 failed, 2 skipped')
    assert.match(stage.ended[0]!.failure!.seen!, /: 500 hello$/)
  })

  it('asks every ready pod from its node, and forgives one that was told to stop meanwhile', async () => {
    const { port } = server.address() as AddressInfo
    const at = (name: string, more: object = {}): Parameters<FakeRig['server']['put']>[0] =>
      pod(name, {
        node: 'n1',
        status: { phase: 'Running', podIP: '127.0.0.1', conditions: [{ type: 'Ready', status: 'True' }] },
        ...more,
      })
    await rig.server.put(at('a'))
    await rig.server.put(at('b', { metadata: { finalizers: ['example.com/hold'] } }))
    await rig.server.put(pod('starting', { status: { phase: 'Pending' } }))
    const stage = new ScenarioFixture(rig)
    assert.equal((await stage.run(`steps:\n  - check: { http: ":${port}/", pods: app=web }`)).status, 'passed')
    assert.equal(asked, 2)
    answer = async () => {
      if (rig.server.get('Pod', 'b')!.metadata.deletionTimestamp === undefined)
        await rig.server.put(
          at('b', { metadata: { finalizers: ['example.com/hold'], deletionTimestamp: '2026-01-01T00:00:00Z' } }),
        )
      return 200
    }
    await rig.server.put(
      at('b', {
        metadata: { finalizers: ['example.com/hold'] },
        status: { phase: 'Running', podIP: '127.0.0.2', conditions: [{ type: 'Ready', status: 'True' }] },
      }),
    )
    const again = await new ScenarioFixture(rig).run(`steps:\n  - check: { http: ":${port}/", pods: app=web }`)
    assert.equal(again.status, 'passed', JSON.stringify(again.steps))
  })
})
