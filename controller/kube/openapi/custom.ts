/** The schemas of custom kinds: what a CustomResourceDefinition says of a version, with what every object has. */
import { customKinds } from '../../../proto/schema/custom/definitions.ts'
import { isObject } from '../../../proto/base/json.ts'
import type { JsonObject, JSONSchemaProps } from '../../../proto/gen/types.ts'
import type { ServedResource } from '../contract.ts'
import { gvk, TYPE_PROPERTIES, type Schemas } from './schemas.ts'

/** The schema of a served custom kind; undefined if its definition has just gone. */
export function customSchema({ version, stored }: ServedResource): JSONSchemaProps | undefined {
  return customKinds.get(stored ?? '')?.versions.find(({ name }) => name === version)?.schema
}

/** "com.example.stable.v1.CronTab": the group backwards, as Kubernetes names it. */
export function customDefinition({ group, version, kind }: Pick<ServedResource, 'group' | 'version' | 'kind'>): string {
  return [...group.split('.').reverse(), version, kind].join('.')
}

/**
 * Clients of Go write extensions that are false; to leave them out means the same, and documents have them only where
 * they are true.
 */
function withoutFalse(schema: JsonObject): JsonObject {
  const entries = Object.entries(schema).filter(([name, value]) => value !== false || !name.startsWith('x-kubernetes-'))
  return Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      isObject(value)
        ? withoutFalse(value)
        : Array.isArray(value)
          ? value.map((item) => (isObject(item) ? withoutFalse(item) : item))
          : value,
    ]),
  )
}

/** A reference to the definition of a custom kind. */
export function customRef(resource: ServedResource, schemas: Schemas): JsonObject {
  const { group, version, kind } = resource
  return schemas.add(customDefinition(resource), () => {
    const own = withoutFalse(
      (customSchema(resource) ?? { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }) as JsonObject,
    )
    const properties = isObject(own.properties) ? own.properties : {}
    return {
      ...own,
      type: 'object',
      properties: {
        ...properties,
        ...TYPE_PROPERTIES,
        metadata: {
          allOf: [schemas.ref('ObjectMeta')],
          description: 'Name, namespace, labels and what else every object carries.',
        },
      },
      'x-kubernetes-group-version-kind': [gvk(group, version, kind)],
    }
  })
}
