/** A kind that a definition defines, for tests. */
import { applyDefaults } from '../../../../proto/codec/defaults.ts'
import { decodeJson } from '../../../../proto/codec/codec.ts'
import type { JsonObject } from '../../../../proto/gen/types.ts'
import type { CustomKind } from '../../../../proto/schema/custom/definitions.ts'
import type { KindRegistry } from '../../../../proto/schema/kind-registry.ts'

/** As a registry would have it. `subresources`: as in the version of a CustomResourceDefinition. */
export function customKind(
  kinds: KindRegistry,
  kind: string,
  group: string,
  subresources: JsonObject = {},
): CustomKind {
  const plural = `${kind.toLowerCase()}s`
  const definition = decodeJson('CustomResourceDefinition', {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, plural },
      scope: 'Namespaced',
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  })
  return kinds.kindOf(applyDefaults(definition))!
}
