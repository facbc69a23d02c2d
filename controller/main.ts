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
import { checkConfig, CONTROLLER_SETTINGS, type ControllerConfig, type TlsFiles } from './config.ts'
import { orStopped, runController } from './controller.ts'
import { NatsNews } from './events/nats-news.ts'
import { createApiServer } from './kube/api-server.ts'
import { CONTROLLER } from './options.ts'
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

/** Everything, within the life of its own etcd and NATS. */
async function serve(config: ControllerConfig, logger: Logger, signal: AbortSignal): Promise<void> {
  const embedded = await startEmbedded(config, logger)
  const news = new NatsNews({
    servers: embedded.nats === undefined ? config.nats : [embedded.nats.address],
    token: embedded.nats?.token,
    name: config.name,
    copies: config.members.length,
    clock,
    random,
    logger,
  })
  try {
    await news.during((told) =>
      work(config, embedded, news, logger, AbortSignal.any([signal, embedded.group.signal, told])),
    )
  } finally {
    embedded.group.stop()
    await embedded.group.wait()
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

/** The controller over its outside parts, until the signal is aborted. */
async function work(
  config: ControllerConfig,
  { etcd }: Embedded,
  news: NatsNews,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const [tls, etcdTls] = await Promise.all([
    readTls(config.tls),
    config.etcdTls === undefined ? undefined : readTls(config.etcdTls),
  ])
  checkCertificate(tls.cert, logger)
  const shared = new EtcdStore(
    {
      endpoints: etcd === undefined ? config.etcd : [etcd.address],
      clock,
      ...(etcdTls === undefined
        ? {}
        : { tls: { ca: Buffer.from(etcdTls.ca), cert: Buffer.from(etcdTls.cert), key: Buffer.from(etcdTls.key) } }),
    },
    random,
  )
  // An etcd of its own is reached through a socket that no other process may open, and starts after an earlier
  // controller's has ended.
  const store = etcd !== undefined && config.members.length === 0 ? new SoleWriterStore(shared) : shared
  try {
    if (etcd !== undefined) await orStopped(etcd.ready(), signal)
    await runController(
      {
        config,
        store,
        storeTrouble: () => etcd?.trouble,
        nameIsOurs: etcd !== undefined,
        news,
        authority: tls.ca,
        server: (authorize) => new Server({ address: config.listen, tls, authorize }),
        kubeFace: (parts) => createApiServer({ ...parts, address: config.kubeListen, tls }),
        connect: (address) => connect(address, { ...tls, serverName: CONTROLLER_HOST }, PEER_LIVENESS),
        clock,
        random,
        logger,
      },
      signal,
    )
  } catch (thrown) {
    if (!signal.aborted || (thrown as Error | undefined)?.name !== 'AbortError') throw thrown
  } finally {
    await store.close()
  }
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
