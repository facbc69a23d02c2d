/** Faults of a clock, the registry and the way between, as a cluster notices them. */
import assert from 'node:assert/strict'
import { Rig } from '../../deploy/rig/rig.ts'
import { systemRandom as random, randomSuffix } from '../../proto/base/random.ts'
import type { Pod } from '../../proto/gen/types.ts'

const HOUR = 3_600_000

describe('faults on a rig with a cluster', function () {
  this.timeout(120_000)
  let rig: Rig

  before(async () => {
    rig = await Rig.up({ nodes: 1 })
  })
  after(() => rig?.down())
  afterEach(() => rig.heal())

  async function start(): Promise<string> {
    const name = `pod-${randomSuffix(random)}`
    await rig.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        containers: [{ name: 'main', image: 'busybox', imagePullPolicy: 'Always', command: ['sleep', '1000'] }],
        terminationGracePeriodSeconds: 0,
      },
    } as never)
    return name
  }

  /** How long after it was made, by the controller's clock, its container started, by the agent's. */
  async function lag(): Promise<number> {
    const { metadata, status } = (await rig.until(`pod/${await start()}`, 'Running')) as Pod
    return (
      Date.parse(status.containerStatuses![0]!.state!.running!.startedAt!) - Date.parse(metadata.creationTimestamp!)
    )
  }

  function near(millis: number, expected: number): true {
    assert(Math.abs(millis - expected) < 15_000, `${millis} ms, not near ${expected}`)
    return true
  }

  it('an agent whose clock is an hour fast, and a controller whose clock is an hour slow, date by it until it is healed', async () => {
    near(await lag(), 0)
    await rig.fault('clock', { target: 'n1/agent', offset: HOUR })
    await rig.eventually(async () => near(await lag(), HOUR))
    await rig.fault('clock', { target: 'controller', offset: -HOUR })
    await rig.eventually(async () => near(await lag(), 2 * HOUR))
    await rig.heal()
    await rig.eventually(async () => near(await lag(), 0))
  })

  it('a pod waits for its image while the registry fails, and says so', async () => {
    const { id } = await rig.fault('registry', { mode: '500' })
    const name = await start()
    await rig.until(`pod/${name}`, (pod) =>
      /Err|BackOff/.test((pod as Pod).status.containerStatuses?.[0]?.state?.waiting?.reason ?? ''),
    )
    await rig.heal(id)
    await rig.until(`pod/${name}`, 'Running')
  })

  it('a node whose way to the controller is long is still Ready, and told later', async () => {
    const told = async (): Promise<number> => {
      const begun = performance.now()
      await rig.until(`pod/${await start()}`, 'Running')
      return performance.now() - begun
    }
    await rig.fault('delay', { from: ['n1'], to: ['controller'], by: 400 })
    await rig.until('node/n1', 'Ready')
    const during = await told()
    assert(during > 790, `${during} ms for the way there and back`)
    await rig.until('node/n1', 'Ready')
    await rig.heal()
    await rig.eventually(async () => {
      const after = await told()
      assert(after < 790, `${after} ms after`)
      return true
    })
  })
})
