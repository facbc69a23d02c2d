/**
 * What CustomResourceDefinitions define, as it is served: each version that is, with its subresources. Follows the
 * definitions as they come and go.
 */
import type { CustomKind, CustomVersion } from '../../proto/schema/custom/definitions.ts'
import { customScalePaths } from '../objects/scale-form.ts'
import type { CustomDefinitions } from '../requests/custom-definitions.ts'
import type { Catalog } from './catalog.ts'
import type { ServedResource, Subresource, Verb } from './contract.ts'
import { scaleSubresource } from './resources/scale.ts'
import { statusSubresource } from './resources/status.ts'

const VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

/** From now on the catalog has what there is of custom kinds, within the batch of changes in which it appears. */
export function serveCustomKinds(catalog: Catalog, definitions: CustomDefinitions): void {
  definitions.onChange(() => {
    const served = definitions
      .kinds()
      .flatMap((kind) =>
        kind.versions
          .filter((version) => version.served)
          .map((version) => ({ resource: servedVersion(kind, version), version })),
      )
    catalog.setCustom(
      served.map(({ resource }) => resource),
      served.flatMap(({ resource, version }) => subresourcesOf(resource, version)),
    )
  })
}

function servedVersion(
  { id, names, resource: { group, kind, plural, namespaced, shortNames } }: CustomKind,
  { name, deprecation }: CustomVersion,
): ServedResource {
  return {
    group,
    version: name,
    plural,
    kind,
    namespaced,
    shortNames,
    singular: names.singular ?? kind.toLowerCase(),
    listKind: names.listKind ?? `${kind}List`,
    categories: names.categories ?? [],
    verbs: VERBS,
    stored: id,
    ...(deprecation !== undefined && { deprecation }),
  }
}

function subresourcesOf(resource: ServedResource, { status, scale }: CustomVersion): Subresource[] {
  const paths = scale === undefined ? undefined : customScalePaths(scale)
  return [
    ...(status ? [statusSubresource(resource)] : []),
    ...(paths === undefined ? [] : [scaleSubresource(resource, paths)]),
  ]
}
