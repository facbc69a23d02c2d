/**
 * What a pod waits for, counted by the wall clock so that it outlives the agent. That clock can be set: the waits of a
 * pod then move with it, and last neither longer nor shorter than they were to.
 */
import type { PodRecord } from '../../state/contract.ts'
import { restartBackoff } from './restart-backoff.ts'

/**
 * Milliseconds by which the wall clock may stray from the monotonic one before it counts as set; less is made up for
 * once it adds up to this.
 */
export const CLOCK_JUMP_THRESHOLD_MS = 1_000

/** The wall clock was set by so many milliseconds, back if they are negative. */
export function shiftDeadlines(record: PodRecord, millis: number): void {
  if (record.stopSince !== undefined) record.stopSince += millis
  record.activeSince = (record.activeSince ?? record.acceptedAt) + millis
  for (const known of Object.values(record.containers)) {
    if (known.retryAt > 0) known.retryAt += millis
    shiftKillDeadline(known.instance, millis)
  }
}

/**
 * A record of an earlier run: none of its waits began later than now, though the wall clock may have been set back
 * since.
 */
export function clampDeadlines(record: PodRecord, now: number): void {
  if (record.stopSince !== undefined) record.stopSince = Math.min(record.stopSince, now)
  record.activeSince = Math.min(record.activeSince ?? record.acceptedAt, now)
  for (const known of Object.values(record.containers)) {
    known.retryAt = Math.min(known.retryAt, now + restartBackoff(known.failures))
    shiftKillDeadline(known.instance, Math.min(0, now - (known.instance?.kill?.since ?? now)))
  }
}

function shiftKillDeadline(instance: PodRecord['containers'][string]['instance'], millis: number): void {
  if (instance?.kill === undefined) return
  const { kill } = instance
  instance.kill = { ...kill, since: kill.since + millis, deadline: kill.deadline + millis }
}
