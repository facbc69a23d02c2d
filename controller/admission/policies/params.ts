/**
 * The objects that a policy's parameters come from.
 * https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#parameter-resources
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { labelSelectorMatcher } from '../../../proto/objects/selector.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import type { Informer } from '../../informer/contract.ts'
import type { VersionedAttributes } from '../versioned-attributes.ts'
import type { Binding, Policy } from './policy.ts'

/**
 * [undefined] for a policy without; empty if there are none and that is allowed. FailedPrecondition if policy or
 * binding are not as they must be.
 */
export function paramsOf(
  { paramKind }: Policy,
  { paramRef }: Binding,
  subject: VersionedAttributes,
  informer: Informer,
): readonly (AnyResource | undefined)[] {
  if (paramKind === undefined || paramRef === undefined) return [undefined]
  const kind = informer.kinds.find(paramKind.apiVersion, paramKind.kind)
  if (kind === undefined)
    throw misconfigured(
      `failed to configure policy: failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`,
    )
  const { namespaced } = resourceOf(kind)
  const { name = '', namespace = '', selector } = paramRef
  if (!namespaced && namespace !== '')
    throw misconfigured(
      'failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`',
    )
  const place = !namespaced ? '' : namespace !== '' ? namespace : subject.attributes.namespace
  if (namespaced && place === '')
    throw misconfigured(
      'failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
    )
  const lister = informer.lister(kind)
  const matcher = labelSelectorMatcher(selector ?? {})
  const found =
    name !== ''
      ? [lister.get(place, name)].filter((object) => object !== undefined)
      : lister.list(namespaced ? place : undefined).filter(({ metadata }) => matcher.matches(metadata.labels))
  if (found.length === 0 && paramRef.parameterNotFoundAction === 'Deny')
    throw misconfigured(
      'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction',
    )
  return found as AnyResource[]
}

function misconfigured(message: string): GantryError {
  return new GantryError('FailedPrecondition', message)
}
