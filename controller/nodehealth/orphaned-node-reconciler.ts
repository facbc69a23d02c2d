/**
 * Counts for nodes whose controller is gone: one that does not register with another becomes suspect and lost by the
 * same rules as one that is silent in its session. Keys are node names.
 */
import { controllerOf, sessionOf } from './node-session.ts'
import { NodeHealthWriter } from './node-health-writer.ts'
import { changesAt, LOST_TIMEOUT_MS, observe, type Liveness } from './liveness.ts'
import { makeKey, splitKey } from '../runner/key.ts'
import { watchSource, writeContext, type Reconciler, type ReconcileParts } from '../runner/runner.ts'

/**
 * Milliseconds that nodes have to come to another controller, from when theirs is seen to be gone or this leader has
 * begun. Less than a silent node has: a controller that fell is seen to be gone seconds after its nodes began to dial
 * elsewhere, which takes them less than one.
 */
const REREGISTER_GRACE_MS = 3_000

export class OrphanedNodeReconciler implements Reconciler {
  readonly name = 'orphans'
  readonly concurrency = 16
  readonly watches
  readonly #parts: ReconcileParts
  readonly #record: NodeHealthWriter
  readonly #orphans = new Map<string, { readonly session: string; readonly liveness: Liveness }>()

  constructor(parts: ReconcileParts) {
    this.#parts = parts
    this.#record = new NodeHealthWriter({ ...parts, context: writeContext(parts, 'node-health') })
    this.watches = [watchSource('Node', ({ cached }) => [makeKey('', cached.object.metadata.name)])]
  }

  /** A controller that comes or goes concerns every node. */
  wake(add: (key: string) => void): () => void {
    const { replicas, informer } = this.#parts
    return replicas.on(() =>
      informer
        .lister('Node')
        .list()
        .forEach(({ metadata: { name } }) => add(makeKey('', name))),
    )
  }

  async reconcile(key: string): Promise<number | undefined> {
    const { name } = splitKey(key)
    const { clock } = this.#parts
    const session = this.#orphaned(name)
    if (session === undefined) {
      this.#orphans.delete(name)
      return undefined
    }
    const now = clock.monotonic()
    const known = this.#orphans.get(name)
    const before: Liveness =
      known?.session === session
        ? known.liveness
        : { is: 'ready', lastSign: now + REREGISTER_GRACE_MS - LOST_TIMEOUT_MS }
    const liveness = observe(before, { kind: 'time', at: now })
    this.#orphans.set(name, { session, liveness })
    if (liveness.is !== 'ready') await this.#record.write(name, session, liveness)
    const due = changesAt(liveness)
    return due === undefined ? undefined : Math.max(0, due - clock.monotonic())
  }

  /** The session of a node that no controller counts for; undefined if one does, or the node never had one. */
  #orphaned(name: string): string | undefined {
    const { informer, replicas, controller } = this.#parts
    const node = informer.lister('Node').get('', name)
    if (node === undefined) return undefined
    const holder = controllerOf(node)
    return holder === controller || (holder !== undefined && replicas.present(holder)) ? undefined : sessionOf(node)
  }
}
