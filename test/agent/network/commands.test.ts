import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  addressGateway,
  isPortName,
  joinPorts,
  podMac,
  podLinkCommands,
  portName,
} from '../../../agent/network/commands.ts'

describe('network commands', () => {
  it("name a port and its hardware address by the pod's first address, within the kernel's 15 characters", () => {
    assert.equal(portName('10.1.0.2'), 'gv0a010002')
    assert.equal(podMac('10.1.0.2'), '02:67:0a:01:00:02')
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6()),
        (address) =>
          portName(address).length <= 15 &&
          isPortName(portName(address)) &&
          /^02:67(:[0-9a-f]{2}){4}$/.test(podMac(address)),
      ),
    )
    assert.equal(isPortName('eth0'), false)
  })

  it('set up a pod in one batch, with the other end on the node, and no way but through the gateway', () => {
    const addresses = [
      { address: '10.1.0.2', gateway: '10.1.0.1' },
      { address: 'fd00:1::2', gateway: 'fd00:1::1' },
    ]
    assert.equal(
      podLinkCommands({ addresses, mtu: 1400, nodeNetns: '/proc/7/ns/net' }).text,
      [
        'link set lo up',
        'link add eth0 address 02:67:0a:01:00:02 mtu 1400 type veth peer name gv0a010002 mtu 1400 netns /proc/7/ns/net',
        'link set eth0 up',
        'addr add 10.1.0.2/32 dev eth0',
        'neigh replace 10.1.0.1 lladdr 02:67:74:72:79:00 dev eth0 nud permanent',
        'route add 10.1.0.1/32 dev eth0',
        'route add default via 10.1.0.1 dev eth0',
        'addr add fd00:1::2/128 dev eth0 nodad',
        'neigh replace fd00:1::1 lladdr 02:67:74:72:79:00 dev eth0 nud permanent',
        'route add fd00:1::1/128 dev eth0',
        'route add default via fd00:1::1 dev eth0',
        '',
      ].join('\n'),
    )
  })

  it('make a port the one way to its pod, from the gateways, and nobody has to ask', () => {
    assert.equal(
      joinPorts([['10.1.0.2', 'fd00:1::2']], ['10.1.0.1', 'fd00:1::1']).text,
      [
        'link set gv0a010002 nomaster',
        'link set gv0a010002 address 02:67:74:72:79:00',
        'link set gv0a010002 addrgenmode none',
        'link set gv0a010002 up',
        'addr replace 10.1.0.1/32 dev gv0a010002',
        'addr replace fd00:1::1/128 dev gv0a010002 nodad',
        'neigh replace 10.1.0.2 lladdr 02:67:0a:01:00:02 dev gv0a010002 nud permanent',
        'route replace 10.1.0.2/32 dev gv0a010002',
        'neigh replace fd00:1::2 lladdr 02:67:0a:01:00:02 dev gv0a010002 nud permanent',
        'route replace fd00:1::2/128 dev gv0a010002',
        '',
      ].join('\n'),
    )
  })

  it('give the gateway the wanted addresses and no others', () => {
    assert.equal(
      addressGateway(1450, ['10.1.0.1/32', 'fd00:1::1/128'], ['10.2.0.1/32']).text,
      [
        'link set gantry0 mtu 1450 up',
        'addr del 10.2.0.1/32 dev gantry0',
        'addr add 10.1.0.1/32 dev gantry0',
        'addr add fd00:1::1/128 dev gantry0 nodad',
        '',
      ].join('\n'),
    )
    assert.equal(addressGateway(1450, [], []).text, 'link set gantry0 mtu 1450 up\n')
  })
})
