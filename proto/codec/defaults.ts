/**
 * What an object gets that its manifest does not say: the option `default` of each field, and the few values that
 * depend on others (computed-defaults.ts).
 */
import { defaultFiller } from '../gen/defaults.ts'
import type { AnyResource, JsonObject } from '../gen/types.ts'
import { fillDefaults } from '../schema/custom/coerce.ts'
import { customKinds, versionOfObject } from '../schema/custom/definitions.ts'

/**
 * Fills in defaults, in place (copy first what came out of a cache), and returns the object. Doing it again changes
 * nothing.
 */
export function applyDefaults<T extends AnyResource>(object: T): T {
  const custom = customKinds.get(object.kind)
  if (custom !== undefined) {
    fillDefaults(object as unknown as JsonObject, versionOfObject(custom, object.apiVersion).schema)
    return object
  }
  defaultFiller(object.kind)?.(object)
  return object
}
