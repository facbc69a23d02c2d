/**
 * Strategic merge patch: like a JSON merge patch, but lists merge by the schema's merge keys, and directives say what
 * cannot be said by values.
 * https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 *
 * Directives: `$patch: replace | delete | merge` in an object or as an item of a list, `$retainKeys: [NAME…]` in an
 * object, `$deleteFromPrimitiveList/FIELD: [VALUE…]` and `$setElementOrder/FIELD: [KEY…]` beside a list.
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { GantryError } from '../base/errors.ts'
import { childShape, itemKey, shapeOf } from '../schema/shape.ts'
import type { MergeKey, Shape } from '../schema/merge-shape.ts'
import { isObject, own, setOwn } from '../base/json.ts'

const PATCH = '$patch'
const RETAIN = '$retainKeys'
const DELETE = '$deleteFromPrimitiveList/'
const ORDER = '$setElementOrder/'

/**
 * Patches an object of the given message (a kind is the message of the same name). InvalidArgument names the field of a
 * directive that cannot be followed.
 */
export function applyStrategicPatch(message: string, target: JsonObject, patch: JsonValue): JsonObject {
  if (!isObject(patch)) throw refusal('', 'a strategic patch is an object')
  return mergeObject(shapeOf(message), target, patch, '') ?? {}
}

/** Undefined: the object is to go. */
function mergeObject(shape: Shape, target: JsonObject, patch: JsonObject, path: string): JsonObject | undefined {
  const directive = own(patch, PATCH)
  if (directive === 'delete') return undefined
  if (directive !== undefined && directive !== 'replace' && directive !== 'merge')
    throw refusal(`${path}.${PATCH}`, `${JSON.stringify(directive)} is not replace, delete or merge`)
  const result: JsonObject = directive === 'replace' ? {} : { ...target }
  retain(result, patch, path)
  for (const name of Object.keys(patch)) {
    if (!name.startsWith('$')) mergeField(childShape(shape, name), result, name, patch[name]!, `${path}.${name}`)
    else if (name.startsWith(DELETE)) deleteValues(result, name.slice(DELETE.length), patch[name]!, path)
    else if (!name.startsWith(ORDER) && name !== PATCH && name !== RETAIN)
      throw refusal(`${path}.${name}`, 'there is no such directive')
  }
  for (const name of Object.keys(patch)) {
    if (name.startsWith(ORDER))
      setOrder(
        childShape(shape, name.slice(ORDER.length)),
        target,
        result,
        name.slice(ORDER.length),
        patch[name]!,
        path,
      )
  }
  return result
}

function mergeField(shape: Shape, result: JsonObject, name: string, value: JsonValue, path: string): void {
  const before = own(result, name)
  let after: JsonValue | undefined = value
  if (value === null) after = undefined
  else if (isObject(value)) after = mergeObject(shape, isObject(before) ? before : {}, value, path)
  else if (Array.isArray(value)) after = mergeList(shape, Array.isArray(before) ? before : [], value, path)
  if (after === undefined) delete result[name]
  else setOwn(result, name, after)
}

function mergeList(shape: Shape, target: readonly JsonValue[], patch: readonly JsonValue[], path: string): JsonValue[] {
  const directiveOf = (item: JsonValue): JsonValue | undefined => (isObject(item) ? own(item, PATCH) : undefined)
  if (patch.some((item) => directiveOf(item) === 'replace'))
    return patch.filter((item) => directiveOf(item) !== 'replace').map((item) => plain(shape, item, path))
  if (shape.kind === 'set') {
    const [before, wanted] = [target, patch].map(
      (values) => new Map(values.map((value) => [JSON.stringify(value), value])),
    )
    const order = new Map([...before!.keys()].map((key, index) => [key, index]))
    return mergeOrder(
      [...before!.keys()].filter((key) => !wanted!.has(key)),
      [...wanted!.keys()],
      (key) => order.get(key),
    ).map((key) => wanted!.get(key) ?? before!.get(key)!)
  }
  if (shape.kind !== 'keyed') return patch.map((item) => plain(shape, item, path))

  const result: (JsonValue | undefined)[] = [...target]
  const wanted = patch.map((item, index) => {
    if (!isObject(item)) throw refusal(`${path}[${index}]`, 'an item of this list is an object')
    if (own(item, patchKeyOf(shape).name) === undefined)
      throw refusal(`${path}[${index}].${patchKeyOf(shape).name}`, 'is needed to find the item')
    return item
  })
  const places = new ItemIndex(target, shape.keys)
  // What another item of the patch means exactly is not what this one means by one of its keys.
  const loose = new ItemIndex(target, [patchKeyOf(shape)], new Set(wanted.flatMap((item) => places.of(item))))
  const patched = new Set<number>()
  wanted.forEach((item, index) => {
    const [place = result.length, ...duplicates] =
      [places.of(item), loose.of(item)].find(({ length }) => length > 0) ?? []
    const before = result[place]
    result[place] = mergeObject(shape.item, isObject(before) ? before : {}, item, `${path}[${index}]`)
    if (directiveOf(item) === 'delete') for (const duplicate of duplicates) result[duplicate] = undefined
    places.put(item, [place])
    loose.put(item, [])
    patched.add(place)
  })
  const others = target.flatMap((_, place) => (patched.has(place) ? [] : [place]))
  return mergeOrder(others, [...patched], (place) => (place < target.length ? place : undefined)).flatMap(
    (place) => result[place] ?? [],
  )
}

/**
 * The order of a merged list: what the patch names in its own order, and each of the others before the first of those
 * that it came before. What is new comes before what it was not compared with, so that an item that is added alone is
 * the first. `placeOf`: where something was before, if it was there.
 */
function mergeOrder<T>(others: readonly T[], named: readonly T[], placeOf: (item: T) => number | undefined): T[] {
  const woven: T[] = []
  let next = 0
  for (const item of named) {
    const place = placeOf(item) ?? -1
    while (next < others.length && (placeOf(others[next]!) ?? Infinity) < place) woven.push(others[next++]!)
    woven.push(item)
  }
  return [...woven, ...others.slice(next)]
}

/** Where the items of a list are, by some of their fields. */
class ItemIndex {
  readonly #keys: readonly MergeKey[]
  readonly #places = new Map<string, number[]>()

  constructor(list: readonly JsonValue[], keys: readonly MergeKey[], without: ReadonlySet<number> = new Set()) {
    this.#keys = keys
    list.forEach((item, index) => {
      if (without.has(index)) return
      const key = itemKey(keys, item)
      const known = this.#places.get(key)
      if (known === undefined) this.#places.set(key, [index])
      else known.push(index)
    })
  }

  /** Of the items with the same keys; none if the item does not say one of them. */
  of(item: JsonObject): readonly number[] {
    if (this.#keys.some(({ name, fallback }) => fallback === null && !Object.hasOwn(item, name))) return []
    return this.#places.get(itemKey(this.#keys, item)) ?? []
  }

  put(item: JsonObject, places: number[]): void {
    this.#places.set(itemKey(this.#keys, item), places)
  }
}

function patchKeyOf({ keys, patchKey = keys[0]! }: Shape & { kind: 'keyed' }): MergeKey {
  return patchKey
}

/** A new value without the directives in it, which have nothing to act on. */
function plain(shape: Shape, value: JsonValue, path: string): JsonValue {
  return isObject(value) ? (mergeObject(shape.kind === 'keyed' ? shape.item : shape, {}, value, path) ?? {}) : value
}

/** `$retainKeys`: what the patch does not list goes. */
function retain(result: JsonObject, patch: JsonObject, path: string): void {
  const names = own(patch, RETAIN)
  if (names === undefined) return
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string'))
    throw refusal(`${path}.${RETAIN}`, 'is a list of field names')
  const surplus = Object.keys(patch).find(
    (name) => !name.startsWith('$') && patch[name] !== null && !names.includes(name),
  )
  if (surplus !== undefined) throw refusal(`${path}.${RETAIN}`, `does not list ${surplus}, which the patch sets`)
  for (const name of Object.keys(result)) if (!names.includes(name)) delete result[name]
}

function deleteValues(result: JsonObject, name: string, values: JsonValue, path: string): void {
  if (!Array.isArray(values)) throw refusal(`${path}.${DELETE}${name}`, 'is a list of values')
  const list = own(result, name)
  if (list === undefined) return
  if (!Array.isArray(list)) throw refusal(`${path}.${name}`, 'is not a list')
  const unwanted = new Set(values.map((value) => JSON.stringify(value)))
  result[name] = list.filter((item) => !unwanted.has(JSON.stringify(item)))
}

/** Items listed come in the order given, the others as `mergeOrder` says. */
function setOrder(
  shape: Shape,
  target: JsonObject,
  result: JsonObject,
  name: string,
  order: JsonValue,
  path: string,
): void {
  if (!Array.isArray(order)) throw refusal(`${path}.${ORDER}${name}`, 'is a list of keys')
  const list = own(result, name)
  if (!Array.isArray(list) || (shape.kind !== 'keyed' && shape.kind !== 'set')) return
  const identify = (item: JsonValue): string =>
    shape.kind === 'keyed' && isObject(item) ? itemKey([patchKeyOf(shape)], item) : JSON.stringify(item)
  const ranks = new Map(order.map((item, index) => [identify(item), index]))
  const before = own(target, name)
  const places = new Map(Array.isArray(before) ? before.map((item, index) => [identify(item), index]) : [])
  const rankOf = (item: JsonValue): number | undefined => ranks.get(identify(item))
  const named = list.filter((item) => rankOf(item) !== undefined).sort((a, b) => rankOf(a)! - rankOf(b)!)
  const others = list.filter((item) => rankOf(item) === undefined)
  result[name] = mergeOrder(others, named, (item) => places.get(identify(item)))
}

function refusal(path: string, message: string): GantryError {
  const field = path.replace(/^\./, '')
  return new GantryError('InvalidArgument', `patch${field === '' ? '' : ` at ${field}`}: ${message}`, {
    details: [{ field, message }],
  })
}
