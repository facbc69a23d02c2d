import assert from 'node:assert/strict'
import fc from 'fast-check'
import { SchedulerCache } from '../../../controller/scheduler/cache.ts'
import { EquivalenceCache } from '../../../controller/scheduler/equivalence-cache.ts'
import type { NodeOutcome } from '../../../controller/scheduler/node-outcome.ts'
import { place, type Placement } from '../../../controller/scheduler/placement.ts'
import { allPlugins } from '../../../controller/scheduler/plugins/all.ts'
import { ZoneSlots } from '../../../controller/scheduler/plugins/zone-slots.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { Pod, Service } from '../../../proto/gen/types.ts'
import { node, pod, type PodOptions } from './cluster.ts'
import {
  nodeOf,
  scenario,
  spreadScenario,
  ZONE,
  type NodeTraits,
  type Scenario,
  type Step,
} from './generated-clusters.ts'

/** In one order, whoever found them. */
function sorted(outcomes: readonly NodeOutcome[] | undefined): readonly NodeOutcome[] {
  assert.ok(outcomes !== undefined)
  return [...outcomes].sort((one, other) => (one.node < other.node ? -1 : 1))
}

/** What was found together is what is found when all nodes are looked at one by one. */
function assertSame(found: Placement, expected: Placement): void {
  assert.equal(found.fits, expected.fits)
  assert.equal(found.examined, expected.examined)
  if (!found.fits || !expected.fits) {
    assert.deepEqual(found, expected)
    return
  }
  assert.ok(Math.abs(found.score - expected.score) <= 1e-9, `score ${found.score} instead of ${expected.score}`)
  const chosen = expected.explain()!.find((outcome) => outcome.node === found.node.name)!
  assert.ok(chosen.fits && Math.abs(chosen.score - found.score) <= 1e-9, `${found.node.name} is not among the best`)
}

/** What is found about a cluster does not depend on how it became what it is; the order of its nodes may. */
function assertAsMadeAnew(found: Placement, anew: Placement): void {
  assert.equal(found.fits, anew.fits)
  if (found.fits && anew.fits) assert.ok(Math.abs(found.score - anew.score) <= 1e-9, `${found.score}, ${anew.score}`)
  else if (!found.fits && !anew.fits) assert.equal(found.summary, anew.summary)
}

class World {
  readonly cluster = new SchedulerCache()
  readonly #equivalence: EquivalenceCache
  readonly #templates: readonly PodOptions[]
  readonly #nodes: { readonly traits: NodeTraits; readonly name: string }[] = []
  readonly #pods: Pod[] = []
  readonly #services = new Map<string, Service>()
  readonly #found: { found: Placement; outcomes: readonly NodeOutcome[] }[] = []
  #made = 0

  constructor(templates: readonly PodOptions[], seed: number) {
    this.#templates = templates
    this.#equivalence = new EquivalenceCache(this.cluster, allPlugins, seededRandom(seed))
  }

  take(action: Step): void {
    switch (action.what) {
      case 'place':
        for (let count = 0; count < action.count; count++) this.#place(this.#template(action.template))
        return
      case 'new node':
        return this.addNode(action.traits)
      case 'change node':
        return this.#changeNode(action.index, action.traits)
      case 'beat':
        return this.#beat(action.index)
      case 'node gone': {
        const [gone] = this.#nodes.splice(action.index % Math.max(1, this.#nodes.length), 1)
        if (gone !== undefined) this.cluster.removeNode(gone.name)
        return
      }
      case 'pod':
        return this.#changePod(action.index, action.becomes)
      case 'lost pod':
        return this.#lose(this.#template(action.template))
      case 'service': {
        const { name, selector: asked } = action
        const service = { metadata: { namespace: 'default', name }, spec: { selector: asked } }
        this.#services.set(name, service as unknown as Service)
        this.cluster.setService(service as unknown as Service)
      }
    }
  }

  /** The name of one that went is given again. */
  addNode(traits: NodeTraits): void {
    const used = new Set(this.#nodes.map(({ name }) => name))
    let index = 0
    while (used.has(`n${index}`)) index++
    this.#nodes.push({ traits, name: `n${index}` })
    this.cluster.setNode(nodeOf(`n${index}`, traits))
  }

  #template(index: number): PodOptions {
    return this.#templates[index % this.#templates.length]!
  }

  #changeNode(index: number, traits: Partial<NodeTraits>): void {
    if (this.#nodes.length === 0) return
    const at = index % this.#nodes.length
    const { name, traits: before } = this.#nodes[at]!
    this.#nodes[at] = { name, traits: { ...before, ...traits } }
    this.cluster.setNode(nodeOf(name, this.#nodes[at].traits))
  }

  #beat(index: number): void {
    if (this.#nodes.length === 0) return
    const { name, traits } = this.#nodes[index % this.#nodes.length]!
    const one = nodeOf(name, traits)
    one.status.conditions![0]!.lastHeartbeatTime = `2026-01-01T13:00:${10 + this.#made}Z`
    this.cluster.setNode(one)
  }

  #place(options: PodOptions): void {
    const asked = pod(`p${this.#made++}`, options)
    const expected = place(asked, this.cluster, allPlugins, seededRandom(1), { enough: Infinity })
    const found = this.#equivalence.place(asked)
    assertSame(found, expected)
    assertAsMadeAnew(expected, place(asked, this.#madeAnew(), allPlugins, seededRandom(1), { enough: Infinity }))
    this.#found.push({ found, outcomes: sorted(expected.fits ? expected.explain() : expected.outcomes) })
    if (!found.fits) return
    this.cluster.assume(asked, found.node.name)
    this.#pods.push({ ...asked, spec: { ...asked.spec, nodeName: found.node.name } })
  }

  #madeAnew(): SchedulerCache {
    const cluster = new SchedulerCache()
    for (const { name, traits } of this.#nodes) cluster.setNode(nodeOf(name, traits))
    for (const one of this.#pods) cluster.setPod(one)
    for (const service of this.#services.values()) cluster.setService(service)
    return cluster
  }

  /** On a node that is not there. */
  #lose(options: PodOptions): void {
    const lost = pod(`p${this.#made++}`, { ...options, spec: { ...options.spec, nodeName: 'elsewhere' } })
    this.#pods.push(lost)
    this.cluster.setPod(lost)
  }

  #changePod(index: number, state: string): void {
    if (this.#pods.length === 0) return
    const at = index % this.#pods.length
    const changed = structuredClone(this.#pods[at]!)
    switch (state) {
      case 'bound':
        break
      case 'not bound':
        // Nothing, if it has been confirmed meanwhile.
        if (this.cluster.forget(changed.metadata.uid) !== undefined) this.#pods.splice(at, 1)
        return
      case 'resized':
        changed.spec.containers[0]!.resources = { requests: { cpu: '700m', memory: '64Mi' } }
        break
      case 'deleting':
        changed.metadata.deletionTimestamp = '2026-01-01T00:00:00Z'
        break
      case 'ended':
        changed.status.phase = 'Succeeded'
        break
      case 'moved':
        changed.spec.nodeName = 'n0'
        break
      case 'relabelled':
        changed.metadata.labels = { app: changed.metadata.labels?.app === 'web' ? 'db' : 'web' }
        break
      case 'gone':
        this.#pods.splice(at, 1)
        this.cluster.removePod(changed.metadata.uid)
        return
    }
    this.#pods[at] = changed
    this.cluster.setPod(changed)
  }

  /** What was found is told as it was, whatever has happened since. */
  assertExplained(): void {
    for (const { found, outcomes } of this.#found)
      assert.deepEqual(sorted(found.fits ? found.explain() : found.outcomes), outcomes)
  }
}

function assertSameThroughout({ nodes, templates, steps, seed }: Scenario): void {
  const world = new World(templates, seed)
  for (const traits of nodes) world.addNode(traits)
  for (const action of steps) world.take(action)
  world.assertExplained()
}

describe('equivalence cache', () => {
  it('finds for pods that are alike what is found by looking at every node for each, and tells it later as it was', () => {
    fc.assert(fc.property(scenario, assertSameThroughout), { numRuns: 600 })
  }).timeout(60_000)

  it('does so for pods with constraints of their own', () => {
    fc.assert(fc.property(spreadScenario, assertSameThroughout), { numRuns: 600 })
  }).timeout(60_000)

  describe('in a large cluster', () => {
    const NODES = 400
    let cluster: SchedulerCache
    let equivalence: EquivalenceCache
    let made = 0

    beforeEach(() => {
      cluster = new SchedulerCache()
      equivalence = new EquivalenceCache(cluster, allPlugins, seededRandom(1))
      for (let index = 0; index < NODES; index++)
        cluster.setNode(node(`n${index}`, { cpu: String(4 + (index % 7)), labels: { [ZONE]: `z${index % 3}` } }))
    })

    function placeOne(options: PodOptions): { examined: number; missed: number } {
      const asked = pod(`p${made++}`, options)
      const best = place(asked, cluster, allPlugins, seededRandom(1), { enough: Infinity })
      const found = equivalence.place(asked)
      assert.ok(best.fits && found.fits)
      cluster.assume(asked, found.node.name)
      return { examined: found.examined, missed: best.score - found.score }
    }

    it('looks at some nodes for each pod until looking at all has paid, and then finds the best of all', () => {
      const placed = Array.from({ length: 20 }, () => placeOne({ cpu: '100m', owner: 'rs' }))
      assert.deepEqual(
        placed.map(({ examined }) => examined),
        Array.from({ length: 20 }, (_, index) => (index < 3 ? 100 : NODES)),
      )
      for (const { missed } of placed.slice(3)) assert.ok(Math.abs(missed) <= 1e-9)
    })

    it('does not look at more nodes again than it would look at for the pod alone, unless that has paid', () => {
      for (let index = 0; index < 4; index++) placeOne({ cpu: '100m' })
      assert.equal(placeOne({ cpu: '100m' }).examined, NODES)
      for (let index = 0; index < 150; index++) cluster.setNode(node(`n${index}`, { cpu: '3' }))
      assert.deepEqual(
        Array.from({ length: 3 }, () => placeOne({ cpu: '100m' }).examined),
        [100, NODES, NODES],
      )
    })

    it('takes all that are equally good in their turn', () => {
      for (let index = 0; index < NODES; index++) cluster.setNode(node(`n${index}`))
      const used = new Set<string>()
      for (let index = 0; index < 2 * NODES; index++) {
        const asked = pod(`p${made++}`, { cpu: '100m' })
        const found = equivalence.place(asked)
        assert.ok(found.fits)
        used.add(found.node.name)
        cluster.assume(asked, found.node.name)
      }
      assert.equal(used.size, NODES)
    })
  })

  it('finds the same when nodes have named more zones than are remembered', () => {
    const world = new World(
      [
        { cpu: '100m', owner: 'often' },
        { cpu: '100m', owner: 'seldom' },
      ],
      1,
    )
    const traits = { cpu: '64', memory: '64Gi', pods: '110', disk: undefined, entrance: false, taints: [] }
    const ready = { unschedulable: undefined, ready: 'True' as const, reason: undefined }
    for (const zone of ['a', 'b', 'b', 'c', 'c', 'c', 'd']) world.addNode({ ...traits, ...ready, zone })
    world.take({ what: 'place', template: 1, count: 2 })
    let most = 0
    for (let count = 0; count < 300; count++) {
      world.take({ what: 'change node', index: 6, traits: { zone: `z${count}` } })
      world.take({ what: 'place', template: 0, count: 1 })
      if (count % 50 === 49) world.take({ what: 'place', template: 1, count: 3 })
      most = Math.max(most, ZoneSlots.of(world.cluster).size)
    }
    assert.ok(most < 100, `${most} zones are remembered`)
  })

  it('looks at nodes for each pod by itself where a plugin does not say what its answers depend on', () => {
    const cluster = new SchedulerCache()
    for (let index = 0; index < 4; index++) cluster.setNode(node(`n${index}`))
    let looked = 0
    const filter = { name: 'Own', eventsToRegister: [], prepareFilter: () => () => (looked++, undefined) }
    const plugins = { ...allPlugins, filters: [...allPlugins.filters, filter] }
    const equivalence = new EquivalenceCache(cluster, plugins, seededRandom(1))
    for (let index = 0; index < 3; index++) assert.ok(equivalence.place(pod(`p${index}`)).fits)
    assert.equal(looked, 12)
  })

  it('gives pods that are alike one refusal for as long as nothing changes', () => {
    const cluster = new SchedulerCache()
    cluster.setNode(node('n1', { cpu: '1' }))
    const equivalence = new EquivalenceCache(cluster, allPlugins, seededRandom(1))
    const first = equivalence.place(pod('a', { cpu: '2', owner: 'rs-1' }))
    assert.equal(first.fits, false)
    assert.equal(equivalence.place(pod('b', { cpu: '2', owner: 'rs-2' })), first)
    cluster.setNode(node('n2', { cpu: '1' }))
    const second = equivalence.place(pod('c', { cpu: '2', owner: 'rs-1' }))
    assert.deepEqual([second.fits, second.examined], [false, 2])
  })
})
