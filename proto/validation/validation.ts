/**
 * Whether an object is as it must be: the options of its schema, then the rules that hold between fields, those of
 * Kubernetes. Called by the API on every write, after defaulting. Its status is judged by `validateStatus` alone. The
 * rules of each kind are entered in kinds.ts.
 */
import type { AnyResource, ErrorDetail } from '../gen/types.ts'
import { customKinds } from '../schema/custom/definitions.ts'
import { validateCustom } from './custom/object-validation.ts'
import type { Subresource } from '../merge/ownership.ts'
import { rulesOf } from './kinds.ts'
import { validateMetadata, validateMetadataUpdate } from './metadata.ts'
import { Report } from './report.ts'
import { validateFrozen, validateObject } from './schema.ts'
export { validateStatus } from './status.ts'

/**
 * What is wrong with an object; empty if nothing is. `previous`: what it was, of which a custom kind's schema asks
 * nothing any more.
 */
export function validate(object: AnyResource, previous?: AnyResource): ErrorDetail[] {
  const report = new Report()
  validateMetadata(report, object)
  const custom = customKinds.get(object.kind)
  if (custom !== undefined) {
    validateCustom(report, custom, object, previous)
    return report.details
  }
  validateObject(report, object.kind, object as unknown as Record<string, unknown>)
  rulesOf(object.kind).object?.(report, object)
  return report.details
}

/** What is wrong with an object that is to be created: what `validate` says, and what may only come later. */
export function validateNew(object: AnyResource): ErrorDetail[] {
  const details = validate(object)
  const report = new Report()
  if (customKinds.get(object.kind) === undefined) rulesOf(object.kind).creation?.(report, object)
  return [...details, ...report.details]
}

/**
 * What is wrong with a change from one state of an object to the next, by way of a subresource if so: what `validate`
 * says of the next, and what may not change.
 */
export function validateUpdate(next: AnyResource, previous: AnyResource, subresource: Subresource = ''): ErrorDetail[] {
  const report = new Report()
  validateMetadataUpdate(report, next.metadata, previous.metadata)
  if (customKinds.get(next.kind) !== undefined) return [...validate(next, previous), ...report.details]
  validateFrozen(
    report,
    next.kind,
    next as unknown as Record<string, unknown>,
    previous as unknown as Record<string, unknown>,
  )
  rulesOf(next.kind).update?.(report, next, previous, subresource)
  return [...validate(next), ...report.details]
}
