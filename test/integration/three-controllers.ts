/** Three controllers as child processes, with etcd and NATS of their own, on 127.0.0.1, .2 and .3. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { findRecorded, isRunning } from '../../controller/supervise/process-record.ts'
import { createAuthority, issue, type KeyPair } from '../../deploy/ca.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { CONTROLLER_HOST, type Connection } from '../../proto/rpc/rpc.ts'
import type { VersionResponse } from '../../proto/gen/types.ts'
import { eventually, until } from '../eventually.ts'
import { startController, type ControllerProgram } from './controller-program.ts'
import { freePorts } from './free-port.ts'

const NAMES = ['c1', 'c2', 'c3'] as const
/**
 * Milliseconds for three Node.js, three etcd and three NATS that begin at once on a machine with other things to do.
 */
const PATIENCE = 90_000
export type Name = (typeof NAMES)[number]

export class ThreeControllers {
  readonly names = NAMES
  readonly authority: KeyPair
  readonly #directory: string
  readonly #ports: { listen: number; etcdPeer: number; natsPeer: number; nats: Record<Name, number> }
  readonly #running = new Map<Name, ControllerProgram>()

  private constructor(
    directory: string,
    authority: KeyPair,
    [listen = 0, etcdPeer = 0, natsPeer = 0, c1 = 0, c2 = 0, c3 = 0]: number[],
  ) {
    this.#directory = directory
    this.authority = authority
    this.#ports = { listen, etcdPeer, natsPeer, nats: { c1, c2, c3 } }
  }

  static async prepare(): Promise<ThreeControllers> {
    const directory = await mkdtemp(join(tmpdir(), 'gantry-three-'))
    const three = new ThreeControllers(directory, await createAuthority('test', Date.now()), await freePorts(6))
    for (const name of NAMES) await three.#write(name)
    return three
  }

  hostOf(name: Name): string {
    return `127.0.0.${NAMES.indexOf(name) + 1}`
  }

  addressOf(name: Name): string {
    return `${this.hostOf(name)}:${this.#ports.listen}`
  }

  get addresses(): string[] {
    return NAMES.map((name) => this.addressOf(name))
  }

  get peerPorts(): { readonly etcdPeer: number; readonly natsPeer: number } {
    return this.#ports
  }

  dataDir(name: Name): string {
    return join(this.#directory, name, 'data')
  }

  outputOf(name: Name): string {
    return this.#running.get(name)?.output ?? ''
  }

  async #write(name: Name): Promise<void> {
    const home = join(this.#directory, name)
    await mkdir(home)
    const pair = await issue(
      this.authority,
      {
        commonName: `system:controller:${name}`,
        organizations: ['system:controllers'],
        hosts: [CONTROLLER_HOST, this.hostOf(name)],
      },
      Date.now(),
    )
    const tls = { ca: join(home, 'ca.crt'), cert: join(home, 'tls.crt'), key: join(home, 'tls.key') }
    await writeFile(tls.ca, this.authority.cert)
    await writeFile(tls.cert, pair.cert)
    await writeFile(tls.key, pair.key, { mode: 0o600 })
    await writeFile(
      join(home, 'config.yaml'),
      stringify({
        name,
        listen: this.addressOf(name),
        kubeListen: `${this.hostOf(name)}:0`,
        dataDir: this.dataDir(name),
        tls,
        members: NAMES.map((member) => ({ name: member, address: this.hostOf(member) })),
        ports: { nats: this.#ports.nats[name], etcdPeer: this.#ports.etcdPeer, natsPeer: this.#ports.natsPeer },
      }),
    )
  }

  start(name: Name): void {
    this.#running.set(name, startController(join(this.#directory, name, 'config.yaml')))
  }

  /** Resolves with the exit code. */
  ended(name: Name): Promise<number | null> {
    return this.#running.get(name)!.ended
  }

  signal(name: Name, signal: NodeJS.Signals): void {
    this.#running.get(name)!.process.kill(signal)
  }

  /** SIGKILL, and the end of what it ran. */
  async kill(name: Name): Promise<void> {
    this.signal(name, 'SIGKILL')
    await this.ended(name)
    await this.#programsGone(name)
  }

  async #programsGone(name: Name): Promise<void> {
    for (const program of ['etcd', 'nats']) {
      const record = await findRecorded(join(this.dataDir(name), program, `${program}.process`))
      if (record !== undefined) await until(`${program} of ${name} is gone`, async () => !(await isRunning(record)))
    }
  }

  /** What a controller says of itself once it serves and knows a leader, which `other` is not. */
  serving(name: Name, connection: Connection, other = ''): Promise<VersionResponse> {
    return eventually(async () => {
      const running = this.#running.get(name)!
      if (running.process.exitCode !== null) throw new Error(`${name} has ended: ${running.output}`)
      try {
        const version = await connection.client('Cluster').version({}, { timeout: 1_000 })
        return version.leader !== '' && version.leader !== other && version
      } catch (thrown) {
        if (GantryError.is(thrown, 'Unavailable', 'DeadlineExceeded')) return false
        throw thrown
      }
    }, PATIENCE)
  }

  async remove(): Promise<void> {
    for (const [name, { process: child, ended }] of this.#running) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await ended
      await this.#programsGone(name)
    }
    await rm(this.#directory, { recursive: true, force: true })
  }
}
