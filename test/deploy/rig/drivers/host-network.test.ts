import assert from 'node:assert/strict'
import { choosePrefix } from '../../../../deploy/rig/drivers/namespaces/host-network.ts'

describe("a rig's network", () => {
  const cases: [string, string, string][] = [
    [
      'takes the first where nothing is used',
      'default via 192.168.1.1 dev eth0\n192.168.1.0/24 dev eth0 proto kernel scope link src 192.168.1.7\n',
      '10.87.0',
    ],
    [
      'keeps clear of other rigs',
      '10.87.0.0/24 dev gantry-rig0 proto kernel scope link src 10.87.0.1\n10.87.2.0/24 dev gantry-rig2\n',
      '10.87.1',
    ],
    [
      'keeps clear of wider and of narrower ranges',
      '10.87.0.0/23 dev tun0\n10.87.2.128/25 dev tun1\n10.87.3.9 dev tun2\n',
      '10.87.4',
    ],
  ]
  for (const [what, routes, prefix] of cases) it(what, () => assert.equal(choosePrefix(routes), prefix))

  it('says when there is none', () => {
    assert.throws(() => choosePrefix('10.0.0.0/8 via 192.168.1.1 dev eth0\n'), /10\.87\.0\.0\/16 is in use/)
  })
})
