/** What the members' NATS servers present to each other. */
import { randomBytes } from 'node:crypto'
import type { Store } from '../store/contract.ts'
import { loadOrCreateSecret, type StoredSecretOptions } from '../store/stored-secret.ts'

export const ROUTE_SECRET_KEY = '/gantry-supervise/nats-routes'

/**
 * 64 hexadecimal digits, however long the store is away. Rejects with the signal's reason when it is aborted before.
 */
export function routeSecret(
  store: Pick<Store, 'get' | 'commit'>,
  options: StoredSecretOptions,
  signal: AbortSignal,
): Promise<string> {
  return loadOrCreateSecret(store, ROUTE_SECRET_KEY, () => randomBytes(32).toString('hex'), options, signal)
}
