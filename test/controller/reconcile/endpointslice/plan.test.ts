import assert from 'node:assert/strict'
import fc from 'fast-check'
import { portsKey, type EndpointGroup } from '../../../../controller/reconcile/endpointslice/desired-endpoints.ts'
import { planSlices } from '../../../../controller/reconcile/endpointslice/plan.ts'
import type { Endpoint, EndpointSlice } from '../../../../proto/gen/types.ts'
import { metadata } from '../../objects.ts'

const SIZE = 5

function endpoint(uid: string, ready = true): Endpoint {
  return { addresses: [`10.0.0.${uid}`], conditions: { ready }, targetRef: { kind: 'Pod', name: `p${uid}`, uid } }
}

function group(port: number, endpoints: Endpoint[], addressType: 'IPv4' | 'IPv6' = 'IPv4'): EndpointGroup {
  return { addressType, ports: [{ name: 'http', protocol: 'TCP', port }], endpoints }
}

let made = 0

function slice(port: number | undefined, endpoints: Endpoint[], addressType: 'IPv4' | 'IPv6' = 'IPv4'): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: metadata(`web-${String(++made).padStart(6, '0')}`),
    addressType,
    ports: port === undefined ? [] : [{ name: 'http', protocol: 'TCP', port }],
    endpoints,
  }
}

/** The slices after a plan. */
function apply(groups: readonly EndpointGroup[], slices: readonly EndpointSlice[]): EndpointSlice[] {
  const { create, update, remove } = planSlices(groups, slices, SIZE)
  for (const { slice: one } of update) assert.ok(!remove.includes(one), 'updated and removed')
  const kept = slices
    .filter((one) => !remove.includes(one))
    .map((one) => {
      const content = update.find((change) => change.slice === one)?.content
      return content === undefined ? one : { ...one, ports: [...content.ports], endpoints: [...content.endpoints] }
    })
  return [
    ...kept,
    ...create.map(({ addressType, ports, endpoints }) => ({
      ...slice(undefined, [...endpoints], addressType as 'IPv4'),
      ports: [...ports],
    })),
  ]
}

/** What slices show: each endpoint with its family and ports. */
function shown(slices: readonly Pick<EndpointSlice, 'addressType' | 'ports' | 'endpoints'>[]): string[] {
  return slices
    .flatMap(({ addressType, ports = [], endpoints = [] }) =>
      endpoints.map((one) => `${addressType} ${portsKey(ports)} ${JSON.stringify(one)}`),
    )
    .sort()
}

const writes = ({ create, update, remove }: ReturnType<typeof planSlices>): number =>
  create.length + update.length + remove.length

describe('EndpointSlice plan', () => {
  it('makes one empty slice for nobody, and takes it for the first', () => {
    const empty = apply([{ addressType: 'IPv4', ports: [], endpoints: [] }], [])
    assert.deepEqual(
      empty.map(({ endpoints }) => endpoints),
      [[]],
    )
    const one = apply([group(80, [endpoint('1')])], empty)
    assert.deepEqual(
      one.map(({ metadata: { name } }) => name),
      empty.map(({ metadata: { name } }) => name),
    )
    assert.deepEqual(shown(one), shown([{ ...group(80, [endpoint('1')]) } as never]))
    const none = apply([{ addressType: 'IPv4', ports: [], endpoints: [] }], [...one, slice(81, [endpoint('9')])])
    assert.deepEqual(
      none.map(({ endpoints, ports }) => [endpoints, ports]),
      [[[], []]],
    )
  })

  it('changes an endpoint in its place and nothing else', () => {
    const slices = [
      slice(
        80,
        ['1', '2', '3', '4', '5'].map((uid) => endpoint(uid)),
      ),
      slice(
        80,
        ['6', '7'].map((uid) => endpoint(uid)),
      ),
    ]
    const plan = planSlices(
      [group(80, [...['1', '2', '4', '5', '6', '7'].map((uid) => endpoint(uid)), endpoint('3', false)])],
      slices,
      SIZE,
    )
    assert.deepEqual([plan.create, plan.remove, plan.update.map((one) => one.slice)], [[], [], [slices[0]]])
    assert.deepEqual(
      plan.update[0]!.content.endpoints.map(({ targetRef }) => targetRef?.uid),
      ['1', '2', '3', '4', '5'],
    )
  })

  it('puts a new one into the slice that another has left, and writes only that', () => {
    const slices = [
      slice(
        80,
        ['1', '2', '3', '4', '5'].map((uid) => endpoint(uid)),
      ),
      slice(
        80,
        ['6', '7', '8'].map((uid) => endpoint(uid)),
      ),
    ]
    const plan = planSlices(
      [
        group(
          80,
          ['1', '2', '9', '4', '5', '6', '7', '8'].map((uid) => endpoint(uid)),
        ),
      ],
      slices,
      SIZE,
    )
    assert.deepEqual([writes(plan), plan.update[0]?.slice], [1, slices[0]])
    assert.deepEqual(
      plan.update[0]!.content.endpoints.map(({ targetRef }) => targetRef?.uid),
      ['1', '2', '4', '5', '9'],
    )
  })

  it('keeps numbers that one name means apart, and takes a slice over when they change', () => {
    const before = [
      slice(
        80,
        ['1', '2'].map((uid) => endpoint(uid)),
      ),
    ]
    const mixed = apply([group(80, [endpoint('1')]), group(8080, [endpoint('2')])], before)
    assert.equal(mixed.length, 2)
    const plan = planSlices(
      [
        group(
          9090,
          ['1', '2'].map((uid) => endpoint(uid)),
        ),
      ],
      before,
      SIZE,
    )
    assert.deepEqual([writes(plan), plan.update.length], [1, 1])
  })

  it('gives up slices once the rest would be no more than half full', () => {
    const slices = [
      slice(
        80,
        ['1'].map((uid) => endpoint(uid)),
      ),
      slice(
        80,
        ['2'].map((uid) => endpoint(uid)),
      ),
    ]
    assert.equal(
      apply(
        [
          group(
            80,
            ['1', '2'].map((uid) => endpoint(uid)),
          ),
        ],
        slices,
      ).length,
      1,
    )
    const fuller = [
      slice(
        80,
        ['1', '2'].map((uid) => endpoint(uid)),
      ),
      slice(
        80,
        ['3', '4'].map((uid) => endpoint(uid)),
      ),
    ]
    assert.equal(
      writes(
        planSlices(
          [
            group(
              80,
              ['1', '2', '3', '4'].map((uid) => endpoint(uid)),
            ),
          ],
          fuller,
          SIZE,
        ),
      ),
      0,
    )
  })

  const uid = fc.integer({ min: 1, max: 40 }).map(String)
  const someEndpoint = fc.record({ uid, ready: fc.boolean() }).map((one) => endpoint(one.uid, one.ready))
  const port = fc.constantFrom(80, 81)
  const family = fc.constantFrom<'IPv4' | 'IPv6'>('IPv4', 'IPv6')
  const someGroups = fc
    .uniqueArray(fc.record({ uid, ready: fc.boolean(), port, family }), {
      selector: (one) => `${one.family} ${one.uid}`,
    })
    .map((list) =>
      (['IPv4', 'IPv6'] as const).flatMap((type) => {
        const own = list.filter((one) => one.family === type)
        const groups = [80, 81]
          .map((number) =>
            group(
              number,
              own.filter((one) => one.port === number).map((one) => endpoint(one.uid, one.ready)),
              type,
            ),
          )
          .filter(({ endpoints }) => endpoints.length > 0)
        return groups.length > 0 ? groups : [{ addressType: type, ports: [], endpoints: [] }]
      }),
    )
  const someSlices = fc
    .array(
      fc.record({
        port: fc.option(port, { nil: undefined }),
        family,
        endpoints: fc.array(someEndpoint, { maxLength: 8 }),
      }),
      { maxLength: 8 },
    )
    .map((list) => list.map((one) => slice(one.port, one.endpoints, one.family)))

  it('shows every endpoint exactly once from whatever slices there were, and then rests', () => {
    fc.assert(
      fc.property(someGroups, someSlices, (groups, before) => {
        const after = apply(groups, before)
        assert.deepEqual(shown(after), shown(groups as never))
        assert.ok(after.every(({ endpoints = [] }) => endpoints.length <= SIZE))
        assert.equal(writes(planSlices(groups, after, SIZE)), 0, 'a second pass writes')
        for (const one of groups) {
          const count = after.filter(
            ({ addressType, ports = [] }) => addressType === one.addressType && portsKey(ports) === portsKey(one.ports),
          ).length
          assert.ok(
            count <= Math.ceil((one.endpoints.length * 2) / SIZE) + 1,
            `${count} slices for ${one.endpoints.length} endpoints`,
          )
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('writes no more than one slice for one pod that comes, goes or changes', () => {
    const step = fc.record({ uid, what: fc.constantFrom('set', 'unset', 'remove') })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pods = new Map<string, Endpoint>()
        let slices = apply([group(80, [])], [])
        for (const { uid: key, what } of steps) {
          if (what === 'remove') pods.delete(key)
          else pods.set(key, endpoint(key, what === 'set'))
          const groups = [group(80, [...pods.values()])]
          const plan = planSlices(groups, slices, SIZE)
          // Giving up a slice writes the one that takes the rest, too.
          assert.ok(writes(plan) <= (plan.remove.length > 0 ? 1 + SIZE : 1), `${writes(plan)} writes`)
          slices = apply(groups, slices)
        }
      }),
    )
  })
})
