/** The controller put together: its parts by construction, its start and its end in order. */
import { Registry } from 'prom-client'
import { backoffDelay, type BackoffOptions } from '../proto/base/backoff.ts'
import { splitCidrs } from '../proto/base/cidr.ts'
import { delay, type Clock } from '../proto/base/clock.ts'
import { GantryError } from '../proto/base/errors.ts'
import type { Logger } from '../proto/base/logger.ts'
import type { Random } from '../proto/base/random.ts'
import { RunGroup } from '../proto/base/run-group.ts'
import { VERSION } from '../proto/base/version.ts'
import type { ClusterNetwork } from '../proto/gen/types.ts'
import type { AuthorizeCall, Connection, RpcServer } from '../proto/rpc/contract.ts'
import { Accounts } from './accounts/accounts.ts'
import { clusterSigningKey, type SigningKey } from './accounts/signing-key.ts'
import { admissionPlugins } from './admission/admission.ts'
import { MASTERS } from './authorization/groups.ts'
import type { Authorizer } from './authorization/authorizer.ts'
import { NodeAuthorizer } from './authorization/node-authorizer.ts'
import { ConsistentReads } from './api/consistent-reads.ts'
import { FIRST_NAMESPACES } from './objects/identity.ts'
import { ClaimCollector } from './api/claims/claim-collector.ts'
import { CLAIM_SCHEMES, createParticipants } from './participants.ts'
import { ObjectRegistry } from './api/objects.ts'
import {
  advertisedAddress,
  controllerAddresses,
  controllerPorts,
  kubeAdvertisedAddress,
  type ReplicaConfig,
} from './config.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { NetCheck } from './dispatch/netcheck/net-check.ts'
import { NodePageReader } from './dispatch/node-page-reader.ts'
import { OwnFieldsPlugin } from './dispatch/own-fields-plugin.ts'
import { PodStreams } from './dispatch/pod-streams.ts'
import { readyPods } from './dispatch/service-pods.ts'
import { UsageReader } from './dispatch/usage-reader.ts'
import { Election } from './election/election.ts'
import { ReplicaPeers } from './election/peers.ts'
import { StoreReplicas } from './election/replicas.ts'
import type { News } from './events/contract.ts'
import { ClusterHandlers } from './grpc/cluster.ts'
import { NodesHandlers } from './grpc/nodes.ts'
import { PodsHandlers } from './grpc/pods.ts'
import { ResourcesHandlers } from './grpc/resources.ts'
import { StoreInformer } from './informer/informer.ts'
import { createKinds } from './kinds/kinds.ts'
import type { ApiServerParts } from './kube/api-server.ts'
import { createReconcilers } from './reconcile/reconcilers.ts'
import type { Backends } from './requests/backends.ts'
import { Requests } from './requests/requests.ts'
import { runReconcilers } from './runner/runner.ts'
import { Scheduler } from './scheduler/scheduler.ts'
import type { Store, Term } from './store/contract.ts'
import { GroupCommit } from './store/group-commit.ts'
import { AddressPolicy } from './traffic/address-policy.ts'

/** As whom webhooks in pods are reached. */
const ADMISSION = { name: 'system:admission', groups: [MASTERS] }
const RETRY: BackoffOptions = { first: 100, max: 5_000 }

/** The server of the Kubernetes API, as far as the controller has to do with it. */
export interface KubeFace {
  /** Listens; answers with the address in use, host:port. */
  start(): Promise<string>
  /** Ends the calls under way with an error; what comes then is served. */
  interrupt(reason: GantryError): void
  stop(): Promise<void>
}

export interface ControllerParts {
  readonly config: ReplicaConfig
  /** Outlives the controller: whoever hands it in closes it. */
  readonly store: Store
  /** Why the store may be away, where that is known. */
  readonly storeTrouble?: () => string | undefined
  /** No other running controller can have this one's name: see ElectionOptions. */
  readonly nameIsOurs: boolean
  readonly news: News
  /** The certificate authority's certificate, PEM: what pods trust the API by. */
  readonly authority: string
  readonly server: (authorize: AuthorizeCall) => RpcServer
  readonly kubeFace: (parts: Omit<ApiServerParts, 'address' | 'tls'>) => KubeFace
  /** Connects to another controller. */
  readonly connect: (address: string) => Connection
  /** As one of several processes of a controller; by itself it does everything. */
  readonly process?: ProcessDuties
  /** Called once it serves. */
  readonly onServing?: () => void
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** What one of several processes of a controller does: either it may lead, or it serves agents and people. */
export interface ProcessDuties {
  readonly role: 'leading' | 'serving'
  /** host:port where other processes and controllers reach this one. */
  readonly address: string
}

/**
 * Runs a controller until the signal is aborted. Unavailability of the store is waited out; rejects with what ends a
 * part of it. Several run side by side in one process and share nothing but what they are handed.
 */
export async function runController(parts: ControllerParts, signal: AbortSignal): Promise<void> {
  let key: SigningKey
  try {
    key = await clusterSigningKey(parts.store, parts, signal)
  } catch (thrown) {
    if (signal.aborted) return
    throw thrown
  }
  await new Controller(parts, key).run(signal)
}

/** One replica of the control plane. */
export class Controller {
  readonly informer: StoreInformer
  readonly api: ObjectRegistry
  readonly election: Election
  readonly replicas: StoreReplicas
  readonly dispatcher: Dispatcher
  readonly scheduler: Scheduler
  readonly #parts: ControllerParts
  readonly #cluster: ClusterNetwork
  readonly #reads: ConsistentReads
  readonly #peers: ReplicaPeers
  readonly #pods: PodStreams
  readonly #server: RpcServer
  readonly #kube: KubeFace
  readonly #kinds = createKinds()
  /** Where the Kubernetes API is served, once it is. */
  #kubeAddress: string

  constructor(parts: ControllerParts, key: SigningKey) {
    const { config, store, news, authority, nameIsOurs } = parts
    const { name, clusterDomain } = config
    this.#parts = parts
    this.#cluster = {
      podCidrs: splitCidrs(config.podCidr),
      serviceCidrs: splitCidrs(config.serviceCidr),
      domain: clusterDomain,
    }
    this.#kubeAddress = config.kubeListen
    const informer = new StoreInformer({ store, kinds: this.#kinds, ...this.#common('informer') })
    const reads = new ConsistentReads(store, informer)
    this.informer = informer
    this.#reads = reads
    this.election = new Election({ store, name, nameIsOurs, ...this.#common('election') })
    this.replicas = new StoreReplicas({
      store,
      name,
      address: parts.process?.address ?? advertisedAddress(config),
      kubeAddress: () => (this.#serves ? kubeAdvertisedAddress(config, this.#kubeAddress) : ''),
      ...this.#common('replicas'),
    })
    this.#peers = new ReplicaPeers({ replicas: this.replicas, connect: parts.connect })
    const accounts = new Accounts({ key, clusterDomain, authority, informer, reads, ...this.#common('accounts') })
    const traffic = new AddressPolicy({
      informer,
      allowed: config.externalCidrs,
      cluster: this.#ranges,
      controllers: controllerAddresses(config),
      reservedPorts: controllerPorts(config),
    })
    const authorizer = new NodeAuthorizer(accounts.authorizer)
    this.api = this.#createApi(accounts, traffic, authorizer)
    this.scheduler = new Scheduler({ informer, api: this.api, events: news.recorder, ...this.#common('scheduler') })
    this.dispatcher = this.#createDispatcher(accounts, traffic)
    this.#pods = new PodStreams(this.#onNodes)
    const registry = new Registry()
    const requests = this.#createRequests(accounts, authorizer, registry)
    this.#server = this.#createServer(requests)
    this.#kube = parts.kubeFace({
      requests,
      registry,
      kinds: this.#kinds,
      accounts,
      available: () => this.#requireStore(),
      ...this.#common('kube'),
    })
  }

  /** What asks nodes by way of their sessions. */
  get #onNodes(): ConstructorParameters<typeof PodStreams>[0] & Pick<ControllerParts, 'clock'> {
    const { config, clock } = this.#parts
    const { informer, dispatcher } = this
    return { informer, reads: this.#reads, dispatcher, peers: this.#peers, controller: config.name, clock }
  }

  /** The door for all requests, and what stands behind it. */
  #createRequests(accounts: Accounts, authorizer: Authorizer, registry: Registry): Requests {
    const { api, informer } = this
    const { news, clock } = this.#parts
    const reads = this.#reads
    const backends: Backends = {
      usage: new UsageReader(this.#onNodes),
      nodePages: new NodePageReader(this.#onNodes),
      events: news.events,
      namedEvents: news.named,
      publish: (event) => news.recorder.publish(event),
      tokens: accounts.tokens,
      reads,
      informer,
      readyPods: (namespace, service, port) => readyPods(informer, namespace, service, port),
      cluster: {
        version: VERSION,
        controller: this.#parts.config.name,
        leader: () => this.election.leader(),
        peers: this.#peers,
        why: (namespace, pod) => this.scheduler.why(namespace, pod),
        waitForNetwork: (revision, signal) => this.dispatcher.confirmations.awaitLocal(revision, signal),
        netCheck: new NetCheck({ ...this.#onNodes, cluster: this.#cluster }),
      },
    }
    const [pods, nodes] = [this.#pods, this.dispatcher]
    return new Requests({ authorizer, registry, api, informer, reads, clock, pods, nodes, backends })
  }

  #createApi(accounts: Accounts, traffic: AddressPolicy, authorizer: Authorizer): ObjectRegistry {
    const { config, store } = this.#parts
    const { informer } = this
    const common = { informer, reads: this.#reads, ...this.#common('admission') }
    return new ObjectRegistry({
      ...common,
      kinds: this.#kinds,
      commits: new GroupCommit(store),
      participants: createParticipants({ ...common, store, serviceCidr: config.serviceCidr, podCidr: config.podCidr }),
      plugins: (self) => [
        ...accounts.plugins(self),
        ...traffic.plugins,
        new OwnFieldsPlugin(),
        ...admissionPlugins({
          ...common,
          authorizer,
          portForward: (inputs, signal) =>
            this.#pods.portForward(inputs, { signal, peer: config.name, user: ADMISSION }),
        }),
      ],
    })
  }

  #createDispatcher(accounts: Accounts, traffic: AddressPolicy): Dispatcher {
    const { config, news } = this.#parts
    const { api, informer, replicas } = this
    return new Dispatcher({
      api,
      informer,
      events: news.recorder,
      controller: config.name,
      cutOff: () => replicas.isPartitioned,
      cluster: this.#cluster,
      external: traffic.addresses,
      peers: this.#peers,
      tokens: accounts.tokens,
      nodeAddresses: config.nodeAddresses,
      controllers: () =>
        [...replicas.kubeAddresses()].flatMap(([name, kube]) => [kube, replicas.addressOf(name) ?? kube]),
      ...this.#common('dispatch'),
    })
  }

  #createServer(requests: Requests): RpcServer {
    const server = this.#parts.server(() => this.#requireStore())
    server.add('Resources', new ResourcesHandlers(requests))
    server.add('Pods', new PodsHandlers(requests))
    server.add('Cluster', new ClusterHandlers(requests))
    server.add('Nodes', new NodesHandlers(requests))
    return server
  }

  get #serves(): boolean {
    return this.#parts.process?.role !== 'leading'
  }

  get #mayLead(): boolean {
    return this.#parts.process?.role !== 'serving'
  }

  /** Until the signal is aborted; once. What is asked by then is answered: the parts end after the servers. */
  async run(signal: AbortSignal): Promise<void> {
    const group = new RunGroup()
    group.add(async (ended) => {
      const stop = AbortSignal.any([signal, ended])
      try {
        await this.#serve(group, stop)
      } catch (thrown) {
        if (!stop.aborted || (thrown as Error | undefined)?.name !== 'AbortError') throw thrown
      }
    })
    try {
      await group.wait()
    } finally {
      this.informer.kinds.close()
    }
  }

  /** Starts the parts in the group, then the servers, and ends the servers when it is to stop. */
  async #serve(group: RunGroup, stop: AbortSignal): Promise<void> {
    group.add((ended) => this.informer.run(ended))
    await orStopped(this.informer.synced(), stop)
    await Promise.all(FIRST_NAMESPACES.map((name) => this.#ensureNamespace(name, stop)))
    group.add((ended) => this.dispatcher.run(ended))
    if (this.#serves) this.#kubeAddress = await this.#kube.start()
    group.add((ended) => this.replicas.run(ended))
    group.add((ended) => this.#peers.run(ended))
    const lead = (term: Term, leading: AbortSignal): Promise<void> => this.#lead(term, leading)
    group.add((ended) => this.election.run(ended, this.#mayLead ? lead : undefined))
    const address = await this.#server.start()
    // Whoever is connected here goes to another controller.
    const stopListening = this.replicas.onPartitioned(() => {
      for (const face of [this.#server, this.#kube]) face.interrupt(this.#partitionedError())
    })
    const kube = this.#serves && { kubeAddress: this.#kubeAddress }
    this.#parts.logger.info({ address, ...kube, version: VERSION }, 'controller is serving')
    this.#parts.onServing?.()
    if (!stop.aborted) await new Promise<void>((done) => stop.addEventListener('abort', () => done(), { once: true }))
    stopListening()
    await Promise.all([this.#server.stop(), this.#serves ? this.#kube.stop() : undefined])
  }

  #common(component: string): Pick<ControllerParts, 'clock' | 'random' | 'logger'> {
    const { clock, random, logger } = this.#parts
    return { clock, random, logger: logger.child({ component }) }
  }

  /** Addresses of pods and of Services. */
  get #ranges(): string[] {
    return [...this.#cluster.podCidrs, ...this.#cluster.serviceCidrs]
  }

  /** What only the leader does, for one term. */
  async #lead(term: Term, leading: AbortSignal): Promise<void> {
    const { config, news, authority } = this.#parts
    const { api, informer, replicas } = this
    const parts = {
      api,
      informer,
      events: news.recorder,
      endEvents: (namespace: string): Promise<void> => news.named.endNamespace(namespace, leading),
      ...this.#common('reconcile'),
      controller: config.name,
      replicas,
      term,
      authority,
      caughtUp: () => this.#reads.current(),
      clusterRanges: this.#ranges,
    }
    const duties = new RunGroup(leading)
    duties.add((ended) => this.scheduler.run(term, ended))
    duties.add((ended) => runReconcilers(createReconcilers(parts), parts, ended))
    duties.add((ended) => news.publishChanges(informer, ended))
    const { store } = this.#parts
    const schemes = CLAIM_SCHEMES
    const claims = new ClaimCollector({ store, informer, reads: this.#reads, schemes, ...this.#common('claims') })
    duties.add((ended) => claims.run(term, ended))
    await duties.wait()
  }

  /** However long the store is away. */
  async #ensureNamespace(name: string, signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#parts
    for (let failures = 1; ; failures++) {
      try {
        await this.api.create({ kind: 'Namespace', metadata: { name } }, { fieldManager: 'gantry-controller' })
        return
      } catch (thrown) {
        if (GantryError.is(thrown, 'AlreadyExists')) return
        if (!GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) throw thrown
        logger.warn({ namespace: name, err: thrown }, 'cannot make the namespace yet')
        await delay(clock, backoffDelay(RETRY, failures, random), signal)
      }
    }
  }

  #requireStore(): void {
    if (this.replicas.isPartitioned) throw this.#partitionedError()
  }

  #partitionedError(): GantryError {
    const {
      config: { name, members },
      storeTrouble,
    } = this.#parts
    const trouble = storeTrouble?.()
    const why = trouble === undefined ? '' : `: its own etcd does not run (${trouble})`
    if (members.length === 0) {
      const remedy =
        trouble === undefined
          ? 'it is tried again by itself; see that etcd runs and that its machine and disk are not overloaded'
          : 'mend that: etcd is started again by itself'
      return new GantryError('Unavailable', `controller ${name} gets no answer from its store, etcd${why}`, {
        details: [{ field: 'controller', value: name, remedy }],
      })
    }
    const remedy =
      trouble === undefined
        ? 'ask another controller, and see that the controllers reach each other'
        : 'ask another controller, and mend that: etcd is started again by itself'
    return new GantryError('Unavailable', `controller ${name} does not reach a majority of the cluster's store${why}`, {
      details: [{ field: 'controller', value: name, remedy }],
    })
  }
}

/** Waits for a start that a stop cuts short: rejects with an AbortError then. */
export function orStopped<T>(start: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopped = (): void => reject(new DOMException('stopped while starting', 'AbortError'))
    if (signal.aborted) stopped()
    signal.addEventListener('abort', stopped, { once: true })
    start.then(resolve, reject).finally(() => signal.removeEventListener('abort', stopped))
  })
}
