/** The controller: builds its parts and runs them until it is told to stop. Nothing else builds things. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readConfig } from '../proto/api/config-file.ts'
import { GantryError } from '../proto/api/errors.ts'
import { Server } from '../proto/api/rpc.ts'
import { systemClock as clock } from '../proto/base/clock.ts'
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
import { createReconcilers } from './reconcile/reconcilers.ts'
import { runReconcilers } from './reconcile/runner.ts'
import { Scheduler } from './scheduler/scheduler.ts'
import { EtcdStore } from './store/etcd.ts'
import { GroupCommit } from './store/group-commit.ts'
import { EmbeddedEtcd } from './supervise/etcd.ts'
import { EmbeddedNats } from './supervise/nats.ts'

const USAGE = 'usage: gantry-controller --config FILE | --version'
/** Milliseconds that events still waiting are given at the end. */
const FLUSH = 1_000

async function readTls(files: TlsFiles): Promise<{ ca: string; cert: string; key: string }> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map((file) => readFile(file, 'utf8')))
  return { ca: ca!, cert: cert!, key: key! }
}

/** The controller's own etcd and NATS, where none were given. They outlive everything else: `stop` is called last. */
async function startEmbedded(config: ControllerConfig, logger: Logger): Promise<{ etcd: EmbeddedEtcd | undefined; nats: EmbeddedNats | undefined; group: RunGroup }> {
  const supervise = { clock, random, logger }
  const etcd = config.etcd.length > 0 ? undefined : new EmbeddedEtcd({ ...supervise, dataDir: join(config.dataDir, 'etcd') })
  const nats = config.nats.length > 0 ? undefined : await EmbeddedNats.prepare({ ...supervise, dataDir: join(config.dataDir, 'nats'), port: config.ports.nats })
  const group = new RunGroup()
  for (const child of [etcd, nats]) if (child !== undefined) group.add((signal) => child.run(signal))
  return { etcd, nats, group }
}

async function ensureNamespace(api: ObjectApi, name: string): Promise<void> {
  try {
    await api.create({ kind: 'Namespace', metadata: { name } }, { fieldManager: 'gantry-controller' })
  } catch (thrown) {
    if (!GantryError.is(thrown, 'AlreadyExists')) throw thrown
  }
}

async function serve(config: ControllerConfig, logger: Logger, signal: AbortSignal): Promise<void> {
  const embedded = await startEmbedded(config, logger)
  const group = new RunGroup(signal)
  embedded.group.signal.addEventListener('abort', () => group.stop(), { once: true })
  try {
    const etcdTls = config.etcdTls === undefined ? undefined : await readTls(config.etcdTls)
    const store = new EtcdStore({
      endpoints: embedded.etcd === undefined ? config.etcd : [embedded.etcd.address], clock,
      ...(etcdTls === undefined ? {} : { tls: { ca: Buffer.from(etcdTls.ca), cert: Buffer.from(etcdTls.cert), key: Buffer.from(etcdTls.key) } }),
    }, random)
    const news = new NewsConnection({ servers: embedded.nats === undefined ? config.nats : [embedded.nats.address], token: embedded.nats?.token, name: config.name, clock, random, logger: logger.child({ component: 'events' }) })
    const recorder = new EventRecorder({ connection: news, clock, random, logger: logger.child({ component: 'events' }) })
    const informer = new StoreInformer({ store, clock, random, logger: logger.child({ component: 'informer' }) })
    const reads = new ConsistentReads(store, informer)
    const api = new ObjectCore({ reads, informer, commits: new GroupCommit(store), clock, random })
    const dispatcher = new Dispatcher({ api, informer, publish: (event) => recorder.publish(event), clock, random, logger: logger.child({ component: 'dispatch' }), podCidr: config.podCidr })
    const scheduler = new Scheduler({ informer, api, events: recorder, clock, random, logger: logger.child({ component: 'scheduler' }) })
    const election = new Election({ store, clock, random, logger: logger.child({ component: 'election' }), name: config.name, nameIsOurs: embedded.etcd !== undefined })

    group.add((inner) => news.run(inner))
    group.add((inner) => recorder.run(inner))
    group.add((inner) => new ChangeNotices(informer, news).run(inner))
    await embedded.etcd?.ready()
    group.add((inner) => informer.run(inner))
    await informer.synced()
    await ensureNamespace(api, 'default')
    group.add((inner) => dispatcher.run(inner))
    group.add((inner) => election.run(inner, async (term, leading) => {
      const parts = { api, informer, events: recorder, clock, random, logger: logger.child({ component: 'reconcile' }), term, caughtUp: () => reads.current() }
      const duties = new RunGroup(leading)
      duties.add((ended) => scheduler.run(term, ended))
      duties.add((ended) => runReconcilers(createReconcilers(parts), parts, ended))
      await duties.wait()
    }))

    const server = new Server({ address: config.listen, tls: await readTls(config.tls), authorize })
    server.add('Resources', new ResourcesHandlers({ api, reads, pages: new Pages({ informer, reads, clock, random }), watches: new Watches({ informer, reads, clock }) }))
    server.add('Cluster', new ClusterHandlers({ version: VERSION, controller: config.name, leader: () => election.leader(), events: new EventReader({ connection: news, clock, random, logger }), why: (namespace, pod) => scheduler.why(namespace, pod) }))
    server.add('Pods', new PodStreams(informer, dispatcher))
    server.add('Nodes', dispatcher)
    const address = await server.start()
    logger.info({ address, version: VERSION }, 'controller is serving')

    group.signal.addEventListener('abort', () => group.spawn(async () => {
      await server.stop()
      await recorder.flush(FLUSH)
    }), { once: true })
    await group.wait()
    await store.close()
  } finally {
    group.stop()
    embedded.group.stop()
    await embedded.group.wait()
  }
}

async function main(): Promise<void> {
  let values: { config?: string | undefined; version?: boolean | undefined }
  try {
    values = parseArgs({ options: { config: { type: 'string' }, version: { type: 'boolean' } } }).values
  } catch (thrown) {
    process.stderr.write(`gantry-controller: ${(thrown as Error).message}\n${USAGE}\n`)
    process.exitCode = 2
    return
  }
  if (values.version === true) return void process.stdout.write(`gantry-controller ${VERSION}\n`)
  if (values.config === undefined) {
    process.stderr.write(`${USAGE}\n`)
    process.exitCode = 2
    return
  }
  const config = await readConfig(values.config, CONTROLLER_SETTINGS)
  const logger = createLogger('gantry-controller')
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
  await serve(config, logger, stop.signal)
}

main().catch((thrown: unknown) => {
  process.stderr.write(`gantry-controller: ${GantryError.from(thrown).message}\n`)
  process.exitCode = 1
})
