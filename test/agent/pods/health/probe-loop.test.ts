import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  countOutcome,
  nextProbe,
  INITIAL_PROBE_COUNT,
  type ProbeKind,
} from '../../../../agent/pods/health/probe-count.ts'
import { ProbeLoop } from '../../../../agent/pods/health/probe-loop.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import type { Probe } from '../../../../proto/gen/types.ts'
import type { ProbeOutcome } from '../../../../agent/pods/health/contract.ts'

const PROBE: Probe = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }

describe('outcomes of a probe', () => {
  /** Outcomes in order (+ success, - failure), and what is said after each (+, -, . for nothing new). */
  const table: [string, number, number, string, string][] = [
    ['one success is enough, three failures are needed', 1, 3, '+--+---+', '+..+..-+'],
    ['a success between starts the count anew', 1, 3, '--+--+--', '..+..+..'],
    ['two successes are needed', 2, 1, '-+++-+', '-.++-.'],
    ['what goes on is said again', 1, 1, '++--', '++--'],
  ]
  for (const [title, successThreshold, failureThreshold, outcomes, verdicts] of table) {
    it(title, () => {
      let count = INITIAL_PROBE_COUNT
      const said = [...outcomes].map((outcome) => {
        const next = countOutcome(count, outcome === '+', { successThreshold, failureThreshold })
        count = next.count
        return next.verdict === undefined ? '.' : next.verdict ? '+' : '-'
      })
      assert.equal(said.join(''), verdicts)
    })
  }

  it('says what it says only after as many equal outcomes as the threshold asks for', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { maxLength: 60 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (outcomes, successThreshold, failureThreshold) => {
          let count = INITIAL_PROBE_COUNT
          outcomes.forEach((success, index) => {
            const next = countOutcome(count, success, { successThreshold, failureThreshold })
            count = next.count
            const needed = success ? successThreshold : failureThreshold
            const last = outcomes.slice(Math.max(0, index + 1 - needed), index + 1)
            assert.equal(
              next.verdict,
              last.length === needed && last.every((other) => other === success) ? success : undefined,
            )
          })
        },
      ),
    )
  })

  it('is tried again after a period at the latest, and no sooner where it has succeeded or is of liveness', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<ProbeKind>('startup', 'readiness', 'liveness'),
        fc.integer({ min: 1, max: 60 }),
        fc.nat(200_000),
        fc.nat(200_000),
        fc.boolean(),
        (kind, period, sinceFirst, sinceRegular, succeeded) => {
          const { after, regular } = nextProbe(kind, period, sinceFirst, sinceRegular, succeeded)
          const rest = Math.max(0, period * 1000 - sinceRegular)
          assert.ok(after <= rest && after >= 0)
          assert.equal(regular, after === rest)
          if (succeeded || kind === 'liveness') assert.equal(after, rest)
          else if (!regular) assert.ok(after >= 100 && after >= sinceFirst)
        },
      ),
    )
  })
})

describe('a probe made again and again', () => {
  interface Watched {
    readonly clock: FakeClock
    readonly loop: ProbeLoop
    readonly tries: number[]
    readonly told: string[]
    readonly said: string[]
  }

  function watch(
    kind: ProbeKind,
    outcome: (at: number, signal: AbortSignal) => ProbeOutcome['verdict'] | Promise<ProbeOutcome['verdict']>,
    probe: Partial<Probe> = {},
    first = 0,
    firstCounts = true,
  ): Watched {
    const clock = new FakeClock()
    const tries: number[] = []
    const told: string[] = []
    const said: string[] = []
    const loop = new ProbeLoop({
      kind,
      clock,
      first,
      firstCounts,
      probe: { ...PROBE, ...probe },
      attempt: async (signal) => {
        tries.push(clock.monotonic())
        return { verdict: await outcome(clock.monotonic(), signal), message: '' }
      },
      onOutcome: ({ verdict }) => told.push(`${clock.monotonic()} ${verdict}`),
      onVerdict: (healthy) => said.push(`${clock.monotonic()} ${healthy}`),
    })
    return { clock, loop, tries, told, said }
  }

  it('goes by its period', async () => {
    const { clock, tries, loop } = watch('liveness', () => 'success', {}, 5000)
    await clock.advance(26_000)
    assert.deepEqual(tries, [5000, 15_000, 25_000])
    loop.stop()
    await clock.advance(60_000)
    assert.equal(tries.length, 3)
    assert.equal(clock.pending, 0)
  })

  it('ends a container after failures in a row, once', async () => {
    const { clock, said, tries } = watch('liveness', (at) => (at < 20_000 ? 'success' : 'failure'))
    await clock.advance(100_000)
    assert.deepEqual(said, ['0 true', '10000 true', '40000 false'])
    assert.equal(tries.at(-1), 40_000)
    assert.equal(clock.pending, 0)
  })

  it('sees soon that a container is ready, and tells only failures that are a period apart', async () => {
    const { clock, tries, told, said } = watch('readiness', (at) => (at < 1000 ? 'failure' : 'success'))
    await clock.advance(12_000)
    assert.deepEqual(tries, [0, 100, 200, 400, 800, 1600, 10_000])
    assert.deepEqual(told, ['0 failure', '1600 success', '10000 success'])
    assert.deepEqual(said, ['1600 true', '10000 true'])
  })

  it('holds nothing against a container that has only begun', async () => {
    const { clock, tries, told, said } = watch(
      'readiness',
      (at) => (at < 150 ? 'failure' : 'success'),
      { failureThreshold: 1 },
      0,
      false,
    )
    await clock.advance(11_000)
    assert.deepEqual(
      [tries, told, said],
      [
        [0, 100, 200, 10_000],
        ['200 success', '10000 success'],
        ['200 true', '10000 true'],
      ],
    )
    const never = watch('startup', () => 'failure', { periodSeconds: 1, failureThreshold: 2 }, 0, false)
    await never.clock.advance(10_000)
    assert.deepEqual([never.told, never.said], [['1000 failure', '2000 failure'], ['2000 false']])
    const errors = watch('readiness', () => 'error', { periodSeconds: 1 }, 0, false)
    await errors.clock.advance(1000)
    assert.deepEqual(errors.told, ['0 error', '1000 error'])
    errors.loop.stop()
  })

  it('goes by its period as long as it fails', async () => {
    const { clock, tries, told, said } = watch('startup', () => 'failure', { periodSeconds: 1, failureThreshold: 3 })
    await clock.advance(10_000)
    assert.deepEqual(told, ['0 failure', '1000 failure', '2000 failure'])
    assert.deepEqual(said, ['2000 false'])
    assert.deepEqual(tries, [0, 100, 200, 400, 800, 1000, 2000])
  })

  it('is decided once where it is of startup', async () => {
    const { clock, tries, said } = watch('startup', () => 'warning')
    await clock.advance(60_000)
    assert.deepEqual([tries, said], [[0], ['0 true']])
  })

  it('counts nothing that says nothing about the container', async () => {
    const { clock, told, said } = watch('liveness', (at) => (at < 5000 ? 'error' : 'failure'), {
      periodSeconds: 1,
      failureThreshold: 2,
    })
    await clock.advance(10_000)
    assert.equal(told.filter((line) => line.endsWith('error')).length, 5)
    assert.deepEqual(said, ['6000 false'])
  })

  it('gives up a try after its timeout, and begins the next at the end of the period or of the try', async () => {
    const pending = (_at: number, signal: AbortSignal): Promise<ProbeOutcome['verdict']> =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          assert.equal(GantryError.from(signal.reason).code, 'DeadlineExceeded')
          resolve('failure')
        })
      })
    const { clock, tries, told } = watch('liveness', pending, { timeoutSeconds: 3, periodSeconds: 2 })
    await clock.advance(7000)
    assert.deepEqual(tries, [0, 3000, 6000])
    assert.deepEqual(told, ['3000 failure', '6000 failure'])
  })

  it('is not heard of any more once it is stopped, whatever is under way', async () => {
    const { clock, loop, told, said } = watch(
      'readiness',
      (_at, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve('failure'))),
    )
    await clock.advance(10)
    loop.stop()
    await clock.advance(60_000)
    assert.deepEqual([told, said, clock.pending], [[], [], 0])
  })
})
