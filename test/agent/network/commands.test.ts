import assert from 'node:assert/strict'
import fc from 'fast-check'
import { deleteLinks, firewall, isPortName, makeBridge, podSide, portName } from '../../../agent/network/commands.ts'

describe('network commands', () => {
  it('name a port by its address, within the kernel\'s 15 characters', () => {
    assert.equal(portName('10.1.0.2'), 'gv0a010002')
    fc.assert(fc.property(fc.ipV4(), (address) => portName(address).length <= 15 && isPortName(portName(address))))
    assert.equal(isPortName('eth0'), false)
  })

  it('set up a pod in one batch, with the other end on the node', () => {
    assert.equal(podSide({ address: '10.1.0.2', prefix: 24, gateway: '10.1.0.1', mtu: 1400, nodeNetns: '/proc/7/ns/net' }), [
      'link set lo up',
      'link add eth0 mtu 1400 type veth peer name gv0a010002 mtu 1400 netns /proc/7/ns/net',
      'addr add 10.1.0.2/24 dev eth0',
      'link set eth0 up',
      'route add default via 10.1.0.1',
      '',
    ].join('\n'))
  })

  it('give the bridge a hardware address that follows from its own', () => {
    assert.match(makeBridge('10.1.0.1', 1500), /^link add gantry0 address 02:67:0a:01:00:01 mtu 1500 type bridge\n$/)
  })

  it('masquerade only what leaves the pod range', () => {
    assert.match(firewall('10.1.0.0/24'), /ip saddr 10\.1\.0\.0\/24 ip daddr != 10\.1\.0\.0\/24 oifname != "gantry0" masquerade/)
  })

  it('delete each link', () => {
    assert.equal(deleteLinks(['a', 'b']), 'link del a\nlink del b\n')
  })
})
