import assert from 'node:assert/strict'
import type { GantryError } from '../../../proto/base/errors.ts'
import { formatTime } from '../../../proto/base/time.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import type { ConfigMap, JsonObject, Pod } from '../../../proto/gen/types.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { ControlPlane } from '../control-plane.ts'
import { LaggingStore } from '../lagging-store.ts'
import { ApiBench, configDraft, context, podDraft } from './bench.ts'

describe('ObjectRegistry', () => {
  let bench: ApiBench
  const refused =
    (code: string, field?: string, text?: RegExp) =>
    (error: GantryError): boolean => {
      assert.equal(error.code, code, error.message)
      if (field !== undefined)
        assert.ok(
          error.details.some((detail) => detail.field === field),
          `no detail about ${field}: ${JSON.stringify(error.details)}`,
        )
      if (text !== undefined) assert.match(error.message, text)
      return true
    }

  beforeEach(async () => {
    bench = await ApiBench.start()
  })
  afterEach(() => bench.stop())

  describe('create', () => {
    it('fills in what the control plane says of a new pod', async () => {
      const pod = await bench.api.create<'Pod'>({ ...podDraft('web'), status: { phase: 'Running' } }, context)
      assert.match(pod.metadata.uid, /^[0-9a-f]{8}-[0-9a-f]{4}-4/)
      assert.equal(pod.metadata.generation, 1)
      assert.equal(pod.metadata.creationTimestamp, '2026-01-01T00:00:00Z')
      assert.equal(pod.metadata.resourceVersion, String(await bench.store.revision()))
      assert.deepEqual(pod.status, {
        phase: 'Pending',
        qosClass: 'BestEffort',
        timeline: [{ step: 'accepted', time: '2026-01-01T00:00:00.000000Z' }],
      })
      assert.equal(pod.spec.restartPolicy, 'Always')
      assert.equal(pod.spec.containers[0]?.imagePullPolicy, 'Always')
      assert.deepEqual(
        pod.metadata.managedFields?.map(({ manager, operation }) => [manager, operation]),
        [['tester', 'Update']],
      )
      assert.deepEqual(await bench.api.get('Pod', 'default', 'web'), pod)
    })

    it('refuses a name that is taken, and makes another when the name is generated', async () => {
      await bench.api.create<'Pod'>(podDraft('web'), context)
      await assert.rejects(
        bench.api.create<'Pod'>(podDraft('web'), context),
        refused('AlreadyExists', 'metadata.name', /Pod default\/web already exists/),
      )
      const names = await Promise.all(
        Array.from(
          { length: 20 },
          async () =>
            (await bench.api.create<'Pod'>(podDraft('', {}, { name: undefined, generateName: 'web-' }), context))
              .metadata.name,
        ),
      )
      assert.equal(new Set(names).size, 20)
      for (const name of names) assert.match(name, /^web-[a-z0-9]{5}$/)
    })

    it('tries another generated name on a collision', async () => {
      const taken = await bench.api.create<'Pod'>(podDraft('', {}, { name: undefined, generateName: 'a-' }), context)
      const again = await ApiBench.start()
      try {
        // The same seed chooses the same name first.
        await again.store.commit([
          {
            kind: 'put',
            key: objectKey('Pod', 'default', taken.metadata.name),
            value: encodeResource(taken),
            expect: { is: 'absent' },
          },
        ])
        const made = await again.api.create<'Pod'>(podDraft('', {}, { name: undefined, generateName: 'a-' }), context)
        assert.notEqual(made.metadata.name, taken.metadata.name)
        assert.equal(again.writes.length, 2)
      } finally {
        await again.stop()
      }
    })

    it('refuses what has no namespace, an unknown one, or one that is going', async () => {
      await assert.rejects(
        bench.api.create<'Pod'>(podDraft('web', {}, { namespace: '' }), context),
        refused('InvalidArgument', 'metadata.namespace'),
      )
      await assert.rejects(
        bench.api.create<'Pod'>(podDraft('web', {}, { namespace: 'nowhere' }), context),
        (error: GantryError) =>
          refused('NotFound', 'metadata.namespace')(error) &&
          error.details[0]?.remedy === 'gantry create namespace nowhere',
      )
      await bench.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'going' } }, context)
      await bench.api.delete('Namespace', '', 'going', {}, context)
      await assert.rejects(
        bench.api.create<'Pod'>(podDraft('web', {}, { namespace: 'going' }), context),
        refused('Forbidden', 'metadata.namespace', /being deleted/),
      )
      await assert.rejects(
        bench.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'x', namespace: 'default' } }, context),
        refused('InvalidArgument', 'metadata.namespace'),
      )
    })

    it('refuses an invalid object whole, naming every place', async () => {
      const bad = podDraft('Web', {
        containers: [
          { name: 'a', image: 'busybox' },
          { name: 'a', image: 'busybox' },
        ],
      })
      await assert.rejects(
        bench.api.create<'Pod'>(bad, context),
        (error: GantryError) => refused('InvalidArgument', 'metadata.name')(error) && error.details.length >= 2,
      )
      await assert.rejects(
        bench.api.create<'Pod'>(podDraft('web', {}, { resourceVersion: '3' }), context),
        refused('InvalidArgument', 'metadata.resourceVersion'),
      )
      assert.equal(bench.writes.length, 0)
    })

    it('refuses an object over 1.5 MB, which leaves nothing', async () => {
      const large = configDraft('large', { text: 'x'.repeat(1_500_001) })
      await assert.rejects(
        bench.api.create<'ConfigMap'>(large, context),
        (error: GantryError) => error.code === 'ResourceExhausted' || refused('InvalidArgument', 'data')(error),
      )
      const many = podDraft('many', { containers: [{ name: 'main', image: 'busybox', args: ['x'.repeat(1_500_001)] }] })
      await assert.rejects(
        bench.api.create<'Pod'>(many, context),
        refused('ResourceExhausted', undefined, /Pod default\/many takes 15\d{5} bytes, the limit is 1500000/),
      )
      assert.equal(bench.writes.length, 0)
    })

    it('writes nothing on a dry run, which knows taken names', async () => {
      const pod = await bench.api.create<'Pod'>(podDraft('web'), { ...context, dryRun: true })
      assert.equal(pod.spec.restartPolicy, 'Always')
      assert.equal(bench.writes.length, 0)
      await bench.api.create<'Pod'>(podDraft('web'), context)
      await assert.rejects(
        bench.api.create<'Pod'>(podDraft('web'), { ...context, dryRun: true }),
        refused('AlreadyExists'),
      )
    })
  })

  describe('update', () => {
    it('notes when a NoExecute taint was added, once', async () => {
      const time = (): string | undefined =>
        bench.informer
          .lister('Node')
          .get('', 'n1')
          ?.spec.taints?.find(({ key }) => key === 'gone')?.timeAdded
      await bench.api.create<'Node'>(
        { kind: 'Node', metadata: { name: 'n1' }, spec: { taints: [{ key: 'full', effect: 'NoSchedule' }] } },
        context,
      )
      const taint = (effects: object[]) =>
        bench.api.mutate('Node', '', 'n1', '', (node) => void (node.spec.taints = effects as never), context)
      const added = formatTime(bench.clock.now())
      await taint([
        { key: 'gone', effect: 'NoExecute' },
        { key: 'full', effect: 'NoSchedule' },
      ])
      await bench.reads.current()
      assert.equal(time(), added)
      assert.equal(bench.informer.lister('Node').get('', 'n1')?.spec.taints?.[1]?.timeAdded, undefined)
      await bench.clock.advance(60_000)
      await taint([{ key: 'gone', value: 'other', effect: 'NoExecute' }])
      await bench.reads.current()
      assert.equal(time(), added)
      await taint([])
      await taint([{ key: 'gone', effect: 'NoExecute' }])
      await bench.reads.current()
      assert.equal(time(), formatTime(bench.clock.now()))
    })

    it('counts a change of spec, keeps status and what the control plane set, and writes nothing when nothing changes', async () => {
      const made = await bench.api.create<'Deployment'>(
        {
          kind: 'Deployment',
          metadata: { name: 'web', namespace: 'default' },
          spec: {
            replicas: 1,
            selector: { matchLabels: { app: 'web' } },
            template: {
              metadata: { labels: { app: 'web' } },
              spec: { containers: [{ name: 'main', image: 'busybox' }] },
            },
          },
        },
        context,
      )
      const changed = await bench.api.update<'Deployment'>(
        {
          ...made,
          metadata: { ...made.metadata, creationTimestamp: '2020-01-01T00:00:00Z', generation: 9 },
          spec: { ...made.spec, replicas: 2 },
          status: { ...made.status, replicas: 7 },
        },
        context,
      )
      assert.equal(changed.metadata.generation, 2)
      assert.equal(changed.metadata.creationTimestamp, made.metadata.creationTimestamp)
      assert.equal(changed.status.replicas ?? 0, 0)
      const labelled = await bench.api.update<'Deployment'>(
        { ...changed, metadata: { ...changed.metadata, labels: { a: 'b' } } },
        context,
      )
      assert.equal(labelled.metadata.generation, 2)
      const writes = bench.writes.length
      assert.deepEqual(await bench.api.update(labelled, context), labelled)
      assert.equal(bench.writes.length, writes)
    })

    it('refuses a stale resourceVersion and another uid, with the remedy', async () => {
      const first = await bench.api.create<'ConfigMap'>(configDraft('c', { a: '1' }), context)
      const second = await bench.api.update<'ConfigMap'>({ ...first, data: { a: '2' } }, context)
      await assert.rejects(
        bench.api.update<'ConfigMap'>({ ...first, data: { a: '3' } }, context),
        (error: GantryError) =>
          refused('Conflict', 'metadata.resourceVersion')(error) &&
          error.details[0]!.remedy !== '' &&
          error.details[0]!.message.includes(second.metadata.resourceVersion),
      )
      await assert.rejects(
        bench.api.update<'ConfigMap'>(
          { ...first, metadata: { ...first.metadata, resourceVersion: '', uid: 'other' } },
          context,
        ),
        refused('Conflict', 'metadata.uid'),
      )
      const last = await bench.api.update<'ConfigMap'>(
        { ...first, metadata: { ...first.metadata, resourceVersion: '' }, data: { a: '3' } },
        context,
      )
      assert.deepEqual(last.data, { a: '3' })
      await assert.rejects(
        bench.api.update<'ConfigMap'>(
          { ...first, metadata: { ...first.metadata, name: 'none', uid: '', resourceVersion: '' } },
          context,
        ),
        refused('NotFound'),
      )
    })

    it('takes a state that the cache still shows for what it is: maybe not the newest', async () => {
      const store = new LaggingStore(bench.store)
      const late = await ControlPlane.over(store, bench.clock, seededRandom(2))
      const first = await bench.api.create<'ConfigMap'>(configDraft('c', { a: '1' }), context)
      const withData = (object: ConfigMap, a: string): ConfigMap => ({ ...object, data: { a } })
      const anyVersion = (a: string): ConfigMap =>
        withData({ ...first, metadata: { ...first.metadata, resourceVersion: '' } }, a)
      /** By a controller that has not heard of a change, until it has begun. */
      const updatedLate = async (change: ConfigMap, wanted: (changed: ConfigMap) => ConfigMap): Promise<unknown> => {
        await late.reads.current()
        store.hold()
        const changed = await bench.api.update<'ConfigMap'>(change, context)
        const updating = late.api.update<'ConfigMap'>(wanted(changed), context)
        await bench.clock.advance(0)
        store.release()
        return (await updating).data
      }
      // What the cache shows is what is wanted; what is stored is not.
      assert.deepEqual(await updatedLate(anyVersion('2'), () => anyVersion('1')), { a: '1' })
      assert.deepEqual((await bench.api.get('ConfigMap', 'default', 'c')).data, { a: '1' })
      // A refusal by what the cache shows is none either: the precondition holds for what is stored.
      assert.deepEqual(await updatedLate(anyVersion('2'), (newest) => withData(newest, '3')), { a: '3' })
      await late.stop()
    })

    it('writes status alone through updateStatus', async () => {
      const pod = await bench.api.create<'Pod'>(podDraft('web'), context)
      const running = await bench.api.updateStatus<'Pod'>(
        { ...pod, spec: { ...pod.spec, hostname: 'other' }, status: { ...pod.status, phase: 'Running' } },
        context,
      )
      assert.equal(running.status.phase, 'Running')
      assert.equal(running.spec.hostname, undefined)
      assert.equal(running.metadata.generation, 1)
      const config = await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
      await assert.rejects(bench.api.updateStatus(config, context), refused('InvalidArgument', 'status'))
    })

    it("keeps a namespace's own finalizer against users", async () => {
      const space = await bench.api.create<'Namespace'>({ kind: 'Namespace', metadata: { name: 'team' } }, context)
      const updated = await bench.api.update<'Namespace'>(
        { ...space, metadata: { ...space.metadata, labels: { ...space.metadata.labels, a: 'b' } }, spec: {} },
        context,
      )
      assert.deepEqual(updated.spec.finalizers, ['kubernetes'])
    })
  })

  describe('mutate', () => {
    it('lets everyone who changes one object at once have his change', async () => {
      await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
      await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          bench.api.mutate(
            'ConfigMap',
            'default',
            'c',
            '',
            (config) => void (config.data = { ...config.data, [`k${index}`]: 'v' }),
            context,
          ),
        ),
      )
      assert.equal(Object.keys((await bench.api.get('ConfigMap', 'default', 'c')).data ?? {}).length, 8)
    })

    it('gives up with Conflict when others are always faster', async () => {
      const made = await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
      await bench.reads.current()
      const key = objectKey('ConfigMap', 'default', 'c')
      let writes = 0
      const racing: ConfigMap = { ...made }
      const original = bench.store.commit.bind(bench.store)
      bench.store.commit = async (operations, term) => {
        if (operations[0]?.key === key)
          await original([
            {
              kind: 'put',
              key,
              value: encodeResource({ ...racing, data: { other: String(writes++) } }),
              expect: { is: 'any' },
            },
          ])
        return original(operations, term)
      }
      await assert.rejects(
        bench.api.mutate(
          'ConfigMap',
          'default',
          'c',
          '',
          (config) => void (config.data = { ...config.data, mine: 'yes' }),
          context,
        ),
        refused('Conflict', undefined, /10 times/),
      )
      assert.equal(writes, 10)
    })

    it('leaves the object alone when told so', async () => {
      const made = await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
      const writes = bench.writes.length
      assert.deepEqual(await bench.api.mutate('ConfigMap', 'default', 'c', '', () => false, context), made)
      assert.equal(bench.writes.length, writes)
    })

    it('is refused once the writer leads no more', async () => {
      await bench.api.create<'ConfigMap'>(configDraft('c', {}), context)
      const term = { key: '/leader', createRevision: 1 }
      await assert.rejects(
        bench.api.mutate('ConfigMap', 'default', 'c', '', (config) => void (config.data = { a: '1' }), {
          ...context,
          term,
        }),
        refused('Forbidden', undefined, /does not lead/),
      )
      await assert.rejects(
        bench.api.create<'ConfigMap'>(configDraft('d', {}), { ...context, term }),
        refused('Forbidden'),
      )
    })
  })

  describe('patch', () => {
    it('merges, replaces by RFC 6902, and merges lists by their keys', async () => {
      await bench.api.create<'Pod'>(podDraft('web', {}, { labels: { app: 'web', old: 'x' } }), context)
      const merged = await bench.api.patch(
        'Pod',
        'default',
        'web',
        { type: 'MERGE', patch: { metadata: { labels: { old: null, tier: 'front' } } } },
        context,
      )
      assert.deepEqual(merged.metadata.labels, { app: 'web', tier: 'front' })
      const replaced = await bench.api.patch(
        'Pod',
        'default',
        'web',
        { type: 'JSON', patch: [{ op: 'replace', path: '/metadata/labels/tier', value: 'back' }] },
        context,
      )
      assert.equal(replaced.metadata.labels?.tier, 'back')
      const image = await bench.api.patch(
        'Pod',
        'default',
        'web',
        { type: 'STRATEGIC', patch: { spec: { containers: [{ name: 'main', image: 'busybox:1.36' }] } } },
        { fieldManager: 'other' },
      )
      assert.equal(image.spec.containers[0]?.image, 'busybox:1.36')
      assert.equal(image.metadata.generation, 2)
      const status = await bench.api.patch(
        'Pod',
        'default',
        'web',
        { type: 'MERGE', patch: { status: { phase: 'Failed' } }, subresource: 'status' },
        context,
      )
      assert.equal(status.status.phase, 'Failed')
    })

    it('refuses unknown fields, renaming, and a stale resourceVersion in the patch', async () => {
      const pod = await bench.api.create<'Pod'>(podDraft('web'), context)
      const patch = (value: object): Promise<Pod> =>
        bench.api.patch('Pod', 'default', 'web', { type: 'MERGE', patch: value as never }, context)
      await assert.rejects(
        patch({ spec: { restartPolice: 'Never' } }),
        (error: GantryError) =>
          refused('InvalidArgument', 'spec.restartPolice')(error) && /restartPolicy/.test(error.details[0]!.remedy),
      )
      await assert.rejects(patch({ metadata: { name: 'other' } }), refused('InvalidArgument', 'metadata.name'))
      await assert.rejects(
        patch({ metadata: { resourceVersion: '1', labels: { a: 'b' } } }),
        refused('Conflict', 'metadata.resourceVersion'),
      )
      await assert.rejects(
        patch({ spec: { restartPolicy: 'Never' } }),
        refused('InvalidArgument', 'spec.restartPolicy'),
      )
      assert.deepEqual(await bench.api.get('Pod', 'default', 'web'), pod)
    })
  })

  describe('apply', () => {
    const manifest = (data: Record<string, string>) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'c', namespace: 'default' },
      data,
    })
    const apply = (data: Record<string, string>, manager = 'gantry', force = false, dryRun = false) =>
      bench.api.apply('ConfigMap', 'default', 'c', manifest(data), force, { fieldManager: manager, dryRun })

    it('leaves alone what a manifest repeats that leaves out defaults within an atomic list', async () => {
      const route = {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'HTTPRoute',
        metadata: { name: 'r', namespace: 'default' },
        spec: { parentRefs: [{ name: 'edge' }], rules: [{ backendRefs: [{ name: 'web', port: 80 }] }] },
      }
      const again = (hostnames?: string[]) =>
        bench.api.apply(
          'HTTPRoute',
          'default',
          'r',
          { ...route, spec: { ...route.spec, ...(hostnames && { hostnames }) } },
          false,
          { fieldManager: 'gantry' },
        )
      const { object } = await again()
      await bench.clock.advance(60_000)
      const repeated = await again()
      assert.deepEqual(
        [repeated.outcome, repeated.object.metadata.resourceVersion],
        ['UNCHANGED', object.metadata.resourceVersion],
      )
      assert.equal((await again(['a.example.com'])).outcome, 'CONFIGURED')
    })

    it('creates, changes, leaves alone, and takes away what is named no more', async () => {
      assert.equal((await apply({ a: '1', b: '2' })).outcome, 'CREATED')
      const writes = bench.writes.length
      assert.equal((await apply({ a: '1', b: '2' })).outcome, 'UNCHANGED')
      assert.equal(bench.writes.length, writes)
      const { outcome, object } = await apply({ a: '3' })
      assert.deepEqual([outcome, object.data], ['CONFIGURED', { a: '3' }])
      assert.equal(object.metadata.managedFields?.[0]?.operation, 'Apply')
    })

    it('lets defaults that nobody chose give way to what excludes them', async () => {
      const template = (volume: object) => ({
        metadata: { labels: { a: 'b' } },
        spec: { containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'v', ...volume }] },
      })
      const deployment = (volume: object, spec: object = {}, manager = 'gantry') =>
        bench.api.apply(
          'Deployment',
          'default',
          'web',
          {
            apiVersion: 'apps/v1',
            kind: 'Deployment',
            metadata: { name: 'web' },
            spec: { selector: { matchLabels: { a: 'b' } }, template: template(volume), ...spec },
          } as JsonObject,
          false,
          { fieldManager: manager },
        )
      const first = (await deployment({})).object
      assert.deepEqual(
        [first.spec.strategy.type, first.spec.template.spec.volumes],
        ['RollingUpdate', [{ name: 'v', emptyDir: {} }]],
      )
      const { object } = await deployment({ configMap: { name: 'cm' } }, { strategy: { type: 'Recreate' } })
      assert.deepEqual(object.spec.strategy, { type: 'Recreate' })
      assert.deepEqual(object.spec.template.spec.volumes, [{ name: 'v', configMap: { name: 'cm', defaultMode: 420 } }])
      await deployment(
        { configMap: { name: 'cm' } },
        { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2 } } },
      )
      assert.deepEqual(
        (await deployment({ configMap: { name: 'cm' } }, { strategy: { type: 'Recreate' } })).object.spec.strategy,
        { type: 'Recreate' },
      )
    })

    it('says once what is wrong', async () => {
      await apply({ a: '1' })
      await assert.rejects(
        apply({ '../a': '1' }),
        (error: GantryError) => refused('InvalidArgument')(error) && error.details.length === 1,
      )
    })

    it("takes what Gantry's own command line changed, where it applies; to others that is a conflict with themselves", async () => {
      for (const manager of ['gantry', 'kubectl']) {
        await apply({ a: '1' }, manager, true)
        await bench.api.patch(
          'ConfigMap',
          'default',
          'c',
          { type: 'MERGE', patch: { data: { a: '2' } } },
          { fieldManager: manager },
        )
        if (manager === 'gantry') assert.deepEqual((await apply({ a: '3' }, manager)).object.data, { a: '3' })
        else await assert.rejects(apply({ a: '3' }, manager), refused('Conflict'))
      }
    })

    it('refuses what another owns, naming field and owner, and takes it by force', async () => {
      await apply({ a: '1' }, 'first')
      await assert.rejects(
        apply({ a: '2', b: '1' }, 'second'),
        (error: GantryError) =>
          refused('Conflict')(error) &&
          error.details.some(({ field, message }) => /data.*a/.test(field) && /"first"/.test(message)),
      )
      assert.deepEqual((await bench.api.get('ConfigMap', 'default', 'c')).data, { a: '1' })
      assert.deepEqual((await apply({ a: '2', b: '1' }, 'second', true)).object.data, { a: '2', b: '1' })
      assert.deepEqual((await apply({}, 'first')).object.data, { a: '2', b: '1' })
    })

    it('says on a dry run what would happen', async () => {
      assert.equal((await apply({ a: '1' }, 'gantry', false, true)).outcome, 'CREATED')
      await apply({ a: '1' })
      const writes = bench.writes.length
      assert.equal((await apply({ a: '1' }, 'gantry', false, true)).outcome, 'UNCHANGED')
      const { outcome, object } = await apply({ a: '2' }, 'gantry', false, true)
      assert.deepEqual([outcome, object.data], ['CONFIGURED', { a: '2' }])
      assert.equal(bench.writes.length, writes)
    })

    it("refuses unknown fields and another object's configuration", async () => {
      await assert.rejects(
        bench.api.apply('ConfigMap', 'default', 'c', { ...manifest({}), dada: {} }, false, context),
        refused('InvalidArgument', 'dada'),
      )
      await assert.rejects(
        bench.api.apply('ConfigMap', 'default', 'other', manifest({}), false, context),
        refused('InvalidArgument', 'metadata.name'),
      )
    })

    it('folds plain secret text into data and applies it twice as once', async () => {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 's', namespace: 'default' },
        stringData: { key: 'value' },
      }
      const first = await bench.api.apply('Secret', 'default', 's', secret, false, context)
      assert.deepEqual(
        [first.object.data, first.object.stringData],
        [{ key: Buffer.from('value').toString('base64') }, undefined],
      )
      assert.equal((await bench.api.apply('Secret', 'default', 's', secret, false, context)).outcome, 'UNCHANGED')
    })

    it('keeps a template and what was scaled by another', async () => {
      const deployment = (replicas?: number) => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: 'default' },
        spec: {
          ...(replicas !== undefined && { replicas }),
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: { containers: [{ name: 'main', image: 'busybox' }] },
          },
        },
      })
      await bench.api.apply('Deployment', 'default', 'web', deployment(), false, context)
      await bench.api.patch(
        'Deployment',
        'default',
        'web',
        { type: 'MERGE', patch: { spec: { replicas: 5 } } },
        { fieldManager: 'scaler' },
      )
      const { outcome, object } = await bench.api.apply('Deployment', 'default', 'web', deployment(), false, context)
      assert.deepEqual([outcome, object.spec.replicas], ['UNCHANGED', 5])
      await assert.rejects(
        bench.api.apply('Deployment', 'default', 'web', deployment(2), false, context),
        refused('Conflict', 'spec.replicas'),
      )
    })
  })
})
