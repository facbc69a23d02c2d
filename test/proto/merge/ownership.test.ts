import assert from 'node:assert/strict'
import fc from 'fast-check'
import { GantryError } from '../../../proto/base/errors.ts'
import {
  applyConfiguration,
  claimedOwners,
  updateManagedFields,
  type ApplyRequest,
  type Subresource,
} from '../../../proto/merge/ownership.ts'
import type { JsonObject, JsonValue, ManagedFieldsEntry } from '../../../proto/gen/types.ts'

const NOW = Date.UTC(2026, 0, 1)
const LATER = NOW + 60_000

function apply(
  live: JsonObject | undefined,
  configuration: JsonObject,
  manager = 'me',
  more: Partial<ApplyRequest> = {},
): { object: JsonObject; changed: boolean } {
  return applyConfiguration({ kind: 'Deployment', live, configuration, manager, force: false, now: NOW, ...more })
}

function update(previous: JsonObject, next: JsonObject, manager: string, subresource: Subresource = ''): JsonObject {
  const managedFields = updateManagedFields({
    kind: 'Deployment',
    previous,
    next,
    manager,
    now: LATER,
    subresource,
  }) as unknown as JsonValue
  return { ...next, metadata: { ...(next.metadata as JsonObject), managedFields } }
}

function deployment(spec: JsonObject, metadata: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default', ...metadata },
    spec,
  }
}

const containers = (...list: JsonObject[]): JsonObject => ({ template: { spec: { containers: list } } })
const entries = (object: JsonObject): ManagedFieldsEntry[] =>
  ((object.metadata as JsonObject).managedFields ?? []) as unknown as ManagedFieldsEntry[]
const fieldsOf = (object: JsonObject, manager: string): JsonObject | undefined =>
  entries(object).find((entry) => entry.manager === manager)?.fieldsV1
const bare = (object: JsonObject): JsonObject => {
  const { managedFields: _managedFields, ...metadata } = object.metadata as JsonObject
  return { ...object, metadata }
}

describe('apply', () => {
  it('creates, and writes ownership as FieldsV1', () => {
    const { object, changed } = apply(
      undefined,
      deployment(
        { replicas: 2, ...containers({ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }) },
        { labels: { app: 'web' }, finalizers: ['x/y'] },
      ),
    )
    assert.equal(changed, true)
    assert.deepEqual(entries(object), [
      {
        manager: 'me',
        operation: 'Apply',
        apiVersion: 'apps/v1',
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:metadata': { 'f:finalizers': { 'v:"x/y"': {} }, 'f:labels': { 'f:app': {} } },
          'f:spec': {
            'f:replicas': {},
            'f:template': {
              'f:spec': {
                'f:containers': {
                  'k:{"name":"c"}': {
                    '.': {},
                    'f:image': {},
                    'f:name': {},
                    'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
                  },
                },
              },
            },
          },
        },
      },
    ])
  })

  it('changes nothing when nothing changes, defaults filled in since or not', () => {
    const configuration = deployment({
      replicas: 2,
      ...containers({ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }),
    })
    const first = apply(undefined, configuration).object
    const live = structuredClone(first) as {
      spec: { paused?: boolean; template: { spec: { containers: { ports: { protocol?: string }[] }[] } } }
    } & JsonObject
    live.spec.paused = false
    live.spec.template.spec.containers[0]!.ports[0]!.protocol = 'TCP'
    const again = apply(live, configuration, 'me', { now: LATER })
    assert.equal(again.changed, false)
    assert.deepEqual(again.object, live)
  })

  it('removes what a manager stops naming, with the defaults below it', () => {
    const volumes = (source: JsonObject): JsonObject =>
      deployment({ template: { spec: { volumes: [{ name: 'v', ...source }] } } })
    const first = apply(undefined, volumes({ configMap: { name: 'm' } })).object
    const live = structuredClone(first) as {
      spec: { template: { spec: { volumes: { configMap: { defaultMode?: number } }[] } } }
    } & JsonObject
    live.spec.template.spec.volumes[0]!.configMap.defaultMode = 420
    const { object } = apply(live, volumes({ emptyDir: {} }))
    assert.deepEqual(object.spec, volumes({ emptyDir: {} }).spec)
  })

  it('removes labels, list items and set values one by one', () => {
    const first = apply(
      undefined,
      deployment(containers({ name: 'a' }, { name: 'b' }), { labels: { x: '1', y: '2' }, finalizers: ['p', 'q'] }),
    ).object
    const { object } = apply(first, deployment(containers({ name: 'b' }), { labels: { y: '2' }, finalizers: ['q'] }))
    assert.deepEqual(bare(object), deployment(containers({ name: 'b' }), { labels: { y: '2' }, finalizers: ['q'] }))
    const empty = apply(object, deployment(containers({ name: 'b' }))).object
    assert.deepEqual(bare(empty), deployment(containers({ name: 'b' })))
  })

  it("keeps the live order and appends in the configuration's order", () => {
    const first = apply(undefined, deployment(containers({ name: 'b' }, { name: 'a' }))).object
    const { object } = apply(first, deployment(containers({ name: 'd' }, { name: 'a' }, { name: 'c' }, { name: 'b' })))
    assert.deepEqual(object.spec, containers({ name: 'b' }, { name: 'a' }, { name: 'd' }, { name: 'c' }))
  })

  it('names field and owner of a conflict, and takes the field when forced', () => {
    const first = apply(undefined, deployment({ replicas: 2 })).object
    const scaled = update(first, deployment({ replicas: 5 }), 'autoscaler')
    assert.throws(
      () => apply(scaled, deployment({ replicas: 2 })),
      (error) => {
        assert.ok(GantryError.is(error, 'Conflict'))
        assert.equal(error.message, 'field spec.replicas is owned by "autoscaler" (Update since 2026-01-01T00:01:00Z)')
        assert.deepEqual(
          error.details.map(({ field, remedy }) => [field, remedy.includes('--force')]),
          [['spec.replicas', true]],
        )
        return true
      },
    )
    const forced = apply(scaled, deployment({ replicas: 2 }), 'me', { force: true }).object
    assert.deepEqual(forced.spec, { replicas: 2 })
    assert.equal(fieldsOf(forced, 'autoscaler'), undefined)
  })

  it('shares a field that both want alike; it stays until both let go', () => {
    const first = apply(undefined, deployment({ replicas: 2 }, { labels: { a: '1' } }), 'one').object
    const both = apply(first, deployment({ replicas: 2 }), 'two').object
    const onlyTwo = apply(both, deployment({}, { labels: { a: '1' } }), 'one').object
    assert.deepEqual(onlyTwo.spec, { replicas: 2 })
    const none = apply(onlyTwo, deployment({}), 'two').object
    assert.deepEqual(none.spec, {})
  })

  /**
   * Who updated replicas to 5, after 'me' had applied 2 and before 'me' applies again; `refused`: as whose the conflict
   * names the field.
   */
  const updates: readonly (readonly [who: string, manager: string, subresource: Subresource, refused: string])[] = [
    ['another', 'other', '', '"other" (Update since 2026-01-01T00:01:00Z)'],
    ['the manager itself', 'me', '', '"me" (Update since 2026-01-01T00:01:00Z)'],
    ['the manager itself by a subresource', 'me', 'scale', '"me" (Update of scale since 2026-01-01T00:01:00Z)'],
  ]
  for (const [who, manager, subresource, refused] of updates) {
    it(`does not undo what ${who} updated, unless forced; shares it`, () => {
      const first = apply(undefined, deployment({ replicas: 2 })).object
      const scaled = update(first, deployment({ replicas: 5 }), manager, subresource)
      const owners = (object: JsonObject): string[] =>
        entries(object).map((entry) => `${entry.manager} ${entry.operation} ${entry.subresource ?? '-'}`)
      assert.deepEqual(owners(scaled), [`${manager} Update ${subresource === '' ? '-' : subresource}`])
      assert.throws(
        () => apply(scaled, deployment({ replicas: 2 })),
        (error) => GantryError.is(error, 'Conflict') && error.message === `field spec.replicas is owned by ${refused}`,
      )
      const forced = apply(scaled, deployment({ replicas: 2 }), 'me', { force: true }).object
      assert.deepEqual([owners(forced), forced.spec], [['me Apply -'], { replicas: 2 }])
      const shared = apply(scaled, deployment({ replicas: 5 })).object
      assert.deepEqual(owners(shared), [...owners(scaled), 'me Apply -'])
      assert.deepEqual(apply(shared, deployment({})).object.spec, { replicas: 5 }, "it is still the update's")
      assert.throws(
        () => apply(shared, deployment({ replicas: 6 })),
        (error) => GantryError.is(error, 'Conflict'),
      )
    })
  }

  it('takes what its manager updated, where that is asked for, and nothing of others', () => {
    const first = apply(undefined, deployment({ replicas: 2, paused: true }), 'gantry').object
    const scaled = update(first, { ...first, spec: { replicas: 5, paused: true } }, 'gantry')
    assert.throws(
      () => apply(scaled, deployment({ replicas: 2, paused: true }), 'gantry'),
      (error) => GantryError.is(error, 'Conflict'),
    )
    const { object } = apply(scaled, deployment({ replicas: 2, paused: true }), 'gantry', { takesOwnUpdates: true })
    assert.deepEqual(
      [object.spec, entries(object).map(({ operation }) => operation)],
      [{ replicas: 2, paused: true }, ['Apply']],
    )
    assert.deepEqual(apply(object, deployment({ paused: true }), 'gantry', { takesOwnUpdates: true }).object.spec, {
      paused: true,
    })
    const others = update(object, { ...object, spec: { replicas: 7, paused: true } }, 'someone')
    assert.throws(
      () => apply(others, deployment({ replicas: 2, paused: true }), 'gantry', { takesOwnUpdates: true }),
      (error) => GantryError.is(error, 'Conflict'),
    )
  })

  it('takes what its manager applied on its own side, as long as nobody changed it there', () => {
    const applied = deployment({ replicas: 2, paused: true }, { labels: { a: '1' } })
    const live = update(deployment({}), applied, 'client-side')
    const wanted = deployment({ replicas: 3 }, { labels: { a: '2' } })
    assert.throws(
      () => apply(live, wanted),
      (error) => GantryError.is(error, 'Conflict') && error.details.length === 2,
    )
    const { object } = apply(live, wanted, 'me', { lastApplied: applied })
    assert.deepEqual(bare(object), deployment({ replicas: 3, paused: true }, { labels: { a: '2' } }))
    assert.deepEqual(
      fieldsOf(object, 'client-side'),
      { 'f:metadata': { 'f:labels': {} }, 'f:spec': { 'f:paused': {} } },
      'the map of labels was made by it',
    )

    const scaled = update(live, deployment({ replicas: 5, paused: true }, { labels: { a: '1' } }), 'other')
    assert.throws(
      () => apply(scaled, wanted, 'me', { lastApplied: applied }),
      (error) => {
        assert.ok(GantryError.is(error, 'Conflict'))
        assert.deepEqual(
          error.details.map(({ field, message }) => [field, message]),
          [['spec.replicas', 'owned by "other" (Update since 2026-01-01T00:01:00Z)']],
        )
        return true
      },
    )
  })

  it('respects what was there before owners were kept', () => {
    const before = deployment({ replicas: 2, paused: true })
    assert.throws(
      () => apply(before, deployment({ replicas: 3 })),
      (error) =>
        GantryError.is(error, 'Conflict') &&
        error.details[0]?.field === 'spec.replicas' &&
        error.message.includes('"before-first-apply" (Update since'),
    )
    const { object } = apply(before, deployment({ replicas: 2 }))
    assert.deepEqual(bare(object), before)
    assert.deepEqual(
      entries(object).map(({ manager, operation, fieldsV1 }) => [manager, operation, fieldsV1]),
      [
        ['before-first-apply', 'Update', { 'f:spec': { 'f:paused': {}, 'f:replicas': {} } }],
        ['me', 'Apply', { 'f:spec': { 'f:replicas': {} } }],
      ],
    )
    assert.deepEqual(
      fieldsOf(apply(before, deployment({ replicas: 3 }), 'me', { force: true }).object, 'before-first-apply'),
      { 'f:spec': { 'f:paused': {} } },
    )
  })

  it('names the path of a conflict inside lists', () => {
    const first = apply(
      undefined,
      deployment(containers({ name: 'c', image: 'a' }), { labels: { 'app.io/x': '1' } }),
      'one',
    ).object
    assert.throws(
      () => apply(first, deployment(containers({ name: 'c', image: 'b' }), { labels: { 'app.io/x': '2' } }), 'two'),
      (error) => {
        assert.ok(GantryError.is(error, 'Conflict'))
        assert.deepEqual(error.details.map(({ field }) => field).sort(), [
          'metadata.labels[app.io/x]',
          'spec.template.spec.containers[name=c].image',
        ])
        return true
      },
    )
  })

  it('never changes or owns what the server decides, nor status', () => {
    const live: JsonObject = { ...apply(undefined, deployment({ replicas: 1 })).object, status: { replicas: 1 } }
    ;(live.metadata as JsonObject).uid = 'u'
    ;(live.metadata as JsonObject).resourceVersion = '7'
    const { object, changed } = apply(live, {
      ...deployment({ replicas: 1 }, { uid: 'other', resourceVersion: '3', generation: 9 }),
      status: { replicas: 8 },
    })
    assert.equal(changed, false)
    assert.deepEqual(object, live)
  })

  it('refuses an item that comes twice', () => {
    assert.throws(
      () => apply(undefined, deployment(containers({ name: 'c' }, { name: 'c' }))),
      (error) =>
        GantryError.is(error, 'InvalidArgument') &&
        error.message === 'spec.template.spec.containers[name=c] comes twice',
    )
  })
})

describe('update', () => {
  it('moves changed fields to their writer and drops those that are gone', () => {
    const first = apply(undefined, deployment({ replicas: 2, paused: true }, { labels: { a: '1' } })).object
    const next = update(first, deployment({ replicas: 3 }, { labels: { a: '1' } }), 'other')
    assert.deepEqual(fieldsOf(next, 'me'), { 'f:metadata': { 'f:labels': { 'f:a': {} } } })
    assert.deepEqual(fieldsOf(next, 'other'), { 'f:spec': { 'f:replicas': {} } })
  })

  it('keeps status apart', () => {
    const first = apply(undefined, deployment({ replicas: 2 })).object
    const observed = update(
      first,
      { ...first, spec: { replicas: 9 }, status: { conditions: [{ type: 'Available', status: 'True' }] } },
      'controller',
      'status',
    )
    assert.deepEqual(
      entries(observed).map(({ manager, subresource }) => [manager, subresource]),
      [
        ['me', undefined],
        ['controller', 'status'],
      ],
    )
    assert.deepEqual(fieldsOf(observed, 'controller'), {
      'f:status': { 'f:conditions': { '.': {}, 'k:{"type":"Available"}': { '.': {}, 'f:status': {}, 'f:type': {} } } },
    })
    assert.deepEqual(fieldsOf(observed, 'me'), { 'f:spec': { 'f:replicas': {} } })
  })

  it('is of a version; an apply is the same one in all', () => {
    const inVersion = (version: string, object: JsonObject): JsonObject => ({
      ...object,
      apiVersion: `apps/${version}`,
    })
    const first = apply(undefined, inVersion('v1', deployment({ paused: true }))).object
    const second = apply(first, inVersion('v2', deployment({ paused: true }))).object
    const updated = update(
      update(second, inVersion('v1', deployment({ paused: true, replicas: 1 })), 'other'),
      inVersion('v2', deployment({ paused: true, replicas: 1, minReadySeconds: 2 })),
      'other',
    )
    assert.deepEqual(
      entries(updated).map(({ manager, operation, apiVersion, fieldsV1 }) => [
        manager,
        operation,
        apiVersion,
        fieldsV1,
      ]),
      [
        ['me', 'Apply', 'apps/v2', { 'f:spec': { 'f:paused': {} } }],
        ['other', 'Update', 'apps/v1', { 'f:spec': { 'f:replicas': {} } }],
        ['other', 'Update', 'apps/v2', { 'f:spec': { 'f:minReadySeconds': {} } }],
      ],
    )
  })

  it('leaves ownership as it is when nothing changed', () => {
    const first = apply(undefined, deployment({ replicas: 2 })).object
    assert.deepEqual(update(first, first, 'other'), first)
  })
})

describe('owners that a writer sends', () => {
  const entry = (manager: string, fieldsV1: JsonObject = { 'f:data': { 'f:a': {} } }): ManagedFieldsEntry => ({
    manager,
    operation: 'Update',
    fieldsType: 'FieldsV1',
    fieldsV1,
  })
  const stored = [entry('stored')]

  it('hold, unless there are none; a single empty one clears all', () => {
    assert.equal(claimedOwners(undefined, stored), stored)
    assert.equal(claimedOwners([], stored), stored)
    assert.equal(claimedOwners(structuredClone(stored), stored), stored)
    assert.equal(claimedOwners([{}], stored), undefined)
    assert.deepEqual(claimedOwners([entry('sent')], stored), [entry('sent')])
    assert.deepEqual(claimedOwners([entry('sent')], undefined), [entry('sent')])
    const every = entry('sent', {
      '.': {},
      'f:list': { 'k:{"name":"a","port":1}': { '.': {}, 'f:x': {} }, 'v:"x"': {}, 'v:1': {}, 'i:0': {} },
    })
    assert.deepEqual(claimedOwners([every], stored), [every])
  })

  const wrong: readonly (readonly [what: string, entry: ManagedFieldsEntry, field: string])[] = [
    ['no operation', { manager: 'x', fieldsV1: {} }, 'metadata.managedFields[0].operation'],
    ['another form', { ...entry('x'), fieldsType: 'FieldsV2' }, 'metadata.managedFields[0].fieldsV1'],
    ['a step that is none', entry('x', { data: {} }), 'metadata.managedFields[0].fieldsV1'],
    ['a key that is no JSON', entry('x', { 'f:list': { 'k:{name}': {} } }), 'metadata.managedFields[0].fieldsV1'],
    ['a key that is no object', entry('x', { 'f:list': { 'k:"a"': {} } }), 'metadata.managedFields[0].fieldsV1'],
    ['a value in place of fields', entry('x', { 'f:a': true }), 'metadata.managedFields[0].fieldsV1'],
  ]
  for (const [what, sent, field] of wrong) {
    it(`are refused with ${what}`, () =>
      assert.throws(
        () => claimedOwners([sent], stored),
        (error) => GantryError.is(error, 'InvalidArgument') && error.details[0]?.field === field,
      ))
  }
})

describe('ownership holds for any configuration', () => {
  const value = fc.constantFrom('1', '2')
  const pick = (names: string[]): fc.Arbitrary<Record<string, string>> =>
    fc
      .uniqueArray(fc.constantFrom(...names))
      .chain((some) => fc.record(Object.fromEntries(some.map((name) => [name, value]))))
  /** Of one manager: `own` prefixes what it names, so that two prefixes never meet. */
  const configuration = (prefix: string): fc.Arbitrary<JsonObject> =>
    fc
      .record({
        labels: pick([`${prefix}a`, `${prefix}b`]),
        containers: fc.uniqueArray(
          fc.record({
            name: fc.constantFrom(`${prefix}x`, `${prefix}y`, `${prefix}z`),
            image: value,
            env: pick([`${prefix}E`, `${prefix}F`]),
          }),
          { selector: ({ name }) => name },
        ),
        finalizers: fc.uniqueArray(fc.constantFrom(`${prefix}p`, `${prefix}q`)),
      })
      .map(({ labels, containers: list, finalizers }) =>
        deployment(
          containers(
            ...list.map(({ name, image, env }) => ({
              name,
              image,
              env: Object.entries(env).map(([key, text]) => ({ name: key, value: text })),
            })),
          ),
          { labels, finalizers },
        ),
      )

  /** As sets: orders of lists and empty values do not matter. */
  const normal = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) return value.map(normal).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    if (typeof value !== 'object' || value === null) return value
    const named = Object.keys(value)
      .sort()
      .map((name) => [name, normal((value as JsonObject)[name]!)] as const)
    return Object.fromEntries(
      named.filter(([, part]) => typeof part !== 'object' || part === null || Object.keys(part).length > 0),
    )
  }

  it('apply twice is apply once', () => {
    fc.assert(
      fc.property(configuration('a'), configuration('a'), (before, wanted) => {
        const once = apply(apply(undefined, before).object, wanted).object
        const twice = apply(once, wanted, 'me', { now: LATER })
        assert.equal(twice.changed, false)
        assert.deepEqual(twice.object, once)
      }),
    )
  })

  it('what a sole manager stops naming disappears', () => {
    fc.assert(
      fc.property(configuration('a'), configuration('a'), (before, wanted) => {
        assert.deepEqual(normal(bare(apply(apply(undefined, before).object, wanted).object)), normal(wanted))
      }),
    )
  })

  it('fields of others survive whatever one manager applies', () => {
    fc.assert(
      fc.property(configuration('a'), configuration('b'), configuration('b'), (others, before, wanted) => {
        const start = apply(apply(undefined, others, 'other').object, before).object
        const changed = apply(start, wanted).object
        const released = apply(changed, deployment({})).object
        assert.deepEqual(normal(bare(released)), normal(others))
        assert.deepEqual(fieldsOf(changed, 'other'), fieldsOf(start, 'other'))
      }),
    )
  })

  it("the manager's own updates stand in its way as those of others do", () => {
    const met = (live: JsonObject, wanted: JsonObject): string[] | JsonObject => {
      try {
        return bare(apply(live, wanted, 'me', { now: LATER }).object)
      } catch (thrown) {
        if (!GantryError.is(thrown, 'Conflict')) throw thrown
        return thrown.details.map(({ field }) => field)
      }
    }
    fc.assert(
      fc.property(configuration('a'), configuration('a'), configuration('a'), (before, changed, wanted) => {
        const first = apply(undefined, before).object
        const [mine, others] = ['me', 'other'].map((manager) => met(update(first, changed, manager), wanted))
        assert.deepEqual(mine, others)
        if (Array.isArray(mine)) assert.notDeepEqual(mine, [])
      }),
    )
  })

  it('what is forced is as wanted, and conflicts no more', () => {
    fc.assert(
      fc.property(configuration('a'), configuration('a'), (before, wanted) => {
        const { object } = apply(update(deployment({}), before, 'me'), wanted, 'me', { force: true })
        assert.deepEqual(apply(object, wanted, 'me', { now: LATER }), { object, changed: false })
        assert.deepEqual(
          normal(bare(apply(bare(object), wanted, 'me').object)),
          normal(bare(object)),
          'nothing wanted differs from what is there',
        )
      }),
    )
  })

  it('the order of managers that share nothing does not matter', () => {
    fc.assert(
      fc.property(configuration('a'), configuration('b'), (a, b) => {
        const ab = apply(apply(undefined, a, 'one').object, b, 'two').object
        const ba = apply(apply(undefined, b, 'two').object, a, 'one').object
        assert.deepEqual(normal(bare(ab)), normal(bare(ba)))
        for (const manager of ['one', 'two']) assert.deepEqual(fieldsOf(ab, manager), fieldsOf(ba, manager))
      }),
    )
  })
})
