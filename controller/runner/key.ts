/** What queues hold: "NAMESPACE/NAME", with an empty namespace for kinds without one. */
import type { AnyResource } from '../../proto/gen/types.ts'

export function keyOf(object: Pick<AnyResource, 'metadata'>): string {
  return makeKey(object.metadata.namespace, object.metadata.name)
}

export function makeKey(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

export function splitKey(key: string): { namespace: string; name: string } {
  const at = key.indexOf('/')
  return { namespace: key.slice(0, at), name: key.slice(at + 1) }
}
