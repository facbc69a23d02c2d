/**
 * Merging by shape: one object's fields into another's, which fields an object has, which differ between two, and
 * taking fields away. A null, an empty list and an empty map count as absent, as they are not stored; an empty message
 * is a value. Arguments stay as they were.
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { GantryError } from '../base/errors.ts'
import { FieldSet, formatSteps } from './field-set.ts'
import { childShape, itemKey } from '../schema/shape.ts'
import type { Shape } from '../schema/merge-shape.ts'
import { isObject, own, sameJson, setOwn } from '../base/json.ts'

type Maybe = JsonValue | undefined

function isAbsent(shape: Shape, value: Maybe): value is null | undefined {
  if (value === undefined) return true
  if (shape.exact === true) return false
  if (value === null) return true
  if (Array.isArray(value)) return value.length === 0
  return shape.kind === 'map' && isObject(value) && Object.keys(value).length === 0
}

/** A message that is always there says nothing when it is empty, and cannot be taken away. */
function isAlways(parent: Shape, name: string): boolean {
  return parent.kind === 'struct' && parent.fields.get(name)?.field.options.always === true
}

function isEmptyMessage(shape: Shape, value: JsonObject): boolean {
  return (
    (shape.kind === 'struct' || shape.exact === true) &&
    Object.keys(value).every((name) => {
      const [child, part] = [childShape(shape, name), value[name]]
      return isAbsent(child, part) || (isAlways(shape, name) && isObject(part) && isEmptyMessage(child, part))
    })
  )
}

function holdsFields(shape: Shape, value: Maybe): value is JsonObject {
  return (shape.kind === 'struct' || shape.kind === 'map') && isObject(value)
}

/** An item's step in a path. */
function stepOf(shape: Shape & { kind: 'keyed' | 'set' }, item: JsonValue): string {
  return shape.kind === 'keyed' ? `k:${itemKey(shape.keys, item)}` : `v:${JSON.stringify(item)}`
}

function itemShape(shape: Shape): Shape {
  return shape.kind === 'keyed' ? shape.item : { kind: 'atomic' }
}

/** Items by their steps; of several with one step the first. */
function itemsOf(shape: Shape & { kind: 'keyed' | 'set' }, list: readonly JsonValue[]): Map<string, JsonValue> {
  const items = new Map<string, JsonValue>()
  for (const item of list) {
    const step = stepOf(shape, item)
    if (!items.has(step)) items.set(step, item)
  }
  return items
}

/** The steps of items that are not alone. */
function repeatedSteps(shape: Shape & { kind: 'keyed' | 'set' }, list: readonly JsonValue[]): Set<string> {
  const [seen, repeated] = [new Set<string>(), new Set<string>()]
  for (const item of list) {
    const step = stepOf(shape, item)
    if (seen.has(step)) repeated.add(step)
    seen.add(step)
  }
  return repeated
}

/**
 * `live` with the fields of `configuration`: keyed lists merge item by item (live order, new items behind in the
 * configuration's order), sets and maps join, all else is replaced. Live items that share a key give way to the
 * configuration's item with it. InvalidArgument names an item whose key comes twice in the configuration.
 */
export function mergeFields(
  shape: Shape,
  live: Maybe,
  configuration: JsonValue,
  path: readonly string[] = [],
): JsonValue {
  if (holdsFields(shape, configuration)) {
    const result: JsonObject = isObject(live) ? { ...live } : {}
    for (const name of Object.keys(configuration)) {
      const value = configuration[name]!
      const child = childShape(shape, name)
      if (!isAbsent(child, value))
        setOwn(result, name, mergeFields(child, own(result, name), value, [...path, `f:${name}`]))
    }
    return result
  }
  if ((shape.kind === 'keyed' || shape.kind === 'set') && Array.isArray(configuration)) {
    const wanted = new Map<string, JsonValue>()
    for (const item of configuration) {
      const step = stepOf(shape, item)
      if (wanted.has(step)) {
        const field = formatSteps([...path, step])
        throw new GantryError('InvalidArgument', `${field} comes twice`, {
          details: [{ field, message: 'comes twice' }],
        })
      }
      wanted.set(step, item)
    }
    const merge = (step: string, item: Maybe, value: JsonValue): JsonValue =>
      mergeFields(itemShape(shape), item, value, [...path, step])
    const present = Array.isArray(live) ? live : []
    const repeated = repeatedSteps(shape, present)
    const merged = new Set<string>()
    const kept = present.flatMap((item) => {
      const step = stepOf(shape, item)
      const value = wanted.get(step)
      if (value === undefined) return merged.has(step) ? [] : [item]
      wanted.delete(step)
      merged.add(step)
      return [merge(step, repeated.has(step) ? undefined : item, value)]
    })
    return [...kept, ...[...wanted].map(([step, value]) => merge(step, undefined, value))]
  }
  return configuration
}

/** The paths of all fields that a value has: its leaves, the items of its keyed lists, and messages that are empty. */
export function fieldsOf(shape: Shape, value: Maybe): FieldSet {
  if (isAbsent(shape, value)) return FieldSet.EMPTY
  if (holdsFields(shape, value)) {
    return FieldSet.of(
      isEmptyMessage(shape, value),
      Object.keys(value).map((name) => {
        const below = fieldsOf(childShape(shape, name), value[name])
        return [`f:${name}`, isAlways(shape, name) && below.member ? FieldSet.EMPTY : below]
      }),
    )
  }
  if ((shape.kind === 'keyed' || shape.kind === 'set') && Array.isArray(value)) {
    const item = itemShape(shape)
    return FieldSet.of(
      false,
      [...itemsOf(shape, value)].map(([step, part]) => [step, FieldSet.of(true, fieldsOf(item, part).children)]),
    )
  }
  return FieldSet.LEAF
}

/**
 * The paths of all fields that a value adds where there was nothing. Other than with `fieldsOf`, what holds fields (a
 * map, a list, a message) is there itself, too, as it came with them: structured-merge-diff, which Kubernetes compares
 * with, writes it as ".".
 */
function addedFields(shape: Shape, value: Maybe): FieldSet {
  if (isAbsent(shape, value)) return FieldSet.EMPTY
  if (holdsFields(shape, value)) {
    return FieldSet.of(
      true,
      Object.keys(value).map((name) => {
        const [child, part] = [childShape(shape, name), value[name]]
        const saysNothing = isAlways(shape, name) && isObject(part) && isEmptyMessage(child, part)
        return [`f:${name}`, saysNothing ? FieldSet.EMPTY : addedFields(child, part)]
      }),
    )
  }
  if ((shape.kind === 'keyed' || shape.kind === 'set') && Array.isArray(value)) {
    const item = itemShape(shape)
    return FieldSet.of(
      true,
      [...itemsOf(shape, value)].map(([step, part]) => [step, FieldSet.of(true, addedFields(item, part).children)]),
    )
  }
  return FieldSet.LEAF
}

/** It is part of what holds it, so that nobody adds it: an object's metadata, its spec, a list that must be there. */
function isGiven(parent: Shape, name: string): boolean {
  const field = parent.kind === 'struct' ? parent.fields.get(name)?.field : undefined
  return (
    field !== undefined &&
    (field.options.always === true ||
      field.options.required === true ||
      field.options.default === '{}' ||
      field.type === 'ObjectMeta')
  )
}

export interface Difference {
  /** Fields of the second value that the first does not have or has with another value. */
  readonly changed: FieldSet
  /** The topmost paths that the second value no longer has. */
  readonly removed: FieldSet
}

const NO_DIFFERENCE: Difference = { changed: FieldSet.EMPTY, removed: FieldSet.EMPTY }

export function differenceOf(shape: Shape, before: Maybe, after: Maybe): Difference {
  if (before === after) return NO_DIFFERENCE
  if (isAbsent(shape, after))
    return isAbsent(shape, before) ? NO_DIFFERENCE : { changed: FieldSet.EMPTY, removed: FieldSet.LEAF }
  if (isAbsent(shape, before)) return { changed: addedFields(shape, after), removed: FieldSet.EMPTY }
  if (holdsFields(shape, before) && holdsFields(shape, after)) {
    const emptied = isEmptyMessage(shape, after) && !isEmptyMessage(shape, before)
    return joined(
      emptied,
      [...new Set([...Object.keys(before), ...Object.keys(after)])].map((name) => {
        const [was, is, child] = [own(before, name), own(after, name), childShape(shape, name)]
        if (!isGiven(shape, name)) return [`f:${name}`, differenceOf(child, was, is)]
        const isMessage = child.kind === 'struct'
        const { changed, removed } = isMessage ? differenceOf(child, was ?? {}, is ?? {}) : differenceOf(child, was, is)
        return [
          `f:${name}`,
          { changed: isMessage || changed.children.size > 0 ? FieldSet.of(false, changed.children) : changed, removed },
        ]
      }),
    )
  }
  if ((shape.kind === 'keyed' || shape.kind === 'set') && Array.isArray(before) && Array.isArray(after)) {
    if (sameJson(before, after)) return NO_DIFFERENCE // most lists, and telling their items apart costs more
    const [was, is] = [itemsOf(shape, before), itemsOf(shape, after)]
    const repeated = new Set([...repeatedSteps(shape, before), ...repeatedSteps(shape, after)])
    const all = (list: readonly JsonValue[], step: string): JsonValue[] =>
      list.filter((item) => stepOf(shape, item) === step)
    return joined(
      false,
      [...new Set([...was.keys(), ...is.keys()])].map((step) => {
        if (!repeated.has(step) || !was.has(step) || !is.has(step))
          return [step, itemDifference(itemShape(shape), was.get(step), is.get(step))]
        // Items with one key cannot be told apart: they differ as a whole.
        return [
          step,
          sameJson(all(before, step), all(after, step))
            ? NO_DIFFERENCE
            : itemDifference(itemShape(shape), undefined, is.get(step)),
        ]
      }),
    )
  }
  return sameJson(before, after) ? NO_DIFFERENCE : { changed: FieldSet.LEAF, removed: FieldSet.EMPTY }
}

function itemDifference(shape: Shape, before: Maybe, after: Maybe): Difference {
  if (before === undefined)
    return { changed: FieldSet.of(true, addedFields(shape, after).children), removed: FieldSet.EMPTY }
  if (after === undefined) return { changed: FieldSet.EMPTY, removed: FieldSet.LEAF }
  return differenceOf(shape, before, after)
}

function joined(member: boolean, parts: readonly (readonly [string, Difference])[]): Difference {
  return {
    changed: FieldSet.of(
      member,
      parts.map(([step, { changed }]) => [step, changed]),
    ),
    removed: FieldSet.of(
      false,
      parts.map(([step, { removed }]) => [step, removed]),
    ),
  }
}

/**
 * `value` without the fields in `fields` that do not stand in `keep`. Where all of a branch goes, what else is in it
 * goes too: defaults that were filled in below a field leave with the field.
 */
export function removeFields(shape: Shape, value: JsonValue, fields: FieldSet, keep: FieldSet): JsonValue {
  if (fields.children.size === 0) return value
  if (holdsFields(shape, value)) {
    const result: JsonObject = { ...value }
    for (const [step, below] of fields.children) {
      const name = step.slice(2)
      const part = own(result, name)
      if (part === undefined) continue
      const child = childShape(shape, name)
      const left =
        isAlways(shape, name) || keep.children.has(step)
          ? removeFields(child, part, below, keep.child(step))
          : undefined
      if (isAbsent(child, left)) delete result[name]
      else setOwn(result, name, left)
    }
    return result
  }
  if ((shape.kind === 'keyed' || shape.kind === 'set') && Array.isArray(value)) {
    return value.flatMap((item) => {
      const step = stepOf(shape, item)
      const below = fields.children.get(step)
      if (below === undefined) return [item]
      return keep.children.has(step) ? [removeFields(itemShape(shape), item, below, keep.child(step))] : []
    })
  }
  return value
}
