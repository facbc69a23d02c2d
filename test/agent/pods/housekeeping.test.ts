import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Housekeeping } from '../../../agent/pods/housekeeping.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { makePod, until } from '../fakes.ts'
import { NodeFixture } from './fixture.ts'

describe('housekeeping', () => {
  let node: NodeFixture

  beforeEach(async () => {
    node = new NodeFixture()
    await node.start()
    await node.welcome()
  })

  afterEach(() => node.remove())

  function housekeeping(): Housekeeping {
    const { pods, images, runtime, clock } = node
    return new Housekeeping({ pods, images, runtime, clock, log: silentLogger, rotation: { size: 100, files: 3 } })
  }

  it('rotates logs that have become too large, and only those', async () => {
    node.assignAll(makePod('big'), makePod('small'))
    await node.phase('big', 'Running')
    await node.phase('small', 'Running')
    const reopened: string[] = []
    node.runtime.reopenLog = async (id) => void reopened.push(id)
    for (const [name, size] of [
      ['big', 200],
      ['small', 10],
    ] as const)
      await writeFile(node.folders.log(`uid-${name}`, 'main', 0), 'x'.repeat(size))
    await housekeeping().rotateLogs()
    assert.deepEqual(await readdir(dirname(node.folders.log('uid-big', 'main', 0))), ['0.log.1'])
    assert.deepEqual(await readdir(dirname(node.folders.log('uid-small', 'main', 0))), ['0.log'])
    assert.equal(reopened.length, 1)
  })

  it('has a log begun that a rotation cut short left without', async () => {
    node.assignAll(makePod('big'))
    await node.phase('big', 'Running')
    const log = node.folders.log('uid-big', 'main', 0)
    await writeFile(log, 'x'.repeat(200))
    node.runtime.reopenLog = () => Promise.reject(new Error('the agent ends here'))
    await housekeeping().rotateLogs()
    assert.deepEqual(await readdir(dirname(log)), ['0.log.1'])
    let reopened = 0
    node.runtime.reopenLog = async () => {
      reopened++
      await writeFile(log, '')
    }
    await housekeeping().rotateLogs()
    await housekeeping().rotateLogs()
    assert.equal(reopened, 1)
    assert.deepEqual((await readdir(dirname(log))).sort(), ['0.log', '0.log.1'])
  })

  it('rotates the logs of other pods though one of them cannot be', async () => {
    node.assignAll(makePod('bad'), makePod('good'))
    await node.phase('bad', 'Running')
    await node.phase('good', 'Running')
    const bad = [...node.machine.containers.values()].find(({ spec }) => spec.sandboxId === 'uid-bad')!.spec.id
    node.runtime.reopenLog = (id) => (id === bad ? Promise.reject(new Error('not this one')) : Promise.resolve())
    for (const name of ['bad', 'good']) await writeFile(node.folders.log(`uid-${name}`, 'main', 0), 'x'.repeat(200))
    await housekeeping().rotateLogs()
    assert.deepEqual(await readdir(dirname(node.folders.log('uid-good', 'main', 0))), ['0.log.1'])
  })

  it('finds out that a container has ended of which nobody told', async () => {
    node.assignAll(makePod('web', { restartPolicy: 'Never' }))
    await node.phase('web', 'Running')
    const [container] = [...node.machine.containers.values()]
    // Its shim has died, and what was in it later: the runtime knows when it is asked.
    const { listener } = node.machine
    node.machine.listen(undefined)
    node.machine.end(container!, 255)
    node.runtime.containerState = async () => {
      node.machine.listen(listener)
      return container!.state
    }
    await housekeeping().findEnded()
    assert.equal((await node.phase('web', 'Failed')).containerStatuses![0]!.state!.terminated!.exitCode, 255)
  })

  it('looks now and then, goes on after a failure, and ends when asked', async () => {
    node.assignAll(makePod('big'))
    await node.phase('big', 'Running')
    let tries = 0
    node.runtime.reopenLog = () => {
      tries++
      return Promise.reject(new Error('not now'))
    }
    const log = node.folders.log('uid-big', 'main', 0)
    await mkdir(dirname(log), { recursive: true })
    const stopping = new AbortController()
    const running = housekeeping().run(stopping.signal)
    for (const round of [1, 2]) {
      await writeFile(log, 'x'.repeat(200))
      await until(`round ${round}`, async () => (await node.clock.advance(5000), tries >= round))
    }
    stopping.abort()
    await running
  })

  it('keeps the images of pods that run', async () => {
    node.assignAll(makePod('web'))
    await node.phase('web', 'Running')
    let asked: ReadonlySet<string> = new Set()
    node.images.collect = (options) => {
      asked = options.inUse
      return Promise.resolve([])
    }
    await housekeeping().collectImages()
    assert.deepEqual([...asked], [`sha256:${Buffer.from('app').toString('hex')}`])
  })
})
