/**
 * Objects in the form that decoding their stored bytes gives them: what is empty is absent, what is never undefined is
 * there, keys of maps are in order, times are whole seconds. Whoever has the object whose bytes they are has what
 * decoding would make of them by a walk over it, for a fraction of the price.
 */
import { canonicalMaker } from '../gen/canonicals.ts'
import type { Kind, Resources } from '../gen/types.ts'
import { notOfItsType } from './canonical-values.ts'
import { decodeResource, encodeObject } from './wire.ts'

/**
 * What decodeResource makes of the object's bytes, with the resourceVersion that the object has. Values that are
 * FieldsV1 are shared with the object. `known`, if given, is an object that is in this form, such as one of the watch
 * cache: what is the same is shared with it. So nothing of the result may be changed.
 */
export function canonicalResource<K extends Kind>(object: Resources[K], known?: Resources[K]): Resources[K] {
  const kind = object.kind as K
  const canonical = canonicalMaker(kind)
  if (canonical !== undefined) {
    try {
      return canonical(object, known, true) as Resources[K]
    } catch (thrown) {
      if (thrown !== notOfItsType) throw thrown
    }
  }
  return decodeResource(kind, encodeObject(object))
}

/** The object with another resourceVersion; all else is shared with it. */
export function atResourceVersion<K extends Kind>(object: Resources[K], resourceVersion: string): Resources[K] {
  const revised = { ...object, metadata: { ...object.metadata, resourceVersion } }
  return canonicalMaker(object.kind) === undefined ? revised : canonicalResource(revised, object)
}
