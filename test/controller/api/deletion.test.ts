import assert from 'node:assert/strict'
import type { GantryError } from '../../../proto/base/errors.ts'
import type { Kind, Pod } from '../../../proto/gen/types.ts'
import { ApiBench, configDraft, context, podDraft } from './bench.ts'

describe('deletion, binding and release', () => {
  let bench: ApiBench
  beforeEach(async () => {
    bench = await ApiBench.start()
  })
  afterEach(() => bench.stop())

  const gone = (kind: Kind, name: string, namespace = 'default') =>
    assert.rejects(bench.api.get(kind, namespace, name), { code: 'NotFound' })
  const create = (name: string, spec: object = {}, metadata: object = {}): Promise<Pod> =>
    bench.api.create<'Pod'>(podDraft(name, spec, metadata), context)

  async function running(name: string, metadata: object = {}): Promise<Pod> {
    const pod = await create(name, {}, metadata)
    const bound = await bench.api.bind('default', name, pod.metadata.uid, 'n1', context)
    return bench.api.updateStatus<'Pod'>({ ...bound, status: { ...bound.status, phase: 'Running' } }, context)
  }

  it("removes what nothing holds, and answers with the last state at the deletion's revision", async () => {
    const made = await bench.api.create<'ConfigMap'>(configDraft('c', { a: '1' }), context)
    const last = await bench.api.delete('ConfigMap', 'default', 'c', {}, context)
    assert.deepEqual(last.data, { a: '1' })
    assert.ok(Number(last.metadata.resourceVersion) > Number(made.metadata.resourceVersion))
    await gone('ConfigMap', 'c')
    await assert.rejects(bench.api.delete('ConfigMap', 'default', 'c', {}, context), { code: 'NotFound' })
  })

  it('honours preconditions, and deletes nothing on a dry run', async () => {
    const made = await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
    await assert.rejects(
      bench.api.delete('ConfigMap', 'default', 'c', { uid: 'other' }, context),
      (error: GantryError) => error.code === 'Conflict' && error.details[0]?.field === 'metadata.uid',
    )
    await assert.rejects(
      bench.api.delete('ConfigMap', 'default', 'c', { resourceVersion: '1' }, context),
      (error: GantryError) => error.code === 'Conflict' && error.details[0]?.field === 'metadata.resourceVersion',
    )
    await bench.api.delete('ConfigMap', 'default', 'c', {}, { ...context, dryRun: true })
    assert.deepEqual(await bench.api.get('ConfigMap', 'default', 'c'), made)
    await bench.api.delete(
      'ConfigMap',
      'default',
      'c',
      { uid: made.metadata.uid, resourceVersion: made.metadata.resourceVersion },
      context,
    )
    await gone('ConfigMap', 'c')
  })

  it('is held by finalizers; the write that takes the last one removes the object', async () => {
    await bench.api.create<'ConfigMap'>(
      configDraft('c', {}, { finalizers: ['example.com/a', 'example.com/b'] }),
      context,
    )
    const held = await bench.api.delete('ConfigMap', 'default', 'c', {}, context)
    assert.equal(held.metadata.deletionTimestamp, '2026-01-01T00:00:00Z')
    await bench.clock.advance(5_000)
    assert.equal(
      (await bench.api.delete('ConfigMap', 'default', 'c', {}, context)).metadata.deletionTimestamp,
      held.metadata.deletionTimestamp,
    )
    await assert.rejects(
      bench.api.mutate(
        'ConfigMap',
        'default',
        'c',
        '',
        (object) => void object.metadata.finalizers!.push('example.com/c'),
        context,
      ),
      { code: 'Forbidden' },
    )
    await bench.api.mutate(
      'ConfigMap',
      'default',
      'c',
      '',
      (object) => void (object.metadata.finalizers = ['example.com/b']),
      context,
    )
    await bench.reads.current()
    const writes = bench.writes.length
    await bench.api.patch(
      'ConfigMap',
      'default',
      'c',
      { type: 'MERGE', patch: { metadata: { finalizers: null } } },
      context,
    )
    assert.equal(bench.writes.length, writes + 1)
    await gone('ConfigMap', 'c')
  })

  it('sets the finalizer of the propagation asked for, and a later request changes it', async () => {
    await bench.api.create<'ConfigMap'>(configDraft('c', {}, { finalizers: ['example.com/a'] }), context)
    assert.deepEqual(
      (await bench.api.delete('ConfigMap', 'default', 'c', { propagation: 'FOREGROUND' }, context)).metadata.finalizers,
      ['example.com/a', 'foregroundDeletion'],
    )
    assert.deepEqual(
      (await bench.api.delete('ConfigMap', 'default', 'c', { propagation: 'ORPHAN' }, context)).metadata.finalizers,
      ['example.com/a', 'orphan'],
    )
    assert.deepEqual((await bench.api.delete('ConfigMap', 'default', 'c', {}, context)).metadata.finalizers, [
      'example.com/a',
      'orphan',
    ])
    assert.deepEqual(
      (await bench.api.delete('ConfigMap', 'default', 'c', { propagation: 'BACKGROUND' }, context)).metadata.finalizers,
      ['example.com/a'],
    )
  })

  it('gives a bound pod its grace, which a second request may only shorten', async () => {
    const pod = await running('web')
    const first = await bench.api.delete('Pod', 'default', 'web', {}, context)
    assert.deepEqual(
      [first.metadata.deletionTimestamp, first.metadata.deletionGracePeriodSeconds],
      ['2026-01-01T00:00:30Z', 30],
    )
    assert.equal(first.metadata.generation, pod.metadata.generation! + 1)
    await bench.clock.advance(2_000)
    const longer = await bench.api.delete('Pod', 'default', 'web', { gracePeriodSeconds: 60 }, context)
    assert.deepEqual(longer, first)
    const shorter = await bench.api.delete('Pod', 'default', 'web', { gracePeriodSeconds: 5 }, context)
    assert.deepEqual(
      [shorter.metadata.deletionTimestamp, shorter.metadata.deletionGracePeriodSeconds],
      ['2026-01-01T00:00:07Z', 5],
    )
    await bench.api.delete('Pod', 'default', 'web', { gracePeriodSeconds: 0 }, context)
    await gone('Pod', 'web')
  })

  it('ends a grace of ages with the last day that can be written', async () => {
    await running('web')
    const { metadata } = await bench.api.delete(
      'Pod',
      'default',
      'web',
      { gracePeriodSeconds: Number.MAX_SAFE_INTEGER },
      context,
    )
    assert.equal(metadata.deletionTimestamp, '9999-12-31T23:59:59Z')
    await bench.api.delete('Pod', 'default', 'web', { gracePeriodSeconds: 0 }, context)
    await gone('Pod', 'web')
  })

  it('removes unbound and finished pods at once', async () => {
    await create('unbound')
    await bench.api.delete('Pod', 'default', 'unbound', {}, context)
    await gone('Pod', 'unbound')
    const pod = await running('done')
    await bench.api.updateStatus<'Pod'>({ ...pod, status: { ...pod.status, phase: 'Succeeded' } }, context)
    await bench.api.delete('Pod', 'default', 'done', {}, context)
    await gone('Pod', 'done')
  })

  it('releases: removes a pod that is being deleted, leaves one that is not, and another of its name', async () => {
    const pod = await running('web')
    const { uid } = pod.metadata
    assert.deepEqual(await bench.api.release('default', 'web', uid, context), pod)
    const deleted = await bench.api.delete('Pod', 'default', 'web', {}, context)
    assert.deepEqual(await bench.api.release('default', 'web', 'other', context), deleted)
    await bench.api.release('default', 'web', uid, context)
    await gone('Pod', 'web')
    await assert.rejects(bench.api.release('default', 'web', uid, context), { code: 'NotFound' })
  })

  it("a released pod with finalizers goes with the last of them; without release the finalizer's end does not end it", async () => {
    const {
      metadata: { uid },
    } = await running('web', { finalizers: ['example.com/a'] })
    await bench.api.delete('Pod', 'default', 'web', {}, context)
    assert.equal((await bench.api.release('default', 'web', uid, context)).metadata.deletionGracePeriodSeconds, 0)
    await bench.api.mutate('Pod', 'default', 'web', '', (pod) => void (pod.metadata.finalizers = []), context)
    await gone('Pod', 'web')

    await running('slow', { finalizers: ['example.com/a'] })
    await bench.api.delete('Pod', 'default', 'slow', {}, context)
    await bench.api.mutate('Pod', 'default', 'slow', '', (pod) => void (pod.metadata.finalizers = []), context)
    assert.equal((await bench.api.get('Pod', 'default', 'slow')).metadata.deletionGracePeriodSeconds, 30)
  })

  it('a namespace goes when its own finalizer does', async () => {
    await bench.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'team' } }, context)
    const going = await bench.api.delete('Namespace', '', 'team', {}, context)
    assert.deepEqual([going.status.phase, going.metadata.deletionTimestamp], ['Terminating', '2026-01-01T00:00:00Z'])
    await bench.api.mutate('Namespace', '', 'team', '', (space) => void (space.spec.finalizers = []), context)
    await gone('Namespace', 'team', '')
    await assert.rejects(bench.api.delete('Namespace', '', 'default', {}, context), { code: 'Forbidden' })
  })

  it('binds in one write, once, the pod that was meant', async () => {
    const pod = await create('web')
    await bench.clock.advance(1_250)
    const writes = bench.writes.length
    const bound = await bench.api.bind('default', 'web', pod.metadata.uid, 'n1', context)
    assert.equal(bench.writes.length, writes + 1)
    assert.equal(bound.spec.nodeName, 'n1')
    assert.deepEqual(bound.status.conditions, [
      { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-01-01T00:00:01Z' },
    ])
    assert.deepEqual(
      bound.status.timeline?.map(({ step, time }) => [step, time]),
      [
        ['accepted', '2026-01-01T00:00:00.000000Z'],
        ['scheduled', '2026-01-01T00:00:01.250000Z'],
      ],
    )
    assert.deepEqual(await bench.api.bind('default', 'web', pod.metadata.uid, 'n1', context), bound)
    await assert.rejects(
      bench.api.bind('default', 'web', pod.metadata.uid, 'n2', context),
      (error: GantryError) => error.code === 'Conflict' && error.details[0]?.field === 'spec.nodeName',
    )
    await assert.rejects(bench.api.bind('default', 'web', 'other', 'n1', context), { code: 'Conflict' })
    await bench.api.delete('Pod', 'default', 'web', {}, context)
    await assert.rejects(bench.api.bind('default', 'web', pod.metadata.uid, 'n1', context), { code: 'Conflict' })
    await assert.rejects(bench.api.bind('default', 'none', 'u', 'n1', context), { code: 'NotFound' })
  })

  it('two who bind one pod to two nodes: one is refused', async () => {
    const {
      metadata: { uid },
    } = await create('web')
    await bench.reads.current()
    const results = await Promise.allSettled(
      ['n1', 'n2'].map((node) => bench.api.bind('default', 'web', uid, node, context)),
    )
    assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.equal((results.find(({ status }) => status === 'rejected') as PromiseRejectedResult).reason.code, 'Conflict')
  })
})
