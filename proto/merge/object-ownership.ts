/**
 * Field ownership after writes of objects in memory, as updateManagedFields of their JSON. Of an object that is new its
 * writer owns all, which depends on which fields are set and not on their values: pods of one template have the same,
 * found out once.
 */
import { structureTeller } from '../gen/structures.ts'
import type { AnyResource, JsonObject, Kind, ManagedFieldsEntry, Resources } from '../gen/types.ts'
import { formatTime } from '../base/time.ts'
import { encodeJson } from '../codec/codec.ts'
import { shareFields } from '../codec/known-fields.ts'
import { apiVersionOf, resourceOf } from '../schema/schema.ts'
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
  const structureOf = structureTeller(kind)
  if (structureOf === undefined || (write.subresource ?? '') !== '') return compute()
  const structure = `${kind} ${structureOf(object)}`
  let fieldsV1 = ownedByStructure.get(structure)
  if (fieldsV1 === undefined && !ownedByStructure.has(structure)) {
    fieldsV1 = compute()[0]?.fieldsV1
    if (structure.length <= MAX_LENGTH) {
      if (fieldsV1 !== undefined) shareFields(fieldsV1)
      if (ownedByStructure.size >= MAX_STRUCTURES) ownedByStructure.delete(ownedByStructure.keys().next().value!)
      ownedByStructure.set(structure, fieldsV1)
    }
  }
  if (fieldsV1 === undefined) return []
  const { manager, now } = write
  const apiVersion = apiVersionOf(resourceOf(kind))
  return [{ manager, operation: 'Update', apiVersion, time: formatTime(now), fieldsType: 'FieldsV1', fieldsV1 }]
}
