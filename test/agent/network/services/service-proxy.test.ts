import assert from 'node:assert/strict'
import type { Run } from '../../../../agent/host/launcher.ts'
import { ServiceProxy } from '../../../../agent/network/services/service-proxy.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import { silentLogger } from '../../../../proto/base/logger.ts'
import { endpoint, port, TestView } from './view.ts'

/** A kernel without a table, which takes everything. */
class Programs {
  readonly texts: string[] = []
  readonly calls: string[] = []
  refuse = false

  readonly run: Run = (program, args, { stdin } = {}) => {
    this.calls.push([program, ...args].join(' '))
    if (program === 'nft' && args[0] === '-f') {
      if (this.refuse) return Promise.reject(new GantryError('Internal', 'nft refuses'))
      this.texts.push(stdin as string)
    }
    return Promise.resolve({ code: args.includes('-t') ? 1 : 0, stdout: '', stderr: '' })
  }

  /** Element commands of the last text. */
  changes(): string[] {
    return this.texts
      .at(-1)!
      .split('\n')
      .filter((line) => line.includes(' element '))
  }
}

describe('ServiceProxy', () => {
  let programs: Programs
  let view: TestView
  let proxy: ServiceProxy

  beforeEach(async () => {
    programs = new Programs()
    view = new TestView()
    view.peer('n1', ['192.168.77.1'], { 'topology.kubernetes.io/zone': 'east' })
    view.peer('n2', ['192.168.78.2'], { 'topology.kubernetes.io/zone': 'west' })
    proxy = new ServiceProxy({
      node: 'n1',
      logger: silentLogger,
      run: programs.run,
      reservedPorts: () => [{ protocol: 'TCP', port: 7443 }],
    })
    view.service('web', { clusterIPs: ['10.96.0.10'], trafficDistribution: 'PreferClose' })
    view.slice('web-1', 'web', [endpoint('10.1.1.2'), endpoint('10.1.2.2', 'n2')])
    await view.tell(proxy, true)
  })
  afterEach(async () => await proxy.stop())

  it('runs no program for what concerns no Service', async () => {
    const before = programs.calls.length
    view.peer('n2', ['192.168.78.2'], { 'topology.kubernetes.io/zone': 'west', other: 'label' })
    view.slice('stray', '', [endpoint('10.1.1.9')])
    await view.tell(proxy)
    await proxy.apply(view, { complete: false, keys: new Set(['AddressSet/x', 'Secret/default/s']) })
    assert.equal(programs.calls.length, before)
  })

  it('plans anew who prefers nearness when a node is in another zone', async () => {
    assert.ok(!programs.changes().some((line) => line.includes('10.1.2.2')))
    view.peer('n2', ['192.168.78.2'], { 'topology.kubernetes.io/zone': 'east' })
    await view.tell(proxy)
    assert.deepEqual(
      programs.changes().filter((line) => line.includes('slots4')),
      ['add element inet gantry_services slots4 { 0x47000001 . 1 : 10.1.2.2 . 8080 }'],
    )
  })

  it("leaves a node's address alone as soon as it is known to be one", async () => {
    view.service('hungry', { clusterIPs: ['10.96.0.11'], externalIPs: ['192.168.79.3'], ports: [port(7443)] })
    await view.tell(proxy)
    assert.ok(
      programs
        .changes()
        .some((line) =>
          line.includes('fronts4 { 10.96.0.11 . 6 . 7443 : 0x47000002, 192.168.79.3 . 6 . 7443 : 0x47000002 }'),
        ),
    )
    view.peer('n3', ['192.168.79.3'])
    await view.tell(proxy)
    assert.deepEqual(programs.changes(), ['delete element inet gantry_services fronts4 { 192.168.79.3 . 6 . 7443 }'])
  })

  it('lets a slice go over from one Service to another', async () => {
    view.service('other', { clusterIPs: ['10.96.0.11'] })
    await view.tell(proxy)
    view.slice('web-1', 'other', [endpoint('10.1.1.2')])
    await view.tell(proxy)
    const picks = programs.changes().filter((line) => line.includes(' picks '))
    assert.deepEqual(picks, [
      'delete element inet gantry_services picks { 0x47000001, 0x47000002 }',
      'add element inet gantry_services picks { 0x47000001 : goto nobody, 0x47000002 : goto pick4_1 }',
    ])
  })

  it('assumes nothing after a failure: the next call tells the kernel everything', async () => {
    programs.refuse = true
    view.slice('web-1', 'web', [endpoint('10.1.1.3')])
    await assert.rejects(view.tell(proxy), { code: 'Internal' })
    programs.refuse = false
    await proxy.apply(view, { complete: false, keys: new Set() })
    assert.match(programs.texts.at(-1)!, /add map inet gantry_services fronts4/)
    assert.ok(
      programs.changes().includes('add element inet gantry_services slots4 { 0x47000001 . 0 : 10.1.1.3 . 8080 }'),
    )
  })

  it('deletes few stale flows one by one, and compares all when there are many', async () => {
    const ports = [{ name: '', protocol: 'UDP', port: 53 }] as const
    const all = Array.from({ length: 20 }, (_, index) => endpoint(`10.1.3.${index}`, 'n1'))
    view.service('dns', { clusterIPs: ['10.96.0.53'], ports: [port(53, { protocol: 'UDP' })] })
    view.slice('dns-1', 'dns', all, [...ports])
    await view.tell(proxy)
    const conntrack = (): string[] => programs.calls.splice(0).filter((call) => call.startsWith('conntrack'))
    assert.deepEqual(conntrack().slice(-1), ['conntrack -D -f ipv4 -p udp --orig-port-dst 53 --orig-dst 10.96.0.53'])
    view.slice('dns-1', 'dns', all.slice(1), [...ports])
    await view.tell(proxy)
    assert.deepEqual(conntrack(), [
      'conntrack -D -f ipv4 -p udp --orig-port-dst 53 --orig-dst 10.96.0.53 --reply-src 10.1.3.0 --reply-port-src 53',
    ])
    view.slice('dns-1', 'dns', all.slice(15), [...ports])
    await view.tell(proxy)
    assert.deepEqual(conntrack(), [
      'conntrack -L -f ipv4 -p udp',
      'conntrack -L -f ipv6 -p udp',
      'conntrack -L -f ipv4 -p sctp',
      'conntrack -L -f ipv6 -p sctp',
    ])
  })

  it('refuses ranges that are none, and says which', async () => {
    view.ranges = { ...view.ranges, podCidrs: ['10.1.1.0'] }
    await assert.rejects(view.tell(proxy, true), /"10.1.1.0", told by the control plane, is no range/)
  })
})
