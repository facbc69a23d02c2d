/** Growing delays between tries. */
import type { Random } from './random.ts'

export interface BackoffOptions {
  /** Milliseconds before the second try. */
  readonly first: number
  /** No delay is longer. */
  readonly max: number
  readonly factor?: number
  /** 0.2: each delay is up to 20 % shorter or longer, so that many who failed together do not return together. */
  readonly jitter?: number
}

/** Milliseconds to wait after `failures` failures in a row (≥ 1). */
export function backoffDelay(options: BackoffOptions, failures: number, random: Random): number {
  const { first, max, factor = 2, jitter = 0.2 } = options
  const base = Math.min(max, first * factor ** Math.max(0, failures - 1))
  return Math.min(max, base * (1 + jitter * (2 * random.next() - 1)))
}
