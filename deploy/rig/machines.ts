/** The machines of a rig, from its record; what changes of them goes into it. */
import { GantryError } from '../../proto/base/errors.ts'
import { nearest } from '../../proto/base/nearest.ts'
import type { Driver, Machine, MachineRecord } from './contract.ts'
import { requireNotRemoving, updateRig, type RigRecord } from './rig-record.ts'

/**
 * The record with this machine, in place of the one of its name; by their numbers in the network, the registry last.
 */
export function withMachine(rig: RigRecord, machine: MachineRecord): RigRecord {
  const others = rig.machines.filter(({ spec }) => spec.name !== machine.spec.name)
  return { ...rig, machines: [...others, machine].sort((a, b) => rank(a) - rank(b)) }
}

function rank({ spec: { role, index } }: MachineRecord): number {
  return role === 'registry' ? 1000 : index
}

export function openMachine(driver: Driver, rig: RigRecord, machine: MachineRecord): Machine {
  return driver.machine(rig.name, rig.network!, machine, async (changed) => {
    await updateRig(rig.name, (latest) => withMachine(requireNotRemoving(latest), changed))
  })
}

export function openMachines(driver: Driver, rig: RigRecord): Machine[] {
  return rig.machines.map((machine) => openMachine(driver, rig, machine))
}

/** The machine of this name; NotFound, with the nearest, if there is none. */
export function requireMachine(rig: RigRecord, name: string): MachineRecord {
  const found = rig.machines.find(({ spec }) => spec.name === name)
  if (found !== undefined) return found
  const names = rig.machines.map(({ spec }) => spec.name)
  const meant = nearest(name, names)
  throw new GantryError(
    'NotFound',
    `the rig "${rig.name}" has no machine "${name}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    { details: [{ field: 'machine', value: name, remedy: `it has ${names.join(', ')}` }] },
  )
}
