/** A rig's life: `up` makes a cluster out of machines on this host, `down` removes every trace of it. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { contextFilePath, removeContext } from '../../proto/api/context.ts'
import { GantryError } from '../../proto/api/errors.ts'
import { removeCgroup } from './cgroup-tree.ts'
import { ClusterFiles, REGISTRY_PORT } from './cluster-files.ts'
import { allowForwarding, createNetwork, freePrefix, networkOf, removeNetwork, restoreForwarding, type RigNetwork } from './host-network.ts'
import { endMachine, startMachine, type MachineSpec } from './machine.ts'
import { isAlive } from '../../proto/base/process.ts'
import { awaitController, awaitNodes } from './readiness.ts'
import { forgetRig, otherRigs, readRig, rigDirectory, writeRig, type RigRecord } from './rig-record.ts'

export const REGISTRY = 'registry'
export const CONTROLLER = 'controller'
/** Where a rig's programs keep sockets and pid files: short, because a socket's path has at most 107 bytes. */
const RUN = '/run/gantry'
/** The most nodes that the addresses of one rig's /24 hold. */
export const MAX_NODES = 200

export interface UpOptions {
  readonly name: string
  readonly nodes: number
  /** Folder that holds the programs' bundles and, in deploy/rig, machine-init. */
  readonly root: string
  readonly progress: (text: string) => void
  /** Called as soon as the registry's machine runs, with its host:port; the rig is up only when it has ended. */
  readonly fillRegistry: (registry: string) => Promise<void>
}

function addressOf(prefix: string, name: string): string {
  const fixed: Record<string, number> = { [CONTROLLER]: 2, [REGISTRY]: 3 }
  return `${prefix}.${fixed[name] ?? 10 + Number(name.slice(1))}`
}

export function registryOf(rig: RigRecord): string {
  return `${addressOf(rig.network!.prefix, REGISTRY)}:${REGISTRY_PORT}`
}

/** True while every machine of the rig runs. */
export function isRunning(rig: RigRecord): boolean {
  return rig.ready && rig.machines.every((machine) => isAlive(machine.init))
}

/** Starts a rig; if it fails half-way, what was made is removed again. A rig of that name must not exist. */
export async function createRig(options: UpOptions): Promise<RigRecord> {
  try {
    return await build(options)
  } catch (thrown) {
    await removeRig(options.name)
    throw thrown
  }
}

async function build({ name, nodes, root, progress, fillRegistry }: UpOptions): Promise<RigRecord> {
  let rig: RigRecord = { name, nodes, machines: [], ready: false }
  const save = async (change: Partial<RigRecord>): Promise<void> => writeRig((rig = { ...rig, ...change }))

  progress('network')
  await save({ forwardingBefore: await allowForwarding() })
  const network = await claimNetwork(name, (candidate) => save({ network: candidate }))
  const { prefix } = network
  const index = prefix.split('.')[2]!
  const directory = rigDirectory(name)
  const files = await ClusterFiles.create(directory, name)
  const init = join(root, 'deploy/rig/machine-init')
  const start = async (machine: string, command: readonly string[]): Promise<void> => {
    const spec: MachineSpec = {
      name: machine, address: addressOf(prefix, machine), cable: `gr${index}-${machine}`.slice(0, 15), cgroup: `gantry-rig/${name}/${machine}`,
      log: join(directory, machine, 'log'), command,
    }
    await startMachine(spec, network, init, (record) => save({ machines: [...rig.machines, record] }))
  }
  const program = (bundle: string, config: string): string[] => [process.execPath, join(root, 'dist', bundle), '--config', config]

  progress('registry and controller')
  await start(CONTROLLER, program('gantry-controller.cjs', await files.controller(CONTROLLER, addressOf(prefix, CONTROLLER))))
  await start(REGISTRY, ['docker-registry', 'serve', await files.registry(REGISTRY, addressOf(prefix, REGISTRY))])
  const filling = Promise.allSettled([fillRegistry(registryOf(rig))])
  await files.context(name, addressOf(prefix, CONTROLLER))

  progress(`${nodes} nodes`)
  for (let number = 1; number <= nodes; number++) {
    const node = `n${number}`
    const runDir = join(RUN, name, node)
    await mkdir(runDir, { recursive: true })
    const config = await files.node(node, { controller: addressOf(prefix, CONTROLLER), mirror: registryOf(rig), cgroup: `gantry-rig/${name}/${node}`, runDir })
    await start(node, program('gantry-agent.cjs', config))
  }
  const connection = await awaitController(name, 30_000)
  try {
    await awaitNodes(connection, nodes, 60_000, (ready) => progress(`${ready} of ${nodes} nodes ready`))
  } finally {
    connection.close()
  }
  const [filled] = await filling
  if (filled.status === 'rejected') throw filled.reason
  await save({ ready: true })
  return rig
}

/** Makes a network on the first prefix that is free, writing down each before it is tried. */
async function claimNetwork(rig: string, record: (network: RigNetwork) => Promise<void>): Promise<RigNetwork> {
  const tried: string[] = []
  for (;;) {
    const network = networkOf(rig, await freePrefix(tried))
    await record(network)
    try {
      await createNetwork(network)
      return network
    } catch (thrown) {
      if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
      tried.push(network.prefix)
    }
  }
}

/** Removes a rig with everything that belongs to it, also one left half-made; false if there is none. */
export async function removeRig(name: string): Promise<boolean> {
  const rig = await readRig(name)
  if (rig === undefined) return false
  await Promise.all(rig.machines.map((machine) => endMachine(machine)))
  if (rig.network !== undefined) await removeNetwork(rig.network)
  await removeCgroup(`gantry-rig/${name}`)
  await removeContext(contextFilePath(process.env), name)
  await rm(join(RUN, name), { recursive: true, force: true })
  await removeIfEmpty(RUN)
  await handOverForwarding(rig)
  await forgetRig(name)
  return true
}

/** The host's forwarding is needed as long as there is a rig; the last one to go sets it back. */
async function handOverForwarding({ name, forwardingBefore }: RigRecord): Promise<void> {
  if (forwardingBefore === undefined) return
  const [heir] = await otherRigs(name)
  if (heir === undefined) await restoreForwarding(forwardingBefore)
  else if (forwardingBefore !== '1') await writeRig({ ...heir, forwardingBefore })
}

async function removeIfEmpty(directory: string): Promise<void> {
  if (existsSync(directory) && (await readdir(directory)).length === 0) await rmdir(directory)
}
