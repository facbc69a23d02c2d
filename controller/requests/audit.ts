/** Where a log of all requests will be kept. https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/ */
import type { ErrorCode, GantryError } from '../../proto/base/errors.ts'
import type { RequestInfo } from './request-info.ts'

/** How a request ended. A watch or a stream that its caller left is 'OK'. */
export interface RequestOutcome {
  readonly code: ErrorCode | 'OK'
  /** What refused it, or went wrong. */
  readonly error?: GantryError
}

/**
 * Is told of every request at the door. `received` comes first, before anybody has decided whether the caller may;
 * `completed` comes once for each `received`, when the answer is known, or when a watch or stream is over. Both are
 * called on the way of the request: they must return at once, must not throw, and must not change what they are given.
 * An auditor that has to write keeps a bounded queue of its own, and says itself what becomes of requests that it
 * cannot keep (a policy may want them refused; then `received` is where it says so, by a change of this contract).
 */
export interface Auditor {
  received(info: RequestInfo): void
  completed(info: RequestInfo, outcome: RequestOutcome): void
}

/** Keeps nothing. */
export const noAudit: Auditor = { received: () => undefined, completed: () => undefined }
