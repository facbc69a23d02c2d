/**
 * The controller's own NATS with JetStream, alone or one of several, in the controller's data directory. Clients reach
 * it on loopback, and must know its token, which is in files that only the controller's user can read: other users of
 * the machine can neither hear nor tell news. The servers of several controllers are joined by routes between their
 * addresses: TLS with a certificate of the cluster's authority both ways, and a secret, for nodes and people have such
 * certificates as well.
 * https://docs.nats.io/running-a-nats-service/configuration, …/securing_nats/auth_intro/tokens and
 * …/clustering/cluster_config
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { connect as dial } from 'node:net'
import { join, resolve } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { hostPortOf, SupervisedChild, type SuperviseOptions } from './child.ts'
import { othersOf, type Membership } from './membership.ts'
import { writePrivate } from './private-file.ts'

/** Milliseconds until a new connection must have been greeted. */
const PROBE_TIMEOUT = 1_000
/** Files in the data directory. */
const TOKEN = 'token'
const CONFIG = 'nats.conf'
/** Servers must say some name beside the secret. */
const ROUTE_USER = 'gantry'

export interface NatsCluster {
  readonly membership: Membership
  /** On each member's address, for routes. */
  readonly port: number
  /** Finds out what servers must present to each other: hexadecimal. Until then this one is not started. */
  readonly secret: (signal: AbortSignal) => Promise<string>
}

export interface EmbeddedNatsOptions extends SuperviseOptions {
  /** Holds the streams: what is kept of events. */
  readonly dataDir: string
  /** On 127.0.0.1. */
  readonly port: number
  /** Absent: the only server. */
  readonly cluster?: NatsCluster | undefined
}

export class EmbeddedNats {
  /** host:port for clients. */
  readonly address: string
  /** What clients must present. */
  readonly token: string
  readonly #child: SupervisedChild
  readonly #configure: (secret: string) => Promise<void>
  readonly #secret: NatsCluster['secret'] | undefined

  private constructor(options: EmbeddedNatsOptions, dataDir: string, token: string) {
    const { port, cluster } = options
    const file = join(dataDir, CONFIG)
    this.address = `127.0.0.1:${port}`
    this.token = token
    this.#secret = cluster?.secret
    this.#configure = (secret) => writePrivate(file, configuration(options, dataDir, token, secret))
    this.#child = new SupervisedChild(
      {
        name: 'nats',
        command: 'nats-server',
        package: 'nats-server',
        dataDir,
        listens: [
          { host: '127.0.0.1', port },
          ...(cluster === undefined ? [] : [{ host: cluster.membership.self.address, port: cluster.port }]),
        ],
        args: ['--config', file],
        probe: (signal) => probe(port, signal),
      },
      options,
    )
  }

  /** Makes the token where an earlier run has not. */
  static async prepare(options: EmbeddedNatsOptions): Promise<EmbeddedNats> {
    const dataDir = resolve(options.dataDir)
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    return new EmbeddedNats(options, dataDir, await readToken(join(dataDir, TOKEN)))
  }

  get state(): SupervisedChild['state'] {
    return this.#child.state
  }

  /** See SupervisedChild. */
  ready(): Promise<void> {
    return this.#child.ready()
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#configure(this.#secret === undefined ? '' : await this.#secret(signal))
    await this.#child.run(signal)
  }
}

/** Its configuration file. Quoted text has the escapes of JSON; tokens and secrets are hexadecimal. */
function configuration({ port, cluster }: EmbeddedNatsOptions, dataDir: string, token: string, secret: string): string {
  const text = JSON.stringify
  const lines = [
    `server_name: ${text(cluster?.membership.self.name ?? 'gantry')}`,
    `listen: ${text(`127.0.0.1:${port}`)}`,
    `authorization { token: ${text(token)} }`,
    `jetstream { store_dir: ${text(join(dataDir, 'jetstream'))} }`,
  ]
  if (cluster === undefined) return `${lines.join('\n')}\n`
  const { tls, self } = cluster.membership
  return `${[
    ...lines,
    // A route whose other end was cut off is made again soon.
    'ping_interval: "2s"',
    'ping_max: 2',
    'cluster {',
    '  name: gantry',
    `  listen: ${text(hostPortOf({ host: self.address, port: cluster.port }))}`,
    '  no_advertise: true',
    `  authorization { user: ${ROUTE_USER}, password: ${text(secret)}, timeout: 2 }`,
    `  tls { ca_file: ${text(tls.ca)}, cert_file: ${text(tls.cert)}, key_file: ${text(tls.key)}, verify: true, timeout: 2 }`,
    `  routes: [${othersOf(cluster.membership)
      .map(({ address }) =>
        text(`nats-route://${ROUTE_USER}:${secret}@${hostPortOf({ host: address, port: cluster.port })}`),
      )
      .join(', ')}]`,
    '}',
  ].join('\n')}\n`
}

/** The token kept in a file; one is made if there is none (or none whole). */
async function readToken(file: string): Promise<string> {
  try {
    const kept = (await readFile(file, 'utf8')).trim()
    if (/^[0-9a-f]{64}$/.test(kept)) return kept
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw GantryError.from(thrown)
  }
  const token = randomBytes(32).toString('hex')
  await writePrivate(file, `${token}\n`)
  return token
}

/** Connects and waits for the greeting that every NATS server begins with. */
function probe(port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = dial({ host: '127.0.0.1', port, signal, timeout: PROBE_TIMEOUT })
    const settle = (end: () => void): void => {
      socket.destroy()
      end()
    }
    socket.once('data', (chunk) =>
      settle(() =>
        chunk.toString().startsWith('INFO ')
          ? resolve()
          : reject(new GantryError('Unavailable', `what listens on port ${port} is no NATS`)),
      ),
    )
    socket.once('timeout', () =>
      settle(() => reject(new GantryError('DeadlineExceeded', `NATS did not answer within ${PROBE_TIMEOUT} ms`))),
    )
    socket.once('error', (error) => settle(() => reject(error)))
    socket.once('close', () => reject(new GantryError('Unavailable', 'NATS closed the connection')))
  })
}
