/**
 * A secret that all controllers share: made by whichever comes first, kept in the store beside the objects, read by the
 * others.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { backoffDelay, type BackoffOptions } from '../../proto/base/backoff.ts'
import { delay, type Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Store } from './contract.ts'

export interface StoredSecretOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

const RETRY: BackoffOptions = { first: 100, max: 2_000 }

/**
 * What is kept under the key, or what `make` makes, however long the store is away. Rejects with the signal's reason
 * when it is aborted before.
 */
export async function loadOrCreateSecret(
  store: Pick<Store, 'get' | 'commit'>,
  key: string,
  make: () => string,
  { clock, random, logger }: StoredSecretOptions,
  signal: AbortSignal,
): Promise<string> {
  for (let failures = 1; ; failures++) {
    try {
      const kept = await store.get(key)
      if (kept !== undefined) return Buffer.from(kept.value).toString()
      const made = make()
      const { outcome } = await store.commit([{ kind: 'put', key, value: Buffer.from(made), expect: { is: 'absent' } }])
      if (outcome === 'committed') return made
    } catch (thrown) {
      if (!GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) throw thrown
      logger.warn({ err: thrown, key }, 'cannot read a secret of the controllers yet')
    }
    await delay(clock, backoffDelay(RETRY, failures, random), signal)
  }
}
