/**
 * The controller's own etcd: the only member or one of several, in the controller's data directory. Clients reach it by
 * a socket there that no other user can reach. https://etcd.io/docs/v3.5/op-guide/configuration/
 */
import { mkdir } from 'node:fs/promises'
import { request } from 'node:http'
import { join, resolve } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { RunGroup } from '../../proto/base/run-group.ts'
import { SupervisedChild, type SuperviseOptions } from './child.ts'
import {
  initialClusterState,
  exists,
  majorityReachable,
  memberArguments,
  type InitialClusterState,
} from './etcd-members.ts'
import { EtcdMaintenance } from './etcd-maintenance.ts'
import { checkRecord, type Membership } from './membership.ts'
import { restartStuckMember } from './stuck-member.ts'

/** Bytes the database may take unless something else is said. */
const QUOTA = 2 * 1024 ** 3
/** Milliseconds for one question to it. */
const PROBE_TIMEOUT = 1_000
/**
 * In its working directory: the database; sockets for clients, and for the peers that a single member does not have.
 * etcd wants names like host:port.
 */
const DATABASE = 'member-data'
const CLIENT_SOCKET = 'clients:0'
const PEER_SOCKET = 'peers:0'
/** Bytes of a socket's path (unix(7), sun_path without its last zero). */
const SOCKET_PATH_LIMIT = 107

const SINGLE_MEMBER_ARGS: readonly string[] = [
  '--name',
  'gantry',
  '--listen-peer-urls',
  `unix://${PEER_SOCKET}`,
  '--initial-advertise-peer-urls',
  `unix://${PEER_SOCKET}`,
  '--initial-cluster',
  `gantry=unix://${PEER_SOCKET}`,
  // Raft entries kept in memory between snapshots; there is no slow follower to serve.
  '--experimental-snapshot-catchup-entries',
  '1000',
  // The only member elects itself when this time is over, which is most of its start; shorter beats cost processor time
  // at rest.
  '--heartbeat-interval',
  '50',
  '--election-timeout',
  '250',
]

/** The members, and the port on each one's address for the others. */
export interface EtcdCluster {
  readonly membership: Membership
  readonly port: number
}

export interface EmbeddedEtcdOptions extends SuperviseOptions {
  /** Holds the database, the cluster's whole state, and the sockets: closed to other users. */
  readonly dataDir: string
  /** Absent: the only member. */
  readonly cluster?: EtcdCluster | undefined
  /** Bytes the database may take; etcd refuses writes beyond. Default 2 GiB. */
  readonly quota?: number
}

export class EmbeddedEtcd {
  /** For clients: unix:PATH. */
  readonly address: string
  readonly #options: EmbeddedEtcdOptions
  readonly #child: SupervisedChild
  readonly #space: EtcdMaintenance

  private constructor(options: EmbeddedEtcdOptions, dataDir: string, beginning: InitialClusterState) {
    const { cluster, quota = QUOTA } = options
    const socket = join(dataDir, CLIENT_SOCKET)
    this.#options = options
    this.address = `unix:${socket}`
    const client = `unix://${CLIENT_SOCKET}`
    this.#child = new SupervisedChild(
      {
        name: 'etcd',
        command: 'etcd',
        package: 'etcd-server',
        dataDir,
        listens: cluster === undefined ? [] : [{ host: cluster.membership.self.address, port: cluster.port }],
        waitsForOthers: cluster !== undefined,
        args: [
          '--data-dir',
          join(dataDir, DATABASE),
          '--listen-client-urls',
          client,
          '--advertise-client-urls',
          client,
          ...(cluster === undefined
            ? SINGLE_MEMBER_ARGS
            : memberArguments(cluster.membership, cluster.port, beginning)),
          '--quota-backend-bytes',
          String(quota),
          // Watchers resume within minutes; older revisions only take space.
          '--auto-compaction-mode',
          'periodic',
          '--auto-compaction-retention',
          '5m',
          '--snapshot-count',
          '5000',
          '--max-txn-ops',
          '128',
          '--log-level',
          'warn',
          '--logger',
          'zap',
        ],
        probe: (signal) => probe(socket, signal),
        parseFailure: fatalMessage,
      },
      options,
    )
    this.#space = new EtcdMaintenance({
      address: this.address,
      quota,
      ready: () => this.#child.state.state === 'ready',
      clock: options.clock,
      logger: options.logger,
    })
  }

  /**
   * Looks at what is there. InvalidArgument for a data directory whose path is too long for a socket in it;
   * FailedPrecondition for data of other members, and when the data of one that has been a member are gone.
   */
  static async prepare(options: EmbeddedEtcdOptions): Promise<EmbeddedEtcd> {
    const { cluster } = options
    const dataDir = resolve(options.dataDir)
    const socket = join(dataDir, CLIENT_SOCKET)
    const length = Buffer.byteLength(socket)
    if (length > SOCKET_PATH_LIMIT)
      throw new GantryError(
        'InvalidArgument',
        `the data directory's path is too long: ${socket} has ${length} bytes, a socket's path at most ${SOCKET_PATH_LIMIT}`,
        {
          details: [
            { field: 'dataDir', value: dataDir, message: 'is too long', remedy: 'use a directory with a shorter path' },
          ],
        },
      )
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const begun = await exists(join(dataDir, DATABASE))
    await checkRecord(dataDir, begun, cluster?.membership, cluster?.port ?? 0)
    return new EmbeddedEtcd(
      options,
      dataDir,
      begun || cluster === undefined ? 'new' : await initialClusterState(cluster.membership, cluster.port),
    )
  }

  get state(): SupervisedChild['state'] {
    return this.#child.state
  }

  /** Why it does not answer, in its own words: see SupervisedChild. */
  get trouble(): string | undefined {
    return this.#child.lastFailure
  }

  /** See SupervisedChild. */
  ready(): Promise<void> {
    return this.#child.ready()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options
    const group = new RunGroup(signal)
    group.add((end) => this.#child.run(end))
    group.add((end) => this.#space.run(end))
    if (cluster !== undefined)
      group.add((end) =>
        restartStuckMember(
          {
            healthy: (stop) => this.#healthy(stop),
            majorityReachable: () => majorityReachable(cluster.membership, cluster.port),
            restart: (reason) => this.#child.restart(reason),
          },
          this.#options,
          end,
        ),
      )
    await group.wait()
  }

  /** One that is being started, or writes its database anew, is not judged. */
  async #healthy(signal: AbortSignal): Promise<boolean> {
    if (this.#child.state.state !== 'ready' || this.#space.defragmenting) return true
    try {
      await probe(this.address.slice('unix:'.length), signal)
      return true
    } catch (thrown) {
      this.#options.logger.debug({ err: thrown }, 'etcd is not healthy')
      return false
    }
  }
}

/**
 * The words by which etcd ends itself, out of a line of its log; undefined for other lines, and for one that it did not
 * get to finish.
 */
export function fatalMessage(line: string): string | undefined {
  const [, message] = /^\{"level":"(?:fatal|panic)",.*?"msg":("(?:[^"\\]|\\.)*")/.exec(line) ?? []
  if (message === undefined) return undefined
  const [, error] = /,"error":("(?:[^"\\]|\\.)*")/.exec(line) ?? []
  return [message, ...(error === undefined ? [] : [error])].map((text) => JSON.parse(text) as string).join(': ')
}

/**
 * Its own word that it is healthy: it has a leader and commits. One that has no space left is to be there all the same,
 * so that it can be given some.
 */
function probe(socketPath: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath, path: '/health?exclude=NOSPACE', timeout: PROBE_TIMEOUT, signal, agent: false },
      (response) => {
        response.resume()
        response.on('end', () =>
          response.statusCode === 200
            ? resolve()
            : reject(new GantryError('Unavailable', `etcd says it is not healthy (${response.statusCode})`)),
        )
        response.on('error', reject)
      },
    )
    call.on('timeout', () =>
      call.destroy(new GantryError('DeadlineExceeded', `etcd did not answer within ${PROBE_TIMEOUT} ms`)),
    )
    call.on('error', reject)
    call.end()
  })
}
