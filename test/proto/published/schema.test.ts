import assert from 'node:assert/strict'
import { messageSchema, SPECIAL_MESSAGES } from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import { fieldPairs, isStructure, OPAQUE, type FieldPair } from './pairs.ts'
import { readTable } from './table.ts'

describe('the schema beside the one that Kubernetes publishes', () => {
  const pairs = fieldPairs(readTable())
  const nameOf = ({ pair, theirs }: FieldPair): string => `${pair.ours}.${theirs.json}`
  const known = pairs.filter((pair): pair is FieldPair & { ours: FieldSchema } => pair.ours !== undefined)

  it('is looked at as a whole', () => {
    assert(pairs.length > 1_000, `${pairs.length} fields`)
  })

  it('has every field', () => {
    assert.deepEqual(pairs.filter(({ ours }) => ours === undefined).map(nameOf), [])
  })

  it('gives each field the same name and type', () => {
    for (const { ours, theirs, pair } of known) {
      if (ours.options.inline !== true) assert.equal(ours.name, theirs.json, pair.ours)
      assert.equal(ours.options.inline === true, theirs.inline, `${pair.ours}.${ours.name}`)
      const type = theirs.type.includes('.') ? 'message' : theirs.type
      assert.deepEqual(
        [ours.label, ours.kind === 'message' ? 'message' : ours.type],
        [theirs.label, type],
        `${pair.ours}.${ours.name}`,
      )
    }
  })

  it('has no further fields but its own, from 1001 on', () => {
    const numbers = new Map<string, Set<number>>()
    for (const { pair, theirs } of pairs)
      numbers.set(pair.ours, (numbers.get(pair.ours) ?? new Set()).add(theirs.number))
    const surplus = [...numbers].flatMap(([message, theirs]) =>
      messageSchema(message)
        .fields.filter(({ number }) => number <= 1000 && !theirs.has(number))
        .map(({ name }) => `${message}.${name}`),
    )
    assert.deepEqual(surplus, [])
  })

  it('tells an empty value from absence where Go has a pointer, and nowhere else', () => {
    const SPECIAL = ['IntOrString', 'Quantity']
    const single = known.filter(
      ({ ours }) => ours.label === 'optional' && (ours.kind !== 'message' || SPECIAL.includes(ours.type)),
    )
    const wrong = single.filter(({ ours, theirs }) => (ours.options.presence === true) !== theirs.pointer)
    assert.deepEqual(
      wrong.map((pair) => `${nameOf(pair)}: ${pair.theirs.pointer ? 'a pointer' : 'no pointer'}`),
      [],
    )
  })

  it("knows which structures are none of Go's pointers", () => {
    const structures = known.filter(
      ({ ours }) => isStructure(ours) && ours.type !== OPAQUE && ours.options.inline !== true,
    )
    const wrong = structures.filter(
      ({
        ours: {
          options: { always = false, written = false, required = false, default: fallback },
        },
        theirs,
      }) => {
        return theirs.pointer ? always || written : !always && !written && !required && fallback !== '{}'
      },
    )
    assert.deepEqual(
      wrong.map((pair) => `${nameOf(pair)}: ${pair.theirs.pointer ? 'a pointer' : 'no pointer'}`),
      [],
    )
  })

  it('knows which scalars JSON has even if they are empty', () => {
    const scalars = known.filter(
      ({ ours, pair }) => ours.label === 'optional' && ours.kind !== 'message' && !SPECIAL_MESSAGES.has(pair.ours),
    )
    // A message of Gantry's can stand for several of Kubernetes'.
    const written = new Set(scalars.filter(({ theirs }) => theirs.written).map(nameOf))
    const wrong = scalars.filter((pair) =>
      written.has(nameOf(pair))
        ? pair.ours.options.written !== true && pair.ours.options.required !== true
        : pair.ours.options.written === true,
    )
    assert.deepEqual(
      wrong.map((pair) => `${nameOf(pair)}: ${written.has(nameOf(pair)) ? 'written' : 'left out'}`),
      [],
    )
  })
})
