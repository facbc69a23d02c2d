/** Pods of the benchmarks: as they are asked for, and as a watcher sees them. */
import { decodeResource } from '../../proto/codec/wire.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { Cluster } from '../e2e/cluster.ts'
import { eventually } from '../eventually.ts'

/**
 * As in the bare loop. Its first process would not hear SIGTERM, so it is ended by SIGKILL at once; without any grace,
 * it would be deleted before its node has removed it.
 */
const POD_SPEC = {
  os: { name: 'linux' },
  containers: [
    {
      name: 'main',
      image: 'busybox',
      imagePullPolicy: 'IfNotPresent',
      command: ['/bin/sleep', '1000000'],
      lifecycle: { stopSignal: 'SIGKILL' },
    },
  ],
  terminationGracePeriodSeconds: 1,
}

interface Manifest {
  readonly apiVersion: string
  readonly kind: 'Pod' | 'Deployment'
  readonly metadata: { readonly name: string }
}

/** `node`: where it is to run. */
export function podOf(name: string, node?: string): Manifest {
  const spec = { ...POD_SPEC, ...selectorOf(node) }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec } as Manifest
}

export function deploymentOf(name: string, replicas: number, node?: string): Manifest {
  const labels = { app: name }
  const spec = {
    replicas,
    selector: { matchLabels: labels },
    template: { metadata: { labels }, spec: { ...POD_SPEC, ...selectorOf(node) } },
  }
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec } as Manifest
}

function selectorOf(node: string | undefined): object {
  return node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }
}

export async function apply({ connection }: Cluster, manifest: Manifest): Promise<void> {
  const { apiVersion, kind, metadata } = manifest
  await connection
    .client('Resources')
    .apply({
      ref: { apiVersion, kind, namespace: 'default', name: metadata.name },
      configuration: JSON.stringify(manifest),
      options: { fieldManager: 'bench' },
    })
}

export async function remove({ connection }: Cluster, { apiVersion, kind, metadata }: Manifest): Promise<void> {
  await connection.client('Resources').delete({ ref: { apiVersion, kind, namespace: 'default', name: metadata.name } })
}

/** Pods of the namespace as a watcher sees them. */
export class PodWatcher {
  readonly #waiting = new Map<string, (pod: Pod) => void>()
  readonly #leaving = new Map<string, () => void>()
  readonly #stop = new AbortController()
  readonly #pods = new Map<string, Pod>()
  /** Revisions of each pod from that which binds it to that which says that it runs. */
  readonly #writes = new Map<string, Set<string>>()
  #running: Promise<void> | undefined

  static async start(cluster: Cluster): Promise<PodWatcher> {
    const watcher = new PodWatcher()
    await new Promise<void>((began) => {
      watcher.#running = watcher.#follow(cluster, began)
    })
    return watcher
  }

  /** Resolves, at the moment that the watcher sees it, when the pod runs. */
  running(name: string): Promise<Pod> {
    return new Promise((resolve) => this.#waiting.set(name, resolve))
  }

  /** Resolves when the watcher sees that the pod is gone. */
  gone(name: string): Promise<void> {
    return new Promise((resolve) => this.#leaving.set(name, resolve))
  }

  /** Milliseconds at most. */
  async allRunning(count: number, millis: number): Promise<void> {
    await eventually(() => this.count('Running') >= count, millis)
  }

  async allGone(millis: number): Promise<void> {
    await eventually(() => this.#pods.size === 0, millis)
  }

  count(phase: string): number {
    return [...this.#pods.values()].filter((seen) => seen.status.phase === phase).length
  }

  /** Of each pod, how often it was written after it was bound, until it ran. */
  writesToRunning(): number[] {
    return [...this.#writes.values()].map((revisions) => revisions.size - 1)
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #follow(cluster: Cluster, began: () => void): Promise<void> {
    try {
      for await (const { type, object } of cluster.connection
        .client('Resources')
        .watch({ apiVersion: 'v1', kind: 'Pod', namespace: 'default' }, { signal: this.#stop.signal })) {
        if (type === 'BOOKMARK' || object === undefined) began()
        else this.#see(type, decodeResource('Pod', object.raw))
      }
    } catch (thrown) {
      if (!this.#stop.signal.aborted) throw thrown
    }
  }

  #see(type: string, seen: Pod): void {
    const { name, uid, resourceVersion } = seen.metadata
    const before = this.#pods.get(name)
    if (type === 'DELETED') {
      this.#pods.delete(name)
      this.#leaving.get(name)?.()
    } else this.#pods.set(name, seen)
    if (seen.spec.nodeName !== undefined && before?.status.phase !== 'Running')
      this.#writes.set(uid, (this.#writes.get(uid) ?? new Set()).add(resourceVersion))
    if (seen.status.phase === 'Running') this.#waiting.get(name)?.(seen)
  }
}
