import assert from 'node:assert/strict'
import type { ConfigMap } from '../../../proto/gen/types.ts'
import { makeContainer, makePod, until } from '../fakes.ts'
import { NodeFixture } from './fixture.ts'

describe('containers that end', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })
  afterEach(() => node.remove())

  it('restarts with growing delays and says so', async () => {
    node.behaviour = () => ({ exitAfter: 10, exitCode: 3 })
    node.assignAll(makePod('web'))
    const runs = (count: number): Promise<void> => until(`start ${count}`, () => node.specs.length === count && node.status('web').containerStatuses![0]!.state?.running !== undefined)
    await runs(1)
    for (const [index, delay] of [0, 1000, 2000, 4000].entries()) {
      await node.clock.advance(10)
      if (delay > 0) {
        await node.reason('web', 'CrashLoopBackOff')
        await node.clock.advance(delay - 1)
        assert.equal(node.specs.length, index + 1, `started before ${delay} ms were over`)
        await node.clock.advance(1)
      }
      await runs(index + 2)
    }
    await node.clock.advance(10)
    await node.reason('web', 'CrashLoopBackOff')
    const [container] = node.status('web').containerStatuses!
    assert.equal(container!.lastState!.terminated!.exitCode, 3)
    assert.equal(container!.restartCount, 4)
    assert.ok(node.reports.events.some((event) => event.reason === 'BackOff' && event.type === 'Warning'))
  })

  it('restarts at once when the pod or its config was changed, and counts what it tells again', async () => {
    const config = (resourceVersion: string): ConfigMap => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'cm', namespace: 'default', uid: 'u', resourceVersion } })
    const web = makePod('web', { containers: [makeContainer('main', { envFrom: [{ configMapRef: { name: 'cm' } }] })] })
    const backsOff = (starts: number): Promise<void> => until(`back-off after start ${starts}`, async () => {
      if (node.status('web').containerStatuses?.[0]?.state?.running !== undefined) await node.clock.advance(10)
      return node.specs.length === starts && node.status('web').containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff'
    })
    node.behaviour = () => ({ exitAfter: 10, exitCode: 3 })
    node.assignAll(config('1'), web)
    await backsOff(2)
    node.assign([config('2')])
    // Both starts without waiting, as if there had been none before.
    await backsOff(4)
    node.assign([{ ...web, spec: { ...web.spec, activeDeadlineSeconds: 1000 } }])
    await backsOff(6)
    const told = node.reports.events.filter(({ reason }) => reason === 'Started')
    assert.deepEqual(told.map(({ count }) => count), [1, 2, 3, 4, 5, 6])
    assert.equal(new Set(told.map(({ metadata: { name } }) => name)).size, 1)
  })
})
