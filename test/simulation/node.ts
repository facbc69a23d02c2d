/**
 * A node of the simulation: a machine, and on it the real agent's session, pods and network view, put together as
 * agent.ts does it, over what the simulated machine has in place of a kernel and a registry.
 */
import { randomUuid, seededRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import type { NetworkUpdate, Node } from '../../proto/gen/types.ts'
import type { Connection } from '../../proto/rpc/contract.ts'
import type { NetworkReconciler, NodeRanges } from '../../agent/network/contract.ts'
import { NetworkSync } from '../../agent/network/network-sync.ts'
import type { KeptView } from '../../agent/network/view-file.ts'
import { nodeAllocatable, nodeCapacity, nodeObject, type NodeSettings } from '../../agent/node/node-object.ts'
import { NodeStatusWatcher } from '../../agent/node/node-status-watcher.ts'
import type { Machine as MachineFacts } from '../../agent/node/machine.ts'
import { AssignedObjects } from '../../agent/pods/assigned-objects.ts'
import { NodeNetwork } from '../../agent/pods/node-network.ts'
import { PodManager } from '../../agent/pods/pod-manager.ts'
import { EventRecorder } from '../../agent/pods/status/pod-events.ts'
import type { ContainerSpec } from '../../agent/runtime/contract.ts'
import type { FakeBehaviour } from '../../agent/runtime/fake.ts'
import { Outbox } from '../../agent/session/outbox.ts'
import { Session } from '../../agent/session/session.ts'
import { delay } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { PodFolders } from '../../agent/volumes/pod-folders.ts'
import { takers } from './endpoints.ts'
import { isBug, listeningLogger, type Complaint } from './world/logger.ts'
import type { Machine } from './world/machine.ts'
import {
  healthyActions,
  simulatedImages,
  simulatedNetwork,
  simulatedPodDisk,
  simulatedVolumes,
} from './world/node-services.ts'
import type { Process } from './world/process.ts'
import { isMachineFault, operate, simulatedRuntime } from './world/runtime.ts'

/** Milliseconds until systemd starts an agent that ended by itself. */
const RESTART = 1_000

export interface SimulatedNodeParts {
  readonly machine: Machine
  /** host:port of each controller. */
  readonly controllers: readonly string[]
  /** How the agent's process reaches a controller. */
  readonly connect: (process: Process, address: string) => Connection
  readonly behaviour: (spec: ContainerSpec) => FakeBehaviour
  readonly seed: number
  readonly complain: (complaint: Complaint) => void
}

export class SimulatedNode {
  readonly name: string
  readonly machine: Machine
  readonly #parts: SimulatedNodeParts
  #process: Process | undefined
  #kept: { updates: NetworkUpdate[]; ranges: NodeRanges | undefined } = { updates: [], ranges: undefined }
  #starts = 0

  constructor(parts: SimulatedNodeParts) {
    this.#parts = parts
    this.machine = parts.machine
    this.name = parts.machine.host.name
  }

  /** The agent's process; undefined while there is none. */
  get process(): Process | undefined {
    return this.#process?.alive === true ? this.#process : undefined
  }

  /** The agent's process begins, unless there is one or the machine has no power. */
  start(): void {
    const { machine } = this.#parts
    if (this.process !== undefined || !machine.host.up) return
    const process = machine.host.start(`agent ${this.name}`)
    this.#process = process
    this.#run(process).catch((thrown: unknown) => {
      if (!process.alive) return
      const { world } = machine
      world.trace.note(world.time, `${process.name} ended: ${(thrown as Error).message}`)
      // A machine that fails explains the end of its agent, which systemd then starts again.
      if (isBug(thrown) || !isMachineFault(thrown))
        this.#parts.complain({ process: process.name, message: 'the agent ended by itself', error: thrown })
      process.kill()
      world.after(RESTART, `restart ${process.name}`, () => this.start())
    })
  }

  /** It ends as by SIGKILL; containers live on. */
  kill(): void {
    this.process?.kill()
  }

  powerOff(): void {
    this.machine.powerOff()
    this.#kept = { updates: [], ranges: undefined }
  }

  async #run(process: Process): Promise<void> {
    const { machine, connect, controllers, behaviour, complain } = this.#parts
    const random = seededRandom(this.#parts.seed + 1_000 * ++this.#starts)
    const { clock } = process
    const { name } = this
    const { address } = machine.host
    const log = listeningLogger(process, complain)
    const settings: NodeSettings = { name, address, labels: {}, taints: [], capacity: {}, reserved: {} }
    const capacity = nodeCapacity(FACTS, settings)
    const outbox = new Outbox()
    const events = new EventRecorder(name, clock, random, (event) => outbox.event(event))
    const steps = new RunGroup()
    const network = new NetworkSync({
      kept: this.#keptView(),
      parts: [this.#part(process)],
      applied: (revision) => outbox.networkApplied(revision),
      clock,
      random,
      logger: log,
    })
    const runtime = simulatedRuntime(machine, process, behaviour)
    const images = simulatedImages(machine, process)
    await Promise.all([runtime.start(), images.start()])
    const watch = new NodeStatusWatcher({
      read: async (): Promise<Node> =>
        nodeObject(
          { ...FACTS, bootId: String(machine.host.boots) },
          settings,
          { agent: 'v1', runtime: 'fake://1.0' },
          { conditions: [], images: await images.list() },
        ),
      report: (status) => outbox.nodeStatusChanged(status),
      clock,
      log,
    })
    const pods = new PodManager({
      clock,
      random,
      runtime,
      images,
      state: machine.disk.state(process),
      folders: new PodFolders('/state', '/run'),
      disk: simulatedPodDisk(machine, process),
      volumes: simulatedVolumes(machine, process),
      actions: healthyActions,
      log,
      group: steps,
      network: new NodeNetwork(simulatedNetwork(machine, process)),
      objects: new AssignedObjects(),
      services: () => network.view.objects('Service').values(),
      accounts: { read: () => Promise.resolve({ passwd: '', group: '' }) },
      events,
      reports: outbox,
      node: {
        name,
        hostname: name,
        address,
        get allocatable() {
          return watch.latest?.status.allocatable ?? nodeAllocatable(capacity, settings)
        },
        memoryCapacity: FACTS.memory,
        pidsLimit: 4096,
        seccompFolder: '/seccomp',
      },
      origin: { runtime: runtime.name, hostAddress: address },
    })
    await network.load()
    await pods.start()
    network.start()
    const session = new Session({
      controllers,
      connect: (controller) => connect(process, controller),
      workload: pods,
      network,
      outbox,
      node: () => watch.nodeForHello(),
      agentId: randomUuid(random),
      version: '1',
      clock,
      random,
      log,
    })
    const tasks = new RunGroup()
    tasks.add((stop) => session.run(stop))
    tasks.add((stop) => watch.run(stop))
    await Promise.race([tasks.wait(), failed(steps)])
    throw new GantryError('Internal', 'the agent has nothing more to do')
  }

  /** What makes the machine's network as the view said when it was called; it takes its time. */
  #part(process: Process): NetworkReconciler {
    const { machine } = this
    return {
      name: 'services',
      confirmsRevision: true,
      apply: async (view) => {
        const backends = new Set([...view.objects('EndpointSlice').values()].flatMap(takers))
        if (machine.networkLag > 0) await delay(process.clock, machine.networkLag)
        await operate(machine, process, 'network apply', () => Promise.resolve(machine.sendTo(backends)))
      },
      stop: () => Promise.resolve(),
    }
  }

  /** On a tmpfs: it outlives the agent, not the machine's power. */
  #keptView(): KeptView {
    const kept = this.#kept
    return {
      load: () => Promise.resolve([...kept.updates]),
      loadRanges: () =>
        kept.ranges === undefined
          ? Promise.reject(new GantryError('NotFound', 'there are no ranges'))
          : Promise.resolve(kept.ranges),
      putRanges: (ranges) => Promise.resolve(void (kept.ranges = ranges)),
      add: (updates) => void kept.updates.push(...updates),
      settled: () => Promise.resolve(),
    }
  }
}

const FACTS: MachineFacts = {
  hostname: 'node',
  address: '192.0.2.2',
  cpus: 4,
  memory: 8 * 2 ** 30,
  disk: 100 * 2 ** 30,
  architecture: 'amd64',
  kernelVersion: '6',
  osImage: 'simulated',
  bootId: '0',
  machineId: '0',
  systemUuid: '',
} as MachineFacts

/** Rejects with what made the group end. */
async function failed(group: RunGroup): Promise<void> {
  await new Promise<void>((resolve) => group.signal.addEventListener('abort', () => resolve(), { once: true }))
  await group.wait()
  throw new GantryError('Internal', 'the steps of the pods have ended')
}
