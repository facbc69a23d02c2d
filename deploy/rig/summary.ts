/** All rigs of this host, each in a few words. */
import { isAlive } from '../../proto/base/process.ts'
import type { MachineState } from './contract.ts'
import { openDriver } from './drivers/index.ts'
import { openMachines } from './machines.ts'
import { isForeign, listRigs, type ForeignRecord, type RigRecord } from './rig-record.ts'

export type RigState =
  /** Every machine runs; they may be frozen by a fault. */
  | 'running'
  /** Some machines are off, all are. */
  | 'partly off'
  | 'off'
  | 'making'
  | 'removing'
  /** Its maker ended in the midst. */
  | 'half-made'
  /** Made by another version of Gantry, or with a record that cannot be read: it can only be removed. */
  | 'other version'
  | 'unreadable'

export interface RigSummary {
  readonly name: string
  /** Undefined for one of another version. */
  readonly driver: string | undefined
  readonly controllers: number
  readonly nodes: number
  readonly state: RigState
  /** RFC 3339. */
  readonly created: string | undefined
  /** Ephemeral rigs: the pid that it lives with. */
  readonly owner: number | undefined
}

export async function summarizeRigs(): Promise<RigSummary[]> {
  return Promise.all((await listRigs()).map(summarize))
}

async function summarize(rig: RigRecord | ForeignRecord): Promise<RigSummary> {
  if (isForeign(rig))
    return {
      name: rig.name,
      driver: undefined,
      controllers: 0,
      nodes: 0,
      state: rig.problem === undefined ? 'other version' : 'unreadable',
      created: undefined,
      owner: undefined,
    }
  const count = (role: string): number => rig.machines.filter(({ spec }) => spec.role === role).length
  return {
    name: rig.name,
    driver: rig.driver,
    controllers: count('controller'),
    nodes: count('node'),
    state: await rigState(rig),
    created: rig.created,
    owner: rig.owner?.pid,
  }
}

export async function rigState(rig: RigRecord): Promise<RigState> {
  if (rig.phase !== 'ready') return isAlive(rig.maker) ? rig.phase : 'half-made'
  const driver = await openDriver(rig.driver)
  return stateOf(await Promise.all(openMachines(driver, rig).map((machine) => machine.state())))
}

export function stateOf(machines: readonly MachineState[]): RigState {
  const off = machines.filter((state) => state === 'off').length
  if (off === 0) return 'running'
  return off === machines.length ? 'off' : 'partly off'
}
