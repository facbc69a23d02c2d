import assert from 'node:assert/strict'
import { StatusReporter } from '../../../../agent/pods/status/status-reporter.ts'
import type { PodRecord } from '../../../../agent/state/contract.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import type { ObservedPod } from '../../../../proto/gen/types.ts'

const waiting = (reason: string): object => ({
  phase: 'Pending',
  containerStatuses: [{ name: 'main', state: { waiting: { reason } } }],
})

describe('what is told of a pod', () => {
  let clock: FakeClock
  let reporter: StatusReporter
  let status: object
  let told: number[]

  beforeEach(() => {
    clock = new FakeClock()
    const began = clock.monotonic()
    told = []
    reporter = new StatusReporter({
      deps: { clock, reports: { podStatusChanged: () => void told.push(clock.monotonic() - began) } as never },
      observation: () => ({ status }) as unknown as ObservedPod,
      save: () => undefined,
    })
  })

  function change(next: object): void {
    status = next
    reporter.update({ status, stage: { stage: 'running' } } as unknown as PodRecord)
  }

  it('while it starts is told after half a second, and later no later than four', async () => {
    for (let step = 0; step < 200; step++) {
      change({ ...waiting('ContainerCreating'), message: `step ${step}` })
      await clock.advance(100)
    }
    assert.deepEqual(told, [500, 4_500, 8_500, 12_500, 16_500])
  })

  it('is told at once when it runs, or when something is wrong', async () => {
    change(waiting('ContainerCreating'))
    await clock.advance(100)
    change(waiting('ErrImagePull'))
    assert.deepEqual(told, [100])
    await clock.advance(100)
    change({ phase: 'Running' })
    assert.deepEqual(told, [100, 200])
  })
})
