/** A controller of the simulation: the real one, over the simulated store, network and clock. */
import { clusterSigningKey } from '../../controller/accounts/signing-key.ts'
import type { ReplicaConfig } from '../../controller/config.ts'
import { Controller, type KubeFace } from '../../controller/controller.ts'
import { MemoryNews, type MemoryEventLog } from '../../controller/events/memory-news.ts'
import { SoleWriterStore } from '../../controller/store/sole-writer.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { seededRandom } from '../../proto/base/random.ts'
import type { KeepaliveOptions } from '../../proto/rpc/contract.ts'
import { listeningLogger, type Complaint } from './world/logger.ts'
import type { Host, Process } from './world/process.ts'
import type { SimulatedEtcd } from './world/store.ts'
import type { Transport } from './world/transport.ts'

const PORT = 7443
/** As main.ts has it. */
const PEER_KEEPALIVE: KeepaliveOptions = { time: 1_000, timeout: 2_000 }

export interface SimulatedControllerParts {
  readonly name: string
  readonly host: Host
  /** Names and addresses of all controllers. */
  readonly members: ReplicaConfig['members']
  readonly etcd: SimulatedEtcd
  readonly events: MemoryEventLog
  readonly transport: Transport
  readonly seed: number
  readonly complain: (complaint: Complaint) => void
}

/** A controller that runs. */
interface Running {
  readonly process: Process
  readonly controller: Controller
}

export function controllerAddress(host: Host): string {
  return `${host.address}:${PORT}`
}

export class SimulatedController {
  readonly name: string
  readonly host: Host
  readonly #parts: SimulatedControllerParts
  #process: Process | undefined
  #controller: Controller | undefined
  #starts = 0

  constructor(parts: SimulatedControllerParts) {
    this.#parts = parts
    this.name = parts.name
    this.host = parts.host
  }

  /** Undefined while it does not run, and before its parts are put together. */
  get running(): Running | undefined {
    const [process, controller] = [this.process, this.#controller]
    return process === undefined || controller === undefined ? undefined : { process, controller }
  }

  get process(): Process | undefined {
    return this.#process?.alive === true ? this.#process : undefined
  }

  /** Its process begins, unless there is one or the machine has no power. */
  start(): void {
    if (this.process !== undefined || !this.host.up) return
    const process = this.host.start(`controller ${this.name}`)
    this.#process = process
    this.#controller = undefined
    this.#run(process).catch((thrown: unknown) => {
      if (!process.alive) return
      this.#parts.complain({ process: process.name, message: 'the controller ended by itself', error: thrown })
      process.kill()
    })
  }

  /** It ends as by SIGKILL. */
  kill(): void {
    this.process?.kill()
  }

  async #run(process: Process): Promise<void> {
    const { name, etcd, transport, complain, events, members } = this.#parts
    const { clock } = process
    const random = seededRandom(this.#parts.seed + 1_000 * ++this.#starts)
    const logger = listeningLogger(process, complain)
    const connection = etcd.connection(process)
    // As main.ts has it.
    const store = members.length === 1 ? new SoleWriterStore(connection) : connection
    const parts = { clock, random, logger }
    const signal = new AbortController().signal
    const key = await clusterSigningKey(store, parts, signal)
    const controller = new Controller(
      {
        ...parts,
        config: configOf(name, this.host, members),
        store,
        nameIsOurs: members.length === 1,
        news: new MemoryNews(events, parts),
        authority: 'the authority',
        server: (authorize) => transport.server(process, PORT, authorize),
        kubeFace: () => NO_FACE,
        connect: (address) =>
          transport.connect(process, address, { name, groups: ['system:controllers'] }, PEER_KEEPALIVE),
      },
      key,
    )
    this.#controller = controller
    await controller.run(signal)
    throw new GantryError('Internal', 'the controller has nothing more to do')
  }
}

/** Nobody speaks HTTPS here. */
const NO_FACE: KubeFace = {
  start: () => Promise.resolve('192.0.2.3:6443'),
  interrupt: () => undefined,
  stop: () => Promise.resolve(),
}

function configOf(name: string, host: Host, members: ReplicaConfig['members']): ReplicaConfig {
  return {
    name,
    listen: `${host.address}:${PORT}`,
    kubeListen: `${host.address}:6443`,
    advertise: undefined,
    podCidr: '10.244.0.0/16',
    serviceCidr: '10.96.0.0/16',
    externalCidrs: [],
    nodeAddresses: [],
    clusterDomain: 'cluster.local',
    members,
    ports: { nats: 4222, etcdPeer: 2380, natsPeer: 6222, processes: 7450 },
    serve: 1,
  }
}
