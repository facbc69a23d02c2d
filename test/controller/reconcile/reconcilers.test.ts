/** All reconcilers together: what one writes another goes on from, and nothing is left undone. */
import assert from 'node:assert/strict'
import { createReconcilers } from '../../../controller/reconcile/reconcilers.ts'
import type { AnyResource, Deployment, Kind, Network } from '../../../proto/gen/types.ts'
import { template } from '../objects.ts'
import { SteppedControlPlane } from '../stepped-control-plane.ts'

const user = { fieldManager: 'user' }

describe('all reconcilers together', () => {
  let plane: SteppedControlPlane

  beforeEach(async () => {
    plane = await SteppedControlPlane.start()
    plane.run(...createReconcilers(plane.parts))
  })
  afterEach(() => plane.stop())

  const create = (replicas: number, namespace = 'default'): Promise<Deployment> =>
    plane.users.create(
      {
        kind: 'Deployment',
        metadata: { name: 'web', namespace },
        spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: template('one') },
      },
      user,
    )
  const web = (): Deployment | undefined => plane.informer.lister('Deployment').get('default', 'web')
  const all = (kind: Kind): AnyResource[] => plane.informer.lister(kind).list() as AnyResource[]

  it('rolls out, scales and rolls on, and comes to rest', async () => {
    const complete = (): void => {
      const { metadata, spec, status } = web()!
      assert.ok(status.conditions?.some(({ reason }) => reason === 'NewReplicaSetAvailable'))
      assert.deepEqual(
        [status.observedGeneration, status.availableReplicas, status.replicas, status.updatedReplicas],
        [metadata.generation, spec.replicas, spec.replicas, spec.replicas],
      )
    }
    await create(20)
    await plane.runPods()
    complete()
    assert.equal(all('Pod').length, 20)
    await plane.change('Deployment', 'web', ({ spec }) => {
      spec.replicas = 7
      spec.template = template('two')
    })
    await plane.runPods()
    complete()
    assert.deepEqual(
      plane.list('Pod').map(({ spec }) => spec.containers[0]!.image),
      Array(7).fill('two'),
    )
    const told = (reason: string): number => plane.events.filter((event) => event.startsWith(`Normal ${reason}`)).length
    assert.equal(told('SuccessfulCreate'), told('SuccessfulDelete') + 7)
    assert.deepEqual(
      plane
        .list('ReplicaSet')
        .map(({ spec }) => spec.replicas)
        .sort(),
      [0, 7],
    )
    const written = plane.requests.length
    await plane.pass(30_000)
    assert.equal(plane.requests.length, written)
  })

  for (const propagation of ['BACKGROUND', 'FOREGROUND'] as const) {
    it(`deletes a Deployment with all that is its own (${propagation.toLowerCase()})`, async () => {
      await create(5)
      await plane.settleTo(() => all('Pod').length === 5)
      await plane.users.delete('Deployment', 'default', 'web', { propagation }, user)
      await plane.settleTo(() => [...all('Deployment'), ...all('ReplicaSet'), ...all('Pod')].length === 0)
    })
  }

  it('gives a Network to the nodes whose pods are on it, and keeps it until the last of them has gone', async () => {
    const network = (): Network | undefined => plane.informer.lister('Network').get('default', 'back')
    await plane.users.create(
      { kind: 'Network', metadata: { name: 'back', namespace: 'default' }, spec: { cidrs: ['10.50.0.0/16'] } },
      user,
    )
    await plane.settleTo(() => network()?.status.conditions?.[0]?.status === 'True')
    const pod = await plane.users.create(
      {
        kind: 'Pod',
        metadata: { name: 'p', namespace: 'default', annotations: { 'gantry.dev/networks': 'back' } },
        spec: { containers: [{ name: 'c', image: 'one' }] },
      },
      user,
    )
    await plane.users.bind('default', 'p', pod.metadata.uid, 'n1', user)
    await plane.settleTo(() => network()!.status.blocks?.[0]?.node === 'n1')
    await plane.users.delete('Network', 'default', 'back', {}, user)
    await plane.settleTo(() => network()?.status.conditions?.[0]?.reason === 'InUse')
    assert.match(network()!.status.conditions![0]!.message!, /kept until these pods have gone: p$/)
    assert.equal(network()!.status.blocks?.length, 1)
    await plane.users.delete('Pod', 'default', 'p', { gracePeriodSeconds: 0 }, user)
    await plane.settleTo(() => network() === undefined)
  })

  it('leaves ReplicaSet and pods when the Deployment is deleted as an orphan maker, and takes them up again', async () => {
    await create(3)
    await plane.settleTo(() => all('Pod').length === 3)
    const before = all('Pod')
      .map(({ metadata: { uid } }) => uid)
      .sort()
    await plane.users.delete('Deployment', 'default', 'web', { propagation: 'ORPHAN' }, user)
    await plane.settleTo(() => web() === undefined)
    assert.equal(all('ReplicaSet')[0]!.metadata.ownerReferences, undefined)
    await create(3)
    await plane.settleTo(() => web()?.status.replicas === 3)
    assert.deepEqual(
      all('Pod')
        .map(({ metadata: { uid } }) => uid)
        .sort(),
      before,
    )
  })

  it('empties and removes a namespace', async () => {
    await plane.users.create({ kind: 'Namespace', metadata: { name: 'shop' } }, user)
    await create(3, 'shop')
    await plane.users.create({ kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'shop' } }, user)
    await plane.settleTo(() => all('Pod').length === 3)
    await plane.users.delete('Namespace', '', 'shop', {}, user)
    await plane.settleTo(() => all('Namespace').length === 1)
    const left = [
      ...all('Deployment'),
      ...all('ReplicaSet'),
      ...all('Pod'),
      ...all('ConfigMap'),
      ...all('ServiceAccount'),
    ].filter(({ metadata: { namespace } }) => namespace === 'shop')
    assert.deepEqual(left, [])
  })
})
