/**
 * Strategic merge patch: like a JSON merge patch, but lists merge by the schema's merge keys, and directives say what cannot be said by values.
 * https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 *
 * Directives: `$patch: replace | delete | merge` in an object or as an item of a list, `$retainKeys: [NAME…]` in an object,
 * `$deleteFromPrimitiveList/FIELD: [VALUE…]` and `$setElementOrder/FIELD: [KEY…]` beside a list.
 */
import type { JsonObject, JsonValue } from '../gen/types.ts'
import { GantryError } from './errors.ts'
import { childShape, isObject, itemKey, own, sameJson, setOwn, shapeOf, type Shape } from './shape.ts'

const PATCH = '$patch'
const RETAIN = '$retainKeys'
const DELETE = '$deleteFromPrimitiveList/'
const ORDER = '$setElementOrder/'

/** Patches an object of the given message (a kind is the message of the same name). InvalidArgument names the field of a directive that cannot be followed. */
export function applyStrategicPatch(message: string, target: JsonObject, patch: JsonValue): JsonObject {
  if (!isObject(patch)) throw refusal('', 'a strategic patch is an object')
  return mergeObject(shapeOf(message), target, patch, '') ?? {}
}

/** Undefined: the object is to go. */
function mergeObject(shape: Shape, target: JsonObject, patch: JsonObject, path: string): JsonObject | undefined {
  const directive = own(patch, PATCH)
  if (directive === 'delete') return undefined
  if (directive !== undefined && directive !== 'replace' && directive !== 'merge') throw refusal(`${path}.${PATCH}`, `${JSON.stringify(directive)} is not replace, delete or merge`)
  const result: JsonObject = directive === 'replace' ? {} : { ...target }
  retain(result, patch, path)
  for (const name of Object.keys(patch)) {
    if (!name.startsWith('$')) mergeField(childShape(shape, name), result, name, patch[name]!, `${path}.${name}`)
    else if (name.startsWith(DELETE)) deleteValues(result, name.slice(DELETE.length), patch[name]!, path)
    else if (!name.startsWith(ORDER) && name !== PATCH && name !== RETAIN) throw refusal(`${path}.${name}`, 'there is no such directive')
  }
  for (const name of Object.keys(patch)) {
    if (name.startsWith(ORDER)) setOrder(childShape(shape, name.slice(ORDER.length)), result, name.slice(ORDER.length), patch[name]!, path)
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
  if (patch.some((item) => directiveOf(item) === 'replace')) return patch.filter((item) => directiveOf(item) !== 'replace').map((item) => plain(shape, item, path))
  if (shape.kind === 'set') return [...target, ...patch.filter((value, index) => !target.some((other) => sameJson(other, value)) && patch.indexOf(value) === index)]
  if (shape.kind !== 'keyed') return patch.map((item) => plain(shape, item, path))

  const result: (JsonValue | undefined)[] = [...target]
  const places = new Map<string, number[]>()
  target.forEach((item, index) => {
    const key = itemKey(shape.keys, item)
    places.set(key, [...places.get(key) ?? [], index])
  })
  patch.forEach((item, index) => {
    const itemPath = `${path}[${index}]`
    if (!isObject(item)) throw refusal(itemPath, 'an item of this list is an object')
    const missing = shape.keys.find(({ name, fallback }) => fallback === null && own(item, name) === undefined)
    if (missing !== undefined) throw refusal(`${itemPath}.${missing.name}`, 'is needed to find the item')
    const [place, ...duplicates] = places.get(itemKey(shape.keys, item)) ?? [result.length]
    const before = result[place!]
    result[place!] = mergeObject(shape.item, isObject(before) ? before : {}, item, itemPath)
    if (directiveOf(item) === 'delete') for (const duplicate of duplicates) result[duplicate] = undefined
    places.set(itemKey(shape.keys, item), [place!])
  })
  return result.filter((item) => item !== undefined)
}

/** A new value without the directives in it, which have nothing to act on. */
function plain(shape: Shape, value: JsonValue, path: string): JsonValue {
  return isObject(value) ? mergeObject(shape.kind === 'keyed' ? shape.item : shape, {}, value, path) ?? {} : value
}

/** `$retainKeys`: what the patch does not list goes. */
function retain(result: JsonObject, patch: JsonObject, path: string): void {
  const names = own(patch, RETAIN)
  if (names === undefined) return
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string')) throw refusal(`${path}.${RETAIN}`, 'is a list of field names')
  const surplus = Object.keys(patch).find((name) => !name.startsWith('$') && patch[name] !== null && !names.includes(name))
  if (surplus !== undefined) throw refusal(`${path}.${RETAIN}`, `does not list ${surplus}, which the patch sets`)
  for (const name of Object.keys(result)) if (!names.includes(name)) delete result[name]
}

function deleteValues(result: JsonObject, name: string, values: JsonValue, path: string): void {
  if (!Array.isArray(values)) throw refusal(`${path}.${DELETE}${name}`, 'is a list of values')
  const list = own(result, name)
  if (list === undefined) return
  if (!Array.isArray(list)) throw refusal(`${path}.${name}`, 'is not a list')
  result[name] = list.filter((item) => !values.some((value) => sameJson(value, item)))
}

/** Items listed come in the order given; others keep their place after the item they followed. */
function setOrder(shape: Shape, result: JsonObject, name: string, order: JsonValue, path: string): void {
  if (!Array.isArray(order)) throw refusal(`${path}.${ORDER}${name}`, 'is a list of keys')
  const list = own(result, name)
  if (!Array.isArray(list) || (shape.kind !== 'keyed' && shape.kind !== 'set')) return
  const identify = (item: JsonValue): string => (shape.kind === 'keyed' && isObject(item) ? itemKey(shape.keys, item) : JSON.stringify(item))
  const wanted = new Map(order.map((item, index) => [identify(item), index]))
  const groups: { rank: number; items: JsonValue[] }[] = [{ rank: -1, items: [] }]
  for (const item of list) {
    const rank = wanted.get(identify(item))
    if (rank === undefined) groups.at(-1)!.items.push(item)
    else groups.push({ rank, items: [item] })
  }
  result[name] = groups.sort((a, b) => a.rank - b.rank).flatMap(({ items }) => items)
}

function refusal(path: string, message: string): GantryError {
  const field = path.replace(/^\./, '')
  return new GantryError('InvalidArgument', `patch${field === '' ? '' : ` at ${field}`}: ${message}`, { details: [{ field, message }] })
}
