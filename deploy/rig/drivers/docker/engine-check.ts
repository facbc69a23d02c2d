/** Whether a Docker engine can carry a rig: what it lacks, each with the remedy. */
import type { Demand, Shortcoming } from '../../contract.ts'

const MEBI = 2 ** 20
/** Bytes that one of each takes beside its pods: see namespaces/host-check.ts. A container adds its shim, 10 MiB. */
const NODE = 74 * MEBI
const CONTROLLER = 170 * MEBI
const REGISTRY = 42 * MEBI
const RESERVE = 256 * MEBI
/** The first that gives containers a cgroup namespace of their own. */
const LEAST_VERSION = 20

/** The part of the engine's own description that matters: GET /info. */
export interface EngineFacts {
  readonly OSType: string
  readonly ServerVersion: string
  readonly MemTotal: number
  readonly SecurityOptions?: readonly string[] | null
}

export function findShortcomings(
  { OSType, ServerVersion, MemTotal, SecurityOptions }: EngineFacts,
  { controllers, nodes }: Demand,
): Shortcoming[] {
  const found: Shortcoming[] = []
  if (OSType !== 'linux')
    found.push({
      what: 'containers of the Docker engine',
      found: OSType,
      needed: 'linux',
      remedy: 'switch the engine to Linux containers',
      severity: 'fatal',
    })
  if (Number(ServerVersion.split('.')[0]) < LEAST_VERSION)
    found.push({
      what: 'Docker engine',
      found: ServerVersion,
      needed: `${LEAST_VERSION}.10 or newer`,
      remedy: 'install a newer one',
      severity: 'fatal',
    })
  if (SecurityOptions?.includes('name=rootless') === true)
    found.push({
      what: 'Docker engine',
      found: 'without root',
      needed: 'with root: machines mount file systems and make namespaces',
      remedy: 'use an engine that runs as root, by DOCKER_HOST',
      severity: 'fatal',
    })
  const memory = controllers * CONTROLLER + REGISTRY + nodes * NODE + RESERVE
  if (MemTotal < memory)
    found.push({
      what: 'memory of the Docker engine',
      found: mebibytes(MemTotal),
      needed: mebibytes(memory),
      remedy: 'give the engine more, or make the rig smaller',
      severity: 'fatal',
    })
  return found
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / MEBI)} MiB`
}
