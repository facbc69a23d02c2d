import assert from 'node:assert/strict'
import { NatsClient } from '../../../controller/events/nats-client.ts'
import { EventRecorder } from '../../../controller/events/recorder.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Event } from '../../../proto/gen/types.ts'

/** Shows what it would publish. */
class Recorder extends EventRecorder {
  readonly published: Event[] = []

  override publish(event: Event): void {
    this.published.push(event)
    super.publish(event)
  }
}

describe('EventRecorder', () => {
  let clock: FakeClock
  let recorder: Recorder

  beforeEach(() => {
    clock = new FakeClock()
    const parts = { clock, random: seededRandom(1), logger: silentLogger }
    recorder = new Recorder({ ...parts, connection: new NatsClient({ ...parts, servers: [], name: 'none' }) })
  })

  const record = (message: string, more: object = {}): Event => {
    recorder.record({
      regarding: { kind: 'Pod', metadata: { name: 'web', namespace: 'team', uid: 'u' } },
      type: 'Normal',
      reason: 'Pulled',
      message,
      component: 'test',
      ...more,
    })
    return recorder.published.at(-1)!
  }

  it("makes events as Kubernetes' clients know them", () => {
    const { metadata, ...event } = record('image present')
    assert.match(metadata.name, /^web\.[a-z0-9]{12}$/)
    assert.equal(metadata.namespace, 'team')
    assert.deepEqual(event, {
      apiVersion: 'v1',
      kind: 'Event',
      type: 'Normal',
      reason: 'Pulled',
      message: 'image present',
      source: { component: 'test' },
      reportingComponent: 'test',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'team', name: 'web', uid: 'u' },
    })
    const ofNode = record('x', { regarding: { kind: 'Node', metadata: { name: 'n1', namespace: '', uid: 'n' } } })
    assert.equal(ofNode.metadata.namespace, 'default')
    assert.equal(ofNode.involvedObject?.namespace, undefined)
  })

  it('counts what repeats within ten minutes of its last time, and waits once for it', async () => {
    const first = record('again')
    await clock.advance(599_000)
    const second = record('again')
    assert.deepEqual(
      [second.metadata.uid, second.count, second.firstTimestamp, second.lastTimestamp],
      [first.metadata.uid, 2, first.firstTimestamp, '2026-01-01T00:09:59Z'],
    )
    assert.equal(recorder.waiting, 1)
    await clock.advance(600_000)
    const later = record('again')
    assert.notEqual(later.metadata.uid, first.metadata.uid)
    assert.equal(later.count, 1)
    for (const other of [
      { reason: 'Killing' },
      { type: 'Warning' },
      { component: 'other' },
      { regarding: { kind: 'Pod', metadata: { name: 'web', namespace: 'team', uid: 'another' } } },
    ])
      assert.equal(record('again', other).count, 1)
  })

  it('holds 10,000 events and counts those that made way', () => {
    for (let index = 0; index < 10_050; index++) record(`message ${index}`)
    assert.deepEqual([recorder.waiting, recorder.dropped], [10_000, 50])
  })
})
