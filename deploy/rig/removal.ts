/**
 * How a rig goes: everything that its record tells of, whole or half-made, in whichever process; and what dead owners
 * left.
 */
import { existsSync } from 'node:fs'
import { contextFilePath } from '../../proto/client/context.ts'
import { removeContext } from '../../proto/client/context-changes.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { delay, systemClock } from '../../proto/base/clock.ts'
import { identify, isAlive } from '../../proto/base/process.ts'
import { KeyedLock } from '../../proto/base/semaphore.ts'
import { killHelperProcesses } from './helper-processes.ts'
import { endReaper } from './reaper.ts'
import type { Driver } from './contract.ts'
import { openDriver } from './drivers/index.ts'
import { noteForwarding } from './drivers/namespaces/forwarding.ts'
import { endTimer } from './fault-timer.ts'
import { adoptOld } from './old-record.ts'
import { sweepLocks, withLock } from './record-lock.ts'
import {
  faultsLockFile,
  forgetRemains,
  forgetRig,
  freeReserve,
  isForeign,
  listRigs,
  readAnyRig,
  RIGS,
  rigNames,
  updateRig,
  type ForeignRecord,
  type RigRecord,
} from './rig-record.ts'

/** Milliseconds for another process to finish the removal that it has begun. */
const PATIENCE = 15_000
const INTERVAL = 20

/** Two removals by this process at once are one. */
const here = new KeyedLock()

/**
 * Removes a rig with everything that belongs to it; false if there is none. FailedPrecondition while another process
 * makes it. Where something resists, the rest is removed all the same, the record stays, and it can be tried again.
 */
export function removeRig(name: string): Promise<boolean> {
  return here.run(name, async () => {
    await freeReserve(name)
    const rig = await beginRemoval(name)
    if (rig === undefined) return false
    try {
      await removeParts(rig)
    } catch (thrown) {
      await admitFailure(name, GantryError.from(thrown))
      throw thrown
    }
    // A file that is gone has no context to be removed; its folder may be gone with it.
    if (rig.contextFile !== undefined && existsSync(rig.contextFile)) await removeContext(rig.contextFile, name)
    await forgetRig(name)
    return true
  })
}

/**
 * All that the record tells of; what another process is doing to the machines ends first, so that it makes nothing
 * anew.
 */
async function removeParts(rig: RigRecord): Promise<void> {
  const { name, companion, network, machines } = rig
  const driver = await openDriver(rig.driver)
  endTimers(rig)
  if (companion !== undefined) endReaper(companion)
  if (network === undefined && machines.length === 0) await killHelperProcesses(name)
  await withLock(
    faultsLockFile(name),
    async () => {
      // A fault that was just beginning has its timer since.
      const now = await readAnyRig(name)
      if (now !== undefined && !isForeign(now)) endTimers(now)
      await removeMachines(driver, rig)
      await driver.removeNetwork(name, network)
    },
    PATIENCE,
  )
}

function endTimers({ faults }: RigRecord): void {
  for (const { timer } of faults) if (timer !== undefined) endTimer(timer)
}

/** So that other processes need not wait for this one to end before they try again. */
async function admitFailure(name: string, { message }: GantryError): Promise<void> {
  const found = await readAnyRig(name)
  if (found !== undefined && !isForeign(found)) await updateRig(name, (rig) => ({ ...rig, stuck: message }))
}

async function removeMachines(driver: Driver, { name, network, machines }: RigRecord): Promise<void> {
  const ends = await Promise.allSettled(
    network === undefined ? [] : machines.map((machine) => driver.removeMachine(name, network, machine)),
  )
  const failed = ends.flatMap((end, at) =>
    end.status === 'rejected' ? [{ name: machines[at]!.spec.name, error: GantryError.from(end.reason) }] : [],
  )
  if (failed.length === 0) return
  throw new GantryError(
    failed[0]!.error.code,
    failed.map((one) => `machine ${one.name}: ${one.error.message}`).join('; '),
    {
      details: failed.map((one) => ({
        field: one.name,
        message: one.error.message,
        remedy: `\`gantry rig down ${name}\` tries again`,
      })),
      cause: failed[0]!.error,
    },
  )
}

/** The record, marked as being removed by this process; undefined if there is none, or no longer. */
async function beginRemoval(name: string): Promise<RigRecord | undefined> {
  const deadline = systemClock.monotonic() + PATIENCE
  for (;;) {
    const found = await readAnyRig(name)
    if (found === undefined) return undefined
    if (isForeign(found)) {
      const { forwardingBefore } = found.content
      if (typeof forwardingBefore === 'string') await noteForwarding(forwardingBefore)
      return adoptOld(found, contextFilePath(process.env))
    }
    const rig = await mark(name)
    if (rig === undefined || rig.maker.pid === process.pid) return rig
    if (systemClock.monotonic() > deadline)
      throw new GantryError('Unavailable', `process ${rig.maker.pid} has been removing the rig "${name}" for long`, {
        details: [{ field: 'name', value: name, remedy: `end that process, then \`gantry rig down ${name}\`` }],
      })
    await delay(systemClock, INTERVAL)
  }
}

/** The record as it is then: marked, unless another process is at it already. */
async function mark(name: string): Promise<RigRecord | undefined> {
  const me = identify(process.pid)!
  try {
    return await updateRig(name, (rig) => {
      const atIt = rig.maker.pid !== me.pid && isAlive(rig.maker) && rig.stuck === undefined
      if (rig.phase === 'making' && atIt)
        throw new GantryError('FailedPrecondition', `process ${rig.maker.pid} is making the rig "${name}"`, {
          details: [
            { field: 'name', value: name, remedy: 'wait for it, or interrupt that process, which then removes it' },
          ],
        })
      if (rig.phase === 'removing' && atIt) return rig
      const { stuck: _, ...rest } = rig
      return { ...rest, phase: 'removing', maker: me }
    })
  } catch (thrown) {
    if (GantryError.is(thrown, 'NotFound')) return undefined
    throw thrown
  }
}

/** A rig that was removed because nobody could want it any more. */
export interface RemovedRig {
  readonly name: string
  /** "its owner, process 123, has ended". */
  readonly why: string
}

/**
 * Removes rigs left half-made or half-removed, and ephemeral ones whose owner has ended. What cannot be removed now is
 * told to `failed`.
 */
export async function sweepRigs(failed: (name: string, error: GantryError) => void): Promise<RemovedRig[]> {
  const left = (await listRigs()).flatMap((rig): RemovedRig[] => {
    const why = abandoned(rig)
    return why === undefined ? [] : [{ name: rig.name, why }]
  })
  const ends = await Promise.all(
    left.map(async (swept): Promise<RemovedRig[]> => {
      try {
        return (await removeRig(swept.name)) ? [swept] : []
      } catch (thrown) {
        failed(swept.name, GantryError.from(thrown))
        return []
      }
    }),
  )
  await sweepFolders()
  return ends.flat()
}

/** Why nobody wants it any more; undefined if somebody may. */
export function abandoned(rig: RigRecord | ForeignRecord): string | undefined {
  if (isForeign(rig)) return undefined
  const { phase, maker, owner, stuck } = rig
  if (owner !== undefined && !isAlive(owner)) return `its owner, process ${owner.pid}, has ended`
  if (phase === 'making' && !isAlive(maker)) return `process ${maker.pid} ended while making it`
  if (phase === 'removing' && stuck !== undefined) return `its removal failed: ${stuck}`
  if (phase === 'removing' && !isAlive(maker)) return `process ${maker.pid} ended while removing it`
  return undefined
}

/**
 * Folders of rigs whose maker died before the first record, or whose record somebody removed, and lock files of dead
 * processes.
 */
async function sweepFolders(): Promise<void> {
  for (const name of await rigNames()) {
    if ((await readAnyRig(name)) === undefined)
      await forgetRemains(name, async () => {
        await killHelperProcesses(name)
        await (await openDriver('namespaces')).removeNetwork(name, undefined)
      })
  }
  if (existsSync(RIGS)) await sweepLocks(RIGS)
}
