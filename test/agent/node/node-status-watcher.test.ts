import assert from 'node:assert/strict'
import { NodeStatusWatcher } from '../../../agent/node/node-status-watcher.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import type { Node, NodeStatus } from '../../../proto/gen/types.ts'

describe('node watch', () => {
  let clock: FakeClock
  let reports: (NodeStatus | undefined)[]
  let machine: { memory: string; pressure: boolean; free: number; broken: boolean }
  let watch: NodeStatusWatcher
  let stop: AbortController
  let running: Promise<void>

  function read(): Promise<Node> {
    if (machine.broken) return Promise.reject(new GantryError('Internal', 'no /proc'))
    const time = new Date(clock.now()).toISOString()
    return Promise.resolve({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', namespace: '', uid: '', resourceVersion: '' },
      spec: {},
      status: {
        capacity: { memory: machine.memory },
        conditions: [
          {
            type: 'MemoryPressure',
            status: machine.pressure ? 'True' : 'False',
            reason: machine.pressure ? 'Much' : 'Little',
            message: `${machine.free} free`,
            lastHeartbeatTime: time,
            lastTransitionTime: time,
          },
        ],
      },
    })
  }

  beforeEach(() => {
    clock = new FakeClock()
    reports = []
    machine = { memory: '1Gi', pressure: false, free: 9, broken: false }
    watch = new NodeStatusWatcher({ read, report: (status) => reports.push(status), clock, log: silentLogger })
    stop = new AbortController()
    running = watch.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
    assert.equal(clock.pending, 0)
  })

  const pressure = (): string | undefined => reports.at(-1)?.conditions?.[0]?.status

  it('says nothing while nothing has changed but figures and times', async () => {
    await watch.nodeForHello()
    for (machine.free = 8; machine.free > 0; machine.free--) await clock.advance(10_000)
    assert.deepEqual(reports, [undefined])
  })

  it('says nothing before the first hello', async () => {
    await clock.advance(10_000)
    machine.memory = '2Gi'
    await clock.advance(10_000)
    assert.deepEqual(reports, [])
    assert.equal(watch.latest?.status.capacity?.memory, '2Gi')
  })

  it('reports within ten seconds what has changed, once', async () => {
    await watch.nodeForHello()
    machine.memory = '2Gi'
    await clock.advance(30_000)
    assert.deepEqual(
      reports.map((status) => status?.capacity?.memory),
      [undefined, '2Gi'],
    )
  })

  it('does not report what a hello has told', async () => {
    await watch.nodeForHello()
    machine.memory = '2Gi'
    await watch.nodeForHello()
    await clock.advance(10_000)
    assert.deepEqual(reports, [undefined, undefined])
  })

  it('tells pressure at once and its end only after five minutes without', async () => {
    await watch.nodeForHello()
    machine.pressure = true
    await clock.advance(10_000)
    assert.equal(pressure(), 'True')
    machine.pressure = false
    await clock.advance(290_000)
    assert.equal(pressure(), 'True')
    machine.pressure = true
    await clock.advance(10_000)
    machine.pressure = false
    await clock.advance(290_000)
    assert.equal((await watch.nodeForHello()).status.conditions?.[0]?.status, 'True')
    await clock.advance(10_000)
    assert.equal(pressure(), 'False')
  })

  it('goes on after a look that failed', async () => {
    await watch.nodeForHello()
    machine.broken = true
    await clock.advance(10_000)
    machine.broken = false
    machine.memory = '2Gi'
    await clock.advance(10_000)
    assert.deepEqual(
      reports.map((status) => status?.capacity?.memory),
      [undefined, '2Gi'],
    )
  })
})
