import assert from 'node:assert/strict'
import fc from 'fast-check'
import { fillDefaults, prune } from '../../../../proto/schema/custom/coerce.ts'
import { validateStructural } from '../../../../proto/validation/custom/structural.ts'
import { validateSchema } from '../../../../proto/validation/custom/validation.ts'
import { apiPriority } from '../../../../proto/schema/custom/version-order.ts'
import { Report } from '../../../../proto/validation/report.ts'
import type { JSONSchemaProps, JsonObject, JsonValue } from '../../../../proto/gen/types.ts'

function problems(schema: JSONSchemaProps, value: JsonValue, previous?: JsonValue): string[] {
  const report = new Report()
  validateSchema(report, schema, value, previous, 'x')
  return report.details.map(({ field, message }) => `${field}: ${message}`)
}

function faults(schema: JSONSchemaProps): string[] {
  const report = new Report()
  validateStructural(report, schema, 's')
  return report.details.map(({ field }) => field.replace(/^s\./, ''))
}

const text: JSONSchemaProps = { type: 'string' }

/** Schemas of objects, and values that may or may not be of them. */
const schemas: fc.Arbitrary<JSONSchemaProps> = fc.letrec<{ schema: JSONSchemaProps }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record({
      type: fc.constant('string'),
      default: fc.option(fc.string({ maxLength: 3 }), { nil: undefined }),
      nullable: fc.option(fc.boolean(), { nil: undefined }),
    }),
    fc.record({ type: fc.constant('integer'), default: fc.option(fc.integer(), { nil: undefined }) }),
    fc.record({
      type: fc.constant('object'),
      properties: fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('schema')),
      'x-kubernetes-preserve-unknown-fields': fc.option(fc.constant(true), { nil: undefined }),
    }),
    fc.record({ type: fc.constant('object'), additionalProperties: tie('schema') }),
    fc.record({ type: fc.constant('array'), items: tie('schema') }),
  ),
})).schema as fc.Arbitrary<JSONSchemaProps>
const values = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.string({ maxLength: 3 }),
    fc.integer(),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), tie('value')),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
})).value as fc.Arbitrary<JsonValue>
const objects = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), values) as fc.Arbitrary<JsonObject>
const object = (properties: Record<string, JSONSchemaProps>): JSONSchemaProps => ({ type: 'object', properties })

describe('pruning and defaults', () => {
  it('do nothing when they are done again', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c'), schemas), objects, (properties, value) => {
        const once = structuredClone(value)
        prune(once, object(properties))
        fillDefaults(once, object(properties))
        const twice = structuredClone(once)
        assert.deepEqual(prune(twice, object(properties)), [])
        fillDefaults(twice, object(properties))
        assert.deepEqual(twice, once)
      }),
    )
  })

  it('leave what the schema names, and tell every path that goes', () => {
    const schema = object({
      a: object({ b: text }),
      list: { type: 'array', items: object({ c: text }) },
      map: { type: 'object', additionalProperties: object({ d: text }) },
      any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { known: object({ e: text }) } },
      all: { type: 'object', additionalProperties: true },
    })
    const value: JsonObject = {
      apiVersion: 'v1',
      a: { b: '1', x: 1 },
      list: [{ c: '1', x: 1 }, { y: 1 }],
      map: { k: { d: '1', x: 1 } },
      any: { x: { y: 1 }, known: { e: '1', x: 1 } },
      all: { k: 1 },
      z: 1,
    }
    assert.deepEqual(prune(value, schema).sort(), ['a.x', 'any.known.x', 'list[0].x', 'list[1].y', 'map.k.x', 'z'])
    assert.deepEqual(value, {
      apiVersion: 'v1',
      a: { b: '1' },
      list: [{ c: '1' }, {}],
      map: { k: { d: '1' } },
      any: { x: { y: 1 }, known: { e: '1' } },
      all: { k: 1 },
    })
  })

  it('keep apiVersion, kind and metadata of what is embedded', () => {
    const value: JsonObject = { template: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, spec: {}, y: 1 } }
    assert.deepEqual(
      prune(
        value,
        object({
          template: {
            type: 'object',
            'x-kubernetes-embedded-resource': true,
            properties: { spec: { type: 'object' } },
          },
        }),
      ),
      ['template.y'],
    )
  })

  it('treat null as Kubernetes documents it', () => {
    const schema = object({
      foo: { type: 'string', nullable: false, default: 'default' },
      bar: { type: 'string', nullable: true },
      baz: text,
    })
    const value: JsonObject = { foo: null, bar: null, baz: null }
    fillDefaults(value, schema)
    assert.deepEqual(value, { foo: 'default', bar: null })
  })

  it('go into lists and maps, and fill what a default brings', () => {
    const item = object({ a: { type: 'integer', default: 1 } })
    const schema = object({
      list: { type: 'array', items: item },
      map: { type: 'object', additionalProperties: item },
      made: { ...object({ b: { type: 'string', default: 'x' } }), default: {} },
    })
    const value: JsonObject = { list: [{}, { a: 2 }], map: { k: {} } }
    fillDefaults(value, schema)
    assert.deepEqual(value, { list: [{ a: 1 }, { a: 2 }], map: { k: { a: 1 } }, made: { b: 'x' } })
  })
})

describe('validation by a schema', () => {
  const WRONG: [JSONSchemaProps, JsonValue, RegExp][] = [
    [text, 1, /x: must be of type string: "integer"/],
    [{ type: 'integer' }, 1.5, /must be of type integer: "number"/],
    [{ type: 'boolean' }, 'true', /must be of type boolean/],
    [{ type: 'array', items: text }, {}, /must be of type array: "object"/],
    [text, null, /must be of type string: "null"/],
    [{ 'x-kubernetes-int-or-string': true }, true, /integer or string/],
    [{ type: 'string', enum: ['a', 'b'] }, 'c', /supported values: "a", "b"/],
    [{ type: 'string', maxLength: 2 }, 'äöü', /more than 2 characters/],
    [{ type: 'string', minLength: 2 }, 'ä', /at least 2/],
    [{ type: 'string', pattern: '^a+$' }, 'b', /should match '\^a\+\$'/],
    [{ type: 'integer', maximum: 3 }, 4, /less than or equal to 3/],
    [{ type: 'integer', maximum: 3, exclusiveMaximum: true }, 3, /less than 3/],
    [{ type: 'integer', minimum: 3, exclusiveMinimum: true }, 3, /greater than 3/],
    [{ type: 'number', multipleOf: 0.1 }, 0.25, /multiple of 0\.1/],
    [{ type: 'integer', format: 'int32' }, 2 ** 31, /int32/],
    [{ type: 'array', items: text, maxItems: 1 }, ['a', 'b'], /at most 1 items/],
    [{ type: 'array', items: text, minItems: 1 }, [], /at least 1/],
    [{ type: 'array', items: text }, ['a', 1], /x\[1\]: must be of type string/],
    [{ type: 'object', required: ['a'] }, {}, /x\.a: is required/],
    [{ type: 'object', maxProperties: 1, additionalProperties: text }, { a: 'a', b: 'b' }, /at most 1/],
    [{ type: 'object', additionalProperties: text }, { 'a b': 1 }, /x\[a b\]: must be/],
    [{ type: 'string', format: 'ipv4' }, '1.2.3', /must be of type ipv4/],
    [{ type: 'string', format: 'date-time' }, '2024-02-30T00:00:00Z', /date-time/],
    [{ type: 'string', format: 'uuid' }, 'x', /uuid/],
    [{ type: 'string', format: 'cidr' }, '10.0.0.0/33', /cidr/],
    [{ type: 'integer', anyOf: [{ minimum: 5 }, { maximum: 1 }] }, 3, /at least one schema \(anyOf\)/],
    [{ type: 'integer', oneOf: [{ minimum: 1 }, { minimum: 2 }] }, 3, /one and only one/],
    [{ type: 'integer', not: { minimum: 1 } }, 3, /must not validate/],
    [{ type: 'integer', allOf: [{ minimum: 5 }] }, 3, /greater than or equal to 5/],
    [{ type: 'object', 'x-kubernetes-embedded-resource': true }, { kind: 'Pod' }, /x\.apiVersion: is required/],
  ]
  for (const [schema, value, message] of WRONG) {
    it(`tells that ${JSON.stringify(value)} is not ${JSON.stringify(schema)}`, () =>
      assert.match(problems(schema, value).join('\n'), message))
  }

  const RIGHT: [JSONSchemaProps, JsonValue][] = [
    [{ type: 'number' }, 1],
    [{ type: 'string', nullable: true }, null],
    [{ 'x-kubernetes-int-or-string': true }, '50%'],
    [{ type: 'number', multipleOf: 0.1 }, 0.3],
    [{ 'x-kubernetes-preserve-unknown-fields': true }, [1, 'a']],
    [{ type: 'string', format: 'no-such-format' }, 'x'],
    [{ type: 'string', format: 'duration' }, '1h30m'],
    [{ type: 'string', format: 'email' }, 'a@b.example'],
    [{ type: 'string', format: 'hostname' }, 'a.example'],
    [{ type: 'string', format: 'mac' }, '00:11:22:33:44:55'],
    [{ type: 'string', format: 'isbn' }, '0321751043'],
    [{ type: 'string', format: 'hexcolor' }, '#FFF'],
    [{ type: 'string', format: 'byte' }, 'YQ=='],
  ]
  for (const [schema, value] of RIGHT) {
    it(`takes ${JSON.stringify(value)} for ${JSON.stringify(schema)}`, () =>
      assert.deepEqual(problems(schema, value), []))
  }

  it('takes what pruning and defaulting make of anything, where only types are asked', () => {
    fc.assert(
      fc.property(schemas, values, (schema, value) => {
        if (problems(schema, value).length > 0) return
        const next = structuredClone({ v: value }) as JsonObject
        prune(next, object({ v: schema }))
        fillDefaults(next, object({ v: schema }))
        assert.deepEqual(problems(object({ v: schema }), next), [])
      }),
    )
  })

  it('does not look again at what an update leaves as it was', () => {
    const schema = object({
      a: { type: 'integer', maximum: 1 },
      list: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['n'],
        items: { type: 'object', required: ['n', 'v'], properties: { n: text, v: text } },
      },
    })
    assert.deepEqual(
      problems(schema, { a: 5, list: [{ n: 'new', v: 'v' }, { n: 'old' }] }, { a: 5, list: [{ n: 'old' }] }),
      [],
    )
    assert.deepEqual(problems(schema, { a: 6 }, { a: 5 }), ['x.a: should be less than or equal to 1'])
  })
})

describe('structural schemas', () => {
  it('are accepted', () => {
    assert.deepEqual(
      faults({
        type: 'object',
        properties: {
          metadata: object({ name: { type: 'string', maxLength: 10 } }),
          port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
          any: { 'x-kubernetes-preserve-unknown-fields': true },
          choice: {
            type: 'object',
            properties: { a: text, b: text },
            oneOf: [{ required: ['a'] }, { required: ['b'], properties: { b: { minLength: 1 } } }],
          },
          ports: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['port', 'protocol'],
            items: {
              type: 'object',
              required: ['port'],
              properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' } },
            },
          },
        },
      }),
      [],
    )
  })

  const REFUSED: [string, JSONSchemaProps, string][] = [
    ['no type at the root', {}, 'type'],
    ['another type at the root', text, 'type'],
    ['a field without type', object({ a: {} }), 'properties[a].type'],
    ['an unknown type', object({ a: { type: 'text' } }), 'properties[a].type'],
    ['$ref', object({ a: { type: 'object', $ref: '#/x' } }), 'properties[a].$ref'],
    ['definitions', { type: 'object', definitions: { x: text } }, 'definitions'],
    ['uniqueItems', object({ a: { type: 'array', items: text, uniqueItems: true } }), 'properties[a].uniqueItems'],
    [
      'additionalProperties false',
      object({ a: { type: 'object', additionalProperties: false } }),
      'properties[a].additionalProperties',
    ],
    [
      'properties beside additionalProperties',
      object({ a: { type: 'object', properties: { b: text }, additionalProperties: text } }),
      'properties[a].additionalProperties',
    ],
    ['items as a list', object({ a: { type: 'array', items: [text] } }), 'properties[a].items'],
    ['a list without items', object({ a: { type: 'array' } }), 'properties[a].items'],
    [
      'a type within anyOf',
      object({ a: { type: 'string', anyOf: [{ type: 'string' }] } }),
      'properties[a].anyOf[0].type',
    ],
    [
      'a field that only anyOf names',
      object({ a: { type: 'object', anyOf: [{ properties: { b: { minLength: 1 } } }] } }),
      'properties[a].anyOf[0].properties[b]',
    ],
    [
      'a list of type map without keys',
      object({ a: { type: 'array', 'x-kubernetes-list-type': 'map', items: { type: 'object' } } }),
      'properties[a].x-kubernetes-list-map-keys',
    ],
    [
      'a key that may be absent',
      object({
        a: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['n'],
          items: object({ n: text }),
        },
      }),
      'properties[a].x-kubernetes-list-map-keys[0]',
    ],
    [
      'a set of objects',
      object({ a: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } } }),
      'properties[a].x-kubernetes-list-type',
    ],
    [
      'a default that is not allowed',
      object({ a: { type: 'integer', maximum: 1, default: 2 } }),
      'properties[a].default',
    ],
    [
      'a default with unknown fields',
      object({ a: { type: 'object', properties: {}, default: { b: 1 } } }),
      'properties[a].default.b',
    ],
    ['a pattern that is none', object({ a: { type: 'string', pattern: '(' } }), 'properties[a].pattern'],
    [
      'labels in metadata',
      object({ metadata: object({ labels: { type: 'object' } }) }),
      'properties[metadata].properties[labels]',
    ],
    [
      'a type beside int-or-string',
      object({ a: { type: 'string', 'x-kubernetes-int-or-string': true } }),
      'properties[a].type',
    ],
    [
      'preserve-unknown-fields false',
      object({ a: { type: 'object', 'x-kubernetes-preserve-unknown-fields': false } }),
      'properties[a].x-kubernetes-preserve-unknown-fields',
    ],
  ]
  for (const [what, schema, field] of REFUSED)
    it(`are not with ${what}`, () => assert.ok(faults(schema).includes(field), faults(schema).join()))
})

describe('versions', () => {
  it('come in the order that Kubernetes documents', () => {
    const order = ['v10', 'v2', 'v1', 'v11beta2', 'v10beta3', 'v3beta1', 'v12alpha1', 'v11alpha2', 'foo1', 'foo10']
    assert.deepEqual([...order].reverse().sort(apiPriority), order)
  })
})
