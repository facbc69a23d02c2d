/**
 * Field ownership after writes of objects in memory, as updateManagedFields of their JSON. Of an object that is new its
 * writer owns all, which depends on which fields are set and not on their values: pods of one template have the same,
 * found out once.
 */
import type { AnyResource, JsonObject, Kind, ManagedFieldsEntry, Resources } from '../gen/types.ts'
import { formatTime } from '../base/time.ts'
import { encodeJson } from '../codec/codec.ts'
import { isEmpty, type Fields } from '../codec/json-fields.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import type { Shape } from '../schema/merge-shape.ts'
import { apiVersionOf, resourceOf } from '../schema/schema.ts'
import { itemKey, shapeOf } from '../schema/shape.ts'
import { updateManagedFields, type Update } from './ownership.ts'

/** Structures whose owned fields are remembered, and characters of the longest of them. */
const MAX_STRUCTURES = 500
const MAX_LENGTH = 8_192

export interface ObjectUpdate<K extends Kind = Kind> extends Pick<Update, 'manager' | 'now' | 'subresource'> {
  /** As stored; undefined for a creation. */
  readonly previous: Resources[K] | undefined
  readonly next: Resources[K]
}

/** metadata.managedFields of `next` after a plain write. Their fieldsV1 may be shared with other objects. */
export function updateObjectOwners({ previous, next, ...write }: ObjectUpdate): ManagedFieldsEntry[] {
  if (previous === undefined) return ownerOfAll(next, write)
  return updateManagedFields({ kind: next.kind, previous: encodeJson(previous), next: encodeJson(next), ...write })
}

/** By structure: the fields of which the writer becomes the owner; undefined for none. */
const ownedByStructure = new Map<string, JsonObject | undefined>()

function ownerOfAll(object: AnyResource, write: Omit<ObjectUpdate, 'previous' | 'next'>): ManagedFieldsEntry[] {
  const { kind } = object
  const compute = (): ManagedFieldsEntry[] =>
    updateManagedFields({ kind, previous: undefined, next: encodeJson(object), ...write })
  if (customKinds.get(kind) !== undefined || (write.subresource ?? '') !== '') return compute()
  const structure = `${kind} ${structureOf(shapeOf(kind), { ...object, status: undefined } as unknown as Fields)}`
  let fieldsV1 = ownedByStructure.get(structure)
  if (fieldsV1 === undefined && !ownedByStructure.has(structure)) {
    fieldsV1 = compute()[0]?.fieldsV1
    if (structure.length <= MAX_LENGTH) {
      if (ownedByStructure.size >= MAX_STRUCTURES) ownedByStructure.delete(ownedByStructure.keys().next().value!)
      ownedByStructure.set(structure, fieldsV1)
    }
  }
  if (fieldsV1 === undefined) return []
  const { manager, now } = write
  const apiVersion = apiVersionOf(resourceOf(kind))
  return [{ manager, operation: 'Update', apiVersion, time: formatTime(now), fieldsType: 'FieldsV1', fieldsV1 }]
}

/**
 * Which fields are set in a message and below it, as text: what is told apart by its values (keys of maps and of keyed
 * lists, values of sets) stands there with its length, so that no two structures have the same text.
 */
function structureOf(shape: Shape & { kind: 'struct' }, message: Fields): string {
  let structure = ''
  for (const name of Object.keys(message)) {
    const found = shape.fields.get(name)
    if (found === undefined) continue
    const value = message[name]
    const { options, label } = found.field
    const isDropped = options.always === true || label !== 'optional'
    if (isDropped && isEmpty(value)) continue
    const part = partOf(found.shape, value)
    if (part !== undefined && !(isDropped && part === '{}')) structure += name + part
  }
  return structure
}

/** Undefined for what counts as absent. */
function partOf(shape: Shape, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (Array.isArray(value) && value.length === 0) return undefined
  switch (shape.kind) {
    case 'atomic':
      return ','
    case 'struct':
      return `{${structureOf(shape, value as Fields)}}`
    case 'map': {
      const map = value as Fields
      const keys = Object.keys(map)
      if (keys.length === 0) return undefined
      let structure = '['
      for (const key of keys) structure += `${key.length}:${key}${partOf(shape.value, map[key]) ?? ';'}`
      return `${structure}]`
    }
    case 'keyed': {
      let structure = '['
      for (const item of value as JsonObject[]) {
        const key = itemKey(shape.keys, item)
        structure += `${key.length}:${key}${partOf(shape.item, item) ?? ';'}`
      }
      return `${structure}]`
    }
    case 'set': {
      const text = JSON.stringify(value)
      return `[${text.length}:${text}]`
    }
  }
}
