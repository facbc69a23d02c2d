import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../proto/base/errors.ts'
import {
  addQuantities,
  canonicalQuantity,
  compareQuantity,
  formatQuantity,
  parseQuantity,
  quantityBytes,
  quantityMillis,
  quantityValue,
} from '../../../proto/base/quantity.ts'

const LIMIT = 2n ** 63n - 1n

describe('quantity', () => {
  const canonical: [string, string][] = [
    ['0', '0'],
    ['0Mi', '0'],
    ['-0', '0'],
    ['1', '1'],
    ['+1', '1'],
    ['007', '7'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['5.', '5'],
    ['1500m', '1500m'],
    ['1000m', '1'],
    ['1.5', '1500m'],
    ['-1.5', '-1500m'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['0.5Ki', '512'],
    ['1025', '1025'],
    ['1025Ki', '1025Ki'],
    ['-2048Ki', '-2Mi'],
    ['0.1Ki', '102400m'],
    ['1.1Gi', '1181116006400m'],
    ['1000', '1k'],
    ['1000k', '1M'],
    ['1234567', '1234567'],
    ['1000000000000000000', '1E'],
    ['1e3', '1e3'],
    ['12E6', '12e6'],
    ['1e2', '100'],
    ['100e-3', '100e-3'],
    ['1E', '1E'],
    ['1Ei', '1Ei'],
    ['1n', '1n'],
    ['1000n', '1u'],
    ['0.1n', '1n'],
    ['1.0000000001', '1000000001n'],
    ['-0.1n', '-1n'],
    ['9223372036854775807', '9223372036854775807'],
    ['1e30', String(LIMIT)],
    ['99Ei', String(LIMIT)],
    ['1e-999', '1e-9'],
    ['0e999', '0'],
  ]
  for (const [text, expected] of canonical) {
    it(`${text} is ${expected}`, () => assert.equal(canonicalQuantity(text), expected))
  }

  for (const text of [
    '',
    ' ',
    '1 Gi',
    'Mi',
    '.',
    '-',
    '1.2.3',
    '1KI',
    '1kk',
    '0x10',
    '1e',
    'ten',
    '1,5',
    '١',
    '1Mi\n',
    '1'.repeat(101),
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 12))}`, () => {
      assert.throws(
        () => parseQuantity(text),
        (error) => GantryError.is(error, 'InvalidArgument'),
      )
    })
  }

  it('rounds up to thousandths and to whole units', () => {
    assert.equal(quantityMillis('250m'), 250)
    assert.equal(quantityMillis('0.0001'), 1)
    assert.equal(quantityMillis('-0.0001'), -1)
    assert.equal(quantityValue('1001m'), 2)
    assert.equal(quantityBytes('64Mi'), 67_108_864)
  })

  it('adds with the suffixes of the first that is not zero', () => {
    assert.equal(addQuantities('512Mi', '512Mi'), '1Gi')
    assert.equal(addQuantities('0', '1Gi', '1'), '1073741825')
    assert.equal(addQuantities('500m', '0.5'), '1')
    assert.equal(addQuantities(), '0')
    assert.equal(addQuantities('1Gi', '-1Gi'), '0')
  })

  const suffixes: Record<string, [bigint, bigint]> = {
    n: [1n, 10n ** 9n],
    u: [1n, 10n ** 6n],
    m: [1n, 1000n],
    '': [1n, 1n],
    k: [1000n, 1n],
    M: [10n ** 6n, 1n],
    G: [10n ** 9n, 1n],
    Ki: [1024n, 1n],
    Mi: [1024n ** 2n, 1n],
    Gi: [1024n ** 3n, 1n],
    Ti: [1024n ** 4n, 1n],
    e3: [1000n, 1n],
    'e-2': [1n, 100n],
    E2: [100n, 1n],
  }
  /** A quantity's text beside the same amount as a fraction. */
  const amounts = fc
    .record({
      sign: fc.constantFrom('', '-'),
      whole: fc.bigInt(0n, 10n ** 6n),
      fraction: fc.stringMatching(/^\d{0,4}$/),
      suffix: fc.constantFrom(...Object.keys(suffixes)),
    })
    .map(({ sign, whole, fraction, suffix }) => {
      const [times, by] = suffixes[suffix]!
      const digits = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n)
      return {
        text: `${sign}${whole}${fraction === '' ? '' : `.${fraction}`}${suffix}`,
        numerator: digits * times,
        denominator: by * 10n ** BigInt(fraction.length),
      }
    })
  const roundUp = (numerator: bigint, denominator: bigint): bigint => {
    const size = numerator < 0n ? -numerator : numerator
    const up = (size + denominator - 1n) / denominator
    return numerator < 0n ? -up : up
  }

  it('is the exact amount, rounded away from zero to 10⁻⁹', () => {
    fc.assert(
      fc.property(amounts, ({ text, numerator, denominator }) => {
        assert.equal(parseQuantity(text).nanos, roundUp(numerator * 10n ** 9n, denominator))
        assert.equal(quantityMillis(text), Number(roundUp(numerator * 1000n, denominator)))
        assert.equal(quantityValue(text), Number(roundUp(numerator, denominator)))
      }),
    )
  })

  it('has one canonical form per amount and kind of suffix, without a fraction, of the same amount', () => {
    fc.assert(
      fc.property(amounts, ({ text }) => {
        const parsed = parseQuantity(text)
        const written = formatQuantity(parsed)
        assert.match(written, /^(0|-?[1-9]\d*([numkMGTPE]|[KMGTPE]i|e-?\d+)?)$/)
        assert.equal(parseQuantity(written).nanos, parsed.nanos)
        assert.equal(canonicalQuantity(written), written)
      }),
    )
  })

  it('compares and adds as the amounts do', () => {
    fc.assert(
      fc.property(amounts, amounts, (a, b) => {
        const [x, y] = [parseQuantity(a.text).nanos, parseQuantity(b.text).nanos]
        assert.equal(compareQuantity(a.text, b.text), x < y ? -1 : x > y ? 1 : 0)
        assert.equal(parseQuantity(addQuantities(a.text, b.text)).nanos, x + y)
      }),
    )
  })
})
