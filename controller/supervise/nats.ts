/** The controller's own NATS with JetStream, on loopback, in the controller's data directory. https://docs.nats.io/running-a-nats-service/configuration */
import { connect as dial } from 'node:net'
import { join } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import { SupervisedChild, type SuperviseOptions } from './child.ts'

/** Milliseconds until a new connection must have been greeted. */
const PROBE_TIMEOUT = 1_000

export interface EmbeddedNatsOptions extends SuperviseOptions {
  /** Holds the streams: what is kept of events. */
  readonly dataDir: string
  /** On 127.0.0.1. */
  readonly port: number
}

export class EmbeddedNats {
  /** host:port for clients. */
  readonly address: string
  readonly #child: SupervisedChild

  constructor(options: EmbeddedNatsOptions) {
    const { dataDir, port } = options
    this.address = `127.0.0.1:${port}`
    this.#child = new SupervisedChild({
      name: 'nats', command: 'nats-server', package: 'nats-server', dataDir, ports: [port],
      args: ['--addr', '127.0.0.1', '--port', String(port), '--name', 'gantry', '--jetstream', '--store_dir', join(dataDir, 'jetstream')],
      probe: (signal) => probe(port, signal),
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

/** Connects and waits for the greeting that every NATS server begins with. */
function probe(port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = dial({ host: '127.0.0.1', port, signal, timeout: PROBE_TIMEOUT })
    const settle = (end: () => void): void => {
      socket.destroy()
      end()
    }
    socket.once('data', (chunk) => settle(() => (chunk.toString().startsWith('INFO ') ? resolve() : reject(new GantryError('Unavailable', `what listens on port ${port} is no NATS`)))))
    socket.once('timeout', () => settle(() => reject(new GantryError('DeadlineExceeded', `NATS did not answer within ${PROBE_TIMEOUT} ms`))))
    socket.once('error', (error) => settle(() => reject(error)))
    socket.once('close', () => reject(new GantryError('Unavailable', 'NATS closed the connection')))
  })
}
