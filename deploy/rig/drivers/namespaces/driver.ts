/** Machines out of namespaces of this host: a machine starts in the time of a few processes. */
import { existsSync } from 'node:fs'
import { access, constants, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../../../proto/base/errors.ts'
import type {
  Capabilities,
  Demand,
  Driver,
  Machine,
  MachineRecord,
  MachineSpec,
  NetworkRecord,
  Shortcoming,
} from '../../contract.ts'
import { installationRoot } from '../../installation.ts'
import { boot } from './boot.ts'
import { CgroupTree } from './cgroup-tree.ts'
import { awaitUnmounted, makeImage } from './disk.ts'
import { holdForwarding, releaseForwarding } from './forwarding.ts'
import { findShortcomings } from './host-check.ts'
import { observeHost } from './host-facts.ts'
import {
  anyNetwork,
  awaitUnplugged,
  VethConnector,
  findNetwork,
  freePrefix,
  makeNetwork,
  networkOf,
  removeNetwork,
  type RigNetwork,
} from './host-network.ts'
import { endGroup, endMachine, NamespaceMachine, type NamespaceMachineParts } from './machine.ts'
import { handleOf, machinePathsOf, recordOf } from './machine-paths.ts'
import { runProgram } from './programs.ts'

/** Parent of every rig's groups. */
const GROUP = 'gantry-rig'
/** Parent of every rig's run directories. */
const RUN = '/run/gantry'

/** In the checkout, or the installed package. */
const SCRIPTS = 'deploy/rig/drivers/namespaces'

/** For less than the host has. */
export interface HostOptions {
  /** False: as on a host without loop devices. */
  readonly disks?: boolean
  /** Where cgroup hierarchies are found; by default /sys/fs/cgroup. */
  readonly cgroups?: string
}

export class NamespacesDriver implements Driver {
  readonly name = 'namespaces'
  readonly capabilities: Capabilities
  readonly installation: Driver['installation']
  readonly #scripts: string
  readonly #tree: CgroupTree
  /** By bridge: those who plug in at once share calls. */
  readonly #cables = new Map<string, VethConnector>()

  private constructor(root: string, tree: CgroupTree, capabilities: Capabilities) {
    this.capabilities = capabilities
    this.#tree = tree
    this.installation = { node: process.execPath, dist: join(root, 'dist') }
    this.#scripts = join(root, SCRIPTS)
  }

  /** A driver that knows what this host can do. FailedPrecondition if there are no cgroups. */
  static async open({ disks = true, cgroups }: HostOptions = {}): Promise<NamespacesDriver> {
    const [tree, ownDisk, netem] = await Promise.all([CgroupTree.open(cgroups), disks && hasLoopDevices(), hasNetem()])
    return new NamespacesDriver(installationRoot(), tree, {
      ownDisk,
      powerLoss: ownDisk,
      netem,
      resize: true,
      freeze: true,
    })
  }

  async check(demand: Demand): Promise<Shortcoming[]> {
    return findShortcomings(await observeHost(), demand)
  }

  async createNetwork(rig: string, record: (network: NetworkRecord) => Promise<void>): Promise<NetworkRecord> {
    const tried: string[] = []
    for (;;) {
      const network = networkOf(rig, await freePrefix(tried))
      const recorded: NetworkRecord = { handle: network }
      await record(recorded)
      try {
        await makeNetwork(network)
        await holdForwarding()
        return recorded
      } catch (thrown) {
        if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
        tried.push(network.prefix)
      }
    }
  }

  hostOf(network: NetworkRecord, index: number): string {
    return `${networkIn(network).prefix}.${index}`
  }

  async startMachine(
    rig: string,
    network: NetworkRecord,
    spec: MachineSpec,
    record: (machine: MachineRecord) => Promise<void>,
  ): Promise<MachineRecord> {
    const making = this.#making(rig, network, spec, record)
    const { place, address } = making
    const { ownDisk } = this.capabilities
    try {
      if (existsSync(place.home)) await this.#discard(making) // what a start that was killed has left
      if (ownDisk) await makeImage(place.image, spec.diskBytes)
      return recordOf(
        spec,
        address,
        await boot({ ...making, record: (handle) => record(recordOf(spec, address, handle)) }, { ownDisk }),
      )
    } catch (thrown) {
      await this.#discard(making)
      throw thrown
    }
  }

  machine(
    rig: string,
    network: NetworkRecord,
    machine: MachineRecord,
    record: (machine: MachineRecord) => Promise<void>,
  ): Machine {
    return new NamespaceMachine(this.#making(rig, network, machine.spec, record), machine)
  }

  endpoint({ address }: MachineRecord, port: number): Promise<string> {
    return Promise.resolve(`${address}:${port}`)
  }

  async removeMachine(rig: string, network: NetworkRecord, machine: MachineRecord): Promise<void> {
    const making = this.#making(rig, network, machine.spec, async () => undefined)
    const handle = handleOf(machine)
    // Without a name, what its unmounting still writes never reaches the host's disk.
    await rm(making.place.image, { force: true })
    await endMachine(making.tree, making.place, handle)
    await this.#discard(making)
  }

  async removeNetwork(rig: string, network: NetworkRecord | undefined): Promise<void> {
    const group = `${GROUP}/${rig}`
    await endGroup(this.#tree, group)
    const known = network === undefined ? await findNetwork(rig) : networkIn(network)
    await this.#tree.remove(group)
    await this.#tree.removeIfEmpty(GROUP)
    await rm(join(RUN, rig), { recursive: true, force: true })
    await removeIfEmpty(RUN)
    if (known === undefined) return
    await removeNetwork(known)
    this.#cables.delete(known.bridge)
    await releaseForwarding(anyNetwork)
  }

  #making(
    rig: string,
    network: NetworkRecord,
    spec: MachineSpec,
    record: NamespaceMachineParts['record'],
  ): NamespaceMachineParts {
    const inside = networkIn(network)
    const cables = this.#cables.get(inside.bridge) ?? new VethConnector(inside)
    this.#cables.set(inside.bridge, cables)
    return {
      spec,
      place: machinePathsOf(rig, inside, spec),
      address: this.hostOf(network, spec.index),
      gateway: this.hostOf(network, 1),
      tree: this.#tree,
      cables,
      scripts: this.#scripts,
      record,
    }
  }

  /** Removes what a machine that has ended, or is just ending, leaves on the host. */
  async #discard({
    spec: { runDir },
    place: { home, image, group, cable },
    tree,
  }: NamespaceMachineParts): Promise<void> {
    await Promise.all([tree.remove(group), awaitUnplugged(cable), awaitUnmounted(image)])
    await Promise.all([home, image, runDir].map((path) => rm(path, { recursive: true, force: true })))
  }
}

function networkIn({ handle }: NetworkRecord): RigNetwork {
  return handle as unknown as RigNetwork
}

async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (thrown) {
    if (!['ENOENT', 'ENOTEMPTY'].includes((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown
  }
}

/** Whether this process may make loop devices: not so in most containers. */
async function hasLoopDevices(): Promise<boolean> {
  try {
    await access('/dev/loop-control', constants.R_OK | constants.W_OK)
    return true
  } catch (thrown) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes((thrown as NodeJS.ErrnoException).code ?? '')) return false
    throw thrown
  }
}

/**
 * Tried out where it touches nobody: a kernel may have it built in, as a module, or not. A program that is missing is
 * the check's to name.
 */
async function hasNetem(): Promise<boolean> {
  try {
    const { code } = await runProgram(
      'unshare',
      ['--net', 'tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'netem', 'delay', '1ms'],
      { allow: [0, 1, 2, 127] },
    )
    return code === 0
  } catch (thrown) {
    if (GantryError.is(thrown, 'NotFound')) return false
    throw thrown
  }
}
