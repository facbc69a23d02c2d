import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  containerAmount,
  enforceableLimits,
  podLimits,
  podRequestAmounts,
  podRequests,
  type PodResourceOptions,
} from '../../../proto/objects/pod-resources.ts'
import type { Container, ContainerStatus, Pod } from '../../../proto/gen/types.ts'
import { container, limited, pod, requesting, type PodFields } from './pods.ts'

const sidecar = (name: string, cpu: string): Container => requesting(name, { cpu }, { restartPolicy: 'Always' })
const cpus = (...amounts: string[]): Container[] => amounts.map((cpu, index) => requesting(`c${index}`, { cpu }))
const status = (name: string, fields: Partial<ContainerStatus>): ContainerStatus => ({
  name,
  ready: true,
  restartCount: 0,
  image: '',
  imageID: '',
  ...fields,
})
const resizing = (reason: string): Pod['status']['conditions'] => [{ type: 'PodResizePending', status: 'True', reason }]

describe('what a pod requests', () => {
  for (const [what, fields, expected, options] of [
    ['nothing', {}, {}],
    ['its containers together', { spec: { containers: cpus('1', '500m') } }, { cpu: '1500m' }],
    [
      'of everything that they name',
      {
        spec: {
          containers: [requesting('a', { cpu: '1', 'example.com/gpu': '2' }), requesting('b', { memory: '1Gi' })],
        },
      },
      { cpu: '1', 'example.com/gpu': '2', memory: '1Gi' },
    ],
    [
      'its limits, where it states no requests',
      { spec: { containers: [limited('a', { cpu: '1', memory: '1Gi' }, { requests: { cpu: '100m' } })] } },
      { cpu: '100m', memory: '1Gi' },
    ],
    [
      'as much as the largest init container, if that is more',
      {
        spec: {
          containers: cpus('1'),
          initContainers: [requesting('i', { cpu: '2' }), requesting('j', { cpu: '1500m' })],
        },
      },
      { cpu: '2' },
    ],
    [
      'its sidecars with the containers',
      { spec: { containers: cpus('500m'), initContainers: [sidecar('s', '300m'), requesting('i', { cpu: '100m' })] } },
      { cpu: '800m' },
    ],
    [
      'an init container with the sidecars before it, not those after it',
      {
        spec: {
          containers: cpus('100m'),
          initContainers: [sidecar('s', '100m'), requesting('i', { cpu: '2' }), sidecar('t', '200m')],
        },
      },
      { cpu: '2100m' },
    ],
    [
      'a sidecar at its start with those before it',
      { spec: { containers: [container('main')], initContainers: [sidecar('s', '1'), sidecar('t', '2')] } },
      { cpu: '3' },
    ],
    [
      'each resource by itself',
      {
        spec: {
          containers: [requesting('a', { cpu: '1', memory: '1Gi' })],
          initContainers: [requesting('i', { cpu: '2', memory: '1Mi' })],
        },
      },
      { cpu: '2', memory: '1Gi' },
    ],
    [
      'its overhead on top',
      { spec: { containers: cpus('1'), overhead: { cpu: '250m', memory: '64Mi' } } },
      { cpu: '1250m', memory: '64Mi' },
    ],
    [
      'what is stated for the pod as a whole, and nothing less of other resources',
      {
        spec: {
          containers: [requesting('a', { cpu: '1', 'example.com/gpu': '1' })],
          resources: { requests: { cpu: '3', memory: '1Gi', 'example.com/gpu': '7' } },
          overhead: { cpu: '100m' },
        },
      },
      { cpu: '3100m', memory: '1Gi', 'example.com/gpu': '1' },
    ],
    [
      "the whole pod's limit, where nobody requests any",
      { spec: { containers: cpus('1'), resources: { limits: { cpu: '3', memory: '2Gi' } } } },
      { cpu: '1', memory: '2Gi' },
    ],
    ['thousandths of what is finer, of each container', { spec: { containers: cpus('100u', '100u') } }, { cpu: '2m' }],
    [
      'a default of containers that state none',
      { spec: { containers: [container('a'), requesting('b', { cpu: '0' }), requesting('c', { cpu: '1' })] } },
      { cpu: '1100m', memory: '600Mi' },
      { defaults: { cpu: '100m', memory: '200Mi' } },
    ],
    [
      'not what ephemeral containers seem to',
      { spec: { ephemeralContainers: [requesting('e', { cpu: '1' }) as never] } },
      {},
    ],
  ] as [string, PodFields, Record<string, string>, PodResourceOptions?][]) {
    it(`is ${what}`, () => assert.deepEqual(podRequests(pod(fields), options), expected))
  }

  it('is told in thousandths of cpu and whole units of the rest, rounded once', () => {
    const containers = [
      requesting('a', { cpu: '1500u', memory: '500m' }),
      requesting('b', { cpu: '250m', memory: '500m', 'example.com/gpu': '1' }),
    ]
    assert.deepEqual(Object.fromEntries(podRequestAmounts(pod({ spec: { containers } }))), {
      cpu: 252,
      memory: 1,
      'example.com/gpu': 1,
    })
    assert.equal(containerAmount(containers[0]!, 'requests', 'cpu'), 2)
    assert.equal(containerAmount(containers[0]!, 'limits', 'cpu'), 0)
    assert.equal(containerAmount(limited('a', { cpu: '1' }), 'requests', 'cpu'), 1000)
  })

  describe('while it is resized', () => {
    const one = (cpu: string, granted: string, inForce: string, reason?: string): Pod =>
      pod({
        spec: { containers: cpus(cpu) },
        status: {
          containerStatuses: [
            status('c0', { allocatedResources: { cpu: granted }, resources: { requests: { cpu: inForce } } }),
          ],
          ...(reason !== undefined && { conditions: resizing(reason) }),
        },
      })
    for (const [what, it_, expected] of [
      ['to more, which waits', one('200m', '100m', '100m', 'Deferred'), '200m'],
      ['to more, which is granted', one('200m', '200m', '100m'), '200m'],
      ['to less, which is not granted yet', one('100m', '200m', '200m', 'Deferred'), '200m'],
      ['to less, which is not in force yet', one('100m', '100m', '200m'), '200m'],
      ['to less, which is in force', one('100m', '100m', '100m'), '100m'],
      ['to what the node can never grant', one('900', '100m', '100m', 'Infeasible'), '100m'],
    ] as [string, Pod, string][]) {
      it(`is what it holds or is to hold: ${what}`, () => {
        assert.deepEqual(podRequests(it_, { withStatus: true }), { cpu: expected })
        assert.deepEqual(
          podRequests(it_),
          podRequests(pod({ spec: it_.spec })),
          'the spec alone, where only that is meant',
        )
      })
    }

    it('counts the pod as a whole: what one container gives, another may take', () => {
      const traded = pod({
        spec: { containers: cpus('100m', '200m') },
        status: {
          containerStatuses: [
            status('c0', { allocatedResources: { cpu: '200m' } }),
            status('c1', { allocatedResources: { cpu: '100m' } }),
          ],
        },
      })
      assert.deepEqual(podRequests(traded, { withStatus: true }), { cpu: '300m' })
    })

    it('counts nothing of a container that was granted nothing and can never be granted more', () => {
      const asked = pod({
        spec: { containers: cpus('900') },
        status: { containerStatuses: [status('c0', {})], conditions: resizing('Infeasible') },
      })
      assert.deepEqual(podRequests(asked, { withStatus: true }), {})
    })

    it('knows sidecars by the statuses of init containers', () => {
      const grown = pod({
        spec: { containers: cpus('1'), initContainers: [sidecar('s', '2')] },
        status: { initContainerStatuses: [status('s', { allocatedResources: { cpu: '3' } })] },
      })
      assert.deepEqual(podRequests(grown, { withStatus: true }), { cpu: '4' })
    })
  })
})

describe("a pod's limits", () => {
  for (const [what, fields, all, enforceable] of [
    ['are none', {}, {}, {}],
    [
      'are those of all containers; where one has none, nothing can be enforced',
      { spec: { containers: [limited('a', { cpu: '1', memory: '1Gi' }), limited('b', { memory: '1Gi' })] } },
      { cpu: '1', memory: '2Gi' },
      { memory: '2Gi' },
    ],
    ['of 0 are none', { spec: { containers: [limited('a', { cpu: '0' })] } }, { cpu: '0' }, {}],
    [
      'make room for init containers',
      { spec: { containers: [limited('a', { memory: '1Gi' })], initContainers: [limited('i', { memory: '2Gi' })] } },
      { memory: '2Gi' },
      { memory: '2Gi' },
    ],
    [
      'do not bind while an init container has none',
      { spec: { containers: [limited('a', { memory: '1Gi' })], initContainers: [container('i')] } },
      { memory: '1Gi' },
      {},
    ],
    [
      'grow by the overhead, where there are any',
      { spec: { containers: [limited('a', { cpu: '1' })], overhead: { cpu: '100m', memory: '1Gi' } } },
      { cpu: '1100m' },
      { cpu: '1100m' },
    ],
    [
      'of the pod as a whole take their place',
      { spec: { containers: [limited('a', { cpu: '1' }), container('b')], resources: { limits: { cpu: '3' } } } },
      { cpu: '3' },
      { cpu: '3' },
    ],
  ] as [string, PodFields, Record<string, string>, Record<string, string>][]) {
    it(what, () => {
      assert.deepEqual(podLimits(pod(fields)), all)
      assert.deepEqual(enforceableLimits(pod(fields)), enforceable)
    })
  }

  it('in force count while they are more than what is asked for', () => {
    const shrinking = pod({
      spec: { containers: [limited('a', { memory: '1Gi' })] },
      status: { containerStatuses: [status('a', { resources: { limits: { memory: '2Gi' } } })] },
    })
    assert.deepEqual(podLimits(shrinking, { withStatus: true }), { memory: '2Gi' })
    assert.deepEqual(podLimits(shrinking), { memory: '1Gi' })
  })
})

describe('sums of a pod, whatever its containers', () => {
  const amount = fc.integer({ min: 0, max: 8 })
  const containers = (kind: string): fc.Arbitrary<Container[]> =>
    fc
      .array(fc.tuple(amount, amount, fc.boolean()), { maxLength: 4 })
      .map((list) =>
        list.map(([cpu, memory, lasting], index) =>
          container(`${kind}${index}`, {
            resources: { requests: { cpu: String(cpu), memory: String(memory) } },
            ...(kind === 'i' && lasting && { restartPolicy: 'Always' as const }),
          }),
        ),
      )
  const pods = fc
    .tuple(containers('c'), containers('i'))
    .map(([main, initContainers]) => pod({ spec: { containers: main, initContainers } }))
  const cpu = ({ resources }: Container): number => Number(resources.requests!.cpu)

  it('are enough at every moment of its life, and at one of them no more than that', () => {
    fc.assert(
      fc.property(pods, (it_) => {
        const { initContainers = [], containers: main } = it_.spec
        const sidecars = (before: number): number =>
          initContainers
            .slice(0, before)
            .filter(({ restartPolicy }) => restartPolicy === 'Always')
            .reduce((sum, one) => sum + cpu(one), 0)
        const moments = [
          ...initContainers.map((one, index) => sidecars(index) + cpu(one)),
          sidecars(initContainers.length) + main.reduce((sum, one) => sum + cpu(one), 0),
        ]
        assert.equal(podRequestAmounts(it_).get('cpu') ?? 0, Math.max(...moments) * 1000)
      }),
    )
  })

  it('do not depend on the order of its containers, and never fall when one is added', () => {
    fc.assert(
      fc.property(pods, containers('n'), (it_, added) => {
        const before = podRequestAmounts(it_)
        const spec = { ...it_.spec, containers: [...it_.spec.containers].reverse() }
        assert.deepEqual(new Map(podRequestAmounts({ spec })), before)
        const more = podRequestAmounts({ spec: { ...spec, containers: [...spec.containers, ...added] } })
        for (const [name, value] of before) assert.ok(more.get(name)! >= value)
      }),
    )
  })

  it('are the same whether the status repeats the spec or says nothing', () => {
    fc.assert(
      fc.property(pods, (it_) => {
        const said = ({ name, resources }: Container): ContainerStatus =>
          status(name, { allocatedResources: resources.requests, resources })
        const repeated = pod({
          spec: it_.spec,
          status: {
            containerStatuses: it_.spec.containers.map(said),
            initContainerStatuses: it_.spec.initContainers!.map(said),
          },
        })
        assert.deepEqual(podRequests(repeated, { withStatus: true }), podRequests(it_))
      }),
    )
  })
})
