import assert from 'node:assert/strict'
import { SchedulerCache } from '../../../controller/scheduler/cache.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import { node, pod, type PodOptions } from './cluster.ts'

const on = (nodeName: string, name: string, options: PodOptions = {}): Pod =>
  pod(name, { ...options, spec: { nodeName } })

describe('scheduler cache', () => {
  let cache: SchedulerCache
  const cpu = (name: string): number => cache.nodes.find((one) => one.name === name)!.requested.get('cpu') ?? 0

  beforeEach(() => {
    cache = new SchedulerCache()
    cache.setNode(node('n1'))
    cache.setNode(node('n2'))
  })

  it('counts an assumed pod once, before and after it is confirmed', () => {
    const asked = pod('a', { cpu: '1', owner: 'rs' })
    cache.assume(asked, 'n1')
    assert.deepEqual([cpu('n1'), cache.isAssumed('pod-a')], [1000, true])
    assert.equal(cache.setPod(asked), undefined, 'the informer does not show the bind yet')
    assert.equal(cpu('n1'), 1000)
    assert.equal(cache.setPod(on('n1', 'a', { cpu: '1', owner: 'rs' })), undefined)
    assert.deepEqual([cpu('n1'), cache.isAssumed('pod-a')], [1000, false])
    assert.deepEqual([...cache.podsOfOwner('rs')], [['n1', 1]])
    assert.equal(cache.forget('pod-a'), undefined)
    assert.equal(cpu('n1'), 1000)
  })

  it('moves a pod that was bound elsewhere than assumed', () => {
    cache.assume(pod('a', { cpu: '1', owner: 'rs' }), 'n1')
    assert.equal(cache.setPod(on('n2', 'a', { cpu: '1', owner: 'rs' })), 'pod-changed')
    assert.deepEqual([cpu('n1'), cpu('n2'), [...cache.podsOfOwner('rs')]], [0, 1000, [['n2', 1]]])
  })

  it('forgets an assumption wholly', () => {
    cache.assume(pod('a', { cpu: '1', owner: 'rs' }), 'n1')
    assert.equal(cache.forget('pod-a'), 'pod-removed')
    assert.equal(cache.forget('pod-a'), undefined)
    assert.deepEqual([cpu('n1'), cache.podsOfOwner('rs').size, cache.nodes[0]!.pods.size], [0, 0, 0])
    assert.equal(cache.nodes[0]!.requested.size, 0)
  })

  it('takes away what ended or went', () => {
    assert.equal(cache.setPod(on('n1', 'a', { cpu: '1' })), 'pod-added')
    assert.equal(cache.setPod(on('n1', 'a', { cpu: '1', status: { phase: 'Failed' } })), 'pod-removed')
    assert.equal(cache.setPod(on('n1', 'a', { cpu: '1', status: { phase: 'Failed' } })), undefined)
    assert.equal(cache.setPod(on('n1', 'b', { cpu: '1' })), 'pod-added')
    assert.equal(cache.removePod('pod-b'), 'pod-removed')
    assert.equal(cpu('n1'), 0)
  })

  it('counts a pod anew when what counts of it changes, and only then', () => {
    const before = on('n1', 'a', { cpu: '1', owner: 'rs', labels: { app: 'web' } })
    cache.setPod(before)
    const { generation } = cache
    cache.setPod({ ...before, status: { ...before.status, phase: 'Running', message: 'runs' } })
    assert.equal(cache.generation, generation)
    assert.equal(cache.setPod(on('n1', 'a', { cpu: '1', owner: 'rs', labels: { app: 'db' } })), 'pod-changed')
    assert.deepEqual(
      [...cache.nodes[0]!.pods].map(({ labels }) => labels),
      [{ app: 'db' }],
    )
    const adopted = on('n1', 'a', { cpu: '1', owner: 'other', labels: { app: 'db' } })
    cache.setPod(adopted)
    assert.deepEqual([cache.podsOfOwner('rs').size, [...cache.podsOfOwner('other')]], [0, [['n1', 1]]])
    const going = structuredClone(adopted)
    going.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
    assert.equal(cache.setPod(going), 'pod-changed')
    assert.deepEqual([cache.podsOfOwner('other').size, cpu('n1')], [0, 1000])
    cache.setPod({ ...going, spec: { ...going.spec, containers: [] } })
    assert.equal(cpu('n1'), 0)
  })

  it('says of a node only what matters', () => {
    const beat = node('n1')
    beat.status.conditions![0]!.lastHeartbeatTime = '2026-01-01T00:00:05Z'
    assert.equal(cache.setNode(beat), undefined)
    assert.equal(cache.setNode(node('n1', { cpu: '8' })), 'node-changed')
    assert.equal(cache.nodes[0]!.allocatable.get('cpu'), 8000)
    assert.equal(cache.setNode(node('n1', { cpu: '8', ready: 'False' })), 'node-changed')
    assert.equal(cache.removeNode('n3'), undefined)
  })

  it('keeps the pods of a node that goes and comes back', () => {
    cache.setPod(on('n1', 'a', { cpu: '1' }))
    assert.equal(cache.removeNode('n1'), 'node-removed')
    assert.deepEqual(
      cache.nodes.map(({ name }) => name),
      ['n2'],
    )
    assert.equal(cache.setNode(node('n1')), 'node-added')
    assert.equal(cpu('n1'), 1000)
    cache.setPod(on('unknown', 'b', { cpu: '1' }))
    assert.deepEqual(cache.nodes.map(({ name }) => name).sort(), ['n1', 'n2'])
  })
})
