/**
 * A member of etcd that was cut off may stay without a leader long after it can be reached again: its connections wait
 * for TCP's next retransmission, which comes the later the longer the cut was (RFC 6298, 5.5). Started anew it has new
 * connections, and a leader within a second.
 */
import { elapsed } from '../../proto/base/clock.ts'
import type { SuperviseOptions } from './child.ts'

/**
 * Milliseconds between looks, and without a leader until the others are asked: a cut that was shorter is made up for as
 * soon by itself.
 */
const CHECK_INTERVAL_MS = 1_000
const LEADERLESS_TIMEOUT_MS = 5_000
/** Milliseconds from one start anew to the next: the member has to come to rest in between. */
const RESTART_INTERVAL_MS = 20_000

export interface MemberLife {
  /** False while it has no leader, or does not answer. */
  healthy(signal: AbortSignal): Promise<boolean>
  /** True if so many of the members can be reached that they could agree, this one included. */
  majorityReachable(): Promise<boolean>
  restart(reason: string): void
}

/** Until the signal is aborted. */
export async function restartStuckMember(
  member: MemberLife,
  { clock, random, logger }: SuperviseOptions,
  signal: AbortSignal,
): Promise<void> {
  let since: number | undefined
  let last = -Infinity
  while (await elapsed(clock, CHECK_INTERVAL_MS, signal)) {
    if (await member.healthy(signal)) {
      since = undefined
      continue
    }
    const now = clock.monotonic()
    since ??= now
    if (now - since < LEADERLESS_TIMEOUT_MS || now - last < RESTART_INTERVAL_MS || !(await member.majorityReachable()))
      continue
    // Not all at the same moment, where all were cut off from each other.
    if (!(await elapsed(clock, random.next() * CHECK_INTERVAL_MS, signal)) || (await member.healthy(signal))) continue
    last = clock.monotonic()
    logger.warn(
      { leaderlessMillis: Math.round(last - since) },
      'this member of etcd has no leader though the others can be reached: starting it anew',
    )
    member.restart('it had no leader though the others could be reached')
    since = undefined
  }
}
