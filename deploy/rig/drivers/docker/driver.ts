/** Machines out of containers: wherever a Docker engine is, also without root. */
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { GantryError } from '../../../../proto/base/errors.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'
import { ensureNodeImage, HOME, type NodeImageOptions } from '../../../node-image/node-image.ts'
import type {
  Capabilities,
  Demand,
  Driver,
  Machine,
  MachineRecord,
  MachineSpec,
  NetworkRecord,
  Role,
  Shortcoming,
} from '../../contract.ts'
import { installationRoot } from '../../installation.ts'
import { CONTROLLER_PORT, KUBE_PORT, REGISTRY_PORT } from '../../layout.ts'
import {
  containerName,
  containerOptions,
  DISK_VOLUME,
  groupOf,
  handleOf,
  MACHINE_LABEL,
  recordOf,
  RIG_LABEL,
  volumeArchive,
  type Handle,
} from './container.ts'
import { engineError, hasStatus, openEngine, type DockerClient, type Engine } from '../../../docker-engine.ts'
import { findShortcomings } from './engine-check.ts'
import { ContainerMachine, endFrozen, startContainer } from './machine.ts'
import { addressIn, makeNetwork, networkIn } from './network.ts'

/** What is asked of a machine from outside, and so published where its address is not reached. */
const PORTS: Readonly<Record<Role, readonly number[]>> = {
  controller: [CONTROLLER_PORT, KUBE_PORT],
  registry: [REGISTRY_PORT],
  node: [],
}
/** How often a published port may be taken by others between its choice and its use. */
const PORT_ATTEMPTS = 5
/** Milliseconds for the engine to finish a removal that it has begun. */
const REMOVAL_PATIENCE = 15_000
const LOOK = 20

export class DockerDriver implements Driver {
  readonly name = 'docker'
  readonly capabilities: Capabilities = { ownDisk: true, powerLoss: true, netem: false, resize: true, freeze: true }
  readonly installation: Driver['installation'] = { node: '/usr/bin/node', dist: join(HOME, 'dist') }
  readonly #engine: Engine
  #image: Promise<string> | undefined

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** FailedPrecondition without testcontainers or an engine that answers. */
  static async open(): Promise<DockerDriver> {
    return new DockerDriver(await openEngine())
  }

  get #docker(): DockerClient {
    return this.#engine.docker
  }

  /** The node image, built at the first call. */
  #nodeImage(options: Omit<NodeImageOptions, 'root'> = {}): Promise<string> {
    this.#image ??= ensureNodeImage(this.#docker, { ...options, root: installationRoot() })
    return this.#image
  }

  async check(demand: Demand): Promise<Shortcoming[]> {
    return findShortcomings(await this.#docker.info(), demand)
  }

  async prepare(progress: (text: string) => void, signal: AbortSignal): Promise<void> {
    await this.#nodeImage({ progress, signal })
  }

  createNetwork(rig: string, record: (network: NetworkRecord) => Promise<void>): Promise<NetworkRecord> {
    return makeNetwork(this.#docker, rig, record)
  }

  hostOf(network: NetworkRecord, index: number): string {
    return addressIn(network, index)
  }

  async startMachine(
    rig: string,
    network: NetworkRecord,
    spec: MachineSpec,
    record: (machine: MachineRecord) => Promise<void>,
  ): Promise<MachineRecord> {
    const image = await this.#nodeImage()
    const address = addressIn(network, spec.index)
    for (let attempt = 1; ; attempt++) {
      const handle: Handle = { ports: await this.#choosePorts(spec.role) }
      try {
        await record(recordOf(spec, address, handle))
        const container = await this.#docker.createContainer(
          containerOptions({ rig, spec, image, network: networkIn(network).name, address, ports: handle.ports }),
        )
        const machine = recordOf(spec, address, { ...handle, container: container.id })
        await record(machine)
        await container.putArchive(Readable.from([await volumeArchive(spec)]), { path: DISK_VOLUME })
        await startContainer(container, spec)
        return machine
      } catch (thrown) {
        await this.#removeContainer(containerName(rig, spec.name))
        // The engine's only answer to a port that is taken.
        const taken = hasStatus(thrown, 500) && Object.keys(handle.ports).length > 0
        if (!taken || attempt === PORT_ATTEMPTS) throw engineError(thrown, `starting machine ${spec.name}`)
      }
    }
  }

  /** Ports of this engine's host that are probably free; none where a machine's own address is reached. */
  async #choosePorts(role: Role): Promise<Handle['ports']> {
    if (this.#engine.isLocal) return {}
    return Object.fromEntries(await Promise.all(PORTS[role].map(async (port) => [port, await freePort()] as const)))
  }

  machine(
    rig: string,
    network: NetworkRecord,
    machine: MachineRecord,
    record: (machine: MachineRecord) => Promise<void>,
  ): Machine {
    return new ContainerMachine(this.#docker, rig, machine, record)
  }

  endpoint(machine: MachineRecord, port: number): Promise<string> {
    if (this.#engine.isLocal) return Promise.resolve(`${machine.address}:${port}`)
    const published = handleOf(machine).ports[port]
    if (published === undefined)
      throw new GantryError(
        'Unavailable',
        `port ${port} of machine ${machine.spec.name} is not published by the Docker engine, and its address is not reached from here`,
      )
    return Promise.resolve(`${this.#engine.host}:${published}`)
  }

  async removeMachine(rig: string, network: NetworkRecord, machine: MachineRecord): Promise<void> {
    await new ContainerMachine(this.#docker, rig, machine, async () => undefined).prepareRemoval()
    await this.#removeContainer(containerName(rig, machine.spec.name))
  }

  async removeNetwork(rig: string): Promise<void> {
    const filters = { label: [`${RIG_LABEL}=${rig}`] }
    const containers = await this.#docker.listContainers({ all: true, filters })
    await Promise.all(
      containers.map(async ({ Id, State, Labels: { [MACHINE_LABEL]: machine = '' } }) => {
        if (State === 'running')
          await endFrozen({ container: this.#docker.getContainer(Id), machine }, groupOf(rig, machine))
        await this.#removeContainer(Id)
      }),
    )
    const { Volumes } = await this.#docker.listVolumes({ filters })
    await Promise.all(
      (Volumes ?? []).map(({ Name }) => gone(`removing volume ${Name}`, () => this.#docker.getVolume(Name).remove())),
    )
    for (const { Id, Name } of await this.#docker.listNetworks({ filters }))
      await gone(`removing network ${Name}`, () => this.#docker.getNetwork(Id).remove())
  }

  /** Removes a container with its volumes, running or not; resolves when it is gone. */
  async #removeContainer(name: string): Promise<void> {
    const container = this.#docker.getContainer(name)
    const deadline = systemClock.monotonic() + REMOVAL_PATIENCE
    for (;;) {
      try {
        return await gone(`removing container ${name}`, () => container.remove({ force: true, v: true }))
      } catch (thrown) {
        // Somebody else, or an earlier request, is removing it.
        if (!GantryError.is(thrown, 'FailedPrecondition') || systemClock.monotonic() > deadline) throw thrown
        await delay(systemClock, LOOK)
      }
    }
  }
}

/** Does it, unless it was done before. */
async function gone(doing: string, remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove()
  } catch (thrown) {
    if (!hasStatus(thrown, 404)) throw engineError(thrown, doing)
  }
}

/** A port that is free on this host, and so, most likely, on the engine's. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject).listen(0, () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
