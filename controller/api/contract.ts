/**
 * The API core: the one way in which objects are written, by users over gRPC and by the controller's own parts alike. It fills in defaults,
 * validates, keeps generation and field ownership, honours finalizers and owner references, and commits with compare-and-set.
 * Writes that happen at the same time go to the store in common commits.
 */
import type { JsonValue, Kind, Pod, Resources } from '../../proto/gen/types.ts'
import type { Term } from '../store/contract.ts'

export interface WriteContext {
  /** Owner of the fields written, e.g. "deployment-controller". */
  readonly fieldManager: string
  /** A leader's writes carry its term; Forbidden once it is deposed. */
  readonly term?: Term | undefined
  readonly dryRun?: boolean | undefined
}

export interface DeleteOptions {
  readonly propagation?: 'BACKGROUND' | 'FOREGROUND' | 'ORPHAN'
  readonly uid?: string
  readonly resourceVersion?: string
  readonly gracePeriodSeconds?: number
}

export interface PatchOptions {
  readonly type: 'MERGE' | 'STRATEGIC' | 'JSON'
  readonly patch: JsonValue
  readonly subresource?: '' | 'status'
}

/** An object to be created: what the server fills in may be missing. */
export type Draft<K extends Kind> = { kind: K; metadata: Partial<Resources[K]['metadata']> } & { [F in Exclude<keyof Resources[K], 'kind' | 'metadata' | 'apiVersion'>]?: unknown } & { apiVersion?: string }

export interface ObjectApi {
  /** Consistent: shows every write acknowledged before the call. Shared with the cache: copy before changing. NotFound. */
  get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Resources[K]>
  create<K extends Kind>(draft: Draft<K>, context: WriteContext): Promise<Resources[K]>
  /** Replaces metadata and spec; Conflict if metadata.resourceVersion is set and stale. Status stays as stored. */
  update<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K]>
  /** Replaces status; everything else stays as stored. */
  updateStatus<K extends Kind>(object: Resources[K], context: WriteContext): Promise<Resources[K]>
  patch<K extends Kind>(kind: K, namespace: string, name: string, options: PatchOptions, context: WriteContext): Promise<Resources[K]>
  apply<K extends Kind>(kind: K, namespace: string, name: string, configuration: JsonValue, force: boolean, context: WriteContext): Promise<{ object: Resources[K]; outcome: 'UNCHANGED' | 'CREATED' | 'CONFIGURED' }>
  /** Begins deletion (graceful, or held by finalizers) or completes it; the last state, its resourceVersion that of the write or removal. Nothing more happens if it is already under way, but a shorter grace is taken. */
  delete<K extends Kind>(kind: K, namespace: string, name: string, options: DeleteOptions, context: WriteContext): Promise<Resources[K]>
  /**
   * Reads from the cache, changes a copy, writes; again on Conflict with a fresh read. `change` returns false to leave the object alone.
   * `subresource` says which half is written.
   */
  mutate<K extends Kind>(kind: K, namespace: string, name: string, subresource: '' | 'status', change: (object: Resources[K]) => false | void, context: WriteContext): Promise<Resources[K]>
  /**
   * Places a pod on a node: spec.nodeName, condition PodScheduled and the timeline's step, in one write. Bound there already: nothing happens.
   * Conflict if it is bound elsewhere, being deleted, or another pod than `uid`; NotFound.
   */
  bind(namespace: string, name: string, uid: string, node: string, context: WriteContext): Promise<Pod>
  /**
   * Everything of the pod on its node is gone. A pod being deleted is removed, or, while finalizers hold it, waits for nothing else; one
   * that is not being deleted, and another pod than `uid`, stays as it is. The last state. NotFound.
   */
  release(namespace: string, name: string, uid: string, context: WriteContext): Promise<Pod>
}

/** Where news about objects goes; see controller/events. Never waits and never fails: with NATS down events wait in a bounded buffer. */
export interface EventSink {
  record(event: { regarding: { kind: Kind; metadata: { name: string; namespace: string; uid: string } }; type: 'Normal' | 'Warning'; reason: string; message: string; component: string }): void
}
