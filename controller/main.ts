/** The controller as a program: reads its configuration, makes what lies outside of the controller, and runs it. */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { clockFromEnvironment } from '../proto/base/clock.ts'
import { GantryError } from '../proto/base/errors.ts'
import { createLogger, type Logger } from '../proto/base/logger.ts'
import { configure } from '../proto/base/program.ts'
import { systemRandom as random } from '../proto/base/random.ts'
import { RunGroup } from '../proto/base/run-group.ts'
import { connect, CONTROLLER_HOST, Server, type KeepaliveOptions } from '../proto/rpc/rpc.ts'
import {
  advertisedAddress,
  checkConfig,
  CONTROLLER_SETTINGS,
  processListen,
  processPorts,
  type ControllerConfig,
  type TlsFiles,
} from './config.ts'
import { orStopped, runController } from './controller.ts'
import { NatsNews } from './events/nats-news.ts'
import { createApiServer } from './kube/api-server.ts'
import { CONTROLLER } from './options.ts'
import type { Assignment } from './processes/contract.ts'
import { ControllerProcesses } from './processes/controller-processes.ts'
import { MemberProcess } from './processes/member-process.ts'
import { EtcdStore } from './store/etcd.ts'
import { SoleWriterStore } from './store/sole-writer.ts'
import { claimDirectory } from './supervise/directory.ts'
import { EmbeddedEtcd } from './supervise/etcd.ts'
import type { Membership } from './supervise/membership.ts'
import { EmbeddedNats } from './supervise/nats.ts'
import { routeSecret } from './supervise/route-secret.ts'

/** As pods call the API. */
const API_HOST = 'kubernetes.default.svc'
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

type Embedded = Awaited<ReturnType<typeof startEmbedded>>

/** Where the controller's outside parts are, and what it is among the processes that share them. */
interface Surroundings {
  readonly config: ControllerConfig
  readonly etcd: readonly string[]
  /** Why its own etcd may be away, as far as this process knows. */
  readonly etcdTrouble?: () => string | undefined
  /** Nobody else writes to etcd. */
  readonly isSoleWriter: boolean
  readonly nameIsOurs: boolean
  readonly nats: { readonly servers: readonly string[]; readonly token: string | undefined }
  /** One of several processes of the controller. */
  readonly member?: MemberProcess
}

/** Everything, within the life of its own etcd and NATS; in several processes where so many are to serve. */
async function serve(config: ControllerConfig, logger: Logger, signal: AbortSignal): Promise<void> {
  checkCertificate(await readFile(config.tls.cert, 'utf8'), logger)
  const embedded = await startEmbedded(config, logger)
  const ended = AbortSignal.any([signal, embedded.group.signal])
  try {
    if (config.serve > 1) await serveByProcesses(config, embedded, logger, ended)
    else await serveHere(aloneIn(config, embedded), logger, ended, () => embedded.etcd?.ready())
  } finally {
    embedded.group.stop()
    await embedded.group.wait()
  }
}

function natsOf(config: ControllerConfig, { nats }: Embedded): Surroundings['nats'] {
  return { servers: nats === undefined ? config.nats : [nats.address], token: nats?.token }
}

function aloneIn(config: ControllerConfig, embedded: Embedded): Surroundings {
  const { etcd } = embedded
  return {
    config,
    etcd: etcd === undefined ? config.etcd : [etcd.address],
    etcdTrouble: () => etcd?.trouble,
    // An etcd of its own is reached through a socket that no other process may open, and starts after an earlier
    // controller's has ended.
    isSoleWriter: etcd !== undefined && config.members.length === 0,
    nameIsOurs: etcd !== undefined,
    nats: natsOf(config, embedded),
  }
}

function asMember(config: ControllerConfig, member: MemberProcess): Surroundings {
  const { name, etcd, nameIsOurs, nats } = member.assignment
  const advertise = advertisedAddress(config)
  return { config: { ...config, name, advertise }, etcd, isSoleWriter: false, nameIsOurs, nats, member }
}

/** SIGHUP replaces the processes, one after the other. */
async function serveByProcesses(
  config: ControllerConfig,
  embedded: Embedded,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const { etcd, etcdTrouble: _, ...surroundings } = aloneIn(config, embedded)
  const host = advertisedAddress(config).replace(/:\d+$/, '')
  const ports = processPorts(config)
  const processes = new ControllerProcesses({
    serve: config.serve,
    assign: (number, role) => ({
      name: `${config.name}-${number}`,
      role,
      address: `${host}:${ports[number]}`,
      etcd,
      nameIsOurs: surroundings.nameIsOurs,
      nats: surroundings.nats,
    }),
    clock,
    random,
    logger: logger.child({ component: 'processes' }),
  })
  const replace = (): void => void processes.replaceAll()
  process.on('SIGHUP', replace)
  try {
    if (embedded.etcd !== undefined) await orStopped(embedded.etcd.ready(), signal)
    await processes.run(signal)
  } catch (thrown) {
    if (!isStop(thrown, signal)) throw thrown
  } finally {
    process.off('SIGHUP', replace)
  }
}

/** In this process. `ready`: when etcd answers, where that has to be waited for. */
async function serveHere(
  surroundings: Surroundings,
  logger: Logger,
  signal: AbortSignal,
  ready: () => Promise<void> | undefined,
): Promise<void> {
  const { config, nats } = surroundings
  const news = new NatsNews({ ...nats, name: config.name, copies: config.members.length, clock, random, logger })
  await news.during((told) => work(surroundings, news, logger, AbortSignal.any([signal, told]), ready))
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

/** The controller over its outside parts, until the signal is aborted. */
async function work(
  { config, etcd, etcdTrouble, isSoleWriter, nameIsOurs, member }: Surroundings,
  news: NatsNews,
  logger: Logger,
  signal: AbortSignal,
  ready: () => Promise<void> | undefined,
): Promise<void> {
  const [tls, etcdTls] = await Promise.all([
    readTls(config.tls),
    config.etcdTls === undefined ? undefined : readTls(config.etcdTls),
  ])
  const shared = new EtcdStore(
    {
      endpoints: etcd,
      clock,
      ...(etcdTls === undefined
        ? {}
        : { tls: { ca: Buffer.from(etcdTls.ca), cert: Buffer.from(etcdTls.cert), key: Buffer.from(etcdTls.key) } }),
    },
    random,
  )
  const store = isSoleWriter ? new SoleWriterStore(shared) : shared
  const duties = member?.assignment
  try {
    const answers = ready()
    if (answers !== undefined) await orStopped(answers, signal)
    await runController(
      {
        config,
        store,
        ...(etcdTrouble && { storeTrouble: etcdTrouble }),
        nameIsOurs,
        news,
        authority: tls.ca,
        server: (authorize) => new Server({ ...listenersOf(config, duties), tls, authorize }),
        kubeFace: (parts) =>
          createApiServer({ ...parts, address: config.kubeListen, tls, metrics: member?.metricsOf(parts.registry) }),
        connect: (address) => connect(address, { ...tls, serverName: CONTROLLER_HOST }, PEER_LIVENESS),
        ...(member && { process: member.assignment, onServing: () => member.ready() }),
        clock,
        random,
        logger,
      },
      signal,
    )
  } catch (thrown) {
    if (!isStop(thrown, signal)) throw thrown
  } finally {
    await store.close()
  }
}

/** Where the gRPC API is served: by one of several processes also at a port of its own, or only there. */
function listenersOf(
  config: ControllerConfig,
  duties: Assignment | undefined,
): { readonly address: string; readonly also?: string } {
  if (duties === undefined) return { address: config.listen }
  const own = processListen(config, duties.address)
  switch (duties.role) {
    case 'leading':
      return { address: own }
    case 'serving':
      return { address: config.listen, also: own }
  }
}

/** The end of what a stop cuts short. */
function isStop(thrown: unknown, signal: AbortSignal): boolean {
  return signal.aborted && (thrown as Error | undefined)?.name === 'AbortError'
}

async function main(): Promise<void> {
  const start = await configure(CONTROLLER, CONTROLLER_SETTINGS, process.argv.slice(2), process, checkConfig)
  if ('exitCode' in start) return void (process.exitCode = start.exitCode)
  const config = start.settings
  const logger = createLogger('gantry-controller')
  const stop = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
  const member = MemberProcess.here()
  if (member === undefined) await serve(config, logger, stop.signal)
  else await serveHere(asMember(config, member), logger, stop.signal, () => undefined)
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
