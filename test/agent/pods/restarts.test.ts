import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
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
    const runs = (count: number): Promise<void> =>
      until(
        `start ${count}`,
        () => node.specs.length === count && node.status('web').containerStatuses![0]!.state?.running !== undefined,
      )
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

  it('keeps of what its instances wrote that of the last two', async () => {
    node.behaviour = () => ({ exitAfter: 10, exitCode: 3 })
    node.assignAll(makePod('web'))
    await until('the fourth start', async () => (await node.clock.advance(1000), node.specs.length >= 4))
    const written = (path: string): Promise<string[]> => readdir(dirname(path))
    await until('the files of the third instance', async () =>
      (await written(node.folders.terminationMessage('uid-web', 'main', 3))).includes('3.termination'),
    )
    assert.deepEqual((await written(node.folders.terminationMessage('uid-web', 'main', 3))).sort(), [
      '2.termination',
      '3.termination',
    ])
  })

  it('restarts at once when the pod or its config was changed, and counts what it tells again', async () => {
    const config = (resourceVersion: string): ConfigMap => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'cm', namespace: 'default', uid: 'u', resourceVersion },
    })
    const web = makePod('web', { containers: [makeContainer('main', { envFrom: [{ configMapRef: { name: 'cm' } }] })] })
    const backsOff = (starts: number): Promise<void> =>
      until(`back-off after start ${starts}`, async () => {
        if (node.status('web').containerStatuses?.[0]?.state?.running !== undefined) await node.clock.advance(10)
        return (
          node.specs.length === starts &&
          node.status('web').containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff'
        )
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
    assert.deepEqual(
      told.map(({ count }) => count),
      [1, 2, 3, 4, 5, 6],
    )
    assert.equal(new Set(told.map(({ metadata: { name } }) => name)).size, 1)
  })

  for (const [where, set] of [
    ['back', -3_600_000],
    ['forward', 3_600_000],
  ] as const) {
    it(`backs off and gives grace as long as ever when the clock is set ${where} meanwhile`, async () => {
      node.behaviour = () => ({ exitAfter: 10, exitCode: 3 })
      node.assignAll(makePod('web'))
      await until('the first start', () => node.status('web').containerStatuses?.[0]?.state?.running !== undefined)
      await node.clock.advance(10)
      await until(
        'the second start',
        () => node.specs.length === 2 && node.status('web').containerStatuses![0]!.state?.running !== undefined,
      )
      await node.clock.advance(10)
      await node.reason('web', 'CrashLoopBackOff')
      node.clock.set(set)
      node.behaviour = () => ({ ignoresSignals: true })
      await node.clock.advance(999)
      assert.equal(node.specs.length, 2, 'the back-off is not over')
      await node.clock.advance(1)
      await until(
        'the third start',
        () => node.specs.length === 3 && node.status('web').containerStatuses![0]!.state?.running !== undefined,
      )
      const container = [...node.machine.containers.values()].at(-1)!
      node.assign([makePod('web', {}, { deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 30 })])
      node.pods.endpointsDrained(['uid-web'])
      await until('SIGTERM is sent', () => container.signals.length === 1)
      node.clock.set(set)
      await node.clock.advance(29_900)
      assert.deepEqual(container.signals, [15], 'the grace is not over')
      await node.clock.advance(100)
      await until('SIGKILL is sent', () => container.signals.length === 2)
    })
  }

  it('backs off no longer than ever when the clock is set back while the agent is down', async () => {
    node.behaviour = () => ({ exitAfter: 10, exitCode: 3 })
    node.assignAll(makePod('web'))
    await until('the second start', async () => (await node.clock.advance(10), node.specs.length === 2))
    await until(
      'the back-off',
      async () => (
        await node.clock.advance(10),
        node.status('web').containerStatuses![0]!.state?.waiting?.reason === 'CrashLoopBackOff'
      ),
    )
    await node.stop()
    node.clock.set(-3_600_000)
    await node.start()
    await node.welcome()
    node.assignAll(makePod('web'))
    const begun = node.clock.monotonic()
    await until('the third start', async () => (await node.clock.advance(100), node.specs.length === 3))
    assert.ok(node.clock.monotonic() - begun <= 5_000, 'it waited for the old clock')
  })
})
