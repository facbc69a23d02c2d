/** Whatever is told, what is made of it are the commands that are meant, and those for the good entries. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ClusterView } from '../../../agent/network/cluster-view.ts'
import type { NetworkView } from '../../../agent/network/contract.ts'
import { overlayDevices, planFabric, fabricCommands } from '../../../agent/network/fabric/fabric-plan.ts'
import { changeScripts } from '../../../agent/network/policy/change-script.ts'
import { EMPTY_POLICY_TABLE, policyTable, SetElements } from '../../../agent/network/policy/ruleset.ts'
import { fdbCommands, makeSegment, segmentsOf } from '../../../agent/network/segments/segment-plan.ts'
import { planService } from '../../../agent/network/services/service-plan.ts'
import { DesiredTable } from '../../../agent/network/services/desired-table.ts'
import { transaction } from '../../../agent/network/services/transaction.ts'
import { encode } from '../../../proto/codec/wire.ts'
import type { NetworkEntry, PeerNode } from '../../../proto/gen/types.ts'

const RANGES = {
  podCidrs: ['10.244.1.0/24'],
  cluster: { podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' },
}
const ends = fc.constantFrom(
  '',
  '',
  '\nnetns add held',
  '; flush ruleset',
  ' }\nflush ruleset',
  '#x',
  '"',
  ' ',
  '/99',
  ' dev lo',
  '$(id)',
  ', 10.0.0.1',
  '%eth0',
)
const address = fc.oneof(
  fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), ends).map((parts) => parts.join('')),
  fc.string(),
)
const cidr = fc.oneof(
  fc.tuple(fc.ipV4(), fc.constantFrom('/8', '/24', '/32'), ends).map((parts) => parts.join('')),
  fc.tuple(fc.ipV6(), fc.constantFrom('/48', '/64', '/128'), ends).map((parts) => parts.join('')),
  fc.string(),
)
const port = fc.oneof(fc.integer({ min: -5, max: 70_000 }), fc.constantFrom(80, 443))
const protocol = fc.oneof(fc.constantFrom('TCP', 'UDP', 'SCTP'), fc.string())
const name = fc.oneof(fc.constantFrom('n2', 'n3', 'web'), fc.string())

function viewOf(set: NetworkEntry[]): { readonly view: NetworkView; readonly leftOut: string[] } {
  const leftOut: string[] = []
  const view = new ClusterView(RANGES, (_, what) => void leftOut.push(what))
  view.update([{ complete: true, sequence: 1, revision: 1, set, removed: [], more: false }])
  return { view, leftOut }
}

const entryOf = (peer: PeerNode): NetworkEntry => ({
  key: `PeerNode/${peer.name}`,
  entry: { case: 'peer', value: peer },
})
const GOOD: PeerNode = {
  name: 'good',
  addresses: ['198.51.100.3'],
  podCidrs: ['10.244.3.0/24'],
  labels: {},
  present: true,
}
const OWN: PeerNode = { name: 'n1', addresses: ['192.0.2.1'], podCidrs: ['10.244.1.0/24'], labels: {}, present: true }
const WORD = '[0-9a-zA-Z:./]+'
const FABRIC_LINES = [
  `link add gantryvx6? address ${WORD} mtu \\d+ type vxlan id \\d+ dstport \\d+ nolearning( local ${WORD})?`,
  'link set gantryvx6? up',
  `neigh replace ${WORD} lladdr ${WORD} dev gantryvx6? nud permanent`,
  `fdb replace ${WORD} dev gantryvx6? dst ${WORD} self permanent`,
  `route replace ${WORD} via ${WORD} dev ${WORD} proto 71( onlink)?`,
].map((line) => new RegExp(`^${line}$`))

describe('what the control plane tells of the network', () => {
  it('leads, whatever peers say, to the routes of the good ones', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            name,
            addresses: fc.array(address, { maxLength: 3 }),
            podCidrs: fc.array(cidr, { maxLength: 3 }),
          }),
          { maxLength: 4 },
        ),
        (told) => {
          const { view } = viewOf([
            entryOf(OWN),
            ...told.map((peer) => entryOf({ ...peer, labels: {}, present: true })),
            entryOf(GOOD),
          ])
          const peers = [...view.entries('peer').values()]
          const plan = planFabric(
            OWN,
            peers,
            new Map(),
            overlayDevices(OWN, 8472, () => 1450),
            'auto',
          )
          const { devices, forwardings, routes } = fabricCommands(plan, {
            devices: [],
            routes: [],
            forwardings: [],
            neighbours: [],
          })
          const lines = [devices, forwardings, routes].flatMap(({ text }) => text.split('\n').slice(0, -1))
          for (const line of lines)
            assert.ok(
              FABRIC_LINES.some((form) => form.test(line)),
              line,
            )
          assert.equal(lines.filter((line) => line.startsWith('route replace')).length, plan.routes.length)
          if (!peers.some((peer) => peer.name !== 'good' && peer.podCidrs.includes('10.244.3.0/24')))
            assert.ok(lines.includes('route replace 10.244.3.0/24 via 10.244.3.0 dev gantryvx proto 71 onlink'))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('leads, whatever policies and addresses say, to statements for nft of the form that is meant', () => {
    const set = fc.record({
      name: fc.constantFrom('a', 'b'),
      addresses: fc.array(address, { maxLength: 3 }),
      endpoints: fc.array(fc.record({ address, protocol, port }), { maxLength: 3 }),
    })
    const rule = fc.record({
      anyPeer: fc.boolean(),
      sets: fc.subarray(['a', 'b']),
      blocks: fc.array(fc.record({ cidr, except: fc.array(cidr, { maxLength: 2 }) }), { maxLength: 2 }),
      anyPort: fc.boolean(),
      ports: fc.array(fc.record({ protocol, port, endPort: port }), { maxLength: 2 }),
      endpoints: fc.subarray(['a', 'b']),
    })
    fc.assert(
      fc.property(
        fc.array(address, { maxLength: 3 }),
        fc.array(set, { maxLength: 2 }),
        fc.array(rule, { maxLength: 2 }),
        name,
        (addresses, sets, rules, policy) => {
          const { view } = viewOf([
            {
              key: 'GuardedPod/u',
              entry: {
                case: 'guarded',
                value: {
                  uid: 'u',
                  addresses: [...addresses, '10.244.1.7'],
                  ingress: true,
                  egress: true,
                  rules: [policy],
                },
              },
            },
            { key: 'PolicyRules/p', entry: { case: 'rules', value: { name: policy, ingress: rules, egress: rules } } },
            ...sets.map((value, index): NetworkEntry => ({
              key: `AddressSet/${index}`,
              entry: { case: 'addresses', value },
            })),
          ])
          const scripts = changeScripts(EMPTY_POLICY_TABLE, policyTable(view, new Map(), new SetElements()))
          const elements = scripts
            .flatMap(({ text }) => text.split('\n'))
            .filter((line) => line !== '' && !/^(add (table|set|chain|rule)|delete table|table| |\})/.test(line))
          for (const line of elements)
            assert.match(
              line,
              /^(add|delete) element inet gantry_policy \w+ \{ [\w.:-]+( \. [\w.:-]+)*( : jump [\w.]+)?(, [\w.:-]+( \. [\w.:-]+)*( : jump [\w.]+)?)* \}$/,
            )
          assert.ok(
            elements.some((line) => line.includes('10.244.1.7 : jump')),
            'the good address is guarded',
          )
          const added = scripts.flatMap(({ text }) => text.split('\n')).filter((line) => line.startsWith('add rule'))
          for (const line of added)
            assert.match(
              line,
              /^add rule inet gantry_policy \w[\w.]* ((ip6? [sd]addr (\{ [\w.:, -]+ \}|@\w+) )?((tcp|udp|sctp) dport \{ [\d, -]+ \} |meta l4proto (tcp|udp|sctp) |ip6? daddr \. meta l4proto \. th dport @\w+ )?return|ip6? saddr \. ip6? daddr @self[46] return|goto \w+)$/,
            )
        },
      ),
      { numRuns: 300 },
    )
  })

  it('leads, whatever Services and endpoints say, to elements of the form that is meant', () => {
    const ports = fc.array(fc.record({ port, nodePort: port }), { maxLength: 2 })
    fc.assert(
      fc.property(
        fc.array(address, { maxLength: 2 }),
        fc.array(address, { maxLength: 3 }),
        fc.array(address, { maxLength: 2 }),
        ports,
        port,
        (clusterIPs, endpoints, balancers, told, target) => {
          const service = encode('Service', {
            metadata: { name: 'web', namespace: 'default', uid: 'u', resourceVersion: '1' },
            spec: {
              type: 'LoadBalancer',
              clusterIPs: ['10.96.0.9', ...clusterIPs],
              externalIPs: balancers,
              ports: [...told, { port: 80 }].map((one, index) => ({
                ...one,
                name: `p${index}`,
                protocol: 'TCP' as const,
              })),
            },
            status: { loadBalancer: { ingress: balancers.map((ip) => ({ ip })) } },
          })
          const slice = encode('EndpointSlice', {
            metadata: {
              name: 'web-1',
              namespace: 'default',
              uid: 's',
              resourceVersion: '1',
              labels: { 'kubernetes.io/service-name': 'web' },
            },
            addressType: 'IPv4',
            endpoints: [...endpoints, '10.244.1.5'].map((one) => ({ addresses: [one], conditions: { ready: true } })),
            ports: [...told, { port: 80 }].map((_, index) => ({
              name: `p${index}`,
              protocol: 'TCP' as const,
              port: index === told.length ? 8080 : target,
            })),
          })
          const { view } = viewOf([
            {
              key: 'Service/default/web',
              entry: { case: 'object', value: { apiVersion: 'v1', kind: 'Service', raw: service } },
            },
            {
              key: 'EndpointSlice/default/web-1',
              entry: {
                case: 'object',
                value: { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', raw: slice },
              },
            },
          ])
          const book = new DesiredTable()
          const plan = planService(
            view.objects('Service').get('default/web')!,
            view.objects('EndpointSlice').values(),
            {
              topology: { node: 'n1', zone: undefined, zones: new Map() },
              nodeAddresses: new Set(),
              reserved: new Set(),
            },
          )
          book.update('default/web', plan, '')
          const lines = transaction(book.takeChanges()).map(({ text }) => text)
          for (const line of lines.filter((one) => one.startsWith('add element')))
            assert.match(
              line,
              /^add element inet gantry_services \w+ \{ [\w.:/]+( \. [\w.:/]+)*( : (goto )?[\w.:]+( \. [\w.:]+)*)?(, [\w.:/]+( \. [\w.:/]+)*( : (goto )?[\w.:]+( \. [\w.:]+)*)?)* \}$/,
            )
          assert.ok(
            lines.some((line) => line.includes('10.96.0.9 . 6 . 80 : 0x47')),
            'the good address is served',
          )
          assert.ok(
            lines.some((line) => line.includes('10.244.1.5 . 8080')),
            'by the good endpoint',
          )
        },
      ),
      { numRuns: 300 },
    )
  })

  it('leads, whatever Networks say, to devices of the form that is meant', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -2, max: 2 ** 25 }),
        fc.array(cidr, { maxLength: 2 }),
        fc.array(fc.record({ node: name, cidr }), { maxLength: 3 }),
        address,
        (vni, cidrs, blocks, other) => {
          const network = encode('Network', {
            metadata: { name: 'lab', namespace: 'default', uid: 'u', resourceVersion: '1' },
            status: { vni, cidrs, blocks: [...blocks, { node: 'n1', cidr: '10.50.0.0/26' }] },
          })
          const { view } = viewOf([
            {
              key: 'Network/default/lab',
              entry: { case: 'object', value: { apiVersion: 'gantry.dev/v1', kind: 'Network', raw: network } },
            },
            entryOf(OWN),
            entryOf({ name: 'n2', addresses: [other], podCidrs: [], labels: {}, present: true }),
          ])
          const segment = segmentsOf(view.objects('Network'), view.entries('peer').values(), 'n1').get('default/lab')
          assert.equal(segment === undefined, vni <= 0 || vni >= 2 ** 24)
          if (segment === undefined) return
          const text = makeSegment(segment, 1450, 8472, []).text + fdbCommands(segment, segment.remotes, []).text
          for (const line of text.trim().split('\n'))
            assert.match(
              line,
              /^(link add gs\d+ mtu 1450 type bridge|link add gx\d+ mtu 1450 type vxlan id \d+ local 192\.0\.2\.1 dstport 8472|link set g[sx]\d+ (master gs\d+ )?(addrgenmode none|up)|fdb append 00:00:00:00:00:00 dev gx\d+ dst [\da-f.:]+ self)$/,
            )
        },
      ),
      { numRuns: 300 },
    )
  })

  it('tells what it leaves out', () => {
    const { view, leftOut } = viewOf([
      entryOf({ ...GOOD, addresses: ['127.0.0.1', '198.51.100.3', '::ffff:10.0.0.1', '224.0.0.1', 'FD00::0:1'] }),
      entryOf({ ...GOOD, name: 'x y' }),
      {
        key: 'PolicyRules/p',
        entry: {
          case: 'rules',
          value: {
            name: 'p',
            egress: [],
            ingress: [
              {
                anyPeer: false,
                sets: [],
                anyPort: true,
                ports: [],
                endpoints: [],
                blocks: [
                  { cidr: '10.0.0.0/8', except: ['10.1.0.0/99'] },
                  { cidr: '10.9.0.0/16', except: [] },
                ],
              },
            ],
          },
        },
      },
    ])
    assert.deepEqual(
      [...view.entries('peer').values()].map(({ name: of, addresses }) => [of, addresses]),
      [['good', ['198.51.100.3', 'fd00::1']]],
    )
    assert.deepEqual(view.entries('rules').get('PolicyRules/p')!.ingress[0]!.blocks, [
      { cidr: '10.9.0.0/16', except: [] },
    ])
    assert.deepEqual(leftOut, [
      'node good: address "127.0.0.1"',
      'node good: address "::ffff:10.0.0.1"',
      'node good: address "224.0.0.1"',
      'a node with the name "x y"',
      'policy "p": block "10.0.0.0/8 except 10.1.0.0/99"',
    ])
  })
})
