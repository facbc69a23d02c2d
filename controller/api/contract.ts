/**
 * The API core: the one way in which objects are written, by users over gRPC and by the controller's own parts alike.
 * It fills in defaults, validates, keeps generation and field ownership, honours finalizers and owner references, and
 * commits with compare-and-set. Writes that happen at the same time go to the store in common commits.
 */
import type { AnyResource, JsonObject, JsonValue, Kind, Pod, Resources } from '../../proto/gen/types.ts'
import type { Term } from '../store/contract.ts'

/** Who asks. */
export interface User {
  readonly name: string
  readonly groups: readonly string[]
  readonly uid?: string
  /**
   * What else is known, e.g. the pod that a token is bound to.
   * https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
   */
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

/**
 * What becomes of a field that is unknown, comes twice, or is not acted on: refused, named in a warning, or passed
 * over. https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
 */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

export interface WriteContext {
  /** Owner of the fields written, e.g. "deployment-controller". */
  readonly fieldManager: string
  /** On whose behalf; undefined: the control plane's own part. */
  readonly user?: User | undefined
  /**
   * Of a reconciler, which writes on nobody's behalf: the ServiceAccount of kube-system as which Kubernetes' controller
   * of that kind writes. Admission webhooks and policies are asked about what it makes, changes and deletes, as there.
   */
  readonly controllerAccount?: string | undefined
  /** Default Strict. */
  readonly fieldValidation?: FieldValidation | undefined
  /** Told of what is accepted and yet not as it should be. */
  readonly warn?: ((text: string) => void) | undefined
  /** A leader's writes carry its term; Forbidden once it is deposed. */
  readonly term?: Term | undefined
  readonly dryRun?: boolean | undefined
}

export interface DeleteOptions {
  readonly propagation?: 'BACKGROUND' | 'FOREGROUND' | 'ORPHAN'
  readonly uid?: string
  readonly resourceVersion?: string
  readonly gracePeriodSeconds?: number
  /** The pod is asked to leave its node: admission plugins see an eviction. */
  readonly eviction?: boolean
}

/**
 * Which part of an object is written: all but status, status, all but status by way of the subresource scale, or the
 * part of a pod or a namespace that its kind's strategy names (controller/kinds).
 */
export type WriteSubresource = '' | 'status' | 'scale' | ObjectSubresource

/** The parts of a pod that are written by subresources of their own. */
export type PodSubresource = 'ephemeralcontainers' | 'resize'
/** Those of all kinds: of a namespace, what still holds it. */
export type ObjectSubresource = PodSubresource | 'finalize'

export interface PatchOptions {
  readonly type: 'MERGE' | 'STRATEGIC' | 'JSON'
  readonly patch: JsonValue
  readonly subresource?: WriteSubresource
  /** The version of a custom kind that is patched; the stored one if none is named. */
  readonly apiVersion?: string
}

/** An object to be created: what the server fills in may be missing. */
export type Draft<K extends Kind> = { kind: K; metadata: Partial<Resources[K]['metadata']> } & {
  [F in Exclude<keyof Resources[K], 'kind' | 'metadata' | 'apiVersion'>]?: unknown
} & { apiVersion?: string }

export interface ObjectApi {
  /**
   * Consistent: shows every write acknowledged before the call. Shared with the cache: copy before changing. NotFound.
   */
  get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K]>
  /** The draft is copied at once: it may share parts with objects of the cache. */
  create<K extends Kind>(draft: Draft<K>, context: WriteContext): Promise<Resources[K]>
  /**
   * Replaces metadata and spec; Conflict if metadata.resourceVersion is set and stale. Status stays as stored.
   * metadata.managedFields, if it has entries, says whose the fields are; one empty entry: nobody's. `part`: everything
   * else of the object stays as stored. The object may not be changed before the answer is there.
   */
  update<K extends Kind>(object: Resources[K], context: WriteContext, part?: ObjectSubresource): Promise<Resources[K]>
  /** Replaces status; everything else stays as stored. */
  updateStatus<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K]>
  patch<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    options: PatchOptions,
    context: WriteContext,
  ): Promise<Resources[K]>
  /**
   * Conflict names the fields of others, unless `force`; also if the configuration has a resourceVersion that is stale.
   * A status is applied to what there is: NotFound.
   */
  apply<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    configuration: JsonValue,
    force: boolean,
    context: WriteContext,
    subresource?: WriteSubresource,
  ): Promise<{ object: Resources[K]; outcome: 'UNCHANGED' | 'CREATED' | 'CONFIGURED' }>
  /**
   * Begins deletion (graceful, or held by finalizers) or completes it; the last state, its resourceVersion that of the
   * write or removal. Nothing more happens if it is already under way, but a shorter grace is taken.
   */
  delete<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    options: DeleteOptions,
    context: WriteContext,
  ): Promise<Resources[K]>
  /** As delete, and whether the object is gone. */
  deletion<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    options: DeleteOptions,
    context: WriteContext,
  ): Promise<{ object: Resources[K]; removed: boolean }>
  /**
   * Reads from the cache, changes a copy, writes; again on Conflict with a fresh read. `change` returns false to leave
   * the object alone. `subresource` says which part of the object is written.
   */
  mutate<K extends Kind>(
    kind: K,
    namespace: string,
    name: string,
    subresource: '' | 'status',
    change: (object: Resources[K]) => false | void,
    context: WriteContext,
  ): Promise<Resources[K]>
  /**
   * Places a pod on a node: spec.nodeName, condition PodScheduled and the timeline's step, in one write. Bound there
   * already: nothing happens. Conflict if it is bound elsewhere, being deleted, or another pod than `uid`; NotFound.
   */
  bind(namespace: string, name: string, uid: string, node: string, context: WriteContext): Promise<Pod>
  /**
   * Everything of the pod on its node is gone. A pod being deleted is removed, or, while finalizers hold it, waits for
   * nothing else; one that is not being deleted, and another pod than `uid`, stays as it is. The last state. NotFound.
   */
  release(namespace: string, name: string, uid: string, context: WriteContext): Promise<Pod>
  /**
   * Asks admission plugins about a connection to a subresource (exec, attach, portforward, proxy); `options` with
   * apiVersion and kind, such as PodExecOptions. Rejects with what refuses it.
   */
  admitConnection(
    kind: Kind,
    namespace: string,
    name: string,
    subresource: string,
    options: JsonObject,
    context: WriteContext,
  ): Promise<void>
}

/**
 * Where news about objects goes; see controller/events. Never waits and never fails: with NATS down events wait in a
 * bounded buffer.
 */
export interface EventSink {
  record(event: {
    regarding: { kind: Kind; metadata: { name: string; namespace: string; uid: string } }
    type: 'Normal' | 'Warning'
    reason: string
    message: string
    component: string
  }): void
}

/**
 * What is asked of the API, as admission plugins see it.
 * https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
 */
export interface AdmissionAttributes {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  readonly kind: Kind
  readonly namespace: string
  /** '' where the server makes it. */
  readonly name: string
  readonly subresource: string
  /**
   * As it is to be, with defaults; undefined for DELETE, and where `message` stands for it. Plugins that mutate change
   * it in place.
   */
  readonly object: AnyResource | undefined
  /** As it is stored; undefined for CREATE and CONNECT. */
  readonly oldObject: AnyResource | undefined
  /**
   * What is sent to a subresource and is no part of the object: an Eviction, a Binding, PodExecOptions. With apiVersion
   * and kind.
   */
  readonly message?: JsonObject | undefined
  /**
   * How it is to be done, as the request says it: CreateOptions, UpdateOptions, PatchOptions, DeleteOptions without
   * what the context says.
   */
  readonly options?: JsonObject | undefined
  readonly context: WriteContext
}

/** All that is known of a request before its object is read. */
export type AdmissionRequestInfo = Pick<
  AdmissionAttributes,
  'operation' | 'kind' | 'namespace' | 'subresource' | 'context'
>

/**
 * Stands between a request and its validation. Each `mutate` is called in order, then defaults are filled in again, the
 * object is validated, and each `validate` is called. Forbidden or InvalidArgument refuses the write; other errors fail
 * it. Writes without `context.user`, the control plane's own, pass intrinsic plugins only. A write that meets others is
 * admitted again: what a plugin does must be the same when it is done twice.
 */
export interface AdmissionPlugin {
  readonly name: string
  /** Also asked about the control plane's own writes, whoever makes them. */
  readonly admitsControlPlane?: boolean
  /** Asks others: within one write it is asked again only about what differs from what it has answered already. */
  readonly remote?: boolean
  /** Whether it has anything to say of such a request: those that no plugin looks at cost nothing. */
  handles(occasion: AdmissionRequestInfo): boolean
  mutate?(attributes: AdmissionAttributes): void | Promise<void>
  validate?(attributes: AdmissionAttributes): void | Promise<void>
}
