/** Machines that faults keep off. */
import type { Machine } from '../contract.ts'
import type { FaultContext } from './contract.ts'
import { parseTarget } from './target.ts'

/** The machine as it is in the rig now; undefined once it was removed. */
export function findMachine(field: FaultContext, name: string): Machine | undefined {
  return field.machines.find(({ spec }) => spec.name === name)
}

/** The other faults in force that keep this machine off. */
export function poweredOffBy(field: FaultContext, name: string): string[] {
  return field.others
    .filter(
      ({ kind, values }) =>
        (kind === 'power-off' && values.machine === name) || (kind === 'kill' && isMachine(values.target, name)),
    )
    .map(({ id }) => id)
}

function isMachine(target: unknown, name: string): boolean {
  if (typeof target !== 'string') return false
  const { machine, program } = parseTarget(target)
  return machine === name && program === undefined
}

/** Starts a machine unless it was removed, or another fault keeps it off. */
export async function startUnlessPoweredOff(field: FaultContext, name: string): Promise<void> {
  const machine = findMachine(field, name)
  if (machine !== undefined && poweredOffBy(field, name).length === 0) await field.start(machine)
}
