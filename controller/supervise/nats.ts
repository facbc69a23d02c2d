/**
 * The controller's own NATS with JetStream, on loopback, in the controller's data directory. Who connects must know its token, which is in
 * files that only the controller's user can read: other users of the machine can neither hear nor tell news.
 * https://docs.nats.io/running-a-nats-service/configuration and …/configuration/securing_nats/auth_intro/tokens
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { connect as dial } from 'node:net'
import { join, resolve } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import { SupervisedChild, type SuperviseOptions } from './child.ts'
import { writePrivate } from './private-file.ts'

/** Milliseconds until a new connection must have been greeted. */
const PROBE_TIMEOUT = 1_000
/** Files in the data directory. */
const TOKEN = 'token'
const CONFIG = 'nats.conf'

export interface EmbeddedNatsOptions extends SuperviseOptions {
  /** Holds the streams: what is kept of events. */
  readonly dataDir: string
  /** On 127.0.0.1. */
  readonly port: number
}

export class EmbeddedNats {
  /** host:port for clients. */
  readonly address: string
  /** What clients must present. */
  readonly token: string
  readonly #child: SupervisedChild

  private constructor({ port, ...options }: EmbeddedNatsOptions, dataDir: string, token: string) {
    this.address = `127.0.0.1:${port}`
    this.token = token
    this.#child = new SupervisedChild({
      name: 'nats', command: 'nats-server', package: 'nats-server', dataDir, ports: [port],
      args: ['--addr', '127.0.0.1', '--port', String(port), '--name', 'gantry', '--jetstream', '--store_dir', join(dataDir, 'jetstream'), '--config', join(dataDir, CONFIG)],
      probe: (signal) => probe(port, signal),
    }, options)
  }

  /** Makes the token and the configuration where an earlier run has not. */
  static async prepare(options: EmbeddedNatsOptions): Promise<EmbeddedNats> {
    const dataDir = resolve(options.dataDir)
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const token = await readToken(join(dataDir, TOKEN))
    // The token is hexadecimal: nothing in it needs escaping.
    await writePrivate(join(dataDir, CONFIG), `authorization {\n  token: "${token}"\n}\n`)
    return new EmbeddedNats(options, dataDir, token)
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
    socket.once('data', (chunk) => settle(() => (chunk.toString().startsWith('INFO ') ? resolve() : reject(new GantryError('Unavailable', `what listens on port ${port} is no NATS`)))))
    socket.once('timeout', () => settle(() => reject(new GantryError('DeadlineExceeded', `NATS did not answer within ${PROBE_TIMEOUT} ms`))))
    socket.once('error', (error) => settle(() => reject(error)))
    socket.once('close', () => reject(new GantryError('Unavailable', 'NATS closed the connection')))
  })
}
