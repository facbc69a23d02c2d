/**
 * Nobody gets more power than they have by having a pod run for them: whoever writes a pod, or what pods are made of, must be as powerful as the
 * ServiceAccount that it names, and as the one that it named before.
 */
import { isAtLeast } from '../../proto/api/account-access.ts'
import { GantryError } from '../../proto/api/errors.ts'
import { describeObject } from '../../proto/api/schema.ts'
import type { AnyResource, PodSpec } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionPlugin } from '../api/contract.ts'
import type { AccessAuthorizer } from './access-authorizer.ts'
import { DEFAULT_ACCOUNT } from './namespace-contents.ts'

/** Where a PodSpec stands in what pods are made of. */
const TEMPLATES = [['template', 'spec'], ['jobTemplate', 'spec', 'template', 'spec']] as const

export class AccountUsePlugin implements AdmissionPlugin {
  readonly name = 'ServiceAccountUse'
  readonly #authorizer: Pick<AccessAuthorizer, 'accessOf' | 'accountAccess'>

  constructor(authorizer: Pick<AccessAuthorizer, 'accessOf' | 'accountAccess'>) {
    this.#authorizer = authorizer
  }

  handles({ operation }: Parameters<AdmissionPlugin['handles']>[0]): boolean {
    return operation === 'CREATE' || operation === 'UPDATE'
  }

  /** Forbidden. */
  validate({ object, oldObject, context }: AdmissionAttributes): void {
    const { user } = context
    if (user === undefined) return
    const access = this.#authorizer.accessOf(user)
    if (access === 'admin') return
    for (const state of [object, oldObject]) {
      const spec = state === undefined ? undefined : podSpecOf(state)
      if (state === undefined || spec === undefined) continue
      const { namespace } = state.metadata
      const name = accountName(spec)
      const used = this.#authorizer.accountAccess(namespace, name)
      if (isAtLeast(access, used)) continue
      throw new GantryError('Forbidden', `${describeObject(state)} is forbidden: User "${user.name}" has access "${access}" and cannot use the ServiceAccount ${namespace}/${name}, which has access "${used}"`, {
        details: [{ field: 'spec.serviceAccountName', value: name, message: 'may do more than who writes this', remedy: 'name an account that may do no more than you' }],
      })
    }
  }
}

/** The account that pods of this spec have. */
export function accountName({ serviceAccountName, serviceAccount }: PodSpec): string {
  return [serviceAccountName, serviceAccount].find((name) => name !== undefined && name !== '') ?? DEFAULT_ACCOUNT
}

/** Of a pod, or of what it makes pods from; undefined for other objects. */
function podSpecOf(object: AnyResource): PodSpec | undefined {
  if (object.kind === 'Pod') return object.spec
  const { spec } = object as { spec?: Record<string, unknown> }
  for (const path of TEMPLATES) {
    let value: unknown = spec
    for (const step of path) value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[step] : undefined
    // Whatever is of another kind, and looks like it, is looked at, too: who makes pods of it is not known here.
    if (typeof value === 'object' && value !== null && Array.isArray((value as { containers?: unknown }).containers)) return value as PodSpec
  }
  return undefined
}
