/**
 * The subresources of stored kinds: status of every kind that has one and scale of every kind that counts instances, as
 * the schema says, and the parts that its strategy names.
 */
import { sectionMessage } from '../../objects/object-section.ts'
import type { ObjectSubresource } from '../../api/contract.ts'
import { scalePaths } from '../../objects/scale-form.ts'
import type { Kinds } from '../../kinds/kinds.ts'
import type { SubresourceStrategy } from '../../kinds/strategy.ts'
import type { Kind } from '../../../proto/gen/types.ts'
import type { ServedResource, Subresource } from '../contract.ts'
import { scaleSubresource } from './scale.ts'
import { objectSubresource } from './object-subresource.ts'
import { statusSubresource } from './status.ts'

/** Of the kinds of the schema; those of custom kinds come with their definitions. */
export function storedSubresources(resources: readonly ServedResource[], kinds: Kinds): Subresource[] {
  return resources.flatMap((resource) => {
    if (resource.stored === undefined || resource.message === undefined) return []
    const paths = scalePaths(resource.stored)
    const own = Object.entries(kinds.of(resource.stored).subresources ?? {}) as [
      ObjectSubresource,
      SubresourceStrategy<Kind>,
    ][]
    return [
      ...(sectionMessage(resource.stored, 'status') !== undefined ? [statusSubresource(resource)] : []),
      ...own.map(([name, strategy]) => objectSubresource(resource, name, strategy)),
      ...(paths === undefined ? [] : [scaleSubresource(resource, paths)]),
    ]
  })
}
