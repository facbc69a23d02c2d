/**
 * Nobody gets more power than they have by having a pod run for them: whoever writes a pod, or what pods are made of,
 * must be as powerful as the ServiceAccount that it names, and as the one that it named before. When a reconciler makes
 * a pod, the same is asked again of whoever wrote its template, since the account may have been created or raised
 * meanwhile.
 */
import { AUTHOR_ANNOTATION, authorAccessOf, isAtLeast, type Access } from '../../proto/objects/account-access.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { AnyResource } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../api/contract.ts'
import type { AccessAuthorizer } from './access-authorizer.ts'
import { serviceAccountName } from '../../proto/objects/pod-references.ts'
import { controllerOf } from '../../proto/objects/owners.ts'
import { describeNew, podSpecOf } from '../objects/pod-specs.ts'

export class AccountUsePlugin implements AdmissionPlugin {
  readonly name = 'ServiceAccountUse'
  readonly admitsControlPlane = true
  readonly #authorizer: Pick<AccessAuthorizer, 'accessOf' | 'accountAccess'>

  constructor(authorizer: Pick<AccessAuthorizer, 'accessOf' | 'accountAccess'>) {
    this.#authorizer = authorizer
  }

  handles({ operation, kind, context: { user } }: AdmissionRequestInfo): boolean {
    return operation === 'CREATE' ? user !== undefined || kind === 'Pod' : operation === 'UPDATE' && user !== undefined
  }

  /** Forbidden. */
  validate({ object, oldObject, context: { user } }: AdmissionAttributes): void {
    if (object?.kind === 'Pod' && oldObject === undefined) this.#checkAuthor(object)
    if (user === undefined) return
    const access = this.#authorizer.accessOf(user)
    if (access === 'admin') return
    for (const state of [object, oldObject]) {
      const use = state === undefined ? undefined : this.#useOf(state)
      if (state === undefined || use === undefined || isAtLeast(access, use.access)) continue
      throw refused(
        state,
        use,
        `User "${user.name}" has access "${access}" and`,
        'name an account that may do no more than you',
      )
    }
  }

  /** A new pod, by what is recorded on it. */
  #checkAuthor(pod: AnyResource): void {
    const use = this.#useOf(pod)
    const author = authorAccessOf(pod)
    if (use === undefined || isAtLeast(author, use.access)) return
    const owner = controllerOf(pod)
    const remedy = `an administrator who means it removes the annotation ${AUTHOR_ANNOTATION} of the workload and restarts it`
    throw refused(
      pod,
      use,
      `its template${owner === undefined ? '' : ` in ${owner.kind} ${owner.name}`} was written with access "${author}", and such a pod`,
      remedy,
    )
  }

  #useOf(object: AnyResource): Use | undefined {
    const spec = podSpecOf(object)
    if (spec === undefined) return undefined
    const name = serviceAccountName(spec)
    return { name, access: this.#authorizer.accountAccess(object.metadata.namespace, name) }
  }
}

interface Use {
  readonly name: string
  /** Of the account that is used. */
  readonly access: Access
}

function refused(object: AnyResource, { name, access }: Use, who: string, remedy: string): GantryError {
  return new GantryError(
    'Forbidden',
    `${describeNew(object)} is forbidden: ${who} cannot use the ServiceAccount ${object.metadata.namespace}/${name}, which has access "${access}"`,
    {
      details: [{ field: 'spec.serviceAccountName', value: name, message: 'may do more than who writes this', remedy }],
    },
  )
}
