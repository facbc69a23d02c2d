/**
 * What a request is about, in the forms in which webhooks and policies see it: made where one of them is asked, once
 * for all of them.
 */
import { encodeJson } from '../../proto/codec/codec.ts'
import { customKinds, versionOfObject } from '../../proto/schema/custom/definitions.ts'
import { apiVersionOf, resourceOf } from '../../proto/schema/schema.ts'
import type { ResourceSchema } from '../../proto/schema/model.ts'
import type {
  AdmissionRequest,
  AnyResource,
  GroupVersionKind,
  GroupVersionResource,
  JsonObject,
} from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, User, WriteContext } from '../api/contract.ts'
import type { ExpressionSubject } from '../cel/admission/subject.ts'
import { scaleOf, scalePathsOf } from '../objects/scale-form.ts'

/** https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ */
const CONTROLLERS_NAMESPACE = 'kube-system'
/**
 * Its objects say how requests are admitted: whoever has locked himself out must be able to mend it.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
 */
const EXEMPT_GROUP = 'admissionregistration.k8s.io'

/** Who asks, as webhooks and policies are told: reconcilers as Kubernetes' controllers. */
function requestUser({ user, controllerAccount: account = '' }: WriteContext): User {
  if (user !== undefined) return user
  return {
    name: `system:serviceaccount:${CONTROLLERS_NAMESPACE}:${account}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${CONTROLLERS_NAMESPACE}`, 'system:authenticated'],
  }
}

/**
 * Whether webhooks and policies may be asked about it: users' requests and what reconciler's make, change and delete,
 * but not what says how requests are admitted.
 */
export function isSubjectToAdmission({
  kind,
  subresource,
  context: { user, controllerAccount: account },
}: AdmissionRequestInfo): boolean {
  if (user === undefined && (account === undefined || subresource === 'status')) return false
  return resourceOf(kind).group !== EXEMPT_GROUP
}

/** What rules of configurations are held against. */
export interface MatchAttributes {
  readonly operation: AdmissionAttributes['operation']
  readonly resource: ResourceSchema
  /** In which it is written. */
  readonly version: string
  /** Every version in which it is served, that one among them. */
  readonly versions: readonly string[]
  readonly subresource: string
  readonly name: string
}

export class VersionedAttributes implements ExpressionSubject {
  readonly attributes: AdmissionAttributes
  readonly matchAttributes: MatchAttributes
  readonly user: User
  readonly #forms = new Map<string, JsonObject | null>()

  constructor(attributes: AdmissionAttributes) {
    const { operation, kind, name, subresource, object, oldObject, context } = attributes
    this.attributes = attributes
    const custom = customKinds.get(kind)
    const resource = resourceOf(kind)
    const shown = object ?? oldObject
    const version =
      custom === undefined || shown === undefined ? resource.version : versionOfObject(custom, shown.apiVersion).name
    const versions =
      custom === undefined
        ? [resource.version]
        : custom.versions.filter(({ served }) => served).map((served) => served.name)
    this.matchAttributes = { operation, resource, version, versions, subresource, name }
    this.user = requestUser(context)
  }

  /** A namespace is in itself, as Kubernetes has it. */
  get namespace(): string {
    const { kind, namespace, name, object } = this.attributes
    return kind !== 'Namespace' ? namespace : name !== '' ? name : (object?.metadata.name ?? '')
  }

  /** As it is to be; null for DELETE. `version`: one of `requested.versions`. */
  object(version = this.matchAttributes.version): JsonObject | null {
    return this.#form('object', version)
  }

  /** As it is stored; null for CREATE and CONNECT. */
  oldObject(version = this.matchAttributes.version): JsonObject | null {
    return this.#form('oldObject', version)
  }

  /** Labels of what is written, before and after; undefined where there are none to be had. */
  labels(): (Readonly<Record<string, string>> | undefined)[] {
    const { object, oldObject, message } = this.attributes
    const metadata = message?.metadata as { labels?: Record<string, string> } | undefined
    return [
      ...(object !== undefined ? [object.metadata.labels] : []),
      ...(oldObject !== undefined ? [oldObject.metadata.labels] : []),
      ...(metadata !== undefined ? [metadata.labels] : []),
    ]
  }

  /** The object has been changed: its forms are made anew. */
  changed(): void {
    for (const key of [...this.#forms.keys()]) if (key.startsWith('object ')) this.#forms.delete(key)
  }

  /** But for its uid and the objects. `version`: the one in which it is sent. */
  request(version = this.matchAttributes.version): Omit<AdmissionRequest, 'uid' | 'object' | 'oldObject'> {
    const { operation, name, subresource, options, message, context } = this.attributes
    const { name: username, uid, groups, extra } = this.user
    const [kind, resource] = [this.#kind(version), this.#resource(version)]
    return {
      kind,
      resource,
      ...(subresource !== '' && { subResource: subresource }),
      requestKind: this.#kind(this.matchAttributes.version),
      requestResource: this.#resource(this.matchAttributes.version),
      ...(subresource !== '' && { requestSubResource: subresource }),
      ...(name !== '' && { name }),
      ...(this.namespace !== '' && { namespace: this.namespace }),
      operation,
      userInfo: {
        username,
        ...(uid !== undefined && { uid }),
        groups: [...groups],
        ...(extra !== undefined && {
          extra: Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]])),
        }),
      },
      dryRun: context.dryRun === true,
      options: options ?? (operation === 'CONNECT' ? message : undefined) ?? null,
    }
  }

  #kind(version: string): GroupVersionKind {
    const { object, message } = this.attributes
    const {
      resource: { group, kind },
      subresource,
    } = this.matchAttributes
    const form =
      message ??
      (subresource === 'scale' && object !== undefined ? { apiVersion: 'autoscaling/v1', kind: 'Scale' } : undefined)
    if (form === undefined) return { group, version, kind }
    const steps = String(form.apiVersion).split('/')
    return { group: steps.length === 1 ? '' : steps[0]!, version: steps.at(-1)!, kind: String(form.kind) }
  }

  #resource(version: string): GroupVersionResource {
    const {
      resource: { group, plural },
    } = this.matchAttributes
    return { group, version, resource: plural }
  }

  #form(which: 'object' | 'oldObject', version: string): JsonObject | null {
    const key = `${which} ${version}`
    let form = this.#forms.get(key)
    if (form === undefined) {
      form = this.#makeForm(which, version)
      this.#forms.set(key, form)
    }
    return form
  }

  #makeForm(which: 'object' | 'oldObject', version: string): JsonObject | null {
    const { [which]: object, message } = this.attributes
    if (object === undefined) return which === 'object' ? (message ?? null) : null
    const paths = this.matchAttributes.subresource === 'scale' ? scalePathsOf(object) : undefined
    return paths !== undefined
      ? scaleOf(object, paths)
      : encodeJson(object, { apiVersion: apiVersionOf({ ...this.matchAttributes.resource, version }), full: true })
  }
}

/** pods "web", deployments.apps "web": as refusals name it. */
export function describeSubject({
  matchAttributes: {
    resource: { group, plural },
    name,
  },
  attributes: { object },
}: VersionedAttributes): string {
  return `${plural}${group === '' ? '' : `.${group}`} "${name !== '' ? name : ((object as AnyResource | undefined)?.metadata.name ?? '')}"`
}
