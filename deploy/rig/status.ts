/** What a rig is like just now: its machines, what runs on them, its nodes, its faults. */
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { nodeStatus } from '../../proto/objects/columns/columns.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { Driver, Machine, MachineRecord, MachineState, ProgramName, Role } from './contract.ts'
import { openCluster, rigContext } from './cluster-access.ts'
import { ownContextFile } from './cluster-files.ts'
import type { FaultRecord } from './faults/contract.ts'
import { isInForce } from './faults/fault-engine.ts'
import { programsOf } from './faults/target.ts'
import { REGISTRY, REGISTRY_PORT } from './layout.ts'
import { openMachine, requireMachine } from './machines.ts'
import type { RigRecord } from './rig-record.ts'
import { rigState, type RigState } from './summary.ts'

/** Milliseconds for a control plane to tell of its nodes. */
const CLUSTER_PATIENCE = 2_000
const MACHINE_PATIENCE = 5_000
/** Faults that have ended and are told. */
const PAST = 5

export interface ProgramStatus {
  readonly name: ProgramName
  /** On the machine. */
  readonly pid: number
  readonly upSeconds: number
}

export interface MachineStatus {
  readonly name: string
  readonly role: Role
  readonly address: string
  readonly state: MachineState
  /**
   * What the control plane says of the node, "Ready", "Suspect", "Lost,SchedulingDisabled"; undefined for other roles,
   * and if it does not answer or does not know the node.
   */
  readonly node?: string
  /** Those that were meant to run and do. */
  readonly programs: readonly ProgramStatus[]
  /** Of all its processes, shared pages shared out (Pss); undefined while it is off. */
  readonly memoryBytes?: number
}

export interface RigStatus {
  readonly name: string
  readonly driver: string
  readonly state: RigState
  readonly created: string
  /** Ephemeral rigs: the pid that it lives with. */
  readonly owner?: number
  readonly context: { readonly name: string; readonly file: string; readonly server: readonly string[] }
  readonly registry: string
  readonly machines: readonly MachineStatus[]
  /** Why no controller told of its nodes. */
  readonly problem?: string
  /** In force, then the latest that have ended. */
  readonly faults: readonly Omit<FaultRecord, 'undo' | 'timer' | 'beginning'>[]
}

export async function rigStatus(rig: RigRecord, driver: Driver, signal: AbortSignal): Promise<RigStatus> {
  const [state, context, registry, nodes, machines] = await Promise.all([
    rigState(rig),
    rigContext(rig.name),
    driver.endpoint(requireMachine(rig, REGISTRY), REGISTRY_PORT),
    askNodes(rig.name, signal),
    Promise.all(rig.machines.map((record) => machineStatus(openMachine(driver, rig, record), record))),
  ])
  const words = nodes instanceof GantryError ? new Map<string, string>() : nodes
  return {
    name: rig.name,
    driver: rig.driver,
    state,
    created: rig.created,
    ...(rig.owner === undefined ? {} : { owner: rig.owner.pid }),
    context: { name: rig.name, file: rig.contextFile ?? ownContextFile(rig.name), server: context.server },
    registry,
    machines: machines.map((machine) =>
      words.has(machine.name) ? { ...machine, node: words.get(machine.name)! } : machine,
    ),
    ...(nodes instanceof GantryError ? { problem: nodes.message } : {}),
    faults: [...rig.faults.filter(isInForce), ...rig.faults.filter((fault) => !isInForce(fault)).slice(-PAST)].map(
      ({ undo: _undo, timer: _timer, beginning: _beginning, ...told }) => told,
    ),
  }
}

/** How each node is, or why that is not known. */
async function askNodes(rig: string, signal: AbortSignal): Promise<Map<string, string> | GantryError> {
  let cluster: ClusterClient | undefined
  try {
    cluster = await openCluster(rig, signal, CLUSTER_PATIENCE)
    const { items } = await cluster.list('Node', { namespace: '' })
    return new Map(items.map((node) => [node.metadata.name, nodeStatus(node)]))
  } catch (thrown) {
    signal.throwIfAborted()
    return GantryError.from(thrown)
  } finally {
    cluster?.close()
  }
}

/**
 * A line for each process: pid, start in clock ticks since boot, Pss in kB, command line. Those that end meanwhile are
 * left out.
 */
const SURVEY = `cut -d. -f1 /proc/uptime; for p in /proc/[0-9]*; do
  set -- $(sed 's/.*) //' $p/stat 2>/dev/null) && [ $# -gt 20 ] && echo "\${p#/proc/} \${20} $(sed -n 's/^Pss: *\\([0-9]*\\) kB$/\\1/p' $p/smaps_rollup 2>/dev/null || echo 0) $(tr '\\0' ' ' < $p/cmdline 2>/dev/null)"
done; true`
/**
 * https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: starttime is in ticks, of which Linux tells programs a
 * hundred a second.
 */
const TICKS = 100

async function machineStatus(
  machine: Machine,
  { spec: { name, role }, address }: MachineRecord,
): Promise<MachineStatus> {
  const state = await machine.state()
  if (state === 'off') return { name, role, address, state, programs: [] }
  const { programs, memoryBytes } = parseSurvey(
    (await machine.run(['sh', '-c', SURVEY], { timeout: MACHINE_PATIENCE })).stdout,
    role,
  )
  return { name, role, address, state, programs, memoryBytes }
}

/** Reads what SURVEY prints. */
export function parseSurvey(text: string, role: Role): Pick<Required<MachineStatus>, 'programs' | 'memoryBytes'> {
  const [uptime = '0', ...lines] = text.split('\n')
  const processes = lines.flatMap((line) => {
    const [, pid, start, pss, command] = /^(\d+) (\d+) (\d*) (.*)$/.exec(line) ?? []
    return pid === undefined
      ? []
      : [
          {
            pid: Number(pid),
            upSeconds: Math.max(0, Number(uptime) - Math.floor(Number(start) / TICKS)),
            pss: Number(pss),
            command: command!,
          },
        ]
  })
  return {
    memoryBytes: processes.reduce((sum, { pss }) => sum + pss * 1024, 0),
    programs: programsOf(role).flatMap((name) =>
      processes
        .filter(({ command }) => COMMANDS[name].test(command))
        .slice(0, 1)
        .map(({ pid, upSeconds }) => ({ name, pid, upSeconds })),
    ),
  }
}

/** By their command lines; those under init's shell do not count. */
const COMMANDS: Readonly<Record<ProgramName, RegExp>> = {
  agent: /^\S*node\S* \S*gantry-agent\.cjs --config/,
  controller: /^\S*node\S* \S*gantry-controller\.cjs --config/,
  etcd: /^\S*etcd /,
  nats: /^\S*nats-server /,
  registry: /^\S*docker-registry serve/,
}
