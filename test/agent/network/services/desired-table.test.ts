import assert from 'node:assert/strict'
import fc from 'fast-check'
import { DesiredTable } from '../../../../agent/network/services/desired-table.ts'
import { planService, type PlanContext } from '../../../../agent/network/services/service-plan.ts'
import { transaction } from '../../../../agent/network/services/transaction.ts'
import type { Service } from '../../../../proto/gen/types.ts'
import { TableModel } from './model.ts'
import { endpoint, port, TestView } from './view.ts'

const CONTEXT: PlanContext = {
  topology: { node: 'n1', zone: undefined, zones: new Map() },
  nodeAddresses: new Set(['192.168.77.1']),
  reserved: new Set(),
}

function update(book: DesiredTable, view: TestView, name: string): void {
  const key = `default/${name}`
  const service = view.services.get(key)
  book.update(
    key,
    service === undefined
      ? undefined
      : planService(
          service,
          [...view.slices.values()].filter(({ metadata }) => metadata.labels!['kubernetes.io/service-name'] === name),
          CONTEXT,
        ),
    `${service?.metadata.creationTimestamp} ${key}`,
  )
}

const FRONTS = [
  ...[0, 1, 2, 3].flatMap((index) => [
    `fronts4/10.96.0.${index} . 6 . 80`,
    `fronts4/10.96.0.${index} . 17 . 53`,
    `fronts6/fd00:96::${index} . 6 . 80`,
    `ports4/6 . ${30000 + index}`,
  ]),
  'fronts4/203.0.113.1 . 6 . 80',
  'fronts4/203.0.113.1 . 17 . 53',
  'fronts4/192.168.77.1 . 6 . 80',
]

interface Step {
  readonly service: number
  readonly what: 'service' | 'slice' | 'remove' | 'remove slice'
  readonly addresses: readonly number[]
  readonly affinity: boolean
  readonly internalLocal: boolean
  readonly externalLocal: boolean
  readonly external: boolean
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer'
}

const step: fc.Arbitrary<Step> = fc.record({
  service: fc.nat(3),
  what: fc.constantFrom('service', 'slice', 'slice', 'slice', 'remove', 'remove slice'),
  addresses: fc.uniqueArray(fc.nat(11), { maxLength: 9 }),
  affinity: fc.boolean(),
  internalLocal: fc.boolean(),
  externalLocal: fc.boolean(),
  external: fc.boolean(),
  type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer'),
})

function take(
  view: TestView,
  { service, what, addresses, affinity, internalLocal, externalLocal, external, type }: Step,
): string {
  const name = `s${service}`
  switch (what) {
    case 'service':
      view.service(
        name,
        {
          type,
          clusterIPs: [`10.96.0.${service}`, ...(service % 2 === 0 ? [`fd00:96::${service}`] : [])],
          sessionAffinity: affinity ? 'ClientIP' : 'None',
          internalTrafficPolicy: internalLocal ? 'Local' : 'Cluster',
          externalTrafficPolicy: externalLocal ? 'Local' : 'Cluster',
          externalIPs: external ? ['203.0.113.1'] : [],
          loadBalancerSourceRanges: affinity ? ['10.0.0.0/8', '10.2.0.0/16', '192.168.0.0/16'] : [],
          ports: [port(80, { nodePort: 30000 + service }), port(53, { name: 'names', protocol: 'UDP' })],
        },
        { loadBalancer: { ingress: [{ ip: '192.168.77.1' }] } },
      )
      break
    case 'slice':
      view.slice(
        `${name}-4`,
        name,
        addresses.map((address) => endpoint(`10.1.1.${address}`, address % 3 === 0 ? 'n1' : 'n2')),
        [
          { name: '', protocol: 'TCP', port: 8080 },
          { name: 'names', protocol: 'UDP', port: 5353 },
        ],
      )
      view.slice(
        `${name}-6`,
        name,
        addresses.slice(0, 4).map((address) => endpoint(`fd01::${address + 1}`, address % 2 === 0 ? 'n1' : 'n2')),
      )
      break
    case 'remove':
      view.remove('Service', name)
      break
    case 'remove slice':
      view.remove('EndpointSlice', `${name}-4`)
      break
    default:
      what satisfies never
  }
  return name
}

/**
 * Elements that name no backend, and where each front leads: what two tables with other numbers must have in common.
 */
function meaning(model: TableModel): unknown {
  return [
    ...['guarded4', 'allowed4', 'hairpin4', 'hairpin6'].map((map) => [...model.of(map).keys()].sort()),
    FRONTS.map((front) => [front, model.resolve(front, false), model.resolve(front, true)]),
    ['slots4', 'slots6', 'sticky4', 'sticky6', 'ids', 'picks', 'inside'].map((map) => model.of(map).size),
    [...model.chains].sort(),
  ]
}

describe('DesiredTable', () => {
  it('comes to the same table change by change as at once, with all slots filled and nothing left over', () => {
    fc.assert(
      fc.property(fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 25 }), (batches) => {
        const view = new TestView()
        const book = new DesiredTable()
        const model = new TableModel()
        for (const batch of batches) {
          for (const one of batch) update(book, view, take(view, one))
          model.execute(transaction(book.takeChanges()))
          const afresh = new DesiredTable()
          for (const name of ['s0', 's1', 's2', 's3']) update(afresh, view, name)
          const other = new TableModel()
          other.execute(transaction(afresh.takeChanges()))
          assert.deepEqual(meaning(model), meaning(other))
          for (const [map, elements] of book.elements)
            assert.deepEqual(new Map([...model.of(map)].sort()), new Map([...elements].sort()), map)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('finds itself again in the kernel: the next agent changes nothing but what has changed', () => {
    // No two Services want the same address: of the one that does not get it the kernel knows nothing.
    const alone = step.map((one) => ({
      ...one,
      external: false,
      type: one.type === 'ClusterIP' ? one.type : ('NodePort' as const),
    }))
    fc.assert(
      fc.property(fc.array(alone, { maxLength: 20 }), fc.array(step, { maxLength: 3 }), (before, meanwhile) => {
        const view = new TestView()
        const first = new DesiredTable()
        for (const one of before) update(first, view, take(view, one))
        const model = new TableModel()
        model.execute(transaction(first.takeChanges()))
        const names = ['s3', 's1', 's0', 's2']
        const same = new DesiredTable(first.elements)
        for (const name of names) update(same, view, name)
        assert.deepEqual(same.diffAgainst(first.elements, first.chains).elements, [])
        for (const one of meanwhile) take(view, one)
        const second = new DesiredTable(first.elements)
        for (const name of names) update(second, view, name)
        model.execute(transaction(second.diffAgainst(first.elements, first.chains)))
        const afresh = new DesiredTable()
        for (const name of names) update(afresh, view, name)
        const other = new TableModel()
        other.execute(transaction(afresh.takeChanges()))
        assert.deepEqual(meaning(model), meaning(other))
      }),
      { numRuns: 300 },
    )
  })

  it('changes three elements at most when one of many endpoints goes, and as many when one comes', () => {
    for (const affinity of ['None', 'ClientIP'] as const) {
      const view = new TestView()
      const book = new DesiredTable()
      const all = Array.from({ length: 500 }, (_, index) => endpoint(`10.2.${index >> 8}.${index & 255}`, 'n2'))
      view.service('web', { clusterIPs: ['10.96.0.1'], externalIPs: ['203.0.113.1'], sessionAffinity: affinity })
      view.slice('web-1', 'web', all)
      update(book, view, 'web')
      book.takeChanges()
      view.slice(
        'web-1',
        'web',
        all.filter((_, index) => index !== 7),
      )
      update(book, view, 'web')
      const gone = book.takeChanges()
      // The slot of the one that goes, the last slot, and the count; with affinity what the identity stands for, too.
      assert.equal(gone.elements.length, affinity === 'None' ? 3 : 4)
      assert.deepEqual([gone.made.length, gone.removed.length], [1, 1])
      view.slice('web-1', 'web', all)
      update(book, view, 'web')
      assert.equal(book.takeChanges().elements.length, affinity === 'None' ? 2 : 3)
      update(book, view, 'web')
      assert.deepEqual(book.takeChanges(), { elements: [], made: [], removed: [], flows: [] })
    }
  })

  it('gives an address that two Services claim to the older, and to the other once that is gone', () => {
    const view = new TestView()
    const book = new DesiredTable()
    const model = new TableModel()
    for (const [name, age] of [
      ['young', '2026-02-01T00:00:00Z'],
      ['old', '2026-01-01T00:00:00Z'],
    ] as const) {
      view.service(name, { clusterIPs: [name === 'old' ? '10.96.0.1' : '10.96.0.2'], externalIPs: ['203.0.113.1'] })
      const service = view.services.get(`default/${name}`) as { metadata: Service['metadata'] }
      service.metadata.creationTimestamp = age
      view.slice(`${name}-1`, name, [endpoint(name === 'old' ? '10.1.1.1' : '10.1.1.2')])
      update(book, view, name)
      model.execute(transaction(book.takeChanges()))
    }
    assert.equal(model.resolve('fronts4/203.0.113.1 . 6 . 80', false).trim(), '10.1.1.1 . 8080')
    view.remove('Service', 'old')
    update(book, view, 'old')
    model.execute(transaction(book.takeChanges()))
    assert.equal(model.resolve('fronts4/203.0.113.1 . 6 . 80', false).trim(), '10.1.1.2 . 8080')
  })

  it('names UDP flows to an endpoint that is gone at each address, none of TCP', () => {
    const view = new TestView()
    const book = new DesiredTable()
    view.service('dns', {
      type: 'NodePort',
      clusterIPs: ['10.96.0.1'],
      ports: [port(53, { name: 'udp', protocol: 'UDP', nodePort: 30053 }), port(53, { name: 'tcp', nodePort: 30053 })],
    })
    const ports = [
      { name: 'udp', protocol: 'UDP', port: 5353 },
      { name: 'tcp', protocol: 'TCP', port: 5353 },
    ] as const
    view.slice('dns-1', 'dns', [endpoint('10.1.1.1'), endpoint('10.1.1.2')], [...ports])
    update(book, view, 'dns')
    book.takeChanges()
    view.slice('dns-1', 'dns', [endpoint('10.1.1.2')], [...ports])
    update(book, view, 'dns')
    const target = { address: '10.1.1.1', port: 5353 }
    assert.deepEqual(book.takeChanges().flows, [
      { family: 4, protocol: 'UDP', address: '10.96.0.1', port: 53, target },
      { family: 4, protocol: 'UDP', address: undefined, port: 30053, target },
    ])
    view.remove('Service', 'dns')
    update(book, view, 'dns')
    assert.deepEqual(
      book.takeChanges().flows.map(({ address, port: at, target: to }) => [address, at, to]),
      [
        ['10.96.0.1', 53, undefined],
        [undefined, 30053, undefined],
      ],
    )
  })

  it('names connections to a controller that is gone: it may not have been able to end them', () => {
    const view = new TestView()
    const book = new DesiredTable()
    const ports = [{ name: 'https', protocol: 'TCP', port: 6443 }] as const
    view.service('kubernetes', { clusterIPs: ['10.96.0.1'], ports: [port(443, { name: 'https' })] })
    view.slice('kubernetes-ipv4-6443', 'kubernetes', [endpoint('192.168.77.1'), endpoint('192.168.77.2')], [...ports])
    update(book, view, 'kubernetes')
    assert.deepEqual(book.takeChanges().flows, [])
    view.slice('kubernetes-ipv4-6443', 'kubernetes', [endpoint('192.168.77.2')], [...ports])
    update(book, view, 'kubernetes')
    assert.deepEqual(book.takeChanges().flows, [
      { family: 4, protocol: 'TCP', address: '10.96.0.1', port: 443, target: { address: '192.168.77.1', port: 6443 } },
    ])
  })
})
