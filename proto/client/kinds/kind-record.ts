/**
 * What the cluster's client knows of one kind, for every program that shows, waits for or changes objects: `gantry`,
 * the rig and its scenarios. Generic code asks the record (`registry.ts`) and never names a kind.
 *
 * A record is stateless and its functions are pure, except where they take a `ClusterClient` to read what belongs to an
 * object. An ability that not every kind has (pods, replicas, rollouts …) is a part of the record that is absent where
 * the kind does not have it; code that needs it asks `kindsWith`, or refuses with a sentence of its own. Records are
 * loaded with every command: what is large, such as the page of `describe`, is loaded when it is called.
 *
 * Every kind of the schema has one, which the type of the registry enforces; kinds that CustomResourceDefinitions
 * define share `custom.ts`.
 */
import type {
  AnyResource,
  JsonValue,
  Kind,
  LabelSelector,
  PatchRequestType,
  PodSpec,
  PodTemplateSpec,
  Resources,
} from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import type { Entry } from '../describe/page.ts'
import type { Readiness } from './readiness.ts'

export interface DescribeContext {
  readonly cluster: ClusterClient
  /** Milliseconds since the epoch. */
  readonly now: number
}

export interface KindRecord<K extends Kind = Kind> {
  /** How far an object is from its spec; a status that tells of an older spec never makes it ready. */
  readiness(object: Resources[K]): Readiness
  /** Objects take time to get ready, so that who waited is told that they are. Absent: they are so once they exist. */
  readonly takesTime?: true
  /** The page of `describe` without the events, with what belongs to the object read from the cluster. */
  describe(object: Resources[K], context: DescribeContext): Promise<readonly Entry[]>
  /**
   * Programs write these objects all the time (Lease), or they are news (Event): no events are told about them, and
   * they belong to no set that is applied.
   */
  readonly machinery?: true
  /** Objects of lower numbers are applied before those of higher ones, which may need them; absent: `LAST_ORDER`. */
  readonly applyOrder?: number
  /** Its place in `get all`, which lists what runs, not what configures it. */
  readonly inAll?: number
  readonly pods?: PodChoice<K>
  readonly podSpec?: PodSpecHolder<K>
  /** The ports that a Service for an object leads to, for `expose`. */
  ports?(object: Resources[K]): readonly ExposedPort[]
  readonly scale?: Scale
  readonly rollout?: Rollout<K>
  /**
   * What a deletion waits for where no finalizer and no grace tells it: "its node to confirm". Absent: the control
   * plane.
   */
  deletionWaitsFor?(name: string): string
}

/** The order of what nothing else needs. */
export const LAST_ORDER = 3

/** Which pods belong to an object. */
export interface PodChoice<K extends Kind = Kind> {
  /**
   * `itself`: it is a pod. `made`: it makes its pods, whose logs are its logs. `served`: it leads to pods that others
   * make: connections to it go to one of them.
   */
  readonly are: 'itself' | 'made' | 'served'
  /** Labels that its pods have; without any requirement it has no pods of its own. */
  selector(object: Resources[K]): LabelSelector
}

/** Where an object keeps the spec of its pods, for `set`. */
export interface PodSpecHolder<K extends Kind = Kind> {
  /** Names of the fields from the object to the spec. */
  readonly path: readonly string[]
  of(object: Resources[K]): PodSpec
}

export interface ExposedPort {
  readonly port: number
  readonly protocol: string
  /** '' for a port without a name. */
  readonly name: string
}

export interface Scale {
  /** Names of the fields from the object to the count. */
  readonly replicasPath: readonly string[]
}

/** A change of one object, for `ClusterClient.patch`. */
export interface Patch {
  readonly type: PatchRequestType
  readonly patch: JsonValue
}

/** One of the versions of its pods that an object keeps. */
export interface Revision {
  readonly number: bigint
  /** Why there is this version, as whoever made it said; '' if nothing was said. */
  readonly cause: string
  readonly template: PodTemplateSpec
  /** The object that keeps it. */
  readonly keeper: AnyResource
}

/** Kinds that replace their pods step by step: `gantry rollout`. */
export interface Rollout<K extends Kind = Kind> {
  /** The number of the newest revision; 0 before it has one. */
  revision(object: Resources[K]): bigint
  /** Those that are kept, oldest first. */
  revisions(cluster: ClusterClient, object: Resources[K]): Promise<readonly Revision[]>
  /** Makes the pods those of a revision again. */
  undo(object: Resources[K], to: Revision): Promise<Patch>
  /** Replaces every pod by a new one. `now`: milliseconds since the epoch. */
  restart(object: Resources[K], now: number): Patch
  /** Of kinds whose rollouts can be held where they are. */
  readonly pause?: { isPaused(object: Resources[K]): boolean; set(paused: boolean): Patch }
}
