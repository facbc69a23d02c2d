/** The controller's own etcd: one member, on loopback, in the controller's data directory. https://etcd.io/docs/v3.5/op-guide/configuration/ */
import { request } from 'node:http'
import { join } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import { SupervisedChild, type SuperviseOptions } from './child.ts'

/** Bytes the database may take; etcd refuses writes beyond. */
const QUOTA = 2 * 1024 ** 3
/** Milliseconds for one question to it. */
const PROBE_TIMEOUT = 1_000

export interface EmbeddedEtcdOptions extends SuperviseOptions {
  /** Holds the database: the cluster's whole state. */
  readonly dataDir: string
  /** On 127.0.0.1: for clients, and for the peers that a single member does not have. */
  readonly clientPort: number
  readonly peerPort: number
}

export class EmbeddedEtcd {
  /** host:port for clients. */
  readonly address: string
  readonly #child: SupervisedChild

  constructor(options: EmbeddedEtcdOptions) {
    const { dataDir, clientPort, peerPort } = options
    this.address = `127.0.0.1:${clientPort}`
    const client = `http://${this.address}`
    const peer = `http://127.0.0.1:${peerPort}`
    this.#child = new SupervisedChild({
      name: 'etcd', command: 'etcd', package: 'etcd-server', dataDir, ports: [clientPort, peerPort],
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
      probe: (signal) => probe(clientPort, signal),
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
function probe(port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path: '/health', timeout: PROBE_TIMEOUT, signal, agent: false }, (response) => {
      response.resume()
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new GantryError('Unavailable', `etcd says it is not healthy (${response.statusCode})`))))
      response.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new GantryError('DeadlineExceeded', `etcd did not answer within ${PROBE_TIMEOUT} ms`)))
    call.on('error', reject)
    call.end()
  })
}
