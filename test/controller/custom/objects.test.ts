import assert from 'node:assert/strict'
import { encodeJson } from '../../../proto/codec/codec.ts'
import type { GantryError } from '../../../proto/base/errors.ts'
import { findAnyKind } from '../../../proto/schema/kinds.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { AnyResource, JsonObject, JsonValue, Kind } from '../../../proto/gen/types.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import type { Change } from '../../../controller/informer/contract.ts'
import { eventually } from '../../eventually.ts'
import { context, CRONTAB_SCHEMA, cronTab, cronTabs, CustomPlane } from './plane.ts'

const refused =
  (code: string, field: string, text: RegExp) =>
  (error: GantryError): boolean => {
    assert.equal(error.code, code, error.message)
    const detail = error.details.find((candidate) => candidate.field === field)
    assert.ok(detail, `no detail about ${field}: ${JSON.stringify(error.details)}`)
    assert.match(`${detail.value} ${detail.message} ${detail.remedy}`, text)
    return true
  }

describe('objects of custom kinds', () => {
  let plane: CustomPlane

  beforeEach(async () => {
    plane = await CustomPlane.start()
  })
  afterEach(() => plane.stop())

  it('are stored, read and given their defaults', async () => {
    const kind = await plane.define(cronTabs())
    // Another registry of this process may have a kind of this name: then a number tells them apart.
    assert.match(kind, /^CronTab\.stable\.example\.com(@\d+)?$/)
    const made = await plane.create(cronTab('a', { extra: { anything: [1, { b: null }] } }))
    assert.equal(made.metadata.generation, 1)
    assert.deepEqual(
      await plane.read(kind, 'a').then(({ apiVersion, kind: name, spec }) => ({ apiVersion, name, spec })),
      {
        apiVersion: 'stable.example.com/v1',
        name: 'CronTab',
        spec: { cronSpec: '* * * * */5', image: 'busybox', replicas: 1, extra: { anything: [1, { b: null }] } },
      },
    )
  })

  it('are refused with every place that their schema does not allow', async () => {
    await plane.define(cronTabs())
    await assert.rejects(
      plane.create(cronTab('a', { cronSpec: 'now', replicas: 20 })),
      (error: GantryError) =>
        refused('InvalidArgument', 'spec.cronSpec', /should match/)(error) &&
        refused('InvalidArgument', 'spec.replicas', /less than or equal to 10/)(error),
    )
    await assert.rejects(
      plane.create(cronTab('a', { replicas: 'two' })),
      refused('InvalidArgument', 'spec.replicas', /must be of type integer: "string"/),
    )
    await assert.rejects(
      plane.create(cronTab('a', { ports: [{ name: 'x' }, { name: 'x' }] })),
      refused('InvalidArgument', 'spec.ports[1]', /duplicate/),
    )
    await assert.rejects(
      plane.create(cronTab('a', { tags: ['x', 'y', 'x'] })),
      refused('InvalidArgument', 'spec.tags[2]', /duplicate/),
    )
    await assert.rejects(
      plane.create({ ...cronTab('a'), spec: {} }),
      refused('InvalidArgument', 'spec.cronSpec', /required/),
    )
    await assert.rejects(
      plane.create(cronTab('a', { cronSepc: 'x' })),
      refused('InvalidArgument', 'spec.cronSepc', /unknown field/),
    )
  })

  it('count their changes, and keep status apart', async () => {
    const kind = await plane.define(cronTabs())
    await plane.create({ ...cronTab('a'), status: { replicas: 5 } })
    assert.equal((await plane.read(kind, 'a')).status, undefined)
    const stored = structuredClone(await plane.api.get(kind, 'default', 'a')) as AnyResource & {
      spec: JsonObject
      status?: JsonObject
    }
    const changed = (await plane.api.update(
      { ...stored, spec: { ...stored.spec, replicas: 3 }, status: { replicas: 3 } } as never,
      context,
    )) as AnyResource
    assert.deepEqual([changed.metadata.generation, (changed as { status?: unknown }).status], [2, undefined])
    const observed = (await plane.api.updateStatus(
      { ...changed, spec: {}, status: { replicas: 3 } } as never,
      context,
    )) as AnyResource & { spec: JsonObject; status?: JsonObject }
    assert.deepEqual([observed.metadata.generation, observed.spec.replicas, observed.status], [2, 3, { replicas: 3 }])
    await assert.rejects(
      plane.api.updateStatus({ ...observed, status: { replicas: 'x' } } as never, context),
      refused('InvalidArgument', 'status.replicas', /type integer/),
    )
  })

  it('have status among everything else without the subresource', async () => {
    const kind = await plane.define(cronTabs({ subresources: {} }))
    await plane.create({ ...cronTab('a'), status: { replicas: 5 } })
    assert.deepEqual((await plane.read(kind, 'a')).status, { replicas: 5 })
    const applied = await plane.api.apply(
      kind,
      'default',
      'a',
      { ...cronTab('a'), status: { replicas: 6 } } as JsonValue,
      true,
      context,
    )
    assert.deepEqual((applied.object as unknown as { status: unknown }).status, { replicas: 6 })
    assert.equal(applied.object.metadata.generation, 2)
  })

  it('are applied: keyed lists merge, owners are kept, and doing it again changes nothing', async () => {
    const kind = await plane.define(cronTabs())
    const apply = (manager: string, spec: JsonObject, force = false) =>
      plane.api.apply(kind, 'default', 'a', cronTab('a', spec) as JsonValue, force, { fieldManager: manager })
    assert.equal((await apply('one', { ports: [{ name: 'x', port: 1 }], tags: [] })).outcome, 'CREATED')
    assert.equal((await apply('two', { ports: [{ name: 'y', port: 2 }] })).outcome, 'CONFIGURED')
    const again = await apply('two', { ports: [{ name: 'y', port: 2 }] })
    assert.equal(again.outcome, 'UNCHANGED')
    const { spec } = (await plane.read(kind, 'a')) as { spec: JsonObject }
    assert.deepEqual(
      [spec.ports, spec.tags],
      [
        [
          { name: 'x', port: 1 },
          { name: 'y', port: 2 },
        ],
        [],
      ],
    )
    await assert.rejects(apply('two', { ports: [{ name: 'x', port: 9 }] }), { code: 'Conflict' })
    await apply('one', {})
    assert.deepEqual(((await plane.read(kind, 'a')).spec as JsonObject).ports, [{ name: 'y', port: 2 }])
  })

  it('are patched: as JSON and merged', async () => {
    const kind = await plane.define(cronTabs())
    await plane.create(cronTab('a', { tags: ['x'] }))
    await plane.api.patch(
      kind,
      'default',
      'a',
      { type: 'MERGE', patch: { spec: { suspend: true, tags: null } } },
      context,
    )
    await plane.api.patch(
      kind,
      'default',
      'a',
      { type: 'JSON', patch: [{ op: 'replace', path: '/spec/replicas', value: 4 }] },
      context,
    )
    const { spec } = (await plane.read(kind, 'a')) as { spec: JsonObject }
    assert.deepEqual([spec.suspend, spec.tags, spec.replicas], [true, undefined, 4])
    await assert.rejects(
      plane.api.patch(kind, 'default', 'a', { type: 'MERGE', patch: { spec: { replicas: 40 } } }, context),
      refused('InvalidArgument', 'spec.replicas', /equal to 10/),
    )
  })

  it('can be changed elsewhere when an older schema let something in that is not allowed any more', async () => {
    const kind = await plane.define(cronTabs())
    await plane.create(cronTab('a', { replicas: 9 }))
    const stricter = structuredClone(CRONTAB_SCHEMA) as {
      properties: { spec: { properties: { replicas: JsonObject } } }
    }
    stricter.properties.spec.properties.replicas.maximum = 5
    await plane.api.patch(
      'CustomResourceDefinition',
      '',
      'crontabs.stable.example.com',
      {
        type: 'JSON',
        patch: [
          { op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema', value: stricter as unknown as JsonValue },
        ],
      },
      context,
    )
    await eventually(() =>
      plane.create(cronTab('b', { replicas: 9 })).then(
        () => Promise.reject(new Error('the old schema still holds')),
        () => true,
      ),
    )
    await plane.api.patch(kind, 'default', 'a', { type: 'MERGE', patch: { spec: { suspend: true } } }, context)
    await assert.rejects(
      plane.api.patch(kind, 'default', 'a', { type: 'MERGE', patch: { spec: { replicas: 8 } } }, context),
      refused('InvalidArgument', 'spec.replicas', /equal to 5/),
    )
  })

  it('get defaults that their schema has got since, though nobody wrote them', async () => {
    const kind = await plane.define(cronTabs())
    await plane.create(cronTab('a'))
    const before = (await plane.read(kind, 'a')).metadata as JsonObject
    const wider = structuredClone(CRONTAB_SCHEMA) as { properties: { spec: { properties: JsonObject } } }
    wider.properties.spec.properties.zone = { type: 'string', default: 'UTC' }
    await plane.api.patch(
      'CustomResourceDefinition',
      '',
      'crontabs.stable.example.com',
      {
        type: 'JSON',
        patch: [
          { op: 'replace', path: '/spec/versions/0/schema/openAPIV3Schema', value: wider as unknown as JsonValue },
        ],
      },
      context,
    )
    await eventually(async () => ((await plane.read(kind, 'a')).spec as JsonObject).zone === 'UTC')
    assert.equal(((await plane.read(kind, 'a')).metadata as JsonObject).resourceVersion, before.resourceVersion)
  })

  it('are told to who watches, and are there after a restart whatever the order of keys', async () => {
    const kind = await plane.define({
      ...cronTabs({}, { group: 'a.example.com' }),
      metadata: { name: 'crontabs.a.example.com' },
    })
    const told: string[] = []
    const end = plane.informer.onAny(({ type, cached: { object } }: Change) => {
      if (object.kind === kind) told.push(`${type} ${object.metadata.name}`)
    })
    await plane.create(cronTab('a', {}, {}, 'a.example.com/v1'))
    await plane.api.patch(kind, 'default', 'a', { type: 'MERGE', patch: { spec: { suspend: true } } }, context)
    await plane.api.delete(kind, 'default', 'a', {}, context)
    await eventually(() => told.length === 3)
    assert.deepEqual(told, ['added a', 'modified a', 'deleted a'])
    end()
    await plane.create(cronTab('b', {}, {}, 'a.example.com/v1'))
    const stop = new AbortController()
    const other = new StoreInformer({
      store: plane.store,
      clock: systemClock,
      random: seededRandom(2),
      logger: silentLogger,
    })
    const running = other.run(stop.signal)
    await other.synced()
    const others = other.kinds.find('a.example.com/v1', 'CronTab')!
    assert.notEqual(others, kind)
    assert.deepEqual(
      (other.lister(others).list() as AnyResource[]).map(({ metadata }) => metadata.name),
      ['b'],
    )
    assert.equal((other.byUid(other.lister(others).list()[0]!.metadata.uid) as AnyResource).metadata.name, 'b')
    stop.abort()
    await running
    other.kinds.close()
  })

  it('are read, patched and given defaults in the version that is asked for', async () => {
    const wider = structuredClone(CRONTAB_SCHEMA) as { properties: { spec: { properties: JsonObject } } }
    wider.properties.spec.properties.zone = { type: 'string', default: 'UTC' }
    const versions: JsonObject[] = [
      { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: CRONTAB_SCHEMA } },
      { name: 'v2beta1', served: true, storage: false, schema: { openAPIV3Schema: wider as unknown as JsonObject } },
    ]
    const kind = await plane.define(cronTabs({}, { versions }))
    await plane.create(cronTab('a'))
    const stored = (await plane.api.get(kind, 'default', 'a')) as AnyResource
    const shown = encodeJson(stored, { apiVersion: 'stable.example.com/v2beta1' })
    assert.deepEqual(
      [shown.apiVersion, (shown.spec as JsonObject).zone, (encodeJson(stored).spec as JsonObject).zone],
      ['stable.example.com/v2beta1', 'UTC', undefined],
    )
    const patch = (apiVersion?: string) =>
      plane.api.patch(
        kind,
        'default',
        'a',
        { type: 'MERGE', patch: { spec: { zone: 'CET' } }, ...(apiVersion !== undefined && { apiVersion }) },
        context,
      )
    await assert.rejects(patch(), refused('InvalidArgument', 'spec.zone', /unknown field/))
    await patch('stable.example.com/v2beta1')
    // The stored version knows no zone: it is kept, and seen again once that does.
    assert.equal(((await plane.read(kind, 'a')).spec as JsonObject).zone, undefined)
  })

  it('have names that no other definition of their group has', async () => {
    await plane.define(cronTabs())
    const other = (plural: string, names: JsonObject): JsonObject => ({
      ...cronTabs({}, { names: { plural, ...names } }),
      metadata: { name: `${plural}.stable.example.com` },
    })
    await plane.create(other('tables', { kind: 'Table', shortNames: ['ct'] }))
    const conditions = (): string[] =>
      plane.informer
        .lister('CustomResourceDefinition')
        .get('', 'tables.stable.example.com')
        ?.status.conditions?.map(({ type, status, reason }) => `${type} ${status} ${reason}`) ?? []
    await eventually(() => conditions().length === 2)
    assert.deepEqual(conditions(), ['NamesAccepted False ShortNamesConflict', 'Established False NotAccepted'])
    assert.ok('problem' in findAnyKind('stable.example.com/v1', 'Table', plane.informer.kinds))
    await plane.api.delete('CustomResourceDefinition', '', 'crontabs.stable.example.com', {}, context)
    await eventually(() => conditions()[0] === 'NamesAccepted True NoConflicts')
    assert.ok('kind' in findAnyKind('stable.example.com/v1', 'Table', plane.informer.kinds))
  })

  it('own and are owned, and go with their namespace', async () => {
    const kind = await plane.define(cronTabs())
    await plane.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } })
    const owner = await plane.create(cronTab('owner'))
    const reference = { apiVersion: 'stable.example.com/v1', kind: 'CronTab', name: 'owner', uid: owner.metadata.uid }
    await plane.create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'owned', namespace: 'default', ownerReferences: [reference] },
    })
    const config = await plane.create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'top', namespace: 'default' },
    })
    await plane.create(
      cronTab(
        'below',
        {},
        { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'top', uid: config.metadata.uid }] },
      ),
    )
    await plane.create(cronTab('x', {}, { namespace: 'shop' }))
    const gone = (what: Kind, name: string, namespace = 'default') =>
      eventually(() => plane.informer.lister(what).get(namespace, name) === undefined)
    await plane.api.delete(kind, 'default', 'owner', {}, context)
    await gone('ConfigMap', 'owned')
    await plane.api.delete('ConfigMap', 'default', 'top', {}, context)
    await gone(kind, 'below')
    await plane.api.delete('Namespace', '', 'shop', {}, context)
    await gone(kind, 'x', 'shop')
    await gone('Namespace', 'shop', '')
  })

  it('go before their definition, which waits for their finalizers', async () => {
    const kind = await plane.define(cronTabs())
    await plane.create(cronTab('a'))
    await plane.create(cronTab('held', {}, { finalizers: ['example.com/hold'] }))
    await plane.api.delete('CustomResourceDefinition', '', 'crontabs.stable.example.com', {}, context)
    await eventually(() => plane.informer.lister(kind).get('default', 'a') === undefined)
    await eventually(
      () =>
        plane.informer
          .lister('CustomResourceDefinition')
          .get('', 'crontabs.stable.example.com')
          ?.status.conditions?.some(
            ({ type, status, message }) => type === 'Terminating' && status === 'True' && /1 left/.test(message ?? ''),
          ) === true,
    )
    await assert.rejects(plane.create(cronTab('new')), { code: 'Forbidden' })
    await plane.api.patch(
      kind,
      'default',
      'held',
      { type: 'MERGE', patch: { metadata: { finalizers: null } } },
      context,
    )
    await eventually(
      () => plane.informer.lister('CustomResourceDefinition').get('', 'crontabs.stable.example.com') === undefined,
    )
    assert.ok('problem' in findAnyKind('stable.example.com/v1', 'CronTab', plane.informer.kinds))
    assert.throws(() => plane.informer.lister(kind), { code: 'NotFound' })
    // Nothing of the old kind is left to come back.
    await plane.define(cronTabs())
    assert.deepEqual(plane.informer.lister(kind).list(), [])
  })
})
