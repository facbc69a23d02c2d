/** A controller of the simulation: the real parts, put together as the controller's main.ts does it. */
import { ConsistentReads } from '../../controller/api/consistent-reads.ts'
import { ObjectRegistry } from '../../controller/api/objects.ts'
import { Dispatcher } from '../../controller/dispatch/dispatcher.ts'
import { OwnFieldsPlugin } from '../../controller/dispatch/own-fields-plugin.ts'
import { Election } from '../../controller/election/election.ts'
import { ReplicaPeers } from '../../controller/election/peers.ts'
import { StoreReplicas } from '../../controller/election/replicas.ts'
import { StoreInformer } from '../../controller/informer/informer.ts'
import { createReconcilers } from '../../controller/reconcile/reconcilers.ts'
import { runReconcilers } from '../../controller/reconcile/runner.ts'
import { Scheduler } from '../../controller/scheduler/scheduler.ts'
import type { Term } from '../../controller/store/contract.ts'
import { GroupCommit } from '../../controller/store/group-commit.ts'
import { AddressPolicy } from '../../controller/traffic/address-policy.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { seededRandom } from '../../proto/base/random.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import { methodsOf } from '../../proto/rpc/methods.ts'
import type { CallContext, Connection, Handlers, KeepaliveOptions } from '../../proto/rpc/contract.ts'
import type { ClusterService } from '../../proto/gen/types.ts'
import { listeningLogger, type Complaint } from './world/logger.ts'
import type { Host, Process } from './world/process.ts'
import type { SimulatedEtcd } from './world/store.ts'
import type { Transport } from './world/transport.ts'

export const CLUSTER = { podCidrs: ['10.244.0.0/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' }
const PORT = 7443
const PEER_LIVENESS: KeepaliveOptions = { time: 1_000, timeout: 2_000 }

export interface SimulatedControllerParts {
  readonly name: string
  readonly host: Host
  readonly etcd: SimulatedEtcd
  readonly transport: Transport
  readonly seed: number
  readonly complain: (complaint: Complaint) => void
}

/** What others use of a controller that runs. */
interface Running {
  readonly process: Process
  readonly api: ObjectRegistry
  readonly informer: StoreInformer
  readonly election: Election
}

export function controllerAddress(host: Host): string {
  return `${host.address}:${PORT}`
}

export class SimulatedController {
  readonly name: string
  readonly host: Host
  readonly #parts: SimulatedControllerParts
  #running: Running | undefined
  #starts = 0

  constructor(parts: SimulatedControllerParts) {
    this.#parts = parts
    this.name = parts.name
    this.host = parts.host
  }

  get running(): Running | undefined {
    return this.#running?.process.alive === true ? this.#running : undefined
  }

  /** Its process begins, unless there is one or the machine has no power. */
  start(): void {
    if (this.running !== undefined || !this.host.up) return
    const process = this.host.start(`controller ${this.name}`)
    this.#run(process).catch((thrown: unknown) => {
      if (!process.alive) return
      this.#parts.complain({ process: process.name, message: 'the controller ended by itself', error: thrown })
      process.kill()
    })
  }

  /** It ends as by SIGKILL. */
  kill(): void {
    this.running?.process.kill()
  }

  async #run(process: Process): Promise<void> {
    const { name, etcd, transport, complain } = this.#parts
    const { clock } = process
    const random = seededRandom(this.#parts.seed + 1_000 * ++this.#starts)
    const logger = listeningLogger(process, complain)
    const store = etcd.connection(process)
    const informer = new StoreInformer({ store, clock, random, logger })
    const reads = new ConsistentReads(store, informer)
    const events = { record: () => undefined, publish: () => undefined }
    const traffic = new AddressPolicy({
      informer,
      allowed: [],
      cluster: [...CLUSTER.podCidrs, ...CLUSTER.serviceCidrs],
      controllers: [],
      reservedPorts: [],
    })
    const api = new ObjectRegistry({
      reads,
      informer,
      commits: new GroupCommit(store),
      clock,
      random,
      serviceCidr: CLUSTER.serviceCidrs[0]!,
      plugins: () => [...traffic.plugins, new OwnFieldsPlugin()],
    })
    const replicas = new StoreReplicas({
      store,
      clock,
      random,
      logger,
      name,
      address: controllerAddress(this.host),
      kubeAddress: () => `${name}:6443`,
    })
    const peers = new ReplicaPeers({
      replicas,
      connect: (address): Connection =>
        transport.connect(process, address, { name: 'system:controller', groups: [] }, PEER_LIVENESS),
    })
    const common = { api, informer, events, clock, random, logger }
    const dispatcher = new Dispatcher({
      ...common,
      controller: name,
      cutOff: () => replicas.isPartitioned,
      podCidr: CLUSTER.podCidrs[0]!,
      cluster: CLUSTER,
      external: traffic.addresses,
      peers,
    })
    const scheduler = new Scheduler(common)
    const election = new Election({ store, clock, random, logger, name })
    const lead = async (term: Term, leading: AbortSignal): Promise<void> => {
      const reconcile = {
        ...common,
        controller: name,
        replicas,
        term,
        authority: 'the authority',
        caughtUp: () => reads.current(),
        clusterRanges: [...CLUSTER.podCidrs, ...CLUSTER.serviceCidrs],
      }
      const duties = new RunGroup(leading)
      duties.add((ended) => scheduler.run(term, ended))
      duties.add((ended) => runReconcilers(createReconcilers(reconcile), reconcile, ended))
      await duties.wait()
    }
    this.#running = { process, api, informer, election }
    const cluster = {
      ...unserved(),
      networkConfirmed: async ({ revision }: { revision: number }, { signal }: CallContext) => (
        await dispatcher.confirmations.awaitLocal(revision, signal),
        {}
      ),
    }
    const group = new RunGroup()
    group.add((ended) => informer.run(ended))
    await informer.synced()
    group.add((ended) => dispatcher.run(ended))
    group.add((ended) => replicas.run(ended))
    group.add((ended) => peers.run(ended))
    group.add((ended) => election.run(ended, lead))
    const server = transport.server(process, PORT)
    server.add('Nodes', dispatcher)
    server.add('Cluster', cluster as unknown as Handlers<ClusterService>)
    await server.start()
    replicas.onPartitioned(() => server.interrupt(new GantryError('Unavailable', `controller ${name} is cut off`)))
    await group.wait()
    throw new GantryError('Internal', 'the controller has nothing more to do')
  }
}

/** Of the service Cluster nobody asks anything but whether the network is confirmed. */
function unserved(): Record<string, () => Promise<never>> {
  const refuse = (): Promise<never> => Promise.reject(new GantryError('Unsupported', 'not served in the simulation'))
  return Object.fromEntries(methodsOf('Cluster').map(({ name }) => [name, refuse]))
}
