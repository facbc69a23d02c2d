import assert from 'node:assert/strict'
import { KindRegistry } from '../../../../proto/schema/kind-registry.ts'
import type { AnyResource, CustomResourceDefinition, ErrorDetail, JsonObject } from '../../../../proto/gen/types.ts'
import { ruleViolations, ruleProblems } from '../../../../controller/cel/custom/rules.ts'

const ANY: JsonObject = { type: 'string' }

/** A definition whose spec has this schema. */
function definition(spec: JsonObject, rules: JsonObject[] = []): CustomResourceDefinition {
  const schema = { type: 'object', 'x-kubernetes-validations': rules, properties: { spec } }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'things.example.com', namespace: '', uid: 'u', resourceVersion: '1' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'things', kind: 'Thing' },
      conversion: { strategy: 'None' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  } as unknown as CustomResourceDefinition
}

function object(spec: unknown): AnyResource {
  return {
    apiVersion: 'example.com/v1',
    kind: 'Thing.example.com',
    metadata: { name: 'thing', namespace: 'default', uid: '', resourceVersion: '' },
    spec,
  } as unknown as AnyResource
}

const told = (details: readonly ErrorDetail[]): string[] =>
  details.map(
    ({ field, message, reason }) => `${field}: ${message}${reason === 'FieldValueInvalid' ? '' : ` [${reason}]`}`,
  )

const kinds = new KindRegistry()
after(() => kinds.close())

function broken(schema: JsonObject, spec: unknown, previous?: unknown): string[] {
  const kind = kinds.kindOf(definition(schema))!
  return told(ruleViolations(kind, object(spec), previous === undefined ? undefined : object(previous)))
}

/**
 * Of the examples of
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules and
 * …/reference/using-api/cel/
 */
const INTEGERS: JsonObject = {
  minReplicas: { type: 'integer' },
  replicas: { type: 'integer' },
  maxReplicas: { type: 'integer' },
}
const EXAMPLES: { rule: string; properties: JsonObject; holds: JsonObject; fails: JsonObject; old?: JsonObject }[] = [
  {
    rule: 'self.minReplicas <= self.replicas && self.replicas <= self.maxReplicas',
    properties: INTEGERS,
    holds: { minReplicas: 1, replicas: 2, maxReplicas: 3 },
    fails: { minReplicas: 1, replicas: 4, maxReplicas: 3 },
  },
  {
    rule: "'Available' in self.stateCounts",
    properties: { stateCounts: { type: 'object', additionalProperties: { type: 'integer' } } },
    holds: { stateCounts: { Available: 1 } },
    fails: { stateCounts: {} },
  },
  {
    rule: '(size(self.list1) == 0) != (size(self.list2) == 0)',
    properties: { list1: { type: 'array', items: ANY }, list2: { type: 'array', items: ANY } },
    holds: { list1: ['a'], list2: [] },
    fails: { list1: ['a'], list2: ['b'] },
  },
  {
    rule: "!('MY_KEY' in self.map1) || self['map1']['MY_KEY'].matches('^[a-zA-Z]*$')",
    properties: { map1: { type: 'object', additionalProperties: ANY } },
    holds: { map1: { MY_KEY: 'abc' } },
    fails: { map1: { MY_KEY: '1' } },
  },
  {
    rule: "self.envars.filter(e, e.name == 'MY_ENV').all(e, e.value.matches('^[a-zA-Z]*$'))",
    properties: { envars: { type: 'array', items: { type: 'object', properties: { name: ANY, value: ANY } } } },
    holds: {
      envars: [
        { name: 'MY_ENV', value: 'x' },
        { name: 'OTHER', value: '1' },
      ],
    },
    fails: { envars: [{ name: 'MY_ENV', value: '1' }] },
  },
  {
    rule: 'has(self.expired) && self.created + self.ttl < self.expired',
    properties: {
      created: { type: 'string', format: 'date-time' },
      expired: { type: 'string', format: 'date-time' },
      ttl: { type: 'string', format: 'duration' },
    },
    holds: { created: '2024-01-01T00:00:00Z', ttl: '1h', expired: '2024-01-01T02:00:00Z' },
    fails: { created: '2024-01-01T00:00:00Z', ttl: '3h', expired: '2024-01-01T02:00:00Z' },
  },
  {
    rule: "self.health.startsWith('ok')",
    properties: { health: ANY },
    holds: { health: 'ok, thanks' },
    fails: { health: 'ill' },
  },
  {
    rule: "self.widgets.exists(w, w.key == 'x' && w.foo < 10)",
    properties: {
      widgets: { type: 'array', items: { type: 'object', properties: { key: ANY, foo: { type: 'integer' } } } },
    },
    holds: { widgets: [{ key: 'x', foo: 1 }] },
    fails: { widgets: [{ key: 'x', foo: 10 }] },
  },
  {
    rule: 'self.set1.all(e, !(e in self.set2))',
    properties: {
      set1: { type: 'array', 'x-kubernetes-list-type': 'set', items: ANY },
      set2: { type: 'array', 'x-kubernetes-list-type': 'set', items: ANY },
    },
    holds: { set1: ['a'], set2: ['b'] },
    fails: { set1: ['a'], set2: ['a'] },
  },
  {
    rule: 'size(self.names) == size(self.details) && self.names.all(n, n in self.details)',
    properties: {
      names: { type: 'array', 'x-kubernetes-list-type': 'set', items: ANY },
      details: { type: 'object', additionalProperties: ANY },
    },
    holds: { names: ['a'], details: { a: 'x' } },
    fails: { names: ['a'], details: { b: 'x' } },
  },
  {
    rule: 'size(self.clusters.filter(c, c.name == self.primary)) == 1',
    properties: { primary: ANY, clusters: { type: 'array', items: { type: 'object', properties: { name: ANY } } } },
    holds: { primary: 'a', clusters: [{ name: 'a' }, { name: 'b' }] },
    fails: { primary: 'c', clusters: [{ name: 'a' }] },
  },
  {
    rule: 'self.replicas >= oldSelf.replicas',
    properties: INTEGERS,
    holds: { replicas: 3 },
    fails: { replicas: 1 },
    old: { replicas: 2 },
  },
  {
    rule: 'self.tags == oldSelf.tags',
    properties: { tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: ANY }, other: ANY },
    holds: { tags: ['b', 'a'], other: 'x' },
    fails: { tags: ['a', 'c'] },
    old: { tags: ['a', 'b'] },
  },
  {
    rule: "self.x__dash__prop > 0 && self.__namespace__ == 'n' && self.redact__underscores__d == 1",
    properties: { 'x-prop': { type: 'integer' }, namespace: ANY, redact__d: { type: 'integer' } },
    holds: { 'x-prop': 1, namespace: 'n', redact__d: 1 },
    fails: { 'x-prop': 0, namespace: 'n', redact__d: 1 },
  },
  {
    rule: 'isQuantity(self.size) && quantity(self.size).isLessThan(quantity("1Gi"))',
    properties: { size: ANY },
    holds: { size: '500Mi' },
    fails: { size: '2Gi' },
  },
  {
    rule: "url(self.endpoint).getScheme() == 'https' && cidr('10.0.0.0/8').containsIP(self.address)",
    properties: { endpoint: ANY, address: ANY },
    holds: { endpoint: 'https://x.example/', address: '10.1.2.3' },
    fails: { endpoint: 'https://x.example/', address: '11.1.2.3' },
  },
  { rule: "self.?color.orValue('blue') == 'blue'", properties: { color: ANY }, holds: {}, fails: { color: 'red' } },
  {
    rule: "self.port == 80 || self.port == 'http'",
    properties: { port: { 'x-kubernetes-int-or-string': true } },
    holds: { port: 'http' },
    fails: { port: 81 },
  },
  {
    rule: 'self.items.map(i, i.weight).sum() == 100',
    properties: { items: { type: 'array', items: { type: 'object', properties: { weight: { type: 'integer' } } } } },
    holds: { items: [{ weight: 40 }, { weight: 60 }] },
    fails: { items: [{ weight: 40 }] },
  },
  { rule: 'self.ratio < 0.5', properties: { ratio: { type: 'number' } }, holds: { ratio: 0.25 }, fails: { ratio: 1 } },
]

describe('rules of custom kinds', () => {
  for (const { rule, properties, holds, fails, old } of EXAMPLES) {
    it(`knows what keeps ${rule}`, () => {
      const schema: JsonObject = {
        type: 'object',
        properties,
        'x-kubernetes-validations': [{ rule, message: 'is not so' }],
      }
      assert.deepEqual(ruleProblems(definition(schema)), [])
      assert.deepEqual(broken(schema, holds, old), [])
      assert.deepEqual(broken(schema, fails, old), ['spec: is not so'])
    })
  }

  it('sees the name of the object, and nothing else of its metadata', () => {
    const rules = [{ rule: "self.metadata.name == 'singleton'", message: 'there is one' }]
    const schema = definition({ type: 'object', properties: {} }, rules)
    assert.deepEqual(ruleProblems(schema), [])
    assert.deepEqual(told(ruleViolations(kinds.kindOf(schema)!, object({}), undefined)), [': there is one'])
    assert.match(
      told(
        ruleProblems(definition({ type: 'object', properties: {} }, [{ rule: "self.metadata.labels['a'] == 'b'" }])),
      ).join(),
      /No such key: labels/,
    )
  })

  it('tells the message that an expression makes, the reason and the field', () => {
    const rule = {
      rule: 'self.x < 5',
      messageExpression: '"x is " + string(self.x)',
      reason: 'FieldValueForbidden',
      fieldPath: '.x',
    }
    assert.deepEqual(
      broken({ type: 'object', properties: { x: { type: 'integer' } }, 'x-kubernetes-validations': [rule] }, { x: 7 }),
      ['spec.x: x is 7 [FieldValueForbidden]'],
    )
    const failing = {
      ...rule,
      messageExpression: 'string(1 / (self.x - 7))',
      message: 'plain',
      reason: 'FieldValueInvalid',
    }
    assert.deepEqual(
      broken(
        { type: 'object', properties: { x: { type: 'integer' } }, 'x-kubernetes-validations': [failing] },
        { x: 7 },
      ),
      ['spec.x: plain'],
    )
    assert.deepEqual(
      broken(
        { type: 'object', properties: { x: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self < 5' }] } } },
        { x: 7 },
      ),
      ['spec.x: failed rule: self < 5'],
    )
  })

  it('looks at changes only where there was something, unless that may be so', () => {
    const schema = (more: JsonObject): JsonObject => ({
      type: 'object',
      properties: { x: { type: 'integer', 'x-kubernetes-validations': [{ message: 'no', ...more }] } },
    })
    const immutable = schema({ rule: 'self == oldSelf' })
    assert.deepEqual(
      [broken(immutable, { x: 1 }), broken(immutable, { x: 1 }, {}), broken(immutable, { x: 1 }, { x: 1 })],
      [[], [], []],
    )
    assert.deepEqual(broken(immutable, { x: 2 }, { x: 1 }), ['spec.x: no'])
    const optional = schema({ rule: 'oldSelf.hasValue() ? self >= oldSelf.value() : self == 1', optionalOldSelf: true })
    assert.deepEqual(ruleProblems(definition(optional)), [])
    assert.deepEqual([broken(optional, { x: 1 }), broken(optional, { x: 2 }, { x: 1 })], [[], []])
    assert.deepEqual(
      [broken(optional, { x: 2 }), broken(optional, { x: 1 }, { x: 2 })],
      [['spec.x: no'], ['spec.x: no']],
    )
    const keyed = {
      type: 'object',
      properties: {
        list: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: ANY, value: ANY },
            'x-kubernetes-validations': [{ rule: 'self.value == oldSelf.value', message: 'no' }],
          },
        },
      },
    }
    assert.deepEqual(
      broken(
        keyed,
        {
          list: [
            { name: 'new', value: '1' },
            { name: 'a', value: '2' },
          ],
        },
        { list: [{ name: 'a', value: '1' }] },
      ),
      ['spec.list[1]: no'],
    )
  })

  it('does not look again at what an update leaves as it was', () => {
    const schema: JsonObject = {
      type: 'object',
      properties: { x: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self < 5' }] }, y: ANY },
    }
    assert.deepEqual(broken(schema, { x: 7, y: 'new' }, { x: 7 }), [])
    assert.equal(broken(schema, { x: 8 }, { x: 7 }).length, 1)
  })

  const REFUSED: [string, JsonObject, RegExp][] = [
    [
      'a function that there is not',
      { rule: 'self.nosuch()' },
      /rule: compilation failed: line 1, column 1: found no matching overload for 'Object\d+\.nosuch\(\)'/,
    ],
    ['a field that the schema does not have', { rule: 'self.y == 1' }, /compilation failed: .*No such key: y/],
    ['a field in has() that there is not', { rule: 'has(self.y)' }, /No such key: y/],
    ['what is no expression', { rule: 'self.x >' }, /compilation failed: line 1, column 9/],
    ['what does not result in true or false', { rule: 'self.x + 1' }, /must result in bool, and results in int/],
    ['types that do not fit', { rule: 'self.x == "a"' }, /no such overload: int == string/],
    ['a pattern that is none', { rule: 'self.x.matches("(")' }, /compilation failed/],
    ['a message in lines', { rule: 'true', message: 'a\nb' }, /message: must not be empty or contain line breaks/],
    ['a rule in lines without message', { rule: 'true ||\nfalse' }, /message: is required/],
    [
      'a field path that leads nowhere',
      { rule: 'true', fieldPath: '.z' },
      /fieldPath: does not refer to a valid field/,
    ],
    [
      'a message expression that is no text',
      { rule: 'true', messageExpression: '1' },
      /messageExpression: compilation failed: must result in string/,
    ],
  ]
  for (const [what, rule, message] of REFUSED) {
    it(`refuses ${what} when the definition is stored`, () => {
      assert.match(
        told(
          ruleProblems(
            definition({ type: 'object', properties: { x: { type: 'integer' } }, 'x-kubernetes-validations': [rule] }),
          ),
        ).join('\n'),
        message,
      )
    })
  }

  it('refuses oldSelf where it is not known which item an item was', () => {
    const schema: JsonObject = {
      type: 'object',
      properties: {
        list: { type: 'array', items: { type: 'string', 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] } },
      },
    }
    assert.match(told(ruleProblems(definition(schema))).join(), /oldSelf cannot be used/)
  })

  it('ends what goes through lists in lists in lists', () => {
    const rule = 'self.all(a, self.all(b, self.all(c, a + b + c >= 0)))'
    const schema: JsonObject = {
      type: 'object',
      properties: { list: { type: 'array', items: { type: 'integer' }, 'x-kubernetes-validations': [{ rule }] } },
    }
    assert.match(
      broken(schema, { list: Array.from({ length: 1000 }, (_, index) => index) }).join(),
      /spec\.list: rule evaluation error: costs too much/,
    )
  })

  it('tells what could not be evaluated', () => {
    const schema: JsonObject = {
      type: 'object',
      properties: { x: { type: 'integer' } },
      'x-kubernetes-validations': [{ rule: 'self.x > 1' }],
    }
    assert.match(broken(schema, {}).join(), /spec: rule evaluation error: .*No such key: x/)
    assert.deepEqual(broken(schema, { x: 2 }), [])
  })
})
