/** The controller: builds its parts and runs them until it is told to stop. Nothing else builds things. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../proto/api/errors.ts'
import { configure } from '../proto/api/program.ts'
import { Server } from '../proto/api/rpc.ts'
import { backoffDelay, type BackoffOptions } from '../proto/base/backoff.ts'
import { delay, systemClock as clock } from '../proto/base/clock.ts'
import { createLogger, type Logger } from '../proto/base/logger.ts'
import { systemRandom as random } from '../proto/base/random.ts'
import { RunGroup } from '../proto/base/run-group.ts'
import { VERSION } from '../proto/base/version.ts'
import { authorize } from './api/authorization.ts'
import { ClusterHandlers } from './api/cluster.ts'
import { ConsistentReads } from './api/consistent-reads.ts'
import type { ObjectApi } from './api/contract.ts'
import { ObjectCore } from './api/objects.ts'
import { Pages } from './api/pages.ts'
import { ResourcesHandlers } from './api/resources.ts'
import { Watches } from './api/watches.ts'
import { CONTROLLER_SETTINGS, type ControllerConfig, type TlsFiles } from './config.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { PodStreams } from './dispatch/pods.ts'
import { Election } from './election/election.ts'
import { ChangeNotices } from './events/changes.ts'
import { NewsConnection } from './events/connection.ts'
import { EventReader } from './events/reader.ts'
import { EventRecorder } from './events/recorder.ts'
import { StoreInformer } from './informer/informer.ts'
import { CONTROLLER } from './options.ts'
import { createReconcilers } from './reconcile/reconcilers.ts'
import { runReconcilers } from './reconcile/runner.ts'
import { Scheduler } from './scheduler/scheduler.ts'
import type { Term } from './store/contract.ts'
import { EtcdStore } from './store/etcd.ts'
import { GroupCommit } from './store/group-commit.ts'
import { claimDirectory } from './supervise/directory.ts'
import { EmbeddedEtcd } from './supervise/etcd.ts'
import { EmbeddedNats } from './supervise/nats.ts'

/** Milliseconds that events still waiting are given at the end. */
const FLUSH = 1_000
const RETRY: BackoffOptions = { first: 100, max: 5_000 }

async function readTls(files: TlsFiles): Promise<{ ca: string; cert: string; key: string }> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file, 'utf8')))
  return { ca: ca!, cert: cert!, key: key! }
}

/** The controller's own etcd and NATS, where none were given. They outlive everything else: `stop` is called last. */
async function startEmbedded(config: ControllerConfig, logger: Logger): Promise<{ etcd: EmbeddedEtcd | undefined; nats: EmbeddedNats | undefined; group: RunGroup }> {
  const supervise = { clock, random, logger }
  if (config.etcd.length === 0 || config.nats.length === 0) await claimDirectory(config.dataDir)
  const etcd = config.etcd.length > 0 ? undefined : new EmbeddedEtcd({ ...supervise, dataDir: join(config.dataDir, 'etcd') })
  const nats = config.nats.length > 0 ? undefined : await EmbeddedNats.prepare({ ...supervise, dataDir: join(config.dataDir, 'nats'), port: config.ports.nats })
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
    await tellNews(config, embedded, logger, signal)
  } finally {
    embedded.group.stop()
    await embedded.group.wait()
  }
}

/** Everything that has news, within the life of what tells it: what happens at the very end is told too. */
async function tellNews(config: ControllerConfig, embedded: Embedded, logger: Logger, signal: AbortSignal): Promise<void> {
  const log = logger.child({ component: 'events' })
  const news = new NewsConnection({ servers: embedded.nats === undefined ? config.nats : [embedded.nats.address], token: embedded.nats?.token, name: config.name, clock, random, logger: log })
  const recorder = new EventRecorder({ connection: news, clock, random, logger: log })
  const group = new RunGroup()
  group.add((inner) => news.run(inner))
  group.add((inner) => recorder.run(inner))
  const ends = AbortSignal.any([signal, embedded.group.signal, group.signal])
  try {
    await work(config, embedded, { news, recorder }, logger, ends)
    if (!await recorder.flush(FLUSH)) logger.warn({ waiting: recorder.waiting }, 'events are lost: NATS did not take them in time')
  } finally {
    group.stop()
    await group.wait()
  }
}

/** All the work of a controller, until the signal is aborted. */
async function work(config: ControllerConfig, embedded: Embedded, { news, recorder }: { news: NewsConnection; recorder: EventRecorder }, logger: Logger, signal: AbortSignal): Promise<void> {
  const [tls, etcdTls] = await Promise.all([readTls(config.tls), config.etcdTls === undefined ? undefined : readTls(config.etcdTls)])
  const store = new EtcdStore({
    endpoints: embedded.etcd === undefined ? config.etcd : [embedded.etcd.address], clock,
    ...(etcdTls === undefined ? {} : { tls: { ca: Buffer.from(etcdTls.ca), cert: Buffer.from(etcdTls.cert), key: Buffer.from(etcdTls.key) } }),
  }, random)
  const informer = new StoreInformer({ store, clock, random, logger: logger.child({ component: 'informer' }) })
  const reads = new ConsistentReads(store, informer)
  const api = new ObjectCore({ reads, informer, commits: new GroupCommit(store), clock, random })
  const dispatcher = new Dispatcher({ api, informer, events: recorder, clock, random, logger: logger.child({ component: 'dispatch' }), podCidr: config.podCidr })
  const scheduler = new Scheduler({ informer, api, events: recorder, clock, random, logger: logger.child({ component: 'scheduler' }) })
  const election = new Election({ store, clock, random, logger: logger.child({ component: 'election' }), name: config.name, nameIsOurs: embedded.etcd !== undefined })

  const lead = async (term: Term, leading: AbortSignal): Promise<void> => {
    const parts = { api, informer, events: recorder, clock, random, logger: logger.child({ component: 'reconcile' }), term, caughtUp: () => reads.current() }
    const duties = new RunGroup(leading)
    duties.add((ended) => scheduler.run(term, ended))
    duties.add((ended) => runReconcilers(createReconcilers(parts), parts, ended))
    duties.add((ended) => new ChangeNotices(informer, news).run(ended))
    await duties.wait()
  }

  const server = new Server({ address: config.listen, tls, authorize })
  server.add('Resources', new ResourcesHandlers({ api, reads, pages: new Pages({ informer, reads, clock, random }), watches: new Watches({ informer, reads, clock }) }))
  server.add('Cluster', new ClusterHandlers({ version: VERSION, controller: config.name, leader: () => election.leader(), events: new EventReader({ connection: news, clock, random, logger }), why: (namespace, pod) => scheduler.why(namespace, pod) }))
  server.add('Pods', new PodStreams(informer, dispatcher))
  server.add('Nodes', dispatcher)

  const group = new RunGroup(signal)
  group.add(async (inner) => {
    if (embedded.etcd !== undefined) await orStopped(embedded.etcd.ready(), inner)
    group.add((ended) => informer.run(ended))
    await orStopped(informer.synced(), inner)
    await ensureNamespace(api, 'default', logger, inner)
    group.add((ended) => dispatcher.run(ended))
    group.add((ended) => election.run(ended, lead))
    const address = await server.start()
    logger.info({ address, version: VERSION }, 'controller is serving')
    await new Promise<void>((resolve) => inner.addEventListener('abort', () => resolve(), { once: true }))
    await server.stop()
  })
  try {
    await group.wait()
  } finally {
    await store.close()
  }
}

async function main(): Promise<void> {
  const start = await configure(CONTROLLER, CONTROLLER_SETTINGS, process.argv.slice(2), process)
  if ('exitCode' in start) return void (process.exitCode = start.exitCode)
  const config = start.settings
  const logger = createLogger('gantry-controller')
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
  await serve(config, logger, stop.signal)
}

main().catch((thrown: unknown) => {
  const { message, details } = GantryError.from(thrown)
  const remedies = details.flatMap(({ remedy }) => (remedy === '' ? [] : [`; ${remedy}`]))
  process.stderr.write(`gantry-controller: ${message}${remedies.join('')}\n`)
  process.exitCode = 1
}).finally(() => {
  // Everything has ended; a socket that the client of NATS left open to a server that never greeted it must not keep the process.
  process.exit()
})
