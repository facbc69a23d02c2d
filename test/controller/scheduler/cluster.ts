/** Nodes and pods for the scheduler's tests, and what it works on: memory store, watch cache and API core. */
import { ConsistentReads } from '../../../controller/api/consistent-reads.ts'
import { ObjectRegistry } from '../../../controller/api/objects.ts'
import { StoreInformer } from '../../../controller/informer/informer.ts'
import { createParticipants } from '../../../controller/participants.ts'
import { Scheduler } from '../../../controller/scheduler/scheduler.ts'
import type { SchedulerOptions } from '../../../controller/scheduler/scheduling-term.ts'
import type { Operation, Store, Term } from '../../../controller/store/contract.ts'
import { GroupCommit } from '../../../controller/store/group-commit.ts'
import { objectKey } from '../../../controller/store/keys.ts'
import { MemoryStore } from '../../../controller/store/memory.ts'
import type { GantryError } from '../../../proto/base/errors.ts'
import { encodeResource } from '../../../proto/codec/wire.ts'
import { FakeClock, type Clock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import type { AnyResource, Kind, Node, Pod, Taint } from '../../../proto/gen/types.ts'
import { turnsTaken } from '../../turns.ts'

export interface NodeOptions {
  cpu?: string
  memory?: string
  pods?: string
  more?: Record<string, string>
  labels?: Record<string, string>
  taints?: Taint[]
  unschedulable?: boolean
  ready?: 'True' | 'False' | 'Unknown'
  /** Why it is not ready. */
  reason?: string
}

export function node(
  name: string,
  {
    cpu = '4',
    memory = '8Gi',
    pods = '110',
    more,
    labels,
    taints,
    unschedulable,
    ready = 'True',
    reason,
  }: NodeOptions = {},
): Node {
  const allocatable = { cpu, memory, pods, ...more }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      namespace: '',
      uid: `node-${name}`,
      resourceVersion: '',
      labels: { 'kubernetes.io/hostname': name, ...labels },
    },
    spec: { taints, unschedulable },
    status: {
      capacity: allocatable,
      allocatable,
      conditions: [
        {
          type: 'Ready',
          status: ready,
          ...(reason !== undefined && { reason, lastHeartbeatTime: '2026-01-01T12:03:07Z' }),
        },
      ],
    },
  } as unknown as Node
}

export interface PodOptions {
  cpu?: string
  memory?: string
  requests?: Record<string, string>
  owner?: string
  labels?: Record<string, string>
  priority?: number
  created?: string
  uid?: string
  spec?: Partial<Pod['spec']>
  status?: Partial<Pod['status']>
}

export function pod(
  name: string,
  {
    cpu,
    memory,
    requests,
    owner,
    labels,
    priority,
    created = '2026-01-01T00:00:00Z',
    uid = `pod-${name}`,
    spec,
    status,
  }: PodOptions = {},
): Pod {
  const asked = { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }), ...requests }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid,
      resourceVersion: '',
      generation: 1,
      creationTimestamp: created,
      labels,
      ...(owner === undefined
        ? {}
        : {
            ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true }],
          }),
    },
    spec: { containers: [{ name: 'main', image: 'busybox', resources: { requests: asked } }], priority, ...spec },
    status: { phase: 'Pending', ...status },
  } as unknown as Pod
}

export const put = (object: AnyResource): Operation => ({
  kind: 'put',
  key: objectKey(object.kind, object.metadata.namespace, object.metadata.name),
  value: encodeResource(object),
  expect: { is: 'any' },
})

export interface Recorded {
  pod: string
  type: string
  reason: string
  message: string
}

export class TestCluster {
  readonly clock: Clock
  readonly store: Store
  readonly informer: StoreInformer
  readonly scheduler: Scheduler
  readonly events: Recorded[] = []
  /** Binds asked of the API, as pod@node. */
  readonly binds: string[] = []
  /** Answers a bind instead of the API, when it gives an error. */
  failBind: (pod: string, node: string) => GantryError | undefined | Promise<GantryError> = () => undefined
  statusWrites = 0
  readonly #stop = new AbortController()
  readonly #tasks: Promise<void>[] = []

  constructor(clock: Clock, options: Partial<SchedulerOptions> = {}, store: Store = new MemoryStore(clock)) {
    this.clock = clock
    this.store = store
    const random = seededRandom(1)
    this.informer = new StoreInformer({ store: this.store, clock, random, logger: silentLogger })
    const { informer } = this
    const reads = new ConsistentReads(store, informer)
    const participants = createParticipants({ informer, store, random, reads })
    const api = new ObjectRegistry({ reads, participants, informer, commits: new GroupCommit(store), clock, random })
    this.scheduler = new Scheduler({
      informer,
      api: {
        bind: async (namespace, name, uid, node, context) => {
          this.binds.push(`${name}@${node}`)
          const failure = await this.failBind(name, node)
          if (failure !== undefined) throw failure
          return api.bind(namespace, name, uid, node, context)
        },
        mutate: (kind, namespace, name, subresource, change, context) => {
          const counted: typeof change = (object) => {
            const answer = change(object)
            if (answer !== false) this.statusWrites++
            return answer
          }
          return api.mutate(kind, namespace, name, subresource, counted, context)
        },
      },
      clock,
      random,
      logger: silentLogger,
      events: {
        record: ({ regarding, type, reason, message }) =>
          void this.events.push({ pod: regarding.metadata.name, type, reason, message }),
      },
      ...options,
    })
  }

  async start(): Promise<void> {
    const term: Term = {
      key: '/leader',
      createRevision: await this.write([
        { kind: 'put', key: '/leader', value: Buffer.from('test'), expect: { is: 'any' } },
      ]),
    }
    this.#tasks.push(this.informer.run(this.#stop.signal))
    await this.informer.synced()
    this.#tasks.push(this.scheduler.run(term, this.#stop.signal))
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#tasks)
  }

  /** Writes objects as they are, and lets the scheduler do what follows at once. */
  async put(...objects: AnyResource[]): Promise<void> {
    await this.write(objects.map(put))
    await this.settle()
  }

  async remove(kind: Kind, name: string): Promise<void> {
    const namespace = kind === 'Node' ? '' : 'default'
    await this.write([{ kind: 'delete', key: objectKey(kind, namespace, name), expect: { is: 'any' } }])
    await this.settle()
  }

  /** Until the informer, once started, has everything and nothing more happens without time passing. */
  async settle(): Promise<void> {
    if (this.#tasks.length === 0) return
    for (let revision = -1; revision !== (await this.store.revision());) {
      revision = await this.store.revision()
      await this.informer.waitForRevision(revision)
      if (this.clock instanceof FakeClock) await this.clock.advance(0)
      await turnsTaken()
    }
  }

  /** Commits without waiting for what follows. */
  async write(operations: Operation[]): Promise<number> {
    const result = await this.store.commit(operations)
    if (result.outcome !== 'committed') throw new Error(`not committed: ${result.outcome}`)
    return result.revision
  }

  pod(name: string): Pod {
    const found = this.informer.lister('Pod').get('default', name)
    if (found === undefined) throw new Error(`no pod ${name}`)
    return found
  }

  /** Where a pod is bound, '' if nowhere. */
  placeOf(name: string): string {
    return this.pod(name).spec.nodeName ?? ''
  }

  /** The message of condition PodScheduled. */
  reason(name: string): string | undefined {
    return this.pod(name).status.conditions?.find(({ type }) => type === 'PodScheduled')?.message
  }
}
