/** Records of other versions, as far as is needed to remove what they tell of. */
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { identify, type ProcessIdentity } from '../../proto/base/process.ts'
import type { JsonValue } from '../../proto/gen/types.ts'
import type { MachineRecord, Role } from './contract.ts'
import { driverNames } from './drivers/index.ts'
import { RECORD_VERSION, rigDirectory, type ForeignRecord, type RigRecord } from './rig-record.ts'

/** The form before records had a version: machines of namespaces, all their files in the rig's folder. */
interface FirstForm {
  readonly network?: {
    readonly bridge: string
    readonly prefix: string
    readonly table: string
    readonly owner: string
  }
  readonly machines: readonly {
    readonly spec: {
      readonly name: string
      readonly address: string
      readonly log: string
      readonly command: readonly string[]
    }
    readonly holder: ProcessIdentity
    readonly init: ProcessIdentity
  }[]
}

/**
 * A record by which the rig can be removed; FailedPrecondition for one that tells too little. `contextFile`: where its
 * context is if the record does not say.
 */
export function adoptOld(record: ForeignRecord, contextFile: string): RigRecord {
  const { name, version, content, problem } = record
  const common = {
    version: RECORD_VERSION,
    name,
    created: '',
    phase: 'removing',
    maker: identify(process.pid)!,
    options: { controllers: 0, nodes: 0, diskBytes: 0 },
    faults: [],
  } as const
  // The driver finds what there is by the rig's name.
  if (problem !== undefined)
    return {
      ...common,
      driver: driverNames.find((driver) => driver === content.driver) ?? 'namespaces',
      contextFile,
      machines: [],
    }
  if (!Array.isArray(content.machines)) throw untold(record)
  if (version === undefined) {
    const { network, machines } = content as unknown as FirstForm
    return {
      ...common,
      driver: 'namespaces',
      contextFile,
      ...(network === undefined ? {} : { network: { handle: { ...network } } }),
      machines: machines.map((machine) => adoptMachine(name, machine)),
    }
  }
  const known = content as unknown as RigRecord
  if (!(driverNames as readonly string[]).includes(known.driver)) throw untold(record)
  return {
    ...common,
    ...known,
    contextFile: known.contextFile ?? contextFile,
    phase: 'removing',
    faults: Array.isArray(known.faults) ? known.faults : [],
  }
}

function adoptMachine(
  rig: string,
  { spec: { name, address, log, command }, holder, init }: FirstForm['machines'][number],
): MachineRecord {
  const role: Role = name === 'registry' ? 'registry' : name === 'controller' ? 'controller' : 'node'
  const home = join(rigDirectory(rig), name)
  return {
    spec: {
      name,
      role,
      index: Number(address.split('.')[3]),
      program: { name: role === 'node' ? 'agent' : role, command },
      files: [],
      stateDir: join(home, 'state'),
      runDir: join('/run/gantry', rig, name),
      log,
      diskBytes: 0,
    },
    address,
    handle: { holder, init, ownDisk: false } as unknown as JsonValue,
  }
}

function untold({ name, version }: ForeignRecord): GantryError {
  const file = join(rigDirectory(name), 'rig.json')
  return new GantryError(
    'FailedPrecondition',
    `${file} (version ${version ?? 'none'}) does not tell what the rig "${name}" is made of`,
    {
      details: [
        {
          field: 'version',
          value: String(version ?? ''),
          remedy: `remove it with the version of Gantry that made it, or end its processes and remove ${rigDirectory(name)}`,
        },
      ],
    },
  )
}
