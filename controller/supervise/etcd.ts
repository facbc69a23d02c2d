/**
 * The controller's own etcd: one member, in the controller's data directory, on sockets there that no other user can reach.
 * https://etcd.io/docs/v3.5/op-guide/configuration/
 */
import { request } from 'node:http'
import { join, resolve } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import { SupervisedChild, type SuperviseOptions } from './child.ts'

/** Bytes the database may take; etcd refuses writes beyond. */
const QUOTA = 2 * 1024 ** 3
/** Milliseconds for one question to it. */
const PROBE_TIMEOUT = 1_000
/** Sockets in its working directory: for clients, and for the peers that a single member does not have. etcd wants names like host:port. */
const CLIENT_SOCKET = 'clients:0'
const PEER_SOCKET = 'peers:0'
/** Bytes of a socket's path (unix(7), sun_path without its last zero). */
const SOCKET_PATH_LIMIT = 107

export interface EmbeddedEtcdOptions extends SuperviseOptions {
  /** Holds the database, the cluster's whole state, and the sockets: closed to other users. */
  readonly dataDir: string
}

export class EmbeddedEtcd {
  /** For clients: unix:PATH. */
  readonly address: string
  readonly #child: SupervisedChild

  /** InvalidArgument for a data directory whose path is too long for a socket in it. */
  constructor(options: EmbeddedEtcdOptions) {
    const dataDir = resolve(options.dataDir)
    const socket = join(dataDir, CLIENT_SOCKET)
    const length = Buffer.byteLength(socket)
    if (length > SOCKET_PATH_LIMIT) throw new GantryError('InvalidArgument', `the data directory's path is too long: ${socket} has ${length} bytes, a socket's path at most ${SOCKET_PATH_LIMIT}`, { details: [{ field: 'dataDir', value: dataDir, message: 'is too long', remedy: 'use a directory with a shorter path' }] })
    this.address = `unix:${socket}`
    const client = `unix://${CLIENT_SOCKET}`
    const peer = `unix://${PEER_SOCKET}`
    this.#child = new SupervisedChild({
      name: 'etcd', command: 'etcd', package: 'etcd-server', dataDir, ports: [],
      args: [
        '--name', 'gantry', '--data-dir', join(dataDir, 'member-data'),
        '--listen-client-urls', client, '--advertise-client-urls', client,
        '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `gantry=${peer}`,
        '--quota-backend-bytes', String(QUOTA),
        // Watchers resume within minutes; older revisions only take space.
        '--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '5m',
        // Raft entries kept in memory between snapshots; there is no slow follower to serve.
        '--snapshot-count', '5000', '--experimental-snapshot-catchup-entries', '1000',
        // The only member elects itself when this time is over, which is most of its start; shorter beats cost processor time at rest.
        '--heartbeat-interval', '50', '--election-timeout', '250',
        '--max-txn-ops', '128', '--log-level', 'warn', '--logger', 'zap',
      ],
      probe: (signal) => probe(socket, signal),
    }, options)
  }

  get state(): SupervisedChild['state'] {
    return this.#child.state
  }

  /** See SupervisedChild. */
  ready(): Promise<void> {
    return this.#child.ready()
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#child.run(signal)
  }
}

/** Its own word that it is healthy: it has a leader (itself) and commits. */
function probe(socketPath: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/health', timeout: PROBE_TIMEOUT, signal, agent: false }, (response) => {
      response.resume()
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new GantryError('Unavailable', `etcd says it is not healthy (${response.statusCode})`))))
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new GantryError('DeadlineExceeded', `etcd did not answer within ${PROBE_TIMEOUT} ms`)))
    call.on('error', reject)
    call.end()
  })
}
