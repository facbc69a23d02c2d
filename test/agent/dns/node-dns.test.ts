import assert from 'node:assert/strict'
import { run } from '../../../proto/base/command.ts'
import { until } from '../../eventually.ts'
import { Machines } from './namespaces.ts'
import { RANGES, service, slice } from './view.ts'

const DIG = ['@169.254.20.10', '+noall', '+answer', '+comments', '+tries=1', '+time=5']
const WEB = service('shop', 'web', { clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'] })

describe('names on a node', function () {
  this.timeout(60_000)
  let machines: Machines

  beforeEach(async () => {
    machines = await Machines.make()
  })
  afterEach(() => machines.remove())

  const ask = async (...question: string[]): Promise<string> =>
    (await machines.exec('dig', [...DIG, ...question], [0, 9])).stdout

  it('answers pods, follows changes, keeps no connections, and leaves its address when it stops', async () => {
    // Connections are only tracked where a rule looks at them.
    await machines.inNode('nft', [
      'add table inet other; add chain inet other in { type filter hook input priority 0; }; add rule inet other in ct state invalid drop',
    ])
    const names = machines.names()
    await names.tell({ apply: { objects: [WEB], revision: 3 } })
    assert.match(await ask('web.shop.svc.cluster.local'), /IN\tA\t10\.96\.0\.7/)
    assert.match(await ask('+tcp', 'web.shop.svc.cluster.local'), /IN\tA\t10\.96\.0\.7/)
    assert.match(await ask('-x', '169.254.20.10'), /PTR\tns\.dns\.cluster\.local/)
    assert.equal((await machines.inNode('conntrack', ['-L', '-d', '169.254.20.10'])).stdout, '')
    await names.tell({
      apply: {
        objects: [
          service('shop', 'db', { clusterIP: 'None' }),
          slice('shop', 'db-1', 'db', [{ address: '10.1.2.3', hostname: 'db-0' }]),
        ],
        revision: 9,
        keys: ['Service/shop/web', 'Service/shop/db', 'EndpointSlice/shop/db-1'],
      },
    })
    assert.match(await ask('web.shop.svc.cluster.local'), /NXDOMAIN/)
    assert.match(await ask('db-0.db.shop.svc.cluster.local'), /IN\tA\t10\.1\.2\.3/)
    assert.equal(((await names.tell({ stats: true })) as { revision: number }).revision, 9)
    // A complete view replaces everything, whatever its keys say.
    await names.tell({ apply: { objects: [WEB], revision: 12 } })
    assert.match(await ask('db-0.db.shop.svc.cluster.local'), /NXDOMAIN/)
    // Another domain is another zone.
    await names.tell({
      apply: {
        objects: [WEB],
        revision: 13,
        keys: [],
        ranges: { ...RANGES, cluster: { ...RANGES.cluster, domain: 'corp.internal' } },
      },
    })
    assert.match(await ask('web.shop.svc.corp.internal'), /IN\tA\t10\.96\.0\.7/)
    await names.stop()
    assert.match((await machines.inNode('ip', ['addr', 'show', 'dev', 'gantrydns0'])).stdout, /169\.254\.20\.10\/32/)
  })

  it('answers nobody but pods and the node, whoever has a way to it', async () => {
    const names = machines.names()
    await names.tell({ apply: { objects: [WEB], revision: 3 } })
    await machines.inNode('ip', ['addr', 'add', '192.0.2.1/24', 'dev', 'veth0'])
    await machines.exec('ip', ['addr', 'add', '192.0.2.9/24', 'dev', 'eth0'])
    const from = (address: string): Promise<{ code: number }> =>
      machines.exec('dig', [...DIG, '+time=1', '-b', address, 'web.shop.svc.cluster.local'], [0, 9])
    assert.equal((await from('10.1.2.9')).code, 0)
    assert.equal((await from('192.0.2.9')).code, 9)
    assert.match((await machines.inNode('dig', [...DIG, 'web.shop.svc.cluster.local'])).stdout, /IN\tA\t10\.96\.0\.7/)
  })

  it('lets clients wait while the agent is away', async () => {
    const first = machines.names()
    await first.tell({ apply: { objects: [WEB], revision: 3 } })
    await first.kill()
    const udp = ask('+tries=40', '+time=1', 'web.shop.svc.cluster.local')
    const tcp = ask('+tcp', '+tries=1', '+time=40', 'web.shop.svc.cluster.local')
    await until(
      'a packet has been sent that nobody takes',
      async () => (await machines.exec('ss', ['-Htn', 'state', 'syn-sent'])).stdout !== '',
    )
    const second = machines.names()
    await second.tell({ apply: { objects: [WEB], revision: 3 } })
    for (const answer of await Promise.all([udp, tcp])) {
      assert.match(answer, /IN\tA\t10\.96\.0\.7/)
      assert.doesNotMatch(answer, /refused/)
    }
  })

  it('answers pods without IPv4 at their gateway', async () => {
    const names = machines.names()
    await names.tell({ apply: { objects: [WEB], revision: 3, ranges: { ...RANGES, podCidrs: ['fd00:1::/64'] } } })
    const { stdout } = await machines.exec('dig', [
      '@fd00:1::1',
      '+short',
      '+tries=1',
      '+time=5',
      'web.shop.svc.cluster.local',
    ])
    assert.equal(stdout, '10.96.0.7\n')
    // Dual stack again: the gateway answers no more.
    await names.tell({ apply: { objects: [WEB], revision: 4, keys: [], ranges: RANGES } })
    assert.equal((await machines.inNode('ss', ['-Hlun', 'sport', '=', ':53'])).stdout.trim().split('\n').length, 1)
  })

  it('says what is in the way, and goes on once that is gone', async () => {
    const names = machines.names()
    const ranges = { ...RANGES, podCidrs: ['fd00:77::/64'] }
    await assert.rejects(
      names.tell({ apply: { objects: [WEB], revision: 3, ranges } }) as Promise<unknown>,
      /cannot answer at fd00:77::1 port 53/,
    )
    assert.match(await ask('web.shop.svc.cluster.local'), /IN\tA\t10\.96\.0\.7/)
    await run('ip', ['-netns', machines.node, 'addr', 'add', 'fd00:77::1/64', 'dev', 'veth0', 'nodad'])
    await names.tell({ apply: { objects: [WEB], revision: 3, ranges } })
  })
})
