import assert from 'node:assert/strict'
import { PodCidrAllocator } from '../../../controller/dispatch/pod-cidr-allocator.ts'
import { GantryError } from '../../../proto/base/errors.ts'

/** What is taken, as a test of it. */
const taken =
  (...ranges: string[]) =>
  (range: string): boolean =>
    ranges.includes(range)

describe('pod ranges', () => {
  it('gives the lowest range that is free', () => {
    const ranges = new PodCidrAllocator('10.244.0.0/16')
    assert.equal(ranges.free(4, taken()), '10.244.0.0/24')
    assert.equal(ranges.free(4, taken('10.244.0.0/24', '10.244.2.0/24')), '10.244.1.0/24')
    assert.equal(
      new PodCidrAllocator('10.0.0.0/8').free(
        4,
        taken(...Array.from({ length: 256 }, (_, third) => `10.0.${third}.0/24`)),
      ),
      '10.1.0.0/24',
    )
  })

  it('says when all are taken', () => {
    assert.throws(
      () => new PodCidrAllocator('10.1.2.0/24').free(4, taken('10.1.2.0/24')),
      (error) => GantryError.is(error, 'ResourceExhausted'),
    )
  })

  for (const text of [
    '10.244.0.0',
    '10.244.0.0/25',
    '10.244.1.0/16',
    '10.300.0.0/16',
    'fd00::/65',
    'fd00::1/64',
    '10.0.0.0/16,10.1.0.0/16',
    '10.0.0.0/16,fd00::/64,fd01::/64',
    '',
  ]) {
    it(`refuses "${text}"`, () =>
      assert.throws(
        () => new PodCidrAllocator(text),
        (error) => GantryError.is(error, 'InvalidArgument'),
      ))
  }

  it('cuts a range per family, a /64 a node of IPv6', () => {
    const ranges = new PodCidrAllocator('fd00:10:244::/48, 10.244.0.0/16')
    assert.deepEqual(ranges.families, [6, 4])
    assert.equal(ranges.free(6, taken()), 'fd00:10:244::/64')
    assert.equal(ranges.free(6, taken('fd00:10:244::/64', 'fd00:10:244:2::/64')), 'fd00:10:244:1::/64')
    assert.equal(ranges.free(4, taken('fd00:10:244::/64')), '10.244.0.0/24')
    assert.deepEqual(
      ['fd00:10:244:ffff::/64', 'fd00:10:245::/64', 'fd00:10:244::/65', '10.244.9.0/24'].map((range) =>
        ranges.includes(range),
      ),
      [true, false, false, true],
    )
    assert.throws(
      () => new PodCidrAllocator('fd00::/64').free(6, taken('fd00::/64')),
      (error) => GantryError.is(error, 'ResourceExhausted'),
    )
  })

  it('knows its own ranges from others', () => {
    const ranges = new PodCidrAllocator('10.244.0.0/22')
    for (const [range, included] of [
      ['10.244.0.0/24', true],
      ['10.244.3.0/24', true],
      ['10.244.4.0/24', false],
      ['10.243.255.0/24', false],
      ['10.244.0.0/23', false],
      ['10.244.0.1/24', false],
      ['10.244.0.256/24', false],
      ['10.244.00.0/24', false],
      ['', false],
    ] as const) {
      assert.equal(ranges.includes(range), included, range)
    }
  })
})
