import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  overlayDevices,
  overlayMac,
  planFabric,
  fabricCommands as plannedSteps,
  VNI,
  type FabricState,
  type KernelFabric,
  type RouteLookup,
} from '../../../../agent/network/fabric/fabric-plan.ts'
import { podMtu } from '../../../../agent/network/underlay.ts'
import type { PeerNode } from '../../../../proto/gen/types.ts'

function peer(number: number, addresses: string[], podCidrs = [`10.244.${number}.0/24`]): PeerNode {
  return { name: `n${number}`, addresses, podCidrs, labels: {}, present: true }
}

const own = peer(1, ['192.0.2.1', 'fd00:2::1'])
const link: RouteLookup = { dev: 'eth0', gateway: false, local: false }
const routed: RouteLookup = { dev: 'eth0', gateway: true, local: false }
const devices = overlayDevices(own, 8472, () => 1450)
const plan = (
  peers: PeerNode[],
  ways: [string, RouteLookup][] = [],
  overlay: 'auto' | 'vxlan' = 'auto',
): ReturnType<typeof planFabric> => planFabric(own, [own, ...peers], new Map(ways), devices, overlay)
const NOTHING: KernelFabric = { devices: [], routes: [], forwardings: [], neighbours: [] }

function steps(wanted: FabricState, has: KernelFabric) {
  const { devices: made, forwardings, routes, ...rest } = plannedSteps(wanted, has)
  return { ...rest, devices: made.text, forwardings: forwardings.text, routes: routes.text }
}

/** As if all had been done. */
function done({ devices: made, routes, forwardings, neighbours }: FabricState): KernelFabric {
  return { devices: made.map((device) => ({ ...device, vni: VNI, up: true })), routes, forwardings, neighbours }
}

describe('the plan of the fabric', () => {
  it('takes plain routes on a shared link and the overlay elsewhere, for each family', () => {
    const { routes, forwardings, neighbours, unreachable } = plan(
      [peer(2, ['192.0.2.2', 'fd00:3::2'], ['10.244.2.0/24', 'fd00:10::/64']), peer(3, ['198.51.100.3'])],
      [
        ['192.0.2.2', link],
        ['fd00:3::2', routed],
        ['198.51.100.3', routed],
      ],
    )
    assert.deepEqual(routes, [
      { to: '10.244.2.0/24', via: '192.0.2.2', dev: 'eth0' },
      { to: 'fd00:10::/64', via: 'fd00:10::', dev: 'gantryvx' },
      { to: '10.244.3.0/24', via: '10.244.3.0', dev: 'gantryvx' },
    ])
    assert.deepEqual(forwardings, [
      { dev: 'gantryvx', mac: '02:76:c0:00:02:02', remote: '192.0.2.2' },
      { dev: 'gantryvx', mac: '02:76:c6:33:64:03', remote: '198.51.100.3' },
    ])
    assert.deepEqual(
      neighbours.map(({ address }) => address),
      ['fd00:10::', '10.244.3.0'],
    )
    assert.deepEqual(unreachable, [])
  })

  it('sends over IPv6 to a node that has nothing else', () => {
    const { routes, forwardings } = plan([peer(2, ['fd00:9::2'])])
    assert.deepEqual(routes, [{ to: '10.244.2.0/24', via: '10.244.2.0', dev: 'gantryvx6' }])
    assert.equal(forwardings[0]!.remote, 'fd00:9::2')
  })

  it('says which nodes cannot be reached, and why', () => {
    const { routes, unreachable } = plan(
      [peer(2, []), peer(3, ['192.0.2.3'], own.podCidrs as string[]), peer(4, ['192.0.2.1'])],
      [['192.0.2.1', { dev: 'lo', gateway: false, local: true }]],
    )
    assert.deepEqual(routes, [])
    assert.deepEqual(
      unreachable.map(({ node, why }) => `${node}: ${why}`),
      [
        'n2: it has no address of a family that this node has: none',
        "n3: its pod range 10.244.1.0/24 is another node's, too",
        "n4: its address 192.0.2.1 is this node's",
      ],
    )
  })

  it('gives every address a hardware address of its own that is locally administered', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 20, selector: (address) => address }),
        (addresses) => {
          const macs = addresses.filter((address) => !address.includes(':')).map(overlayMac)
          assert.equal(new Set(macs).size, macs.length)
          for (const address of addresses) assert.match(overlayMac(address), /^02(:[0-9a-f]{2}){5}$/)
        },
      ),
    )
  })

  it('has nothing to do once it is done, and makes only what is another', () => {
    const wanted = plan(
      [peer(2, ['192.0.2.2']), peer(3, ['198.51.100.3'])],
      [
        ['192.0.2.2', link],
        ['198.51.100.3', routed],
      ],
    )
    assert.deepEqual(steps(wanted, done(wanted)), { devices: '', made: [], forwardings: '', routes: '' })
    const before = plan(
      [peer(3, ['198.51.100.4']), peer(9, ['198.51.100.9'])],
      [
        ['198.51.100.4', routed],
        ['198.51.100.9', routed],
      ],
    )
    const change = steps(wanted, done(before))
    assert.equal(change.devices, 'neigh replace 10.244.3.0 lladdr 02:76:c6:33:64:03 dev gantryvx nud permanent\n')
    assert.deepEqual(change.forwardings.trim().split('\n').sort(), [
      'fdb del 02:76:c6:33:64:04 dev gantryvx dst 198.51.100.4 self',
      'fdb del 02:76:c6:33:64:09 dev gantryvx dst 198.51.100.9 self',
      'fdb replace 02:76:c6:33:64:03 dev gantryvx dst 198.51.100.3 self permanent',
    ])
    assert.deepEqual(change.routes.trim().split('\n'), [
      'route replace 10.244.2.0/24 via 192.0.2.2 dev eth0 proto 71',
      'route del 10.244.9.0/24 via 10.244.9.0 dev gantryvx proto 71',
      'neigh del 10.244.9.0 dev gantryvx',
    ])
  })

  it('makes a device anew when its port is another, with all that was behind it', () => {
    const wanted = plan([peer(3, ['198.51.100.3'])], [['198.51.100.3', routed]])
    const {
      devices: lines,
      made,
      forwardings,
      routes,
    } = steps(wanted, { ...done(wanted), devices: done(wanted).devices.map((device) => ({ ...device, port: 4789 })) })
    assert.deepEqual(made, ['gantryvx', 'gantryvx6'])
    assert.match(
      lines,
      /^link del gantryvx\nlink add gantryvx address 02:76:c0:00:02:01 mtu 1450 type vxlan id 26478 dstport 8472 nolearning local 192\.0\.2\.1\n/,
    )
    assert.match(lines, /neigh replace 10\.244\.3\.0/)
    assert.match(forwardings, /fdb replace/)
    assert.match(routes, /route replace 10\.244\.3\.0\/24 via 10\.244\.3\.0 dev gantryvx proto 71 onlink/)
    assert.deepEqual(steps(wanted, NOTHING).made, ['gantryvx', 'gantryvx6'])
  })

  it('tells the neighbours again when the device has another hardware address: the kernel forgets them', () => {
    const wanted = plan([peer(3, ['198.51.100.3'])], [['198.51.100.3', routed]])
    const { devices: lines, made } = steps(wanted, {
      ...done(wanted),
      devices: done(wanted).devices.map((device) => ({ ...device, mac: '02:76:00:00:00:00' })),
    })
    assert.deepEqual(made, [])
    assert.match(lines, /^link set gantryvx address 02:76:c0:00:02:01 mtu 1450 up\n/)
    assert.match(lines, /neigh replace 10\.244\.3\.0 lladdr/)
  })
})

describe("the pods' MTU", () => {
  const links = [
    {
      ifname: 'lo',
      mtu: 65536,
      flags: ['LOOPBACK'],
      addr_info: [{ family: 'inet', local: '127.0.0.1', scope: 'host' }],
    },
    {
      ifname: 'eth0',
      mtu: 1500,
      flags: [],
      addr_info: [
        { family: 'inet', local: '192.0.2.1', scope: 'global' },
        { family: 'inet6', local: 'fd00:2::1', scope: 'global' },
      ],
    },
    { ifname: 'eth1', mtu: 9000, flags: [], addr_info: [{ family: 'inet6', local: 'fd00:9::1', scope: 'global' }] },
  ]

  it("is that of the link with the node's address, less what VXLAN needs", () => {
    assert.equal(podMtu(links, [{ dev: 'eth1' }], '192.0.2.1'), 1450)
    assert.equal(podMtu(links, [{ dev: 'eth0' }], 'fd00:9::1'), 8930)
    assert.equal(podMtu(links, [{ dev: 'eth0' }], undefined), 1450)
    assert.equal(podMtu(links, [{ dev: 'eth1' }], undefined), 8930)
    assert.equal(podMtu(links, [], undefined), 1450)
  })
})
