import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeJson, encodeJson, inspectJson } from '../../../../proto/codec/codec.ts'
import { KindRegistry } from '../../../../proto/schema/kind-registry.ts'
import { applyDefaults } from '../../../../proto/codec/defaults.ts'
import { explain } from '../../../../proto/schema/explain.ts'
import { definitionsIn } from '../../../../proto/codec/manifest.ts'
import { resourceOf } from '../../../../proto/schema/schema.ts'
import { validate, validateUpdate } from '../../../../proto/validation/validation.ts'
import { decodeResource, encodeResource, withResourceVersion } from '../../../../proto/codec/wire.ts'
import type { CustomResourceDefinition, JsonObject, JsonValue, Kind } from '../../../../proto/gen/types.ts'
import { CRONTAB_SCHEMA, cronTab, cronTabs } from '../../../controller/custom/plane.ts'

const ESTABLISHED = { conditions: [{ type: 'Established', status: 'True' as const }], storedVersions: ['v1'] }

function definition(version: JsonObject = {}, spec: JsonObject = {}): CustomResourceDefinition {
  return applyDefaults(decodeJson('CustomResourceDefinition', cronTabs(version, spec)))
}

describe('definitions', () => {
  const fields = (object: CustomResourceDefinition): string[] => validate(object).map(({ field }) => field)
  const schema = (root: JsonObject): JsonObject => ({ schema: { openAPIV3Schema: root } })

  it('are read, stored and written as they are', () => {
    const object = definition({
      schema: {
        openAPIV3Schema: {
          type: 'object',
          properties: {
            a: { type: 'string', enum: ['x', null], default: 'x', 'x-kubernetes-validations': [{ rule: 'true' }] },
            b: { type: 'object', additionalProperties: { type: 'array', items: { type: 'integer', maximum: 1.5 } } },
            c: { type: 'object', additionalProperties: true },
          },
        },
      },
    })
    const stored = decodeResource('CustomResourceDefinition', encodeResource(object))
    assert.deepEqual(encodeJson(stored), encodeJson(object))
    assert.deepEqual(object.spec.names, {
      plural: 'crontabs',
      singular: 'crontab',
      kind: 'CronTab',
      listKind: 'CronTabList',
      shortNames: ['ct'],
      categories: ['all'],
    })
    assert.deepEqual(validate(object), [])
  })

  it('name a field of a schema that there is not, with its place', () => {
    const { problems } = inspectJson(
      'CustomResourceDefinition',
      cronTabs(schema({ type: 'object', properties: { a: { tpye: 'string' } } })),
    )
    assert.deepEqual(
      problems.map(({ field, remedy }) => [field, remedy]),
      [['spec.versions[0].schema.openAPIV3Schema.properties[a].tpye', 'did you mean type?']],
    )
  })

  const other = { name: 'v2', served: true, storage: true, schema: { openAPIV3Schema: CRONTAB_SCHEMA } }
  const REFUSED: [string, CustomResourceDefinition, string][] = [
    [
      'a name that is not theirs',
      { ...definition(), metadata: { ...definition().metadata, name: 'x.stable.example.com' } },
      'metadata.name',
    ],
    ['two stored versions', definition({}, { versions: [other, { ...other, name: 'v1' }] }), 'spec.versions'],
    ['a version twice', definition({}, { versions: [other, { ...other, storage: false }] }), 'spec.versions'],
    ['a version without schema', definition({ schema: null as never }), 'spec.versions[0].schema.openAPIV3Schema'],
    ['conversion by a webhook', definition({}, { conversion: { strategy: 'Webhook' } }), 'spec.conversion.strategy'],
    ['a warning without deprecation', definition({ deprecationWarning: 'x' }), 'spec.versions[0].deprecationWarning'],
    [
      'a column that leads nowhere',
      definition({ additionalPrinterColumns: [{ name: 'x', type: 'string', jsonPath: '.spec[' }] }),
      'spec.versions[0].additionalPrinterColumns[0].jsonPath',
    ],
    [
      'replicas outside of spec',
      definition({
        subresources: { scale: { specReplicasPath: '.status.x', statusReplicasPath: '.status.replicas' } },
      }),
      'spec.versions[0].subresources.scale.specReplicasPath',
    ],
    [
      'a selectable field that is no scalar',
      definition({ selectableFields: [{ jsonPath: '.spec.ports' }] }),
      'spec.versions[0].selectableFields[0].jsonPath',
    ],
    [
      "a group that is Kubernetes' own",
      definition({}, { group: 'x.k8s.io' }),
      'metadata.annotations[api-approved.kubernetes.io]',
    ],
    ['a group that is no domain', definition({}, { group: 'example' }), 'spec.group'],
  ]
  for (const [what, object, field] of REFUSED)
    it(`are refused for ${what}`, () => assert.ok(fields(object).includes(field), JSON.stringify(validate(object))))

  it('keep versions that are stored, their group and their kind', () => {
    const previous = { ...definition(), status: ESTABLISHED }
    const changed = (next: CustomResourceDefinition): string[] =>
      validateUpdate({ ...next, status: ESTABLISHED }, previous).map(({ field }) => field)
    assert.deepEqual(changed(definition({ name: 'v2' })), ['status.storedVersions[0]'])
    assert.ok(changed(definition({}, { scope: 'Cluster' })).includes('spec.scope'))
    assert.ok(changed(definition({}, { names: { plural: 'crontabs', kind: 'Other' } })).includes('spec.names.kind'))
  })

  it('are found in texts, whatever else is in them', () => {
    assert.deepEqual(
      definitionsIn(
        `a: [\n---\n${JSON.stringify(cronTabs())}\n---\nkind: List\napiVersion: v1\nitems: [${JSON.stringify(cronTabs())}]\n`,
      ).map(({ metadata: { name } }) => name),
      ['crontabs.stable.example.com', 'crontabs.stable.example.com'],
    )
  })
})

describe('a registry of kinds', () => {
  const kinds = new KindRegistry()
  before(() =>
    kinds.set(
      kinds.kindOf({
        ...definition(
          {},
          {
            versions: [
              {
                ...(definition().spec.versions[0] as unknown as JsonObject),
                selectableFields: [{ jsonPath: '.spec.image' }],
              },
              { name: 'v1beta1', served: false, storage: false, schema: { openAPIV3Schema: CRONTAB_SCHEMA } },
            ],
          },
        ),
        status: ESTABLISHED,
      })!,
    ),
  )
  after(() => kinds.close())
  /** Its id; another registry of this process may have a kind of this name, then a number tells them apart. */
  const id = (): Kind => kinds.find('stable.example.com/v1', 'CronTab')!

  it('does not have what is not established', () => assert.equal(kinds.kindOf(definition()), undefined))

  it('finds kinds by all their names, and served versions only', () => {
    for (const word of ['ct', 'CronTabs', 'crontab', 'crontab.stable.example.com', 'crontabs.v1.stable.example.com'])
      assert.equal(kinds.findWord(word)?.kind, 'CronTab', word)
    assert.equal(kinds.findWord('crontabs.example.com'), undefined)
    assert.deepEqual(
      [
        kinds.find('stable.example.com/v1', 'CronTab'),
        kinds.find('stable.example.com/v1beta1', 'CronTab'),
        kinds.find('stable.example.com/v1', 'Crontab'),
      ],
      [id(), undefined, undefined],
    )
    assert.match(id(), /^CronTab\.stable\.example\.com(@\d+)?$/)
    assert.ok(kinds.kinds().includes(id()))
    assert.throws(() => resourceOf('Gone.example.com' as never), { code: 'NotFound' })
  })

  it('lets objects be stored and read back, whatever is in them', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (extra) => {
        const object = decodeJson(undefined, cronTab('a', { extra: { value: extra as JsonValue } }), { kinds })
        const bytes = encodeResource(object)
        const json = encodeJson(decodeResource(id(), bytes, '7') as never)
        assert.equal((json.metadata as JsonObject).resourceVersion, '7')
        assert.deepEqual((json.spec as { extra: JsonObject }).extra, JSON.parse(JSON.stringify({ value: extra })))
        assert.deepEqual(decodeResource(id(), withResourceVersion(bytes, '9')), decodeResource(id(), bytes, '9'))
        const shuffled = {
          ...object,
          spec: Object.fromEntries(Object.entries((object as unknown as { spec: JsonObject }).spec).reverse()),
        }
        assert.deepEqual(encodeResource(shuffled as never), bytes)
      }),
    )
  })

  it('explains them', async () => {
    const { kind, apiVersion, field } = await explain('ct.spec', { kinds })
    assert.deepEqual([kind, apiVersion, field.type], ['CronTab', 'stable.example.com/v1', 'Object'])
    assert.deepEqual(
      field.children.filter(({ required }) => required).map(({ name }) => name),
      ['cronSpec'],
    )
    assert.deepEqual(
      (await explain('ct', { kinds })).field.children.map(({ name }) => name),
      ['apiVersion', 'kind', 'metadata', 'spec', 'status'],
    )
    assert.equal((await explain('ct.metadata.labels', { kinds })).field.type, 'map[string]string')
    await assert.rejects(explain('ct.spec.cronSepc', { kinds }), /did you mean cronSpec/)
  })
})
