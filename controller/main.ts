/** The controller: builds its parts and runs them until it is told to stop. Nothing else builds things. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { splitCidrs } from '../proto/base/cidr.ts'
import { GantryError } from '../proto/base/errors.ts'
import { configure } from '../proto/base/program.ts'
import { connect, CONTROLLER_HOST, Server, type KeepaliveOptions } from '../proto/rpc/rpc.ts'
import { backoffDelay, type BackoffOptions } from '../proto/base/backoff.ts'
import { clockFromEnvironment, delay } from '../proto/base/clock.ts'
import { createLogger, type Logger } from '../proto/base/logger.ts'
import { systemRandom as random } from '../proto/base/random.ts'
import { RunGroup } from '../proto/base/run-group.ts'
import { VERSION } from '../proto/base/version.ts'
import { Accounts } from './accounts/accounts.ts'
import { clusterSigningKey, type SigningKey } from './accounts/signing-key.ts'
import { admissionPlugins } from './admission/admission.ts'
import { authorize, MASTERS } from './api/authorization.ts'
import { ClusterHandlers } from './api/cluster.ts'
import { ConsistentReads } from './api/consistent-reads.ts'
import type { ObjectApi } from './api/contract.ts'
import { FIRST_NAMESPACES } from './api/identity.ts'
import { ObjectRegistry } from './api/objects.ts'
import { ListPaginator } from './api/list-paginator.ts'
import { ResourcesHandlers } from './api/resources.ts'
import { Watches } from './api/watches.ts'
import { AddressPolicy } from './traffic/address-policy.ts'
import {
  advertisedAddress,
  checkConfig,
  controllerAddresses,
  controllerPorts,
  CONTROLLER_SETTINGS,
  kubeAdvertisedAddress,
  type ControllerConfig,
  type TlsFiles,
} from './config.ts'
import { AdmittedPodStreams } from './dispatch/admitted-pod-streams.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { OwnFieldsPlugin } from './dispatch/own-fields-plugin.ts'
import { NetCheck } from './dispatch/netcheck/net-check.ts'
import { PodStreams } from './dispatch/pod-streams.ts'
import { NodePageReader } from './dispatch/node-page-reader.ts'
import { UsageReader } from './dispatch/usage-reader.ts'
import { Election } from './election/election.ts'
import { ReplicaPeers } from './election/peers.ts'
import { StoreReplicas } from './election/replicas.ts'
import { ChangePublisher } from './events/change-publisher.ts'
import { NatsClient } from './events/nats-client.ts'
import { NamedEvents } from './events/named-events.ts'
import { EventReader } from './events/reader.ts'
import { EventRecorder } from './events/recorder.ts'
import { StoreInformer } from './informer/informer.ts'
import { createApiServer } from './kube/api-server.ts'
import { CONTROLLER } from './options.ts'
import { createReconcilers } from './reconcile/reconcilers.ts'
import { runReconcilers } from './reconcile/runner.ts'
import { Scheduler } from './scheduler/scheduler.ts'
import type { Term } from './store/contract.ts'
import { EtcdStore } from './store/etcd.ts'
import { GroupCommit } from './store/group-commit.ts'
import { claimDirectory } from './supervise/directory.ts'
import { EmbeddedEtcd } from './supervise/etcd.ts'
import type { Membership } from './supervise/membership.ts'
import { EmbeddedNats } from './supervise/nats.ts'
import { routeSecret } from './supervise/route-secret.ts'

/** Milliseconds that events still waiting are given at the end. */
const FLUSH = 1_000
/** As pods call the API. */
const API_HOST = 'kubernetes.default.svc'
/** As whom webhooks in pods are reached. */
const ADMISSION = { name: 'system:admission', groups: [MASTERS] }
const RETRY: BackoffOptions = { first: 100, max: 5_000 }
/** Of other controllers: one that is gone without a word is found out before its presence in the store ends. */
const PEER_LIVENESS: KeepaliveOptions = { time: 1_000, timeout: 2_000 }

const clock = clockFromEnvironment(process.env)

async function readTls(files: TlsFiles): Promise<{ ca: string; cert: string; key: string }> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file, 'utf8')))
  return { ca: ca!, cert: cert!, key: key! }
}

/** Undefined for a controller that runs its etcd and NATS alone, or has them from elsewhere. */
function membershipOf({ name, members, tls }: ControllerConfig): Membership | undefined {
  const self = members.find((member) => member.name === name)
  // The programs run in folders of their own.
  return self === undefined
    ? undefined
    : { self, members, tls: { ca: resolve(tls.ca), cert: resolve(tls.cert), key: resolve(tls.key) } }
}

/** The controller's own etcd and NATS, where none were given. They outlive everything else: `stop` is called last. */
async function startEmbedded(
  config: ControllerConfig,
  logger: Logger,
): Promise<{ etcd: EmbeddedEtcd | undefined; nats: EmbeddedNats | undefined; group: RunGroup }> {
  const supervise = { clock, random, logger }
  const { dataDir, members, ports } = config
  const membership = membershipOf(config)
  if (members.length > 0 && members.length % 2 === 0)
    logger.warn(
      { members: members.length },
      'an even number of members bears no more failures than one less: let there be three, or five',
    )
  if (config.etcd.length === 0 || config.nats.length === 0) await claimDirectory(dataDir)
  const etcd =
    config.etcd.length > 0
      ? undefined
      : await EmbeddedEtcd.prepare({
          ...supervise,
          dataDir: join(dataDir, 'etcd'),
          cluster: membership && { membership, port: ports.etcdPeer },
        })
  const secret = async (signal: AbortSignal): Promise<string> => {
    await orStopped(etcd!.ready(), signal)
    const store = new EtcdStore({ endpoints: [etcd!.address], clock }, random)
    try {
      return await routeSecret(store, supervise, signal)
    } finally {
      await store.close()
    }
  }
  const nats =
    config.nats.length > 0
      ? undefined
      : await EmbeddedNats.prepare({
          ...supervise,
          dataDir: join(dataDir, 'nats'),
          port: ports.nats,
          cluster: membership && { membership, port: ports.natsPeer, secret },
        })
  const group = new RunGroup()
  for (const child of [etcd, nats]) if (child !== undefined) group.add((signal) => child.run(signal))
  return { etcd, nats, group }
}

/** Waits for a start that a stop cuts short: rejects with an AbortError then. */
function orStopped<T>(start: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopped = (): void => reject(new DOMException('stopped while starting', 'AbortError'))
    if (signal.aborted) stopped()
    signal.addEventListener('abort', stopped, { once: true })
    start.then(resolve, reject).finally(() => signal.removeEventListener('abort', stopped))
  })
}

/** However long the store is away; undefined if a stop comes first. */
async function signingKey(
  store: EtcdStore,
  { etcd }: Embedded,
  logger: Logger,
  signal: AbortSignal,
): Promise<SigningKey | undefined> {
  try {
    if (etcd !== undefined) await orStopped(etcd.ready(), signal)
    return await clusterSigningKey(store, { clock, random, logger }, signal)
  } catch (thrown) {
    if (signal.aborted) return undefined
    throw thrown
  }
}

/** However long the store is away. */
async function ensureNamespace(api: ObjectApi, name: string, logger: Logger, signal: AbortSignal): Promise<void> {
  for (let failures = 1; ; failures++) {
    try {
      await api.create({ kind: 'Namespace', metadata: { name } }, { fieldManager: 'gantry-controller' })
      return
    } catch (thrown) {
      if (GantryError.is(thrown, 'AlreadyExists')) return
      if (!GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) throw thrown
      logger.warn({ namespace: name, err: thrown }, 'cannot make the namespace yet')
      await delay(clock, backoffDelay(RETRY, failures, random), signal)
    }
  }
}

type Embedded = Awaited<ReturnType<typeof startEmbedded>>

/** Everything, within the life of its own etcd and NATS. */
async function serve(config: ControllerConfig, logger: Logger, signal: AbortSignal): Promise<void> {
  const embedded = await startEmbedded(config, logger)
  try {
    await runPublishers(config, embedded, logger, signal)
  } finally {
    embedded.group.stop()
    await embedded.group.wait()
  }
}

/** Everything that has news, within the life of what tells it: what happens at the very end is told too. */
async function runPublishers(
  config: ControllerConfig,
  embedded: Embedded,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const log = logger.child({ component: 'events' })
  const news = new NatsClient({
    servers: embedded.nats === undefined ? config.nats : [embedded.nats.address],
    token: embedded.nats?.token,
    name: config.name,
    clock,
    random,
    logger: log,
  })
  const recorder = new EventRecorder({ connection: news, servers: config.members.length, clock, random, logger: log })
  const group = new RunGroup()
  group.add((inner) => news.run(inner))
  group.add((inner) => recorder.run(inner))
  const ends = AbortSignal.any([signal, embedded.group.signal, group.signal])
  try {
    await work(config, embedded, { news, recorder }, logger, ends)
    if (!(await recorder.flush(FLUSH)))
      logger.warn({ waiting: recorder.waiting }, 'events are lost: NATS did not take them in time')
  } finally {
    group.stop()
    await group.wait()
  }
}

/**
 * Certificates that were made for an older version serve people and agents as before; pods would not take the API for
 * what it is.
 */
function checkCertificate(pem: string, logger: Logger): void {
  if (new X509Certificate(pem).checkHost(API_HOST) !== undefined) return
  logger.warn(
    {
      missing: API_HOST,
      remedy:
        'issue the controller a certificate that names it, and the first address for Services: docs/controllers.md',
    },
    'clients in pods do not trust this controller: its certificate does not name the API as they reach it',
  )
}

/** All the work of a controller, until the signal is aborted. */
async function work(
  config: ControllerConfig,
  embedded: Embedded,
  { news, recorder }: { news: NatsClient; recorder: EventRecorder },
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const [tls, etcdTls] = await Promise.all([
    readTls(config.tls),
    config.etcdTls === undefined ? undefined : readTls(config.etcdTls),
  ])
  checkCertificate(tls.cert, logger)
  const store = new EtcdStore(
    {
      endpoints: embedded.etcd === undefined ? config.etcd : [embedded.etcd.address],
      clock,
      ...(etcdTls === undefined
        ? {}
        : { tls: { ca: Buffer.from(etcdTls.ca), cert: Buffer.from(etcdTls.cert), key: Buffer.from(etcdTls.key) } }),
    },
    random,
  )
  const informer = new StoreInformer({ store, clock, random, logger: logger.child({ component: 'informer' }) })
  const reads = new ConsistentReads(store, informer)
  const key = await signingKey(store, embedded, logger, signal)
  if (key === undefined) return store.close()
  const accounts = new Accounts({
    key,
    clusterDomain: config.clusterDomain,
    authority: tls.ca,
    informer,
    reads,
    clock,
    random,
  })
  const cluster = {
    podCidrs: splitCidrs(config.podCidr),
    serviceCidrs: splitCidrs(config.serviceCidr),
    domain: config.clusterDomain,
  }
  const traffic = new AddressPolicy({
    informer,
    allowed: config.externalCidrs,
    cluster: [...cluster.podCidrs, ...cluster.serviceCidrs],
    controllers: controllerAddresses(config),
    reservedPorts: controllerPorts(config),
  })
  const api: ObjectRegistry = new ObjectRegistry({
    reads,
    informer,
    commits: new GroupCommit(store),
    clock,
    random,
    serviceCidr: config.serviceCidr,
    plugins: (self) => [
      ...accounts.plugins(self),
      ...traffic.plugins,
      new OwnFieldsPlugin(),
      ...admissionPlugins({
        informer,
        reads,
        authorizer: accounts.authorizer,
        portForward: (inputs, ended) => pods.portForward(inputs, { signal: ended, peer: config.name, user: ADMISSION }),
        clock,
        random,
        logger: logger.child({ component: 'admission' }),
      }),
    ],
  })
  let kubeAddress = config.kubeListen
  const replicas = new StoreReplicas({
    store,
    clock,
    random,
    logger: logger.child({ component: 'replicas' }),
    name: config.name,
    address: advertisedAddress(config),
    kubeAddress: () => kubeAdvertisedAddress(config, kubeAddress),
  })
  const peers = new ReplicaPeers({
    replicas,
    connect: (address) => connect(address, { ...tls, serverName: CONTROLLER_HOST }, PEER_LIVENESS),
  })
  const dispatcher = new Dispatcher({
    api,
    informer,
    events: recorder,
    clock,
    random,
    logger: logger.child({ component: 'dispatch' }),
    controller: config.name,
    cutOff: () => replicas.isPartitioned,
    podCidr: config.podCidr,
    cluster,
    external: traffic.addresses,
    peers,
    tokens: accounts.tokens,
    nodeAddresses: config.nodeAddresses,
    controllers: () =>
      [...replicas.kubeAddresses()].flatMap(([name, kube]) => [kube, replicas.addressOf(name) ?? kube]),
  })
  const scheduler = new Scheduler({
    informer,
    api,
    events: recorder,
    clock,
    random,
    logger: logger.child({ component: 'scheduler' }),
  })
  const election = new Election({
    store,
    clock,
    random,
    logger: logger.child({ component: 'election' }),
    name: config.name,
    nameIsOurs: embedded.etcd !== undefined,
  })

  const events = new EventReader({ connection: news, servers: config.members.length, clock, random, logger })
  const namedEvents = new NamedEvents({ connection: news, reader: events, servers: config.members.length, clock })

  const lead = async (term: Term, leading: AbortSignal): Promise<void> => {
    const endEvents = (namespace: string): Promise<void> => namedEvents.endNamespace(namespace, leading)
    const parts = {
      api,
      informer,
      events: recorder,
      endEvents,
      clock,
      random,
      logger: logger.child({ component: 'reconcile' }),
      controller: config.name,
      replicas,
      term,
      authority: tls.ca,
      caughtUp: () => reads.current(),
      clusterRanges: [...cluster.podCidrs, ...cluster.serviceCidrs],
    }
    const duties = new RunGroup(leading)
    duties.add((ended) => scheduler.run(term, ended))
    duties.add((ended) => runReconcilers(createReconcilers(parts), parts, ended))
    duties.add((ended) => new ChangePublisher(informer, news, clock).run(ended))
    await duties.wait()
  }

  const available = (): void => {
    if (replicas.isPartitioned) throw partitionedError(config, embedded.etcd?.trouble)
  }
  const server = new Server({
    address: config.listen,
    tls,
    authorize(service, user) {
      authorize(service, user, accounts.authorizer)
      available()
    },
  })
  const pages = new ListPaginator({ informer, reads, clock })
  const watches = new Watches({ informer, reads, clock })
  const pods: PodStreams = new PodStreams({ informer, reads, dispatcher, peers, controller: config.name })
  const nodePages = new NodePageReader({ informer, dispatcher, peers, controller: config.name, clock })
  const usage = new UsageReader({ informer, dispatcher, peers, controller: config.name, clock })
  const kube = createApiServer({
    address: config.kubeListen,
    tls,
    api,
    informer,
    reads,
    pages,
    watches,
    pods,
    usage,
    nodePages,
    events,
    namedEvents,
    publish: (event) => recorder.publish(event),
    accounts,
    available,
    clock,
    random,
    logger: logger.child({ component: 'kube' }),
  })
  server.add('Resources', new ResourcesHandlers({ api, reads, pages, watches }))
  server.add(
    'Cluster',
    new ClusterHandlers({
      version: VERSION,
      controller: config.name,
      leader: () => election.leader(),
      events,
      usage,
      nodePages,
      why: (namespace, pod) => scheduler.why(namespace, pod),
      waitForNetwork: (revision, signal) => dispatcher.confirmations.awaitLocal(revision, signal),
      peers,
      netCheck: new NetCheck({
        informer,
        reads,
        dispatcher,
        peers,
        controller: config.name,
        cluster: { domain: config.clusterDomain },
        clock,
      }),
    }),
  )
  server.add('Pods', new AdmittedPodStreams(pods, api))
  server.add('Nodes', dispatcher)

  const group = new RunGroup(signal)
  group.add(async (inner) => {
    if (embedded.etcd !== undefined) await orStopped(embedded.etcd.ready(), inner)
    group.add((ended) => informer.run(ended))
    await orStopped(informer.synced(), inner)
    await Promise.all(FIRST_NAMESPACES.map((name) => ensureNamespace(api, name, logger, inner)))
    group.add((ended) => dispatcher.run(ended))
    kubeAddress = await kube.start()
    group.add((ended) => replicas.run(ended))
    group.add((ended) => peers.run(ended))
    group.add((ended) => election.run(ended, lead))
    const address = await server.start()
    // Whoever is connected here goes to another controller.
    const heed = replicas.onPartitioned(() => {
      for (const face of [server, kube]) face.interrupt(partitionedError(config, embedded.etcd?.trouble))
    })
    logger.info({ address, kubeAddress, version: VERSION }, 'controller is serving')
    await new Promise<void>((done) => inner.addEventListener('abort', () => done(), { once: true }))
    heed()
    await Promise.all([server.stop(), kube.stop()])
  })
  try {
    await group.wait()
  } finally {
    await store.close()
  }
}

/** `trouble`: why its own etcd does not run. */
function partitionedError({ name, members }: ControllerConfig, trouble: string | undefined): GantryError {
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

async function main(): Promise<void> {
  const start = await configure(CONTROLLER, CONTROLLER_SETTINGS, process.argv.slice(2), process, checkConfig)
  if ('exitCode' in start) return void (process.exitCode = start.exitCode)
  const config = start.settings
  const logger = createLogger('gantry-controller')
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
  await serve(config, logger, stop.signal)
}

main()
  .catch((thrown: unknown) => {
    const { message, details } = GantryError.from(thrown)
    const remedies = details.flatMap(({ remedy }) => (remedy === '' ? [] : [`; ${remedy}`]))
    process.stderr.write(`gantry-controller: ${message}${remedies.join('')}\n`)
    process.exitCode = 1
  })
  .finally(() => {
    // Everything has ended; a socket that the client of NATS left open to a server that never greeted it must not keep
    // the process.
    process.exit()
  })
