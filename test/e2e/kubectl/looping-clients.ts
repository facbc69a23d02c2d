/**
 * Programs that use the Kubernetes API on and on, whatever fails, each by the controller that serves it: they note what
 * they were told, to be compared with what there is in the end.
 */
import { setInterval } from 'node:timers/promises'
import * as k8s from '@kubernetes/client-node'

/** Milliseconds between two things that a client does. */
const PACE = 100

/** What it does again and again until it is stopped; what fails is tried at the next controller. */
abstract class LoopingClient {
  readonly #configs: readonly k8s.KubeConfig[]
  readonly #done: Promise<void>
  #at: number
  #stopped = false

  constructor(configs: readonly k8s.KubeConfig[], first: number) {
    this.#configs = configs
    this.#at = first
    this.#done = this.#go()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  /** False: the controller was of no use. */
  protected abstract step(config: k8s.KubeConfig): Promise<boolean>

  async #go(): Promise<void> {
    for await (const _ of setInterval(PACE)) {
      if (this.#stopped) return
      if (!(await this.step(this.#configs[this.#at]!))) this.#at = (this.#at + 1) % this.#configs.length
    }
  }
}

/** Counts in a Lease, by optimistic updates, as those do who elect a leader. */
export class Counter extends LoopingClient {
  acknowledged = 0
  /** Updates of which it is not known whether they were made. */
  unsure = 0
  conflicts = 0

  protected override async step(config: k8s.KubeConfig): Promise<boolean> {
    const leases = config.makeApiClient(k8s.CoordinationV1Api)
    const place = { namespace: 'default', name: 'counted' }
    let lease: k8s.V1Lease
    try {
      lease = await leases.readNamespacedLease(place)
    } catch {
      return false
    }
    try {
      await leases.replaceNamespacedLease({
        ...place,
        body: { ...lease, spec: { ...lease.spec, leaseTransitions: lease.spec!.leaseTransitions! + 1 } },
      })
      this.acknowledged++
      return true
    } catch (thrown) {
      const conflict = thrown instanceof k8s.ApiException && thrown.code === 409
      if (conflict) this.conflicts++
      else this.unsure++
      return conflict
    }
  }
}

export const TICKETS = { group: 'faults.example.com', version: 'v1', plural: 'tickets', namespace: 'default' } as const

/**
 * Makes custom objects whose names the server makes up, and tries again what was refused with Retry-After, as Go's
 * client library does unseen.
 */
export class Maker extends LoopingClient {
  /** Calls, by the label that each object has of the one that made it. */
  readonly acknowledged: string[] = []
  readonly #name: string
  #calls = 0

  /** `name`: its own. */
  constructor(configs: readonly k8s.KubeConfig[], first: number, name: string) {
    super(configs, first)
    this.#name = name
  }

  protected override async step(config: k8s.KubeConfig): Promise<boolean> {
    const call = `${this.#name}-${this.#calls}`
    try {
      const body = {
        apiVersion: `${TICKETS.group}/${TICKETS.version}`,
        kind: 'Ticket',
        metadata: { generateName: 'made-', labels: { call } },
      }
      await config.makeApiClient(k8s.CustomObjectsApi).createNamespacedCustomObject({ ...TICKETS, body })
      this.acknowledged.push(call)
    } catch (thrown) {
      if (thrown instanceof k8s.ApiException && thrown.headers['retry-after'] !== undefined) return true
      this.#calls++
      return false
    }
    this.#calls++
    return true
  }
}

/**
 * One of several who apply an object on the server: its own field, and now and then another's, which must be refused.
 */
export class Applier extends LoopingClient {
  /** The last value that was acknowledged, and the last that it tried. */
  acknowledged = 0
  tried = 0
  overwritten = 0
  readonly #name: string
  readonly #other: string
  /** Each has asked its controller once what is served there. */
  readonly #apis = new Map<k8s.KubeConfig, k8s.KubernetesObjectApi>()

  constructor(configs: readonly k8s.KubeConfig[], first: number, name: string, other: string) {
    super(configs, first)
    this.#name = name
    this.#other = other
  }

  protected override async step(config: k8s.KubeConfig): Promise<boolean> {
    const value = ++this.tried
    const theft = value % 10 === 0
    const data = { [this.#name]: String(value), ...(theft && { [this.#other]: 'stolen' }) }
    let api = this.#apis.get(config)
    if (api === undefined) this.#apis.set(config, (api = k8s.KubernetesObjectApi.makeApiClient(config)))
    try {
      await api.patch(
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'applied', namespace: 'default' },
          data,
        } as k8s.V1ConfigMap,
        undefined,
        undefined,
        this.#name,
        false,
        k8s.PatchStrategy.ServerSideApply,
      )
      this.acknowledged = value
      if (theft) this.overwritten++
      return true
    } catch (thrown) {
      return thrown instanceof k8s.ApiException && thrown.code === 409
    }
  }
}

export interface FollowedKind {
  readonly apiVersion: string
  readonly kind: string
  readonly plural: string
}

/** An informer of one kind by one controller, begun again whenever it ends with an error. */
export class Follower {
  readonly kind: FollowedKind
  /** What went back. */
  readonly faults: string[] = []
  readonly #informer: k8s.Informer<k8s.KubernetesObject> & k8s.ObjectCache<k8s.KubernetesObject>
  readonly #versions = new Map<string, number>()
  readonly #done: Promise<void>
  #broken = true
  #stopped = false

  constructor(config: k8s.KubeConfig, kind: FollowedKind) {
    this.kind = kind
    const { apiVersion, plural } = kind
    this.#informer = k8s.makeInformer(
      config,
      `/${apiVersion.includes('/') ? 'apis' : 'api'}/${apiVersion}/namespaces/default/${plural}`,
      () => listed(config, kind),
    )
    for (const verb of ['add', 'update'] as const) this.#informer.on(verb, (object) => this.#told(object))
    this.#informer.on('error', () => (this.#broken = true))
    this.#done = this.#go()
  }

  /** "name version" of everything that it has. */
  get versions(): string[] {
    return versionsOf(this.#informer.list())
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
    await this.#informer.stop()
  }

  #told({ metadata }: k8s.KubernetesObject): void {
    const [name, version] = [metadata!.name!, Number(metadata!.resourceVersion)]
    const before = this.#versions.get(name) ?? 0
    if (version < before) this.faults.push(`${this.kind.kind} ${name} went back from ${before} to ${version}`)
    this.#versions.set(name, version)
  }

  async #go(): Promise<void> {
    for await (const _ of setInterval(PACE)) {
      if (this.#stopped) return
      if (!this.#broken) continue
      this.#broken = false
      await this.#informer.start()
    }
  }
}

/** All of a kind, as one controller has it. */
export function listed(
  config: k8s.KubeConfig,
  { apiVersion, kind }: FollowedKind,
): Promise<k8s.KubernetesListObject<k8s.KubernetesObject>> {
  return k8s.KubernetesObjectApi.makeApiClient(config).list(apiVersion, kind, 'default')
}

export function versionsOf(objects: readonly k8s.KubernetesObject[]): string[] {
  return objects.map(({ metadata }) => `${metadata!.name} ${metadata!.resourceVersion}`).sort()
}
