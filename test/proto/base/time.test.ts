import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../proto/base/errors.ts'
import { formatMicroTime, formatTime, parseTime } from '../../../proto/base/time.ts'

/** As Date has it; the years from 0 to 9999. */
const millis = fc.oneof(
  fc.integer({ min: -62_167_219_200, max: 253_402_300_799 }).map((seconds) => seconds * 1000),
  fc.integer({ min: 1_700_000_000_000, max: 1_700_200_000_000 }),
)

describe('times', () => {
  it('are written in whole seconds, as Date writes them', () => {
    fc.assert(
      fc.property(millis, (time) => {
        const expected = `${new Date(time).toISOString().slice(0, -5)}Z`
        // The second time it is known.
        assert.equal(formatTime(time), expected)
        assert.equal(formatTime(time), expected)
      }),
      { numRuns: 1000 },
    )
  })

  it('are written in microseconds, of which Date knows the thousands', () => {
    fc.assert(
      fc.property(millis, fc.nat(999), (time, more) =>
        assert.equal(formatMicroTime(time + more), new Date(time + more).toISOString().replace('Z', '000Z')),
      ),
      { numRuns: 1000 },
    )
  })

  it('are read as Date reads them', () => {
    fc.assert(
      fc.property(millis, (time) => assert.equal(parseTime(formatTime(time)), Math.floor(time / 1000) * 1000)),
      { numRuns: 1000 },
    )
  })

  const texts: [string, number | undefined][] = [
    ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
    ['2023-02-29T00:00:00Z', undefined],
    ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
    ['1900-02-29T00:00:00Z', undefined],
    ['2026-04-31T00:00:00Z', undefined],
    ['2026-12-31T23:59:59Z', Date.UTC(2026, 11, 31, 23, 59, 59)],
    ['2026-12-31T23:59:60Z', undefined],
    ['2026-12-31T24:00:00Z', undefined],
    ['2026-00-10T00:00:00Z', undefined],
    ['2026-13-10T00:00:00Z', undefined],
    ['2026-01-00T00:00:00Z', undefined],
    ['2026-01-01T00:0x:00Z', undefined],
    ['2026-01-01 00:00:00Z', undefined],
    ['2026-01-01T00:00:00z', undefined],
    ['2026-01-01T00:00:00.5Z', Date.UTC(2026, 0, 1, 0, 0, 0, 500)],
    ['2026-01-01T02:00:00+02:00', Date.UTC(2026, 0, 1)],
    ['', undefined],
  ]
  for (const [text, expected] of texts)
    it(`${text === '' ? 'nothing' : text} is ${expected === undefined ? 'none' : 'one'}`, () => {
      if (expected === undefined)
        assert.throws(
          () => parseTime(text),
          (thrown) => GantryError.is(thrown, 'InvalidArgument'),
        )
      else assert.equal(parseTime(text), expected)
    })

  it('beyond four digits of a year are as Date has them, and what is no time is refused', () => {
    assert.equal(formatTime(253_402_300_800_000), '+010000-01-01T00:00:00Z')
    assert.throws(() => formatTime(NaN), RangeError)
  })
})
