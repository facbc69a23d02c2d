/**
 * Runs reconcilers while this replica leads: changes become keys, keys become passes, failed passes come again with
 * growing delays.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import { WorkQueue } from '../../proto/base/workqueue.ts'
import type { Kind } from '../../proto/gen/types.ts'
import type { EventSink, ObjectApi, WriteContext } from '../api/contract.ts'
import type { Replicas } from '../election/replicas.ts'
import type { Change, Informer } from '../informer/contract.ts'
import type { Term } from '../store/contract.ts'

const CATCH_UP: BackoffOptions = { first: 100, max: 5_000 }

/** Changes of one kind, and the keys they concern. Called for every change: it must be quick and must not throw. */
export interface WatchSource {
  /** any: every kind, also those that are defined later. */
  readonly kind: Kind | 'any'
  readonly keys: (change: Change) => Iterable<string>
}

/** Ties the type of the change to the kind. */
export function watchSource<K extends Kind>(kind: K, keys: (change: Change<K>) => Iterable<string>): WatchSource {
  return { kind, keys: keys as unknown as WatchSource['keys'] }
}

/** Changes of every kind. */
export function watchAnyKind(keys: (change: Change) => Iterable<string>): WatchSource {
  return { kind: 'any', keys }
}

export interface Reconciler {
  readonly name: string
  /** Passes at once, each of another key. */
  readonly concurrency: number
  readonly watches: readonly WatchSource[]
  /** Adds keys for what is told otherwise than by changes of objects, until the call that it answers with. */
  wake?(add: (key: string) => void): () => void
  /**
   * One pass: reads everything again, does what is to be done. Resolves with the milliseconds after which the key is
   * due again though nothing changed, if so.
   */
  reconcile(key: string): Promise<number | undefined>
}

/** What a reconciler is made of; made anew for every term. */
export interface ReconcileParts {
  readonly api: ObjectApi
  readonly informer: Informer
  readonly events: EventSink
  /** Ends the events of a namespace that goes; absent where none are kept. Unavailable while they cannot be reached. */
  readonly endEvents?: (namespace: string) => Promise<void>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Name of this controller, and which others there are. */
  readonly controller: string
  readonly replicas: Pick<Replicas, 'present' | 'kubeAddresses' | 'on'>
  /** From which pods and Services have their addresses: CIDRs. */
  readonly clusterRanges: readonly string[]
  /** The certificate of the cluster's certificate authority, PEM. */
  readonly authority: string
  /** Of the leadership; undefined where nobody else can lead. */
  readonly term: Term | undefined
  /** Resolves when the cache shows every write acknowledged before the call. */
  readonly caughtUp: () => Promise<void>
}

/** ServiceAccounts of Kubernetes' controllers that are called otherwise than the reconcilers here. */
const ACCOUNTS: Readonly<Record<string, string>> = {
  garbage: 'generic-garbage-collector',
  podgc: 'pod-garbage-collector',
  'node-health': 'node-controller',
  eviction: 'node-controller',
  loadbalancer: 'service-controller',
  serviceaccount: 'service-account-controller',
}

/**
 * How a reconciler writes: as its fields' owner, and only while it leads; to admission webhooks and policies it is
 * Kubernetes' controller of that kind.
 */
export function writeContext(parts: ReconcileParts, reconciler: string): WriteContext {
  return {
    fieldManager: `${reconciler}-controller`,
    controllerAccount: ACCOUNTS[reconciler] ?? `${reconciler}-controller`,
    term: parts.term,
  }
}

/**
 * Resolves when the signal is aborted and the passes under way have ended. It begins when the cache shows all that
 * leaders before this one wrote, so that nothing is done twice.
 */
export async function runReconcilers(
  reconcilers: readonly Reconciler[],
  parts: ReconcileParts,
  signal: AbortSignal,
): Promise<void> {
  const group = new RunGroup(signal)
  group.spawn(async (ended) => {
    await catchUp(parts, ended)
    for (const reconciler of reconcilers) group.add((stopped) => runReconciler(reconciler, parts, stopped))
  })
  await group.wait()
}

/** However long the store is away: a leader that cannot see must not act, nor give up for that. */
async function catchUp({ caughtUp, clock, random, logger }: ReconcileParts, signal: AbortSignal): Promise<void> {
  for (let failures = 1; ; failures++) {
    try {
      return await caughtUp()
    } catch (thrown) {
      if (!GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) throw thrown
      logger.warn({ failures, code: thrown.code, err: thrown }, 'the cache has not caught up yet')
      await delay(clock, backoffDelay(CATCH_UP, failures, random), signal)
    }
  }
}

async function runReconciler(reconciler: Reconciler, parts: ReconcileParts, signal: AbortSignal): Promise<void> {
  const { clock, random, informer } = parts
  const log = parts.logger.child({ component: reconciler.name })
  const queue = new WorkQueue(clock, random)
  const stops = reconciler.watches.map(({ kind, keys }) => {
    const enqueue = (change: Change): void => {
      for (const key of keys(change)) queue.add(key)
    }
    return kind === 'any' ? informer.onAny(enqueue) : informer.on(kind, enqueue as (change: Change<Kind>) => void)
  })
  const unwake = reconciler.wake?.((key) => queue.add(key))
  if (unwake !== undefined) stops.push(unwake)
  const pass = async (key: string): Promise<void> => {
    const again = await reconciler.reconcile(key)
    if (again !== undefined) queue.addAfter(key, again)
  }
  try {
    await queue.run(
      pass,
      (key, error, failures) => logFailure(log, key, error, failures),
      signal,
      reconciler.concurrency,
    )
  } finally {
    for (const stop of stops) stop()
  }
}

/** That somebody else was faster is daily life; that the store is away is told by others too. */
function logFailure(log: Logger, key: string, thrown: unknown, failures: number): void {
  const error = GantryError.from(thrown)
  const fields = { key, failures, code: error.code, err: error }
  if (GantryError.is(error, 'Conflict', 'NotFound', 'AlreadyExists', 'Cancelled'))
    log.debug(fields, 'pass to be repeated')
  else if (GantryError.is(error, 'Unavailable', 'DeadlineExceeded', 'Forbidden', 'ResourceExhausted'))
    log.warn(fields, 'pass failed')
  else log.error(fields, 'pass failed')
}
