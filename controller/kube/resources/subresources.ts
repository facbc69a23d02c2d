/**
 * The subresources of stored kinds: status of every kind that has one and scale of every kind that counts instances, as
 * the schema says, and the parts of a pod.
 */
import { sectionMessage } from '../../api/object-section.ts'
import type { ConsistentReads } from '../../api/consistent-reads.ts'
import type { ObjectApi, PodSubresource } from '../../api/contract.ts'
import { scalePaths } from '../../api/scale-form.ts'
import type { ServedResource, Subresource } from '../contract.ts'
import type { StoredReads } from './reads.ts'
import { scaleSubresource } from './scale.ts'
import { finalizeSubresource, podSubresource } from './pod-subresources.ts'
import { statusSubresource } from './status.ts'
import type { StoredWrites } from './writes.ts'

const POD_PARTS: readonly PodSubresource[] = ['ephemeralcontainers', 'resize']

export interface SubresourceParts {
  readonly api: ObjectApi
  readonly consistent: ConsistentReads
  readonly reads: StoredReads
  readonly writes: StoredWrites
}

/** Of the kinds of the schema; those of custom kinds come with their definitions. */
export function storedSubresources(resources: readonly ServedResource[], parts: SubresourceParts): Subresource[] {
  const { api, consistent } = parts
  return resources.flatMap((resource) => {
    if (resource.stored === undefined || resource.message === undefined) return []
    const paths = scalePaths(resource.stored)
    return [
      ...(sectionMessage(resource.stored, 'status') !== undefined ? [statusSubresource(resource, parts)] : []),
      ...(resource.stored === 'Pod' ? POD_PARTS.map((part) => podSubresource(resource, part, parts)) : []),
      ...(resource.stored === 'Namespace' ? [finalizeSubresource(resource, parts)] : []),
      ...(paths === undefined ? [] : [scaleSubresource(resource, paths, { api, reads: consistent })]),
    ]
  })
}
