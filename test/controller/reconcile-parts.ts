/** What reconcilers of a leader that is the only controller are made of, over a control plane of a test. */
import type { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import type { ReconcileParts } from '../../controller/runner/runner.ts'
import { silentLogger } from '../../proto/base/logger.ts'

/** Nobody hears of events unless `more` says who. */
export function reconcileParts(
  plane: Pick<ReconcileParts, 'api' | 'informer' | 'clock' | 'random'> & { readonly reads: ConsistentReads },
  more: Partial<ReconcileParts> = {},
): ReconcileParts {
  const { api, informer, clock, random, reads } = plane
  return {
    api,
    informer,
    clock,
    random,
    logger: silentLogger,
    controller: 'c1',
    replicas: { present: () => true, kubeAddresses: () => new Map(), on: () => () => undefined },
    term: undefined,
    authority: 'the authority',
    events: { record: () => undefined },
    caughtUp: () => reads.current(),
    clusterRanges: ['10.244.0.0/16', '10.96.0.0/16'],
    ...more,
  }
}
