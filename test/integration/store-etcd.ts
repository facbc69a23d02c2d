/** A real etcd of one member for tests: free loopback ports, a directory of its own, gone with `remove`. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { freePorts } from './free-port.ts'

export class TestEtcd {
  readonly endpoint: string
  readonly #peer: string
  readonly #directory: string
  readonly #flags: readonly string[]
  readonly #secure: boolean
  #child: ChildProcess | undefined

  private constructor(directory: string, port: number, peerPort: number, flags: readonly string[]) {
    this.#directory = directory
    this.#flags = flags
    this.#secure = flags.includes('--cert-file')
    this.endpoint = `127.0.0.1:${port}`
    this.#peer = `http://127.0.0.1:${peerPort}`
  }

  static async start(flags: readonly string[] = []): Promise<TestEtcd> {
    const [port = 0, peerPort = 0] = await freePorts(2)
    const etcd = new TestEtcd(await mkdtemp(join(tmpdir(), 'gantry-etcd-')), port, peerPort, flags)
    await etcd.start()
    return etcd
  }

  /** Resolves once it accepts connections. */
  async start(): Promise<void> {
    const url = `${this.#secure ? 'https' : 'http'}://${this.endpoint}`
    const child = spawn(
      'etcd',
      [
        '--data-dir',
        this.#directory,
        '--listen-client-urls',
        url,
        '--advertise-client-urls',
        url,
        '--listen-peer-urls',
        this.#peer,
        '--initial-advertise-peer-urls',
        this.#peer,
        '--initial-cluster',
        `default=${this.#peer}`,
        '--logger',
        'zap',
        '--log-level',
        'error',
        '--unsafe-no-fsync',
        ...this.#flags,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
    this.#child = child
    const end = (): void => void child.kill('SIGKILL')
    process.once('exit', end)
    child.once('exit', () => process.off('exit', end))
    if (!this.#secure) {
      const probe = new grpc.Client(this.endpoint, grpc.credentials.createInsecure(), {
        'grpc.initial_reconnect_backoff_ms': 20,
        'grpc.max_reconnect_backoff_ms': 50,
      })
      await new Promise<void>((resolve, reject) =>
        probe.waitForReady(Date.now() + 40_000, (error) => (error === undefined ? resolve() : reject(error))),
      )
      probe.close()
    }
  }

  /** As by power loss; `start` brings it back with what it had. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  async remove(): Promise<void> {
    await this.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
