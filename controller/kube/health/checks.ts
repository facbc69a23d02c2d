/** What must hold for the face to be of use, as others ask for it: a load balancer, a supervisor, a person. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { StoreHealth } from '../../requests/store-health.ts'

/** Milliseconds that a check takes at most. */
const CHECK_TIMEOUT_MS = 2_000

export interface CheckResult {
  /** Why it does not hold; undefined: it does. */
  readonly failure?: string | undefined
}

export interface Check {
  readonly name: string
  run(): Promise<CheckResult>
}

/** By the name of the path: healthz, livez, readyz. */
export type Checks = ReadonlyMap<string, readonly Check[]>

export interface CheckParts {
  readonly health: Pick<StoreHealth, 'confirmed' | 'revision'>
  /** Throws Unavailable while nothing can be served. */
  readonly available: () => void
  readonly clock: Clock
}

/** A controller that cannot reach its store is alive and not ready: starting it again would not help. */
export function healthChecks(parts: CheckParts): Checks {
  const ping: Check = { name: 'ping', run: async () => ({}) }
  const ready = [ping, etcdCheck(parts), cacheCheck(parts), serving(parts)]
  return new Map([
    ['healthz', ready],
    ['livez', [ping]],
    ['readyz', ready],
  ])
}

/** The store answers, and the cache follows it. */
function etcdCheck({ health, clock }: CheckParts): Check {
  return {
    name: 'etcd',
    run: () =>
      new Promise((resolve) => {
        const timer = clock.after(CHECK_TIMEOUT_MS, () =>
          resolve({ failure: `no answer within ${CHECK_TIMEOUT_MS} ms` }),
        )
        health
          .confirmed()
          .then(
            () => resolve({}),
            (thrown: unknown) => resolve({ failure: GantryError.from(thrown).message }),
          )
          .finally(() => timer.cancel())
      }),
  }
}

function cacheCheck({ health }: CheckParts): Check {
  return {
    name: 'informer-sync',
    run: async () => (health.revision > 0 ? {} : { failure: 'the cache has no complete list yet' }),
  }
}

function serving({ available }: CheckParts): Check {
  return {
    name: 'serving',
    async run() {
      try {
        available()
        return {}
      } catch (thrown) {
        return { failure: GantryError.from(thrown).message }
      }
    },
  }
}
