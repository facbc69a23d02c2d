import assert from 'node:assert/strict'
import fc from 'fast-check'
import { defaultedRequests, podAmounts, requestedAmounts } from '../../../controller/scheduler/pod-requests.ts'
import { SchedulerCache } from '../../../controller/scheduler/cache.ts'
import type { FilterPlugin, ScorePlugin } from '../../../controller/scheduler/framework.ts'
import { place } from '../../../controller/scheduler/placement.ts'
import { allPlugins } from '../../../controller/scheduler/plugins/all.ts'
import { nodeName } from '../../../controller/scheduler/plugins/node-name.ts'
import { nodePorts } from '../../../controller/scheduler/plugins/node-ports.ts'
import { nodeReady } from '../../../controller/scheduler/plugins/node-ready.ts'
import { nodeSelector } from '../../../controller/scheduler/plugins/node-selector.ts'
import { balanced, leastAllocated, resources } from '../../../controller/scheduler/plugins/resources.ts'
import { spread } from '../../../controller/scheduler/plugins/spread.ts'
import { taints } from '../../../controller/scheduler/plugins/taints.ts'
import { unschedulable } from '../../../controller/scheduler/plugins/unschedulable.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Node, Pod, Service, Toleration, TopologySpreadConstraint } from '../../../proto/gen/types.ts'
import { node, pod, type NodeOptions, type PodOptions } from './cluster.ts'

function clusterOf(nodes: readonly Node[], pods: readonly Pod[] = []): SchedulerCache {
  const cache = new SchedulerCache()
  for (const one of nodes) cache.setNode(one)
  for (const one of pods) cache.setPod(one)
  return cache
}

const on = (nodeName: string, name: string, options: PodOptions = {}): Pod =>
  pod(name, { ...options, spec: { ...options.spec, nodeName } })

/** The detail of the refusal of each node, '' where it fits. */
function refusals(plugin: FilterPlugin, asked: Pod, cluster: SchedulerCache): string[] {
  const filter = plugin.prepareFilter(asked, cluster)
  return cluster.nodes.map((one) => filter?.(one)?.detail ?? '')
}

function scores(plugin: ScorePlugin, asked: Pod, cluster: SchedulerCache): number[] | undefined {
  const score = plugin.prepareScore(asked, cluster)
  return score && cluster.nodes.map((one) => Math.round(score(one)))
}

function withPort(
  port: { hostPort?: number; hostIP?: string; protocol?: 'TCP' | 'UDP' },
  hostNetwork = false,
): PodOptions {
  return {
    spec: {
      hostNetwork,
      containers: [
        { name: 'c', image: 'i', resources: {}, ports: [{ containerPort: 8080, protocol: 'TCP', ...port }] },
      ],
    } as PodOptions['spec'],
  }
}

const filterCases: {
  plugin: FilterPlugin
  what: string
  node?: NodeOptions
  pod?: PodOptions
  placed?: PodOptions[]
  refused: string
}[] = [
  { plugin: nodeReady, what: 'is ready', refused: '' },
  { plugin: nodeReady, what: 'is not ready', node: { ready: 'False' }, refused: 'Ready is False' },
  { plugin: nodeReady, what: 'is not known to be ready', node: { ready: 'Unknown' }, refused: 'Ready is Unknown' },
  {
    plugin: nodeReady,
    what: 'is suspect',
    node: { ready: 'Unknown', reason: 'NodeSuspect' },
    refused: 'is suspect: no sign of life since 2026-01-01T12:03:07Z',
  },
  {
    plugin: nodeReady,
    what: 'is lost',
    node: { ready: 'Unknown', reason: 'NodeLost' },
    pod: { spec: { tolerations: [{ operator: 'Exists' }] } },
    refused: 'is lost: no sign of life since 2026-01-01T12:03:07Z',
  },
  { plugin: unschedulable, what: 'is open', refused: '' },
  { plugin: unschedulable, what: 'is cordoned', node: { unschedulable: true }, refused: 'is cordoned' },
  {
    plugin: unschedulable,
    what: 'is cordoned and the pod tolerates that',
    node: { unschedulable: true },
    pod: { spec: { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] } },
    refused: '',
  },
  { plugin: nodeName, what: 'is asked for', pod: { spec: { nodeName: 'n1' } }, refused: '' },
  {
    plugin: nodeName,
    what: 'is not asked for',
    pod: { spec: { nodeName: 'n2' } },
    refused: 'the pod asks for node n2',
  },
  {
    plugin: nodeSelector,
    what: 'has the labels',
    node: { labels: { disk: 'ssd', zone: 'a' } },
    pod: { spec: { nodeSelector: { disk: 'ssd', zone: 'a' } } },
    refused: '',
  },
  {
    plugin: nodeSelector,
    what: 'lacks a label',
    pod: { spec: { nodeSelector: { disk: 'ssd' } } },
    refused: 'label disk=ssd is asked for, the node has none',
  },
  {
    plugin: nodeSelector,
    what: 'has another value',
    node: { labels: { disk: 'hdd' } },
    pod: { spec: { nodeSelector: { disk: 'ssd' } } },
    refused: 'label disk=ssd is asked for, the node has disk=hdd',
  },
  {
    plugin: nodePorts,
    what: 'has the host port free',
    pod: withPort({ hostPort: 80 }),
    placed: [withPort({ hostPort: 81 }), withPort({ hostPort: 80, protocol: 'UDP' }), withPort({})],
    refused: '',
  },
  {
    plugin: nodePorts,
    what: 'has a pod with the host port',
    pod: withPort({ hostPort: 80 }),
    placed: [withPort({ hostPort: 80, hostIP: '10.0.0.1' })],
    refused: 'host port 80/TCP is that of pod default/placed0',
  },
  {
    plugin: nodePorts,
    what: 'has the host port on another address',
    pod: withPort({ hostPort: 80, hostIP: '10.0.0.2' }),
    placed: [withPort({ hostPort: 80, hostIP: '10.0.0.1' }), withPort({ hostPort: 80, hostIP: '::' })],
    refused: '',
  },
  {
    plugin: nodePorts,
    what: 'is an ingress node, of the port of Ingresses',
    pod: withPort({ hostPort: 443 }),
    node: { labels: { 'gantry.dev/entrance': 'true' } },
    refused: 'host port 443/TCP is for Ingresses, since the node is an entrance',
  },
  {
    plugin: nodePorts,
    what: 'is an ingress node, of another port',
    pod: withPort({ hostPort: 8443 }),
    node: { labels: { 'gantry.dev/entrance': 'true' } },
    refused: '',
  },
  {
    plugin: nodePorts,
    what: 'has a pod in its network with the port',
    pod: withPort({ hostPort: 8080, hostIP: '0.0.0.0' }),
    placed: [withPort({}, true)],
    refused: 'host port 0.0.0.0:8080/TCP is that of pod default/placed0',
  },
  { plugin: resources, what: 'has room', pod: { cpu: '4', memory: '8Gi' }, refused: '' },
  {
    plugin: resources,
    what: 'has too little left',
    pod: { cpu: '1', memory: '5Gi' },
    placed: [{ cpu: '3400m', memory: '4Gi' }],
    refused: 'cpu 400m short (requested 1, free 600m), memory 1Gi short (requested 5Gi, free 4Gi)',
  },
  {
    plugin: resources,
    what: 'is full of pods',
    node: { pods: '2' },
    placed: [{}, {}],
    refused: 'pods 1 short (requested 1, free 0)',
  },
  {
    plugin: resources,
    what: 'does not have the resource',
    pod: { requests: { 'example.com/gpu': '2' } },
    refused: 'example.com/gpu 2 short (requested 2, free 0)',
  },
  {
    plugin: resources,
    what: 'has the resource',
    node: { more: { 'example.com/gpu': '2' } },
    pod: { requests: { 'example.com/gpu': '2' } },
    refused: '',
  },
  {
    plugin: resources,
    what: 'has little disk',
    node: { more: { 'ephemeral-storage': '1Gi' } },
    pod: { requests: { 'ephemeral-storage': '2Gi' } },
    refused: 'ephemeral-storage 1Gi short (requested 2Gi, free 1Gi)',
  },
  {
    plugin: resources,
    what: 'is overcommitted, and nothing of that is asked for',
    placed: [{ cpu: '9' }],
    pod: { requests: { cpu: '0' } },
    refused: '',
  },
]

const taint = { key: 'dedicated', value: 'db', effect: 'NoSchedule' as const }
const tolerationCases: { toleration: Toleration; fits: boolean }[] = [
  { toleration: { key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' }, fits: true },
  { toleration: { key: 'dedicated', value: 'db' }, fits: true },
  { toleration: { key: 'dedicated', operator: 'Exists' }, fits: true },
  { toleration: { operator: 'Exists' }, fits: true },
  { toleration: { operator: 'Exists', effect: 'NoSchedule' }, fits: true },
  { toleration: { operator: 'Exists', effect: 'NoExecute' }, fits: false },
  { toleration: { key: 'dedicated', value: 'web' }, fits: false },
  { toleration: { key: 'other', operator: 'Exists' }, fits: false },
  { toleration: { value: 'db' }, fits: false },
]

describe('scheduler plugins', () => {
  for (const { plugin, what, node: nodeOptions, pod: podOptions, placed = [], refused } of filterCases) {
    it(`${plugin.name}: a node that ${what}`, () => {
      const cluster = clusterOf(
        [node('n1', nodeOptions)],
        placed.map((options, index) => on('n1', `placed${index}`, options)),
      )
      assert.deepEqual(refusals(plugin, pod('asked', podOptions), cluster), [refused])
    })
  }

  for (const { toleration, fits } of tolerationCases) {
    it(`Taints: ${JSON.stringify(toleration)} ${fits ? 'tolerates' : 'does not tolerate'} dedicated=db:NoSchedule`, () => {
      const detail = refusals(
        taints,
        pod('asked', { spec: { tolerations: [toleration] } }),
        clusterOf([node('n1', { taints: [taint] })]),
      )
      assert.deepEqual(detail, [fits ? '' : 'the pod does not tolerate the taint dedicated=db:NoSchedule'])
    })
  }

  it('Taints: NoExecute keeps away as well, PreferNoSchedule only weighs', () => {
    const cluster = clusterOf([
      node('n1', { taints: [{ key: 'a', effect: 'NoExecute' }] }),
      node('n2', { taints: [{ key: 'b', effect: 'PreferNoSchedule' }] }),
      node('n3'),
    ])
    assert.deepEqual(refusals(taints, pod('asked'), cluster), [
      'the pod does not tolerate the taint a:NoExecute',
      '',
      '',
    ])
    assert.deepEqual(scores(taints, pod('asked'), cluster), [100, 50, 100])
    assert.equal(scores(taints, pod('asked'), clusterOf([node('n1')])), undefined)
  })

  it('keeps what pods ask for that ask alike, unless it takes long to say', () => {
    const many = (name: string, count: number): Pod => {
      const one = pod(name, { cpu: '1m' })
      const [container] = one.spec.containers
      one.spec.containers = Array.from({ length: count }, (_, index) => ({ ...container!, name: `c${index}` }))
      return one
    }
    assert.equal(podAmounts(many('a', 2)), podAmounts(many('b', 2)))
    const [first, second] = [podAmounts(many('a', 500)), podAmounts(many('b', 500))]
    assert.notEqual(first, second)
    assert.deepEqual(first, second)
    assert.equal(first.requested.get('cpu'), 500)
  })

  it('counts init containers by their largest, sidecars with all, limits as requests', () => {
    const resources = (cpu: string): { requests: Record<string, string> } => ({ requests: { cpu } })
    const asked = pod('asked', { cpu: '300m', spec: {} })
    asked.spec.containers.push({
      ...asked.spec.containers[0]!,
      name: 'second',
      resources: { limits: { cpu: '200m', memory: '1Mi' } },
    })
    assert.deepEqual(
      [...requestedAmounts(asked)],
      [
        ['cpu', 500],
        ['memory', 1048576],
        ['pods', 1],
      ],
    )
    const initial = (name: string, cpu: string, restartPolicy?: 'Always') => ({
      ...asked.spec.containers[0]!,
      name,
      resources: resources(cpu),
      restartPolicy,
    })
    const large = structuredClone(asked)
    large.spec.initContainers = [initial('a', '2'), initial('b', '1')]
    assert.equal(requestedAmounts(large).get('cpu'), 2000)
    const sidecar = structuredClone(asked)
    sidecar.spec.initContainers = [initial('a', '400m'), initial('side', '100m', 'Always'), initial('b', '600m')]
    assert.equal(requestedAmounts(sidecar).get('cpu'), 700)
    const later = structuredClone(asked)
    later.spec.initContainers = [initial('side', '300m', 'Always'), initial('b', '100m')]
    assert.equal(requestedAmounts(later).get('cpu'), 800)
  })

  it('counts the larger of what is asked for and what is granted while a pod is resized, and nothing that its node never has', () => {
    const resized = (asked: string, granted: string, reason: string): number | undefined => {
      const { status, ...rest } = pod('asked', { cpu: asked })
      const name = rest.spec.containers[0]!.name
      return requestedAmounts({
        ...rest,
        status: {
          ...status,
          containerStatuses: [
            { name, ready: true, restartCount: 0, image: '', imageID: '', allocatedResources: { cpu: granted } },
          ],
          conditions: [{ type: 'PodResizePending', status: 'True', reason }],
        },
      }).get('cpu')
    }
    assert.deepEqual(
      [resized('200m', '100m', 'Deferred'), resized('100m', '200m', 'Deferred'), resized('900', '100m', 'Infeasible')],
      [200, 200, 100],
    )
  })

  it('LeastAllocated prefers the emptier node, Balanced the one where cpu and memory stay in proportion', () => {
    const cluster = clusterOf(
      [node('n1'), node('n2'), node('n3')],
      [on('n1', 'a', { cpu: '2', memory: '4Gi' }), on('n2', 'b', { cpu: '2' })],
    )
    const asked = pod('asked', { cpu: '1', memory: '2Gi' })
    const [half, skewed, empty] = scores(leastAllocated, asked, cluster)!
    assert.ok(half! < skewed! && skewed! < empty!)
    assert.deepEqual(scores(balanced, asked, cluster), [100, 50, 100])
    assert.equal(scores(balanced, pod('nothing'), cluster), undefined)
  })

  it('LeastAllocated counts 100m and 200Mi for each container that states no request, so that such pods do not pile up on one node', () => {
    const base = { cpu: '250m', memory: '256Mi' }
    const cluster = clusterOf([node('n1'), node('n2'), node('n3')], [on('n1', 'a', base), on('n2', 'b', base)])
    const random = seededRandom(7)
    const perNode = new Map<string, number>()
    for (let index = 0; index < 12; index++) {
      const asked = pod(`web-${index}`, { owner: `rs-${index}` })
      const placement = place(asked, cluster, allPlugins, random)
      assert.ok(placement.fits)
      cluster.assume(asked, placement.node.name)
      perNode.set(placement.node.name, (perNode.get(placement.node.name) ?? 0) + 1)
    }
    const [first = 0, second = 0, third = 0] = ['n1', 'n2', 'n3'].map((name) => perNode.get(name))
    assert.ok(
      Math.min(first, second) >= 3 && third <= 6,
      `each pod of the base is worth two or three, and the nodes have ${first}, ${second} and ${third}`,
    )
  })

  it('states what it does not request where nodes are compared, and nowhere else', () => {
    const half = pod('half', { cpu: '300m' })
    half.spec.containers.push({
      ...half.spec.containers[0]!,
      name: 'second',
      resources: { requests: { cpu: '0', memory: '50Mi' } },
    })
    assert.deepEqual([...defaultedRequests(half)], [['memory', 200 * 1024 ** 2]], 'an explicit 0 is a request')
    assert.equal(requestedAmounts(half).get('memory'), 50 * 1024 ** 2)
    const cache = clusterOf([node('n1', { cpu: '100m' })], [on('n1', 'a'), on('n1', 'b')])
    assert.deepEqual(refusals(resources, pod('asked'), cache), [''], 'what is not requested never refuses a pod')
    assert.deepEqual(
      [...cache.nodes[0]!.defaulted],
      [
        ['cpu', 200],
        ['memory', 400 * 1024 ** 2],
      ],
    )
    cache.removePod('pod-a')
    cache.removePod('pod-b')
    assert.equal(cache.nodes[0]!.defaulted.size, 0)
  })

  describe('Spread', () => {
    const zone = (name: string, value: string): Node => node(name, { labels: { zone: value } })
    const constraint = (more: Partial<TopologySpreadConstraint> = {}): TopologySpreadConstraint => ({
      maxSkew: 1,
      topologyKey: 'zone',
      whenUnsatisfiable: 'DoNotSchedule',
      labelSelector: { matchLabels: { app: 'web' } },
      ...more,
    })
    const web = (more: Partial<TopologySpreadConstraint> = {}, options: PodOptions = {}): Pod =>
      pod('asked', {
        labels: { app: 'web' },
        ...options,
        spec: { topologySpreadConstraints: [constraint(more)], ...options.spec },
      })
    const labels = { app: 'web' }
    const nodes = [zone('n1', 'a'), zone('n2', 'a'), zone('n3', 'b'), node('n4')]
    const placed = [on('n1', 'p1', { labels }), on('n2', 'p2', { labels }), on('n3', 'p3', { labels })]
    const fits = (asked: Pod, all = nodes, pods = placed): string =>
      refusals(spread, asked, clusterOf(all, pods))
        .map((detail, index) => (detail === '' ? all[index]!.metadata.name : ''))
        .join('')

    it('keeps domains within the skew, and off nodes without the key', () => {
      assert.deepEqual(refusals(spread, web(), clusterOf(nodes, placed)), [
        'zone=a has 2 such pods, another only 1: one more is a skew of 2, 1 is allowed',
        'zone=a has 2 such pods, another only 1: one more is a skew of 2, 1 is allowed',
        '',
        'has no label zone, over which the pod is to be spread',
      ])
      assert.equal(fits(web({ maxSkew: 2 })), 'n1n2n3')
    })

    it('counts only pods of the namespace that match and stay', () => {
      const other = on('n1', 'o', { labels })
      other.metadata.namespace = 'other'
      const going = on('n1', 'g', { labels })
      going.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
      assert.equal(fits(web(), nodes, [other, going, on('n1', 'x', { labels: { app: 'db' } })]), 'n1n2n3')
      assert.equal(fits(web({ matchLabelKeys: ['version'] }, { labels: { app: 'web', version: '2' } })), 'n1n2n3')
      assert.equal(fits(web({}, { labels: { app: 'other' } })), 'n1n2n3', 'one that does not count itself adds no skew')
    })

    it('treats missing domains as empty with minDomains', () => {
      assert.equal(fits(web({ minDomains: 3 })), '')
      assert.equal(fits(web({ minDomains: 3, maxSkew: 2 })), 'n3')
    })

    it('leaves out nodes that the pod may not use, as the policies say', () => {
      const closed = node('n5', { labels: { zone: 'c' }, taints: [taint] })
      assert.equal(fits(web(), [...nodes, closed]), 'n5')
      assert.equal(fits(web({ nodeTaintsPolicy: 'Honor' }), [...nodes, closed]), 'n3n5')
      const selected = web(
        {},
        { spec: { nodeSelector: { 'kubernetes.io/hostname': 'n1' }, topologySpreadConstraints: [constraint()] } },
      )
      assert.equal(fits(selected), 'n1n2n3')
      const ignored = web(
        {},
        {
          spec: {
            nodeSelector: { 'kubernetes.io/hostname': 'n1' },
            topologySpreadConstraints: [constraint({ nodeAffinityPolicy: 'Ignore' })],
          },
        },
      )
      assert.equal(fits(ignored), 'n3')
    })

    it('prefers emptier domains where it may not insist', () => {
      const asked = web({ whenUnsatisfiable: 'ScheduleAnyway' })
      assert.deepEqual(refusals(spread, asked, clusterOf(nodes, placed)), ['', '', '', ''])
      assert.deepEqual(scores(spread, asked, clusterOf(nodes, placed)), [0, 0, 50, 0])
    })

    it('spreads pods of one owner over nodes without being told', () => {
      const cluster = clusterOf(nodes, [
        on('n1', 'a', { owner: 'rs' }),
        on('n1', 'b', { owner: 'rs' }),
        on('n2', 'c', { owner: 'rs' }),
        on('n3', 'd', { owner: 'other' }),
      ])
      assert.deepEqual(scores(spread, pod('asked', { owner: 'rs' }), cluster), [0, 50, 100, 100])
      assert.equal(scores(spread, pod('asked'), cluster), undefined)
      const going = on('n1', 'g', { owner: 'gone' })
      going.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
      cluster.setPod(going)
      assert.equal(scores(spread, pod('asked', { owner: 'gone' }), cluster), undefined, 'pods that end do not count')
      const own = pod('asked', {
        owner: 'rs',
        spec: { topologySpreadConstraints: [constraint({ topologyKey: 'disk' })] },
      })
      assert.equal(
        scores(spread, own, cluster),
        undefined,
        'a pod with constraints of its own is spread by those alone',
      )
    })

    it('spreads pods of one owner over zones without being told', () => {
      const inZone = (name: string, value: string): Node =>
        node(name, { labels: { 'topology.kubernetes.io/zone': value } })
      const cluster = clusterOf(
        [inZone('n1', 'a'), inZone('n2', 'a'), inZone('n3', 'b')],
        [on('n1', 'a', { owner: 'rs' })],
      )
      const [first, second, third] = scores(spread, pod('asked', { owner: 'rs' }), cluster)!
      assert.ok(first! < second! && second! < third!, 'another node is better, one in another zone is best')
    })

    it('spreads pods that Services select and nothing owns', () => {
      const cluster = clusterOf(nodes, placed)
      const bare = pod('asked', { labels: { app: 'web', tier: 'front' } })
      assert.equal(scores(spread, bare, cluster), undefined)
      const service = (name: string, selector: Record<string, string>): Service =>
        ({ metadata: { namespace: 'default', name }, spec: { selector } }) as unknown as Service
      cluster.setService(service('web', labels))
      assert.deepEqual(scores(spread, bare, cluster), [0, 0, 0, 100])
      cluster.setService(service('front', { tier: 'front' }))
      assert.equal(scores(spread, bare, cluster), undefined, 'what counts is selected by each of the Services')
      cluster.removeService(service('front', {}))
      cluster.setService(service('web', { app: 'other' }))
      assert.equal(scores(spread, bare, cluster), undefined)
    })

    it('holds the skew whatever is placed, one after the other', () => {
      fc.assert(
        fc.property(
          fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 8 }),
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 1, max: 20 }),
          (zones, maxSkew, count) => {
            const cluster = clusterOf(zones.map((value, index) => zone(`n${index}`, value)))
            const random = seededRandom(count)
            for (let index = 0; index < count; index++) {
              const asked = pod(`p${index}`, { labels, spec: { topologySpreadConstraints: [constraint({ maxSkew })] } })
              const placement = place(asked, cluster, allPlugins, random)
              assert.ok(placement.fits)
              cluster.assume(asked, placement.node.name)
            }
            const counts = new Map<string, number>()
            for (const one of cluster.nodes) {
              const value = one.node.metadata.labels!.zone!
              counts.set(value, (counts.get(value) ?? 0) + one.pods.size)
            }
            assert.ok(Math.max(...counts.values()) - Math.min(...counts.values()) <= maxSkew)
          },
        ),
        { numRuns: 100 },
      )
    })
  })

  it('looks at every node of a small cluster, and in a large one takes turns', () => {
    const random = seededRandom(1)
    const small = place(pod('asked'), clusterOf([node('n1'), node('n2', { unschedulable: true })]), allPlugins, random)
    assert.equal(small.examined, 2)
    const large = clusterOf(Array.from({ length: 250 }, (_, index) => node(`n${index}`)))
    const first = place(pod('asked'), large, allPlugins, random)
    const second = place(pod('asked'), large, allPlugins, random, { from: 200 })
    assert.ok(second.fits)
    assert.deepEqual([first.examined, second.examined], [100, 100])
    const looked = second.explain()!.map(({ node: name }) => name)
    assert.ok(looked.includes('n249') && looked.includes('n0'))
  })
})
