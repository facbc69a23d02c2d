/** A rig as its faults see it: machines and faults of its record. */
import { systemClock } from '../../proto/base/clock.ts'
import type { Driver } from './contract.ts'
import { endTimer, startTimer } from './fault-timer.ts'
import type { FaultBackend } from './faults/fault-engine.ts'
import { openMachines } from './machines.ts'
import { withLock } from './record-lock.ts'
import { faultsLockFile, requireRig, requireNotRemoving, updateRig } from './rig-record.ts'

/** Milliseconds that one process waits while another begins or ends faults. */
const PATIENCE = 60_000

export function rigFaultBackend(rig: string, driver: Driver): FaultBackend {
  return {
    rig,
    driver,
    clock: systemClock,
    machines: async () => openMachines(driver, await requireRig(rig)),
    faults: async () => (await requireRig(rig)).faults,
    update: async (change) =>
      void (await updateRig(rig, (record) => ({ ...requireNotRemoving(record), faults: change(record.faults) }))),
    alone: (work) =>
      withLock(
        faultsLockFile(rig),
        async () => {
          requireNotRemoving(await requireRig(rig)) // before anything is swept, too: that may start machines
          return work()
        },
        PATIENCE,
      ),
    setTimer: (id, millis) => startTimer(rig, id, millis),
    endTimer: async (timer) => endTimer(timer),
  }
}
