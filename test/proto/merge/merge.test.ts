import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FieldSet, formatSteps } from '../../../proto/merge/field-set.ts'
import { differenceOf, fieldsOf, mergeFields, removeFields } from '../../../proto/merge/merge.ts'
import { itemKey, shapeOf } from '../../../proto/schema/shape.ts'
import { sameJson } from '../../../proto/base/json.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'

/** A set of paths, as a list of them. */
const steps = fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'v:"y"')
const paths = fc.array(fc.array(steps, { minLength: 1, maxLength: 3 }), { maxLength: 8 })

function setOf(list: readonly (readonly string[])[]): FieldSet {
  const nest = ([step, ...rest]: readonly string[]): FieldSet =>
    step === undefined ? FieldSet.LEAF : FieldSet.of(false, [[step, nest(rest)]])
  return list.reduce((set, path) => set.union(nest(path)), FieldSet.EMPTY)
}

const texts = (set: FieldSet): string[] => [...set.paths()].map((path) => path.join(' ')).sort()
const unique = (list: readonly (readonly string[])[]): string[] =>
  [...new Set(list.map((path) => path.join(' ')))].sort()

describe('field set', () => {
  it('is a set of paths', () => {
    fc.assert(
      fc.property(paths, paths, (a, b) => {
        const [first, second] = [unique(a), unique(b)]
        assert.deepEqual(texts(setOf(a).union(setOf(b))), [...new Set([...first, ...second])].sort())
        assert.deepEqual(
          texts(setOf(a).intersection(setOf(b))),
          first.filter((path) => second.includes(path)),
        )
        assert.deepEqual(
          texts(setOf(a).difference(setOf(b))),
          first.filter((path) => !second.includes(path)),
        )
        assert.deepEqual(
          texts(setOf(a).without(setOf(b))),
          first.filter((path) => !second.some((root) => path === root || path.startsWith(`${root} `))),
        )
      }),
    )
  })

  it('is the same after FieldsV1', () => {
    fc.assert(fc.property(paths, (list) => assert.deepEqual(FieldSet.fromFields(setOf(list).toFields()), setOf(list))))
  })

  it('has equal FieldsV1 for equal sets', () => {
    fc.assert(
      fc.property(paths, (list) =>
        assert.equal(JSON.stringify(setOf(list).toFields()), JSON.stringify(setOf(list.toReversed()).toFields())),
      ),
    )
  })

  it('writes paths as people do', () => {
    assert.equal(
      formatSteps(['f:spec', 'f:containers', 'k:{"name":"web"}', 'f:ports', 'k:{"containerPort":80,"protocol":"TCP"}']),
      'spec.containers[name=web].ports[containerPort=80,protocol=TCP]',
    )
    assert.equal(
      formatSteps(['f:metadata', 'f:labels', 'f:app.kubernetes.io/name']),
      'metadata.labels[app.kubernetes.io/name]',
    )
    assert.equal(formatSteps(['f:metadata', 'f:finalizers', 'v:"a/b"']), 'metadata.finalizers[a/b]')
  })
})

describe('shape', () => {
  it('tells keyed lists, sets, maps and single values apart', () => {
    const kindOf = (message: string, field: string): string | undefined =>
      shapeOf(message).fields.get(field)?.shape.kind
    assert.deepEqual(
      [
        kindOf('PodSpec', 'containers'),
        kindOf('ObjectMeta', 'finalizers'),
        kindOf('ObjectMeta', 'labels'),
        kindOf('Container', 'args'),
        kindOf('ObjectMeta', 'creationTimestamp'),
        kindOf('Volume', 'emptyDir'),
      ],
      ['keyed', 'set', 'map', 'atomic', 'atomic', 'struct'],
    )
  })

  it('fills defaults into keys, and sorts them', () => {
    const { shape } = shapeOf('Container').fields.get('ports')!
    assert.ok(shape.kind === 'keyed')
    assert.equal(itemKey(shape.keys, { containerPort: 80 }), '{"containerPort":80,"protocol":"TCP"}')
    assert.equal(itemKey(shape.keys, { protocol: 'UDP', containerPort: 80 }), '{"containerPort":80,"protocol":"UDP"}')
  })
})

describe('merging by shape', () => {
  const shape = shapeOf('PodSpec')
  const env = fc.uniqueArray(fc.record({ name: fc.constantFrom('E', 'F'), value: fc.constantFrom('1', '2') }), {
    selector: ({ name }) => name,
  })
  const container = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    image: fc.constantFrom('1', '2'),
    args: fc.array(fc.constantFrom('x', 'y'), { maxLength: 2 }),
    env,
  })
  const spec = fc.record({
    containers: fc.uniqueArray(container, { selector: ({ name }) => name, maxLength: 3 }),
    nodeSelector: fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('1', '2')),
    securityContext: fc.constantFrom<JsonObject>({}, { runAsUser: 1 }, { runAsUser: 2 }),
  }) as fc.Arbitrary<JsonObject>

  it('holds all that was merged in, and differs from it by nothing changed', () => {
    fc.assert(
      fc.property(spec, spec, (live, wanted) => {
        const merged = mergeFields(shape, live, wanted)
        assert.ok(
          fieldsOf(shape, wanted).difference(fieldsOf(shape, merged)).isEmpty || sameJson(wanted.securityContext, {}),
        )
        assert.deepEqual(mergeFields(shape, merged, wanted), merged)
        assert.ok(differenceOf(shape, live, merged).removed.isEmpty)
      }),
    )
  })

  it('finds no difference exactly where there is none', () => {
    fc.assert(
      fc.property(spec, spec, (a, b) => {
        const { changed, removed } = differenceOf(shape, a, b)
        const back = differenceOf(shape, b, a)
        assert.equal(changed.isEmpty && removed.isEmpty, back.changed.isEmpty && back.removed.isEmpty)
        assert.ok(differenceOf(shape, a, structuredClone(a)).changed.isEmpty)
        assert.ok(changed.difference(fieldsOf(shape, b).withAncestors()).isEmpty)
      }),
    )
  })

  it('takes away exactly what is named, but for what is kept', () => {
    fc.assert(
      fc.property(spec, spec, (value, kept) => {
        const fields = fieldsOf(shape, value)
        const left = removeFields(shape, value, fields, fieldsOf(shape, kept))
        const between = fields.difference(fieldsOf(shape, left))
        assert.ok(between.intersection(fieldsOf(shape, kept)).isEmpty)
        assert.ok(
          fieldsOf(shape, left).difference(fields).isEmpty || sameJson((left as JsonObject).securityContext, {}),
        )
        assert.ok(fieldsOf(shape, removeFields(shape, value, fields, FieldSet.EMPTY)).children.size === 0)
      }),
    )
  })
})
