/**
 * An agent whose pods run as soon as they are assigned and end as soon as they are told to. What runs on it outlives
 * its sessions, and itself.
 */
import type { Dispatcher } from '../../controller/dispatch/dispatcher.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import { decodeResource, type Input } from '../../proto/codec/wire.ts'
import { Channel } from '../../proto/base/channel.ts'
import type { FakeClock, Timer } from '../../proto/base/clock.ts'
import { ENDPOINT_DRAIN_TIMEOUT_MS } from '../../agent/pods/plan/kill-plan.ts'
import type {
  Assignments,
  ControllerMessage,
  EndpointSlice,
  NetworkUpdate,
  NodeMessage,
  ObservedPod,
  Pod,
} from '../../proto/gen/types.ts'

const HEARTBEAT = 1_000
/** Milliseconds until it dials again after a session has ended. */
const REDIAL = 200

interface Parts {
  readonly name: string
  /** Which of the controllers it dials first. */
  readonly first: number
  /** Of the controllers that answer. */
  readonly dispatchers: () => readonly Dispatcher[]
  readonly clock: FakeClock
}

/** How a pod came to its end on a node that waits for its withdrawal. */
export interface PodEnd {
  readonly uid: string
  /** Told that nobody sends the pod anything any more; else the time was up. */
  readonly notified: boolean
  /** Milliseconds since the node was told to end it. */
  readonly after: number
}

interface Running {
  readonly pod: Pod
  readonly startedAt: number
}

interface Conversation {
  readonly sent: Channel<NodeMessage>
  readonly ended: AbortController
}

export class SimulatedAgent {
  readonly name: string
  /** Every start of a pod on this machine, by the pod's name. */
  readonly started: string[] = []
  /** Every end of one. */
  readonly ended: string[] = []
  /** Pods that are deleted wait until they are withdrawn, or 5 s, as on a real node; otherwise they end at once. */
  waitsForWithdrawal = false
  /** Milliseconds until it follows what it was told of the network; Infinity: never. */
  followsAfter = 0
  /** Called as a pod ends that has waited. */
  onEnd: (end: PodEnd) => void = () => undefined
  readonly #leaving = new Map<string, { readonly since: number; readonly late: Timer }>()
  /** Endpoints that take connections, by slice, as the node follows them: pods' uids. */
  readonly #endpoints = new Map<string, ReadonlySet<string>>()
  /** Of its pods' addresses, as the control plane gave it. */
  #range = ''
  readonly #addresses = new Map<string, string>()
  readonly #parts: Parts
  readonly #running = new Map<string, Running>()
  #conversation: Conversation | undefined
  #turn: number
  #beat: Timer | undefined
  #dial: Timer | undefined
  #up = false
  #reachable = true

  constructor(parts: Parts) {
    this.name = parts.name
    this.#parts = parts
    this.#turn = parts.first
  }

  /** Names of the pods whose processes are alive. */
  get running(): string[] {
    return [...this.#running.values()].map(({ pod }) => pod.metadata.name).sort()
  }

  /** Uids of pods that this node sends connections to. */
  get sendsTo(): ReadonlySet<string> {
    return new Set([...this.#endpoints.values()].flatMap((uids) => [...uids]))
  }

  /** The agent's process begins, with the pods of before. */
  start(): void {
    this.#up = true
    this.#connect()
  }

  /** The agent's process ends, and the kernel closes its connections; pods live on. */
  stop(): void {
    this.#up = false
    this.#hangUp()
  }

  /** Nothing of it gets through any more, not even that a connection is closed. */
  cutOff(): void {
    this.#reachable = false
    this.#beat?.cancel()
  }

  /** It is reached again: the old session is found dead, a new one begins. */
  reconnect(): void {
    this.#reachable = true
    if (!this.#up) return
    this.#hangUp()
    this.#connect()
  }

  /** It speaks again in the session that it has, as after a pause. */
  goOn(): void {
    this.#reachable = true
    this.#heartbeat()
  }

  /** The machine loses power: nothing runs any more, and nobody is told. */
  powerOff(): void {
    this.cutOff()
    this.#up = false
    this.#running.clear()
  }

  #hangUp(): void {
    this.#beat?.cancel()
    this.#dial?.cancel()
    const conversation = this.#conversation
    this.#conversation = undefined
    conversation?.ended.abort(new GantryError('Cancelled', 'gone'))
    conversation?.sent.close()
  }

  #connect(): void {
    this.#dial?.cancel()
    const dispatchers = this.#parts.dispatchers()
    if (!this.#up || !this.#reachable) return
    if (dispatchers.length === 0) return this.#redial()
    const conversation: Conversation = { sent: new Channel(), ended: new AbortController() }
    this.#conversation = conversation
    conversation.sent.push({
      message: {
        case: 'hello',
        value: {
          agentId: this.name,
          version: '1',
          node: {
            apiVersion: 'v1',
            kind: 'Node',
            metadata: {
              name: this.name,
              namespace: '',
              uid: '',
              resourceVersion: '',
              labels: { 'kubernetes.io/hostname': this.name },
            },
            spec: {},
            status: { capacity: { cpu: '4', pods: '100' }, allocatable: { cpu: '4', pods: '100' } },
          },
        },
      },
    })
    this.#converse(dispatchers[this.#turn++ % dispatchers.length]!, conversation).then(
      () => this.#over(conversation),
      () => this.#over(conversation),
    )
  }

  async #converse(dispatcher: Dispatcher, { sent, ended }: Conversation): Promise<void> {
    const call = { signal: ended.signal, user: { name: `system:node:${this.name}`, groups: [] }, peer: this.name }
    for await (const message of dispatcher.session(sent, call)) this.#receive(message as ControllerMessage)
  }

  /** Whoever is out of reach does not learn that its session has ended. */
  #over(conversation: Conversation): void {
    if (this.#conversation !== conversation) return
    this.#conversation = undefined
    this.#beat?.cancel()
    if (this.#up && this.#reachable) this.#redial()
  }

  #redial(): void {
    this.#dial = this.#parts.clock.after(REDIAL, () => this.#connect())
  }

  #receive({ message }: ControllerMessage): void {
    if (!this.#reachable) return
    if (message?.case === 'welcome') {
      this.#range = message.value.node?.spec.podCIDR ?? ''
      this.#heartbeat()
      this.#report([...this.#running.values()].map((running) => this.#observed(running)))
    } else if (message?.case === 'assignments') this.#assign(message.value)
    else if (message?.case === 'network') this.#told(message.value)
    else if (message?.case === 'withdrawn') for (const uid of message.value.podUids) this.#leave(uid, true)
  }

  #told(update: NetworkUpdate): void {
    const follow = (): void => {
      if (update.complete) this.#endpoints.clear()
      for (const { key, entry } of update.set) {
        if (entry?.case === 'object' && entry.value.kind === 'EndpointSlice')
          this.#endpoints.set(key, takers(decodeResource('EndpointSlice', entry.value.raw)))
      }
      for (const key of update.removed) this.#endpoints.delete(key)
      this.#send({ message: { case: 'networkApplied', value: { revision: update.revision } } })
    }
    if (this.followsAfter === 0) follow()
    else if (this.followsAfter < Infinity) this.#parts.clock.after(this.followsAfter, follow)
  }

  /** A pod that has waited ends. */
  #leave(uid: string, told: boolean): void {
    const leaving = this.#leaving.get(uid)
    const running = this.#running.get(uid)
    this.#leaving.delete(uid)
    leaving?.late.cancel()
    if (leaving === undefined || running === undefined) return
    this.onEnd({ uid, notified: told, after: this.#parts.clock.monotonic() - leaving.since })
    this.#end(uid)
    this.#report([this.#released(running.pod)])
  }

  #released({ metadata: { namespace, name, uid } }: Pod): ObservedPod {
    return { namespace, name, uid, status: { phase: 'Failed' }, released: true }
  }

  #heartbeat(): void {
    this.#beat?.cancel()
    this.#send({ message: { case: 'heartbeat', value: { uptimeMillis: 1 } } })
    this.#beat = this.#parts.clock.after(HEARTBEAT, () => this.#heartbeat())
  }

  #assign({ complete, set, removed }: Assignments): void {
    const pods = set.filter(({ kind }) => kind === 'Pod').map(({ raw }) => decodeResource('Pod', raw))
    const news: ObservedPod[] = []
    for (const pod of pods) {
      const { uid, deletionTimestamp } = pod.metadata
      if (deletionTimestamp !== undefined) {
        if (this.waitsForWithdrawal && this.#running.has(uid)) {
          if (this.#leaving.has(uid)) continue
          this.#leaving.set(uid, {
            since: this.#parts.clock.monotonic(),
            late: this.#parts.clock.after(ENDPOINT_DRAIN_TIMEOUT_MS, () => this.#leave(uid, false)),
          })
          continue
        }
        this.#end(uid)
        news.push(this.#released(pod))
      } else if (!this.#running.has(uid)) {
        this.started.push(pod.metadata.name)
        this.#running.set(uid, { pod, startedAt: this.#parts.clock.now() })
        news.push(this.#observed(this.#running.get(uid)!))
      }
    }
    const assigned = new Set(pods.map(({ metadata: { uid } }) => uid))
    const gone = new Set(removed.filter(({ kind }) => kind === 'Pod').map(({ name }) => name))
    for (const [uid, { pod }] of [...this.#running])
      if (!assigned.has(uid) && (complete || gone.has(pod.metadata.name))) this.#end(uid)
    this.#report(news)
  }

  #end(uid: string): void {
    const running = this.#running.get(uid)
    if (running === undefined) return
    this.#running.delete(uid)
    this.ended.push(running.pod.metadata.name)
  }

  #observed({
    pod: {
      metadata: { namespace, name, uid },
    },
    startedAt,
  }: Running): ObservedPod {
    const lastTransitionTime = formatTime(startedAt)
    const conditions = ['Ready', 'ContainersReady'].map((type) => ({
      type,
      status: 'True' as const,
      lastTransitionTime,
    }))
    return {
      namespace,
      name,
      uid,
      released: false,
      status: { phase: 'Running', startTime: lastTransitionTime, conditions, podIP: this.#addressOf(uid) },
    }
  }

  #addressOf(uid: string): string {
    const known = this.#addresses.get(uid) ?? this.#range.replace(/\.0\/24$/, `.${this.#addresses.size + 2}`)
    this.#addresses.set(uid, known)
    return known
  }

  #report(pods: ObservedPod[]): void {
    if (pods.length > 0) this.#send({ message: { case: 'statuses', value: { pods } } })
  }

  #send(message: Input<NodeMessage>): void {
    if (this.#reachable) this.#conversation?.sent.push(message as NodeMessage)
  }
}

function takers({ endpoints = [] }: EndpointSlice): Set<string> {
  return new Set(
    endpoints.flatMap(({ conditions, targetRef }) =>
      conditions?.ready !== false && targetRef?.uid !== undefined ? [targetRef.uid] : [],
    ),
  )
}
