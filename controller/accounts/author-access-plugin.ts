/**
 * Records, on pods and on what pods are made of, the access of whoever wrote their PodSpec: in the annotation
 * gantry.dev/author-access, where that is less than admin. A pod that a reconciler makes has the record of its owner.
 * An account that is created or raised later thus gives its power to nobody who only pointed at it in advance:
 * `AccountUsePlugin` refuses such pods, and `AccessAuthorizer` limits tokens of pods that run already.
 *
 * The record of an object falls when somebody with less access changes its PodSpec. It rises only when an administrator
 * says so, by removing the annotation or by naming another account.
 */
import { AUTHOR_ANNOTATION, authorAccessOf, lesserAccess, type Access } from '../../proto/objects/account-access.ts'
import { sameJson } from '../../proto/base/json.ts'
import type { AnyResource, PodSpec } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin, User } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import type { AccessAuthorizer } from './access-authorizer.ts'
import { serviceAccountName } from '../../proto/objects/pod-references.ts'
import { controllerOf } from '../../proto/objects/owners.ts'
import { mayHavePodSpec, podSpecOf } from '../objects/pod-specs.ts'

export class AuthorAccessPlugin implements AdmissionPlugin {
  readonly name = 'AuthorAccess'
  readonly admitsControlPlane = true
  readonly #authorizer: Pick<AccessAuthorizer, 'accessOf'>
  readonly #informer: Pick<Informer, 'byUid'>

  constructor(authorizer: Pick<AccessAuthorizer, 'accessOf'>, informer: Pick<Informer, 'byUid'>) {
    this.#authorizer = authorizer
    this.#informer = informer
  }

  /** What the control plane's own parts change of an object is never its PodSpec. */
  handles({ operation, kind, subresource, context }: AdmissionRequestInfo): boolean {
    return (
      (operation === 'CREATE' || (operation === 'UPDATE' && context.user !== undefined)) &&
      subresource !== 'status' &&
      mayHavePodSpec(kind)
    )
  }

  mutate({ object, oldObject, context: { user } }: AdmissionAttributes): void {
    const spec = object === undefined ? undefined : podSpecOf(object)
    if (object === undefined || spec === undefined) return
    const access =
      oldObject === undefined
        ? this.#ofNew(object, user)
        : this.#ofChanged(spec, object, oldObject, this.#authorizer.accessOf(user!))
    record(object, access)
  }

  #ofNew(object: AnyResource, user: User | undefined): Access {
    const writer = user === undefined ? 'admin' : this.#authorizer.accessOf(user)
    const controller = controllerOf(object)
    if (controller === undefined) return writer
    const owner = this.#informer.byUid(controller.uid)
    if (owner !== undefined) return lesserAccess(writer, authorAccessOf(owner))
    // An owner that a reconciler has acted for, and that has gone since, speaks for nothing any more.
    return user === undefined ? 'none' : writer
  }

  #ofChanged(spec: PodSpec, object: AnyResource, oldObject: AnyResource, writer: Access): Access {
    const before = podSpecOf(oldObject)
    if (writer === 'admin')
      return before !== undefined && serviceAccountName(before) !== serviceAccountName(spec)
        ? 'admin'
        : authorAccessOf(object)
    const recorded = authorAccessOf(oldObject)
    return sameJson(before, spec) ? recorded : lesserAccess(recorded, writer)
  }
}

/** In place. Nothing is written on what administrators and the control plane write. */
function record(object: AnyResource, access: Access): void {
  const { [AUTHOR_ANNOTATION]: before, ...annotations } = object.metadata.annotations ?? {}
  if (before === (access === 'admin' ? undefined : access)) return
  object.metadata.annotations = access === 'admin' ? annotations : { ...annotations, [AUTHOR_ANNOTATION]: access }
}
