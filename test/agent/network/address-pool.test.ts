import assert from 'node:assert/strict'
import fc from 'fast-check'
import { AddressPool } from '../../../agent/network/address-pool.ts'

describe('AddressPool', () => {
  it('keeps the first address for the node and never hands out the ends of the range', () => {
    const pool = new AddressPool('10.1.2.0/29')
    assert.equal(pool.gateway, '10.1.2.1')
    assert.equal(pool.cidr, '10.1.2.0/29')
    assert.equal(pool.free, 5)
    assert.deepEqual(
      Array.from({ length: 6 }, () => pool.take()),
      ['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6', undefined],
    )
    assert.equal(pool.free, 0)
  })

  it('lets a freed address rest while others are free', () => {
    const pool = new AddressPool('10.0.0.0/29')
    const first = pool.take()!
    pool.release(first)
    assert.notEqual(pool.take(), first)
  })

  it('does not hand out what is reserved, and refuses to reserve what is not its own', () => {
    const pool = new AddressPool('10.0.0.0/30')
    assert.equal(pool.reserve('10.0.0.1'), false)
    assert.equal(pool.reserve('10.0.1.2'), false)
    assert.equal(pool.reserve('10.0.0.2'), true)
    assert.equal(pool.take(), undefined)
  })

  it('reads an address inside the range as the range', () => {
    assert.equal(new AddressPool('10.1.2.77/24').cidr, '10.1.2.0/24')
    assert.equal(new AddressPool('255.255.255.0/24').gateway, '255.255.255.1')
  })

  it('gives IPv6 addresses in their canonical form', () => {
    const pool = new AddressPool('fd00:10:244:1:0::7/64')
    assert.equal(pool.cidr, 'fd00:10:244:1::/64')
    assert.equal(pool.gateway, 'fd00:10:244:1::1')
    assert.deepEqual([pool.take(), pool.take()], ['fd00:10:244:1::2', 'fd00:10:244:1::3'])
    assert.equal(pool.reserve('fd00:10:244:1::4'), true)
    assert.equal(pool.take(), 'fd00:10:244:1::5')
    assert.equal(pool.reserve('fd00:10:244:2::4'), false)
  })

  it('refuses what is no range', () => {
    for (const cidr of [
      '10.0.0.0',
      '10.0.0.0/31',
      '10.0.0.0/7',
      '10.0.0/24',
      '10.0.0.256/24',
      '10.0.0.01/24',
      'fd00::/47',
      'fd00::/127',
      'fd00::1',
      '',
    ]) {
      assert.throws(() => new AddressPool(cidr), { code: 'InvalidArgument' }, cidr)
    }
  })

  it('never gives one address to two', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (takes) => {
        const pool = new AddressPool('192.168.0.0/27')
        const held = new Set<string>()
        for (const take of takes) {
          if (take) {
            const address = pool.take()
            assert.equal(address === undefined, held.size === 29)
            if (address !== undefined) {
              assert.ok(!held.has(address))
              held.add(address)
            }
          } else {
            const [address] = held
            if (address !== undefined) {
              pool.release(address)
              held.delete(address)
            }
          }
        }
      }),
    )
  })
})
