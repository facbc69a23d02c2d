/** A machine as a container: what the engine is asked to make. Nothing here speaks to it. */
import { join } from 'node:path'
import type { JsonValue } from '../../../../proto/gen/types.ts'
import { buildTar } from '../../../image-builder.ts'
import { HOME } from '../../../node-image/node-image.ts'
import type { MachineRecord, MachineSpec } from '../../contract.ts'
import type { DockerClient } from '../../../docker-engine.ts'

export type ContainerOptions = Parameters<DockerClient['createContainer']>[0]

/**
 * Labels of everything that the driver makes: the rig's name, the machine's.
 * https://docs.docker.com/engine/manage-resources/labels/
 */
export const RIG_LABEL = 'dev.gantry.rig'
export const MACHINE_LABEL = 'dev.gantry.machine'

/** Where the file that is a machine's disk is, on a volume of its own. */
export const DISK_VOLUME = '/var/lib/gantry-disk'

/** It sees its own part of the cgroup tree only. (The setting is missing in the client's types.) */
const OWN_CGROUPS: object = { CgroupnsMode: 'private' }

/** What a disk outlives a restart as. */
export interface DiskSettings {
  readonly full?: boolean
  readonly readOnly?: boolean
  readonly bytesPerSecond?: number | undefined
}

/** What a machine that was started is known by. */
export interface Handle extends DiskSettings {
  /** The container's id; undefined while it is being made. */
  readonly container?: string
  /** Published ports by the machine's own; only where containers' addresses are not reached. */
  readonly ports: Readonly<Record<string, number>>
  /** Perhaps: written down before it is done. */
  readonly frozen?: boolean
}

export function handleOf({ handle }: MachineRecord): Handle {
  return handle as unknown as Handle
}

export function recordOf(spec: MachineSpec, address: string, handle: Handle): MachineRecord {
  return { spec, address, handle: handle as unknown as JsonValue }
}

export function containerName(rig: string, machine: string): string {
  return `gantry-${rig}-${machine}`
}

/** The machine's control group, below the root that its container sees. */
export function groupOf(rig: string, machine: string): string {
  return `gantry-rig/${rig}/${machine}`
}

export interface Container {
  readonly rig: string
  readonly spec: MachineSpec
  readonly image: string
  readonly network: string
  readonly address: string
  readonly ports: Handle['ports']
}

export function containerOptions({ rig, spec, image, network, address, ports }: Container): ContainerOptions {
  const { name, diskBytes, stateDir, runDir, log, program, memoryBytes, cpus } = spec
  const labels = { [RIG_LABEL]: rig, [MACHINE_LABEL]: name }
  const hold = join(runDir, `hold-${program.name}`)
  return {
    name: containerName(rig, name),
    Hostname: name,
    Image: image,
    Labels: labels,
    Entrypoint: [join(HOME, 'deploy/rig/drivers/docker/machine-boot')],
    Cmd: [name, groupOf(rig, name), String(diskBytes), stateDir, runDir, log, hold, ...program.command],
    ExposedPorts: Object.fromEntries(Object.keys(ports).map((port) => [`${port}/tcp`, {}])),
    HostConfig: {
      // It mounts, makes namespaces and control groups, and changes firewalls: its own.
      Privileged: true,
      PidsLimit: -1,
      ...OWN_CGROUPS,
      // A reboot empties these.
      Tmpfs: { '/run': 'exec,mode=755', ...(runDir.startsWith('/run/') ? {} : { [runDir]: 'exec,mode=755' }) },
      Mounts: [
        {
          Type: 'volume',
          Source: '',
          Target: DISK_VOLUME,
          VolumeOptions: { NoCopy: true, Labels: labels, DriverConfig: { Name: 'local', Options: {} } },
        },
      ],
      PortBindings: Object.fromEntries(
        Object.entries(ports).map(([port, published]) => [`${port}/tcp`, [{ HostPort: String(published) }]]),
      ),
      ...(memoryBytes === undefined ? {} : { Memory: memoryBytes, MemorySwap: memoryBytes }),
      ...(cpus === undefined ? {} : { NanoCpus: Math.round(cpus * 1e9) }),
    },
    NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address }, Aliases: [name] } } },
  }
}

/**
 * The archive of what a machine's volume has at first: an archive of its files, which machine-boot unpacks where they
 * are missing at each start.
 */
export async function volumeArchive({ files }: MachineSpec): Promise<Buffer> {
  const inner = await buildTar(
    Object.fromEntries(files.map(({ path, content, mode = 0o600 }) => [path.slice(1), { content, mode }])),
  )
  return buildTar({ 'files.tar': { content: inner, mode: 0o600 } })
}
