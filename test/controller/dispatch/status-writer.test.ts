import assert from 'node:assert/strict'
import type { ObjectApi } from '../../../controller/api/contract.ts'
import { NodeWarningRecorder } from '../../../controller/dispatch/node-warning-recorder.ts'
import { PodStatusWriter } from '../../../controller/dispatch/pod-status-writer.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Pod, PodStatus } from '../../../proto/gen/types.ts'
import { eventually } from '../../eventually.ts'
import { ControlPlane } from '../control-plane.ts'
import { sink, type Recorded } from './test-node.ts'

const CONTEXT = { fieldManager: 'test' }

describe('writer of statuses', () => {
  let clock: FakeClock
  let plane: ControlPlane
  let writer: PodStatusWriter
  let recorded: Recorded[]
  /** Of nodes. */
  let told: Recorded[]
  let writes: number
  let refusal: GantryError | undefined
  let stop: AbortController
  let running: Promise<void>

  beforeEach(async () => {
    clock = new FakeClock()
    plane = await ControlPlane.start(clock)
    recorded = []
    told = []
    writes = 0
    refusal = undefined
    const api = new Proxy<ObjectApi>(plane.api, {
      get(target, name) {
        if (name !== 'mutate') {
          const value: unknown = Reflect.get(target, name)
          return typeof value === 'function' ? (value.bind(target) as unknown) : value
        }
        return (...args: Parameters<ObjectApi['mutate']>) => {
          writes++
          return refusal === undefined ? target.mutate(...args) : Promise.reject(refusal)
        }
      },
    })
    writer = new PodStatusWriter({
      api,
      informer: plane.informer,
      events: sink([], recorded),
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      warnings: new NodeWarningRecorder({
        informer: plane.informer,
        events: sink([], told),
        clock,
        logger: silentLogger,
      }),
    })
    for (const name of ['n1', 'n2']) await plane.api.create({ kind: 'Node', metadata: { name } }, CONTEXT)
    stop = new AbortController()
    running = writer.run(stop.signal)
  })

  afterEach(async () => {
    stop.abort()
    await running
    await plane.stop()
  })

  async function bound(name: string, node = 'n1'): Promise<Pod> {
    const pod = await plane.api.create(
      {
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: { containers: [{ name: 'c', image: 'busybox' }] },
      },
      CONTEXT,
    )
    const placed = await plane.api.bind('default', name, pod.metadata.uid, node, CONTEXT)
    await plane.informer.waitForRevision(Number(placed.metadata.resourceVersion))
    return placed
  }

  function observe(
    pod: Pod,
    status: PodStatus,
    { released = false, node = 'n1', session }: { released?: boolean; node?: string; session?: string } = {},
  ): void {
    const { namespace, name, uid } = pod.metadata
    writer.observe(node, [{ namespace, name, uid, status, released }], session)
  }

  const stored = (name: string): Pod | undefined => plane.informer.lister('Pod').get('default', name)

  it('lets no node take the place of what another says of its pod', async () => {
    const pod = await bound('a', 'n1')
    observe(pod, { phase: 'Running' })
    observe(pod, { phase: 'Failed' }, { node: 'n2', released: true })
    await eventually(() => stored('a')?.status.phase === 'Running')
    assert.deepEqual(
      told.map(({ regarding, reason, message }) => [regarding.kind, regarding.metadata.name, reason, message]),
      [['Node', 'n2', 'StatusRefused', 'node n2 reports pod default/a, which is not its own']],
    )
  })

  // Found by simulation (seed 20384 of 14 steps): the controller of the older session had been cut off from the store.
  it('does not write what a node said in an older session than the one that it has now', async () => {
    const [older, newer] = [await bound('a'), await bound('b')]
    const node = await plane.api.mutate(
      'Node',
      '',
      'n1',
      '',
      ({ metadata }) => void (metadata.annotations = { ...metadata.annotations, 'gantry.dev/session': 'newer' }),
      CONTEXT,
    )
    await plane.informer.waitForRevision(Number(node.metadata.resourceVersion))
    observe(older, { phase: 'Running' }, { session: 'older' })
    observe(newer, { phase: 'Running' }, { session: 'newer' })
    await eventually(() => stored('b')?.status.phase === 'Running' && writer.size === 0)
    assert.equal(stored('a')?.status.phase, 'Pending')
  })

  it('does not try again what is refused, says so on the pod, and takes the next one', async () => {
    const pod = await bound('a')
    refusal = new GantryError('InvalidArgument', 'status.phase: "Odd" is not allowed')
    observe(pod, { phase: 'Running' })
    await eventually(() => recorded.length === 1)
    assert.deepEqual(
      [recorded[0]!.reason, recorded[0]!.type, recorded[0]!.regarding.metadata.uid],
      ['StatusRefused', 'Warning', pod.metadata.uid],
    )
    assert.match(recorded[0]!.message, /node n1 reports cannot be stored: status\.phase: "Odd" is not allowed$/)
    await clock.advance(600_000)
    assert.deepEqual([writes, writer.size], [1, 0])
    refusal = undefined
    observe(pod, { phase: 'Running' })
    await eventually(() => stored('a')?.status.phase === 'Running')
  })

  it('tries again what the store cannot take now, and says so once it has lasted', async () => {
    const pod = await bound('a')
    refusal = new GantryError('Unavailable', 'no store')
    observe(pod, { phase: 'Running' })
    for (let turn = 0; turn < 20; turn++) await clock.advance(30_000)
    assert.deepEqual(
      recorded.map(({ reason }) => reason),
      ['StatusNotWritten'],
    )
    assert.ok(writes > 10, `${writes} tries`)
    refusal = undefined
    await clock.advance(60_000)
    await eventually(() => stored('a')?.status.phase === 'Running')
  })

  it('keeps nothing of a pod that was told and is gone, or has been written', async () => {
    const pods = [await bound('a'), await bound('b')]
    for (const { metadata } of pods) writer.assigned(metadata.uid)
    assert.equal(writer.size, 2)
    writer.forget(pods[0]!)
    observe(pods[1]!, { phase: 'Running' })
    await eventually(() => writer.size === 0)
    assert.ok(stored('b')?.status.timeline?.some(({ step }) => step === 'assigned'))
    writer.assigned(pods[1]!.metadata.uid)
    writer.assigned('unknown')
    assert.equal(writer.size, 0)
  })

  it('leaves alone what came after a forced deletion: nothing, or another pod of the name', async () => {
    const first = await bound('a')
    await plane.api.delete('Pod', 'default', 'a', { gracePeriodSeconds: 0 }, CONTEXT)
    observe(first, { phase: 'Running' }, { released: true })
    await eventually(() => writer.size === 0)
    assert.equal(recorded.length, 0)
    const second = await bound('a')
    await plane.api.delete('Pod', 'default', 'a', {}, CONTEXT)
    observe(first, { phase: 'Failed' }, { released: true })
    await eventually(() => writer.size === 0)
    const left = await plane.api.get('Pod', 'default', 'a')
    assert.deepEqual([left.metadata.uid, left.status.phase], [second.metadata.uid, 'Pending'])
  })

  it("does not let a node release another node's pod that is being deleted", async () => {
    const pod = await bound('a', 'n2')
    await plane.api.delete('Pod', 'default', 'a', {}, CONTEXT)
    observe(pod, { phase: 'Failed' }, { released: true })
    await eventually(() => writer.size === 0)
    assert.equal((await plane.api.get('Pod', 'default', 'a')).status.phase, 'Pending')
    observe(pod, { phase: 'Failed' }, { released: true, node: 'n2' })
    await eventually(() => stored('a') === undefined)
  })
})
