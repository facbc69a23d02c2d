/** All reconcilers over a watch cache that lags behind by any number of commits, while users and agents go on. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createReconcilers } from '../../../controller/reconcile/reconcilers.ts'
import { controllerOf } from '../../../proto/objects/owners.ts'
import { isActive } from '../../../proto/objects/pod.ts'
import { isDeleting } from '../../../proto/objects/deletion.ts'
import { deployment, template } from '../objects.ts'
import { node } from '../nodehealth/nodes.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const NAMES = ['one', 'two']
const name = fc.constantFrom(...NAMES)
const nth = fc.nat(9)
const MOST_REPLICAS = 4
/** Milliseconds in which whatever was put off is tried again. */
const QUIET_MS = 120_000

type Step =
  | { readonly do: 'scale'; readonly name: string; readonly replicas: number }
  | { readonly do: 'roll'; readonly name: string; readonly image: string }
  | { readonly do: 'delete'; readonly name: string; readonly propagation: 'BACKGROUND' | 'FOREGROUND' | 'ORPHAN' }
  | { readonly do: 'ready' | 'end' | 'delete pod' | 'orphan pod'; readonly nth: number }
  | { readonly do: 'show'; readonly commits: number }
  | { readonly do: 'hold' | 'release' }
  | { readonly do: 'pass'; readonly millis: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('scale' as const), name, replicas: fc.nat(MOST_REPLICAS) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('roll' as const), name, image: fc.constantFrom('a', 'b', 'c') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      name,
      propagation: fc.constantFrom('BACKGROUND' as const, 'FOREGROUND' as const, 'ORPHAN' as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('ready' as const, 'end' as const, 'delete pod' as const, 'orphan pod' as const),
      nth,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('show' as const), commits: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hold' as const, 'release' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), millis: fc.constantFrom(10, 1_000, 4_000) }) },
)

async function take(plane: SteppedControlPlane, step: Step): Promise<void> {
  switch (step.do) {
    case 'scale':
      if (plane.get('Deployment', step.name) === undefined)
        await plane.put({ ...deployment(step.name, step.replicas, labelled(step.name)) })
      else await plane.change('Deployment', step.name, ({ spec }) => void (spec.replicas = step.replicas))
      return
    case 'roll':
      if (plane.get('Deployment', step.name) !== undefined)
        await plane.change('Deployment', step.name, ({ spec }) => {
          spec.template.spec.containers[0]!.image = step.image
        })
      return
    case 'delete':
      if (plane.get('Deployment', step.name) !== undefined)
        await plane.users.delete(
          'Deployment',
          'default',
          step.name,
          { propagation: step.propagation },
          { fieldManager: 'user' },
        )
      return
    case 'ready':
    case 'end':
    case 'delete pod':
    case 'orphan pod': {
      const pods = plane.list('Pod')
      const pod = pods[step.nth % Math.max(1, pods.length)]
      if (pod === undefined) return
      if (step.do === 'end' && isDeleting(pod)) await plane.release(pod.metadata.name)
      if (step.do === 'ready' && !isDeleting(pod)) await plane.makeReady(pod.metadata.name)
      if (step.do === 'delete pod') await plane.remove('Pod', pod.metadata.name)
      if (step.do === 'orphan pod')
        await plane.change('Pod', pod.metadata.name, ({ metadata }) => void (metadata.labels = {}))
      return
    }
    case 'show':
      for (let shown = 0; shown < step.commits && (await plane.showNext()); shown++) neverTooMany(plane)
      return
    case 'hold':
      return plane.holdCache()
    case 'release':
      return catchUp(plane)
    case 'pass':
      return plane.pass(step.millis)
  }
}

function labelled(name: string) {
  const labels = { app: name }
  const made = template('a')
  return { selector: { matchLabels: labels }, template: { ...made, metadata: { ...made.metadata, labels } } }
}

async function catchUp(plane: SteppedControlPlane): Promise<void> {
  while (await plane.showNext()) neverTooMany(plane)
  await plane.releaseCache()
}

/** A ReplicaSet has never more pods than any Deployment here can ask of it. */
function neverTooMany(plane: SteppedControlPlane): void {
  const pods = plane.list('Pod').filter(isActive)
  for (const { metadata } of plane.list('ReplicaSet')) {
    const own = pods.filter((pod) => controllerOf(pod)?.uid === metadata.uid)
    assert.ok(own.length <= MOST_REPLICAS, `${own.length} pods of ReplicaSet ${metadata.name}`)
  }
}

/** Every Deployment has as many pods as it wants, of its template, and says so. */
function isAsWanted(plane: SteppedControlPlane): void {
  for (const { metadata, spec, status } of plane.list('Deployment')) {
    const replicaSets = plane.list('ReplicaSet').filter((object) => controllerOf(object)?.uid === metadata.uid)
    const uids = replicaSets.map((object) => object.metadata.uid)
    const pods = plane.list('Pod').filter((pod) => isActive(pod) && uids.includes(controllerOf(pod)?.uid ?? ''))
    const { image } = spec.template.spec.containers[0]!
    assert.deepEqual(
      pods.map((pod) => pod.spec.containers[0]!.image),
      Array(spec.replicas).fill(image),
    )
    assert.deepEqual(
      [metadata.deletionTimestamp, status.observedGeneration, status.replicas, status.availableReplicas],
      [undefined, metadata.generation, spec.replicas, spec.replicas],
    )
  }
}

describe('reconcilers whose cache lags', () => {
  let plane: SteppedControlPlane

  it('make nothing twice, and get to what is wanted', () =>
    fc.assert(
      fc
        .asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
          plane.run(...createReconcilers(plane.parts))
          for (const one of steps) {
            await take(plane, one)
            await plane.settle()
            neverTooMany(plane)
          }
          await catchUp(plane)
          for (let round = 0; round < 20; round++) {
            await plane.runPods()
            await plane.pass(QUIET_MS / 20)
          }
          isAsWanted(plane)
        })
        .beforeEach(async () => {
          plane = await SteppedControlPlane.start()
          await plane.put(node('n1', 'ready', plane.clock.now()))
        })
        .afterEach(() => plane.stop()),
      { numRuns: 15 },
    ))
})
