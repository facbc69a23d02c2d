/**
 * What reconcilers work on in tests: two controllers in one process over one memory store, with the real API core and
 * watch cache, a clock that stands still until a test moves it, and chance out of a seed.
 *
 *   reconcilers ── requests, which a test can refuse ──▶ leader ──▶ store ◀── front ◀── users, agents
 *        ▲                                                 │
 *        └────── watch cache, which can be made to lag ────┘
 *
 * What users and agents write goes through the other controller, `front`, which sees everything at once.
 */
import assert from 'node:assert/strict'
import type { Draft, EventSink, ObjectApi } from '../../controller/api/contract.ts'
import type { Informer } from '../../controller/informer/contract.ts'
import { runReconcilers, type Reconciler, type ReconcileParts } from '../../controller/runner/runner.ts'
import { objectKey } from '../../controller/store/keys.ts'
import type { GantryError } from '../../proto/base/errors.ts'
import { FakeClock } from '../../proto/base/clock.ts'
import { sameJson } from '../../proto/base/json.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { formatTime } from '../../proto/base/time.ts'
import { encodeResource } from '../../proto/codec/wire.ts'
import type { AnyResource, Kind, Resources } from '../../proto/gen/types.ts'
import { withCondition } from '../../proto/objects/conditions.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import { isBound, isReady } from '../../proto/objects/pod.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import { turnsTaken } from '../turns.ts'
import { ControlPlane } from './control-plane.ts'
import { interceptedApi, type ApiRequest } from './intercepted-api.ts'
import { LaggingStore } from './lagging-store.ts'
import { reconcileParts } from './reconcile-parts.ts'

/** Nobody stands between them and the API core, which asks who writes all the same. */
const USER = { fieldManager: 'user', user: { name: 'user', groups: [] } }
const SCHEDULER = { fieldManager: 'scheduler' }
const AGENT = { fieldManager: 'agent' }

type Failure = (request: ApiRequest) => GantryError | undefined
const none: Failure = () => undefined

export class SteppedControlPlane {
  readonly clock: FakeClock
  /** "Normal SuccessfulCreate Created pod: …" */
  readonly events: string[] = []
  /** What reconcilers have asked for. */
  readonly requests: ApiRequest[] = []
  /** What reconcilers are told instead of what they ask for. */
  refuse: Failure = none
  /** What they are told though it has been done. */
  loseAnswer: Failure = none
  readonly parts: ReconcileParts
  readonly #front: ControlPlane
  readonly #leader: ControlPlane<LaggingStore>
  readonly #stop = new AbortController()
  readonly #running: Promise<void>[] = []

  private constructor(clock: FakeClock, front: ControlPlane, leader: ControlPlane<LaggingStore>) {
    this.clock = clock
    this.#front = front
    this.#leader = leader
    const api = interceptedApi(leader.api, {
      before: (request) => {
        this.requests.push(request)
        throwIf(this.refuse(request))
      },
      after: (request) => throwIf(this.loseAnswer(request)),
    })
    const events: EventSink = {
      record: ({ type, reason, message }) => void this.events.push(`${type} ${reason} ${message}`),
    }
    this.parts = reconcileParts(leader, { api, events })
  }

  /** With the namespace `default`. */
  static async start(): Promise<SteppedControlPlane> {
    const clock = new FakeClock()
    const front = await ControlPlane.start(clock)
    const leader = await ControlPlane.over(new LaggingStore(front.store), clock, seededRandom(2))
    return new SteppedControlPlane(clock, front, leader)
  }

  /** The leader's watch cache. */
  get informer(): Informer {
    return this.#leader.informer
  }

  /** The leader's API core, as its own parts ask it. */
  get api(): ObjectApi {
    return this.#leader.api
  }

  /** The API core that users and agents ask. */
  get users(): ObjectApi {
    return this.#front.api
  }

  /** Everything of a kind that is stored, whatever the leader's cache shows. */
  list<K extends Kind>(kind: K): Resources[K][] {
    return structuredClone(this.#front.informer.lister(kind).list())
  }

  /** The object as it is stored. */
  get<K extends Kind>(kind: K, name: string, namespace = 'default'): Resources[K] | undefined {
    return structuredClone(this.#front.informer.lister(kind).get(namespaceOf(kind, namespace), name))
  }

  /** A user creates an object; what it has of a status somebody observes thereafter. Resolves as the caches show it. */
  async put<K extends Kind>(object: Resources[K]): Promise<Resources[K]> {
    const made = await this.users.create(object as unknown as Draft<K>, USER)
    const status = { ...statusOf(made), ...statusOf(object) }
    if (sameJson(status, statusOf(made) ?? {})) return this.#shown(made)
    return this.#observe(made, status)
  }

  /** The object is in the store with the uid and all else that it says, as after a restored backup. */
  async restore(object: AnyResource): Promise<void> {
    const { kind, metadata } = object
    const key = objectKey(kind, metadata.namespace, metadata.name)
    const value = encodeResource(object)
    await this.#front.store.commit([{ kind: 'put', key, value, expect: { is: 'any' } }])
    await this.#caughtUp()
  }

  /** A user changes all but the status, and who observes the object the status. */
  async change<K extends Kind>(
    kind: K,
    name: string,
    change: (object: Resources[K]) => void,
    namespace = 'default',
  ): Promise<Resources[K]> {
    const before = await this.users.get(kind, namespaceOf(kind, namespace), name)
    const wanted = structuredClone(before)
    change(wanted)
    const updated = await this.users.update(wanted, USER)
    const status = statusOf(wanted)
    if (sameJson(status, statusOf(before))) return this.#shown(updated)
    return this.#observe(updated, status)
  }

  /** A user deletes an object, and does not wait for what it may have running. */
  async remove(kind: Kind, name: string, namespace = 'default'): Promise<void> {
    await this.users.delete(kind, namespaceOf(kind, namespace), name, { gracePeriodSeconds: 0 }, USER)
    await this.#caughtUp()
  }

  /** A pod is placed on a node. */
  async bind(name: string, node: string): Promise<void> {
    const { uid } = this.get('Pod', name)!.metadata
    await this.#shown(await this.users.bind('default', name, uid, node, SCHEDULER))
  }

  /** A pod becomes what an agent reports once it runs and is ready. */
  async makeReady(name: string): Promise<void> {
    if (!isBound(this.get('Pod', name)!)) await this.bind(name, 'n1')
    const ready = { type: 'Ready', status: 'True' as const, lastTransitionTime: formatTime(this.clock.now()) }
    await this.change('Pod', name, ({ status }) => {
      status.phase = 'Running'
      status.conditions = withCondition(status.conditions, ready)
    })
  }

  /** The agent says that nothing of a pod is left on its node. */
  async release(name: string, namespace = 'default'): Promise<void> {
    const { uid } = this.get('Pod', name, namespace)!.metadata
    await this.users.release(namespace, name, uid, AGENT)
    await this.#caughtUp()
  }

  /** Pods become ready, and those that are to end do so, one after the other, until none of either is left. */
  async runPods(): Promise<void> {
    for (;;) {
      await this.settle()
      const next = this.list('Pod').find((pod) => isDeleting(pod) || !isReady(pod))
      if (next === undefined) return
      if (isDeleting(next)) await this.release(next.metadata.name)
      else await this.makeReady(next.metadata.name)
    }
  }

  /** From now on the leader's cache shows nothing new. */
  holdCache(): void {
    this.#leader.store.hold()
  }

  /** Shows one commit of those held, if there is one, and lets everything run that can then. */
  async showNext(): Promise<boolean> {
    const shown = this.#leader.store.deliverNext()
    await this.settle()
    return shown
  }

  /** Shows what is held, commit by commit, letting everything run after each that can; then holds nothing more. */
  async releaseCache(): Promise<void> {
    while (await this.showNext());
    this.#leader.store.release()
  }

  /** Runs reconcilers until `stop`. */
  run(...reconcilers: readonly Reconciler[]): void {
    this.#running.push(runReconcilers(reconcilers, this.parts, this.#stop.signal))
  }

  /**
   * Lets everything run that can run without time passing. Nothing here waits for anything but promises and this clock,
   * so nothing is left to run once all promises are told and no timer is due.
   */
  async settle(): Promise<void> {
    do {
      await this.clock.advance(0)
      await turnsTaken()
    } while (this.clock.untilNext === 0)
  }

  /** As `settle`: thereafter something must hold. */
  async settleTo(holds: () => boolean): Promise<void> {
    await this.settle()
    assert.ok(holds(), `all that can run has run, and yet not ${String(holds)}`)
  }

  /** Lets time pass; all that falls due in it runs to its end before more of it passes. */
  async pass(millis: number): Promise<void> {
    const end = this.clock.monotonic() + millis
    await this.settle()
    for (let next = this.clock.untilNext; next !== undefined; next = this.clock.untilNext) {
      if (this.clock.monotonic() + next > end) break
      await this.clock.advance(next)
      await this.settle()
    }
    await this.clock.advance(end - this.clock.monotonic())
    await this.settle()
  }

  async stop(): Promise<void> {
    this.#leader.store.release()
    this.#stop.abort()
    await Promise.all(this.#running)
    await this.#leader.stop()
    await this.#front.stop()
  }

  async #observe<K extends Kind>({ kind, metadata }: Resources[K], status: unknown): Promise<Resources[K]> {
    const set = (object: Resources[K]): void => void ((object as { status?: unknown }).status = status)
    const { namespace, name } = metadata
    return this.#shown(await this.users.mutate(kind as K, namespace, name, 'status', set, AGENT))
  }

  async #shown<K extends Kind>(object: Resources[K]): Promise<Resources[K]> {
    await this.#caughtUp()
    return object
  }

  /** Resolves when both caches show all that is stored, the leader's unless it is held. */
  async #caughtUp(): Promise<void> {
    await this.#front.reads.current()
    if (!this.#leader.store.held) await this.#leader.reads.current()
  }
}

function throwIf(failure: GantryError | undefined): void {
  if (failure !== undefined) throw failure
}

function statusOf(object: object): Record<string, unknown> | undefined {
  return (object as { status?: Record<string, unknown> }).status
}

function namespaceOf(kind: Kind, namespace: string): string {
  return resourceOf(kind).namespaced ? namespace : ''
}
