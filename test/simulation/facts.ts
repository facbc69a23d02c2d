/** What the simulation sees of the cluster from outside, fact by fact: what invariants are checked on. */
import { decodeResource } from '../../proto/codec/wire.ts'
import type { AnyResource, ConfigMap } from '../../proto/gen/types.ts'
import { parseKey } from '../../controller/store/keys.ts'
import type { Committed, SimulatedEtcd } from './world/store.ts'
import type { World } from './world/world.ts'

export type Fact =
  /** A key of the store was written or removed. */
  | {
      readonly is: 'committed'
      readonly key: string
      readonly before: AnyResource | undefined
      readonly after: AnyResource | undefined
      readonly commit: Committed
    }
  /** Somebody's request was answered with success: he was shown this object. */
  | { readonly is: 'acknowledged'; readonly verb: 'create' | 'write' | 'delete'; readonly object: AnyResource }
  /**
   * Somebody asked for a counter and was shown it, or told that there is none (undefined). `before`: how often it had
   * been counted up, as far as that was acknowledged, when he asked.
   */
  | { readonly is: 'read'; readonly name: string; readonly object: ConfigMap | undefined; readonly before: number }
  /** The process of a container's instance began on a machine, or ended there. */
  | { readonly is: 'begun' | 'ended'; readonly node: string; readonly instance: Instance }
  /**
   * A machine lost its power, and every process on it; the records of these pods (by uid) are as they were before.
   */
  | { readonly is: 'powerLost'; readonly node: string; readonly fellBack: ReadonlySet<string> }
  /** An agent was given an object. */
  | { readonly is: 'given'; readonly node: string; readonly object: AnyResource }
  /** An agent was told that nobody sends these pods (by uid) anything any more. */
  | { readonly is: 'drained'; readonly node: string; readonly podUids: readonly string[] }
  /** From now on a machine's network sends connections to these pods (by uid), and to no others. */
  | { readonly is: 'sends'; readonly node: string; readonly podUids: ReadonlySet<string> }

export interface Instance {
  /** The container's own id. */
  readonly id: string
  readonly podUid: string
  readonly container: string
  readonly attempt: number
}

/** Keeps what the store holds, decoded, and gathers facts until they are looked at. */
export class Facts {
  readonly #world: World
  readonly #objects = new Map<string, AnyResource>()
  readonly #byUid = new Map<string, AnyResource>()
  #unseen: Fact[] = []
  /** Pods (by uid) that each machine's network sends connections to, by node. */
  readonly sending = new Map<string, ReadonlySet<string>>()
  /** Instances whose processes are alive, by container id. */
  readonly alive = new Map<string, { readonly node: string; readonly instance: Instance }>()

  constructor(world: World, etcd: SimulatedEtcd) {
    this.#world = world
    etcd.onCommit((commit) => this.#committed(commit))
  }

  get time(): number {
    return this.#world.time
  }

  /** What the store holds, by key. */
  get objects(): ReadonlyMap<string, AnyResource> {
    return this.#objects
  }

  /** The last state of an object, also of one that is gone. */
  byUid(uid: string): AnyResource | undefined {
    return this.#byUid.get(uid)
  }

  list<K extends AnyResource['kind']>(kind: K): Extract<AnyResource, { kind: K }>[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind) as Extract<AnyResource, { kind: K }>[]
  }

  note(fact: Fact): void {
    if (fact.is === 'begun') this.alive.set(fact.instance.id, fact)
    if (fact.is === 'ended') this.alive.delete(fact.instance.id)
    if (fact.is === 'sends') this.sending.set(fact.node, fact.podUids)
    if (fact.is === 'powerLost') {
      this.sending.delete(fact.node)
      for (const [id, { node }] of this.alive) if (node === fact.node) this.alive.delete(id)
    }
    this.#unseen.push(fact)
  }

  /** Those that came since the last look. */
  take(): readonly Fact[] {
    const facts = this.#unseen
    if (facts.length > 0) this.#unseen = []
    return facts
  }

  #committed(commit: Committed): void {
    for (const operation of commit.operations) {
      const place = parseKey(operation.key)
      if (place === undefined) continue
      const before = this.#objects.get(operation.key)
      const after =
        operation.kind === 'delete' ? undefined : decodeResource(place.kind, operation.value, String(commit.revision))
      if (after === undefined) this.#objects.delete(operation.key)
      else {
        this.#objects.set(operation.key, after)
        this.#byUid.set(after.metadata.uid, after)
      }
      this.note({ is: 'committed', key: operation.key, before, after, commit })
    }
  }
}
