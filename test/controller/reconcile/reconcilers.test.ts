/** All reconcilers together, in real time: what one writes another goes on from, and nothing is left undone. */
import assert from 'node:assert/strict'
import { createReconcilers } from '../../../controller/reconcile/reconcilers.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import type { AnyResource, Deployment, Kind, Network } from '../../../proto/gen/types.ts'
import { ControlPlane } from '../control-plane.ts'
import { reconcileParts } from '../reconcile-parts.ts'
import { template } from '../objects.ts'

const user = { fieldManager: 'user' }

describe('all reconcilers together', () => {
  let plane: ControlPlane
  let stop: AbortController
  let running: Promise<void>
  let agent: () => void
  const events: string[] = []

  beforeEach(async () => {
    events.length = 0
    plane = await ControlPlane.start()
    stop = new AbortController()
    const parts = reconcileParts(plane, {
      events: { record: ({ reason, message }) => void events.push(`${reason} ${message}`) },
    })
    running = runReconcilers(createReconcilers(parts), parts, stop.signal)
    agent = () => undefined
  })

  afterEach(async () => {
    agent()
    stop.abort()
    await running
    await plane.stop()
  })

  /** Resolves when the cache meets a condition; mocha's time limit is the deadline. */
  function until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!condition()) return
        end()
        resolve()
      }
      const end = plane.informer.onBatch(check)
      check()
    })
  }

  /** Every pod becomes ready as soon as it is there. */
  function makePodsReady(): void {
    agent = plane.informer.on('Pod', ({ type, cached: { object } }) => {
      if (type === 'deleted' || object.status.phase !== 'Pending' || object.metadata.deletionTimestamp !== undefined)
        return
      const { namespace, name } = object.metadata
      const status = {
        phase: 'Running' as const,
        conditions: [{ type: 'Ready', status: 'True' as const, lastTransitionTime: formatTime(systemClock.now()) }],
      }
      plane.api
        .mutate('Pod', namespace, name, 'status', (pod) => void (pod.status = { ...pod.status, ...status }), {
          fieldManager: 'agent',
        })
        .catch((error: { code: string }) => assert.equal(error.code, 'NotFound')) // scaled down meanwhile
    })
  }

  const create = (replicas: number, namespace = 'default'): Promise<Deployment> =>
    plane.api.create(
      {
        kind: 'Deployment',
        metadata: { name: 'web', namespace },
        spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: template('one') },
      },
      user,
    )
  const web = (): Deployment | undefined => plane.informer.lister('Deployment').get('default', 'web')
  const all = (kind: Kind): AnyResource[] => plane.informer.lister(kind).list() as AnyResource[]
  const complete = (): boolean => {
    const object = web()!
    return (
      object.status.observedGeneration === object.metadata.generation &&
      object.status.conditions?.some(({ reason }) => reason === 'NewReplicaSetAvailable') === true &&
      object.status.availableReplicas === object.spec.replicas &&
      object.status.replicas === object.spec.replicas &&
      object.status.updatedReplicas === object.spec.replicas
    )
  }

  it('rolls out, scales and rolls on, and comes to rest', async () => {
    makePodsReady()
    await create(20)
    await until(complete)
    assert.equal(all('Pod').length, 20)
    await plane.api.mutate(
      'Deployment',
      'default',
      'web',
      '',
      ({ spec }) => {
        spec.replicas = 7
        spec.template.spec.containers[0]!.image = 'two'
      },
      user,
    )
    await until(() => complete() && all('Pod').length === 7)
    assert.deepEqual(
      [
        ...new Set(
          plane.informer
            .lister('Pod')
            .list()
            .map(({ spec }) => spec.containers[0]!.image),
        ),
      ],
      ['two'],
    )
    assert.equal(
      events.filter((event) => event.startsWith('SuccessfulCreate')).length,
      events.filter((event) => event.startsWith('SuccessfulDelete')).length + 7,
    )
    const names = plane.informer
      .lister('ReplicaSet')
      .list()
      .map(({ spec }) => spec.replicas)
      .sort()
    assert.deepEqual(names, [0, 7])
  })

  for (const propagation of ['BACKGROUND', 'FOREGROUND'] as const) {
    it(`deletes a Deployment with all that is its own (${propagation.toLowerCase()})`, async () => {
      await create(5)
      await until(() => all('Pod').length === 5)
      await plane.api.delete('Deployment', 'default', 'web', { propagation }, user)
      await until(() => [...all('Deployment'), ...all('ReplicaSet'), ...all('Pod')].length === 0)
    })
  }

  it('gives a Network to the nodes whose pods are on it, and keeps it until the last of them has gone', async () => {
    const network = (): Network | undefined => plane.informer.lister('Network').get('default', 'back')
    await plane.api.create(
      { kind: 'Network', metadata: { name: 'back', namespace: 'default' }, spec: { cidrs: ['10.50.0.0/16'] } },
      user,
    )
    await until(() => network()?.status.conditions?.[0]?.status === 'True')
    const pod = await plane.api.create(
      {
        kind: 'Pod',
        metadata: { name: 'p', namespace: 'default', annotations: { 'gantry.dev/networks': 'back' } },
        spec: { containers: [{ name: 'c', image: 'one' }] },
      },
      user,
    )
    await plane.api.bind('default', 'p', pod.metadata.uid, 'n1', user)
    await until(() => network()!.status.blocks?.[0]?.node === 'n1')
    await plane.api.delete('Network', 'default', 'back', {}, user)
    await until(() => network()?.status.conditions?.[0]?.reason === 'InUse')
    assert.match(network()!.status.conditions![0]!.message!, /kept until these pods have gone: p$/)
    assert.equal(network()!.status.blocks?.length, 1)
    await plane.api.delete('Pod', 'default', 'p', { gracePeriodSeconds: 0 }, user)
    await until(() => network() === undefined)
  })

  it('leaves ReplicaSet and pods when the Deployment is deleted as an orphan maker, and takes them up again', async () => {
    await create(3)
    await until(() => all('Pod').length === 3)
    const before = all('Pod')
      .map(({ metadata: { uid } }) => uid)
      .sort()
    await plane.api.delete('Deployment', 'default', 'web', { propagation: 'ORPHAN' }, user)
    await until(() => web() === undefined)
    assert.equal(all('ReplicaSet')[0]!.metadata.ownerReferences, undefined)
    await create(3)
    await until(() => web()?.status.replicas === 3)
    assert.deepEqual(
      all('Pod')
        .map(({ metadata: { uid } }) => uid)
        .sort(),
      before,
    )
  })

  it('empties and removes a namespace', async () => {
    await plane.api.create({ kind: 'Namespace', metadata: { name: 'shop' } }, user)
    await create(3, 'shop')
    await plane.api.create({ kind: 'ConfigMap', metadata: { name: 'settings', namespace: 'shop' } }, user)
    await until(() => all('Pod').length === 3)
    await plane.api.delete('Namespace', '', 'shop', {}, user)
    await until(() => all('Namespace').length === 1)
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
