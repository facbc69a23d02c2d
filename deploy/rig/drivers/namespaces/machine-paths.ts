/** Where on the host a machine's parts are, and what of it must be remembered. */
import { basename, dirname, join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { JsonValue } from '../../../../proto/gen/types.ts'
import type { ProcessIdentity } from '../../../../proto/base/process.ts'
import type { MachineRecord, MachineSpec } from '../../contract.ts'
import type { Throttle } from './cgroup-tree.ts'
import { cableOf, type RigNetwork } from './host-network.ts'

export interface MachinePaths {
  /** The machine's own folder: files, log, and the mount point of its disk. */
  readonly home: string
  /** The file that is its disk. */
  readonly image: string
  /** Its cgroup, below each hierarchy's root. */
  readonly group: string
  /** The host's end of its network cable. */
  readonly cable: string
}

/** InvalidArgument unless the folder above stateDir has the machine's name: it is removed with the machine, whole. */
export function machinePathsOf(rig: string, network: RigNetwork, { name, index, stateDir }: MachineSpec): MachinePaths {
  const home = dirname(stateDir)
  if (basename(home) !== name)
    throw new GantryError(
      'InvalidArgument',
      `the folder above the state directory ${stateDir} must be the machine's own, named ${name}`,
      { details: [{ field: 'stateDir', value: stateDir, remedy: join(home, name, basename(stateDir)) }] },
    )
  return { home, image: `${home}.disk`, group: `gantry-rig/${rig}/${name}`, cable: cableOf(network, index) }
}

/** What a machine that was started is known by. */
export interface Handle {
  /** `unshare`, which holds the namespaces' init as its child and takes it along when it ends. */
  readonly holder: ProcessIdentity
  /** The machine's init, by its pid on the host. */
  readonly init: ProcessIdentity
  /** Whether it has a disk of its own; that outlives a restart as it was, filled, read-only or slow. */
  readonly ownDisk: boolean
  readonly full?: boolean
  readonly readOnly?: boolean
  /** `device`: the one it had when it was last mounted. */
  readonly throttle?: Throttle
}

export function handleOf({ handle }: MachineRecord): Handle {
  return handle as unknown as Handle
}

export function recordOf(spec: MachineSpec, address: string, handle: Handle): MachineRecord {
  return { spec, address, handle: handle as unknown as JsonValue }
}

/** A path as a machine sees it, by the pid of its init: its own mounts are seen through it. */
export function within(pid: number, path: string): string {
  return `/proc/${pid}/root${path}`
}
