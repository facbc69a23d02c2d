import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FakeClock } from '../../../../../proto/base/clock.ts'
import { seededRandom, type Random } from '../../../../../proto/base/random.ts'
import { DelayLine } from '../../../../../deploy/rig/faults/program/delay-line.ts'
import type { Conditions } from '../../../../../deploy/rig/faults/program/task.ts'
import { eventually } from '../../../../eventually.ts'

/** A line, and what came out of it by when. */
function makeLine(
  conditions: Conditions,
  random: Random = seededRandom(1),
): { line: DelayLine; clock: FakeClock; out: { at: number; text: string }[] } {
  const clock = new FakeClock()
  const line = new DelayLine(conditions, clock, random)
  const out: { at: number; text: string }[] = []
  line.on('data', (chunk: Buffer) => out.push({ at: clock.monotonic(), text: chunk.toString() }))
  line.on('end', () => out.push({ at: clock.monotonic(), text: 'END' }))
  return { line, clock, out }
}

/** Lets the streams' own callbacks run, then moves time on. */
async function pass(clock: FakeClock, millis: number): Promise<void> {
  for (let step = 0; step < millis; step++) {
    await new Promise(setImmediate)
    await clock.advance(1)
  }
  await new Promise(setImmediate)
}

describe('DelayLine', () => {
  it('hands on each piece, and the end, so much later', async () => {
    const { line, clock, out } = makeLine({ by: 30 })
    line.write('a')
    await pass(clock, 10)
    line.end('b')
    await pass(clock, 50)
    assert.deepEqual(out, [
      { at: 30, text: 'a' },
      { at: 40, text: 'b' },
      { at: 40, text: 'END' },
    ])
  })

  it('holds to a rate', async () => {
    const { line, clock, out } = makeLine({ rate: 10_000 })
    line.end(Buffer.alloc(2_048, 'x'))
    await pass(clock, 300)
    assert.deepEqual(
      out.map(({ at, text }) => [at, text.length]),
      [
        [52, 512],
        [103, 512],
        [154, 512],
        [205, 512],
        [205, 3],
      ],
    )
  })

  it('lets a piece that is late hold back what follows', async () => {
    const chances = [0.9, 0.1, 0.9]
    const { line, clock, out } = makeLine({ by: 20, reorder: 0.5 }, { next: () => chances.shift() ?? 0.9 })
    for (const text of ['a', 'b', 'c']) line.write(text)
    await pass(clock, 60)
    assert.deepEqual(out, [
      { at: 20, text: 'a' },
      { at: 40, text: 'b' },
      { at: 40, text: 'c' },
    ])
  })

  it('keeps every byte in order whatever the conditions', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record(
          {
            by: fc.integer({ min: 0, max: 20 }),
            jitter: fc.integer({ min: 0, max: 20 }),
            reorder: fc.constantFrom(0, 0.5, 1),
            rate: fc.constantFrom(undefined, 20_000, 1_000_000),
          },
          { requiredKeys: [] },
        ),
        fc.array(fc.string({ minLength: 1, maxLength: 700 }), { maxLength: 8 }),
        fc.integer(),
        async ({ rate, ...conditions }, texts, seed) => {
          const { line, clock, out } = makeLine(
            { ...conditions, ...(rate === undefined ? {} : { rate }) },
            seededRandom(seed),
          )
          for (const text of texts) line.write(text)
          line.end()
          await eventually(async () => {
            await pass(clock, 50)
            return out.at(-1)?.text === 'END'
          })
          assert.equal(
            Buffer.from(
              out
                .slice(0, -1)
                .map(({ text }) => text)
                .join(''),
            ).toString(),
            texts.join(''),
          )
        },
      ),
      { numRuns: 30 },
    )
  })

  it('takes in no more than a line holds while nobody reads', async () => {
    const line = new DelayLine({}, new FakeClock(), seededRandom(1))
    let written = 0
    const chunk = Buffer.alloc(1024 * 1024)
    const write = (): void =>
      void (
        written < 64 &&
        line.write(chunk, () => {
          written++
          write()
        })
      )
    write()
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
    assert(written >= 14 && written <= 18, `${written} MiB`)
    line.destroy()
  })
})
