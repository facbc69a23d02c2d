/**
 * Fields that exclude each other. What a default put there, and nobody owns, gives way to what a configuration chooses
 * instead: a Deployment that said nothing of its strategy can become one of type Recreate, and an empty directory that
 * was nobody's choice another volume.
 * https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#strategy, …/concepts/storage/volumes/
 */
import { clone } from '../base/clone.ts'
import type { JsonObject, JsonValue } from '../gen/types.ts'
import type { FieldSet } from './field-set.ts'
import { isObject, own } from '../base/json.ts'

/**
 * The live object without the defaults that the configuration excludes; `owned` are the fields that anybody owns. The
 * arguments stay as they are.
 */
export function dropConflictingDefaults(live: JsonObject, configuration: JsonObject, owned: FieldSet): JsonObject {
  const result = clone(live)
  dropRollingUpdateDefaults(result, configuration, owned)
  for (const path of [['spec'], ['spec', 'template', 'spec']])
    dropVolumeDefaults(
      at(result, path),
      at(configuration, path),
      path.reduce((fields, name) => fields.child(`f:${name}`), owned),
    )
  return result
}

function dropRollingUpdateDefaults(live: JsonObject, configuration: JsonObject, owned: FieldSet): void {
  const [present, wanted] = [at(live, ['spec', 'strategy']), at(configuration, ['spec', 'strategy'])]
  if (present === undefined || wanted?.type !== 'Recreate' || wanted.rollingUpdate !== undefined) return
  if (owned.child('f:spec').child('f:strategy').child('f:rollingUpdate').isEmpty) delete present.rollingUpdate
}

function dropVolumeDefaults(
  live: JsonObject | undefined,
  configuration: JsonObject | undefined,
  owned: FieldSet,
): void {
  for (const wanted of objects(configuration?.volumes)) {
    if (Object.keys(wanted).every((name) => name === 'name' || name === 'emptyDir')) continue
    const present = objects(live?.volumes).find(({ name }) => name === wanted.name)
    if (
      present !== undefined &&
      owned
        .child('f:volumes')
        .child(`k:${JSON.stringify({ name: wanted.name })}`)
        .child('f:emptyDir').isEmpty
    )
      delete present.emptyDir
  }
}

function at(object: JsonObject, path: readonly string[]): JsonObject | undefined {
  let found: JsonObject | undefined = object
  for (const name of path) {
    const value: JsonValue | undefined = found === undefined ? undefined : own(found, name)
    found = isObject(value) ? value : undefined
  }
  return found
}

function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
