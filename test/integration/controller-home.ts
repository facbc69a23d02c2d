/** A folder with what a controller program needs: certificates and its configuration. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findRecorded, type ProcessRecord } from '../../controller/supervise/process-record.ts'
import { createAuthority, issue, type KeyPair } from '../../deploy/ca.ts'
import { connect, type Connection } from '../../proto/rpc/rpc.ts'

export class ControllerHome {
  readonly dir: string
  readonly config: string
  /** host:port of the gRPC API. */
  readonly address: string
  readonly authority: string
  /** Of a person who may do everything. */
  readonly admin: KeyPair

  private constructor(parts: Pick<ControllerHome, 'dir' | 'address' | 'authority' | 'admin'>) {
    this.dir = parts.dir
    this.config = join(parts.dir, 'config.yaml')
    this.address = parts.address
    this.authority = parts.authority
    this.admin = parts.admin
  }

  /** `settings`: further ones, in YAML's flow style. */
  static async make(port: number, settings: string): Promise<ControllerHome> {
    const dir = await mkdtemp(join(tmpdir(), 'gantry-main-'))
    const now = Date.now()
    const authority = await createAuthority('test', now)
    const subject = { commonName: 'system:controller:c1', organizations: ['system:controllers'] }
    const server = await issue(authority, { ...subject, hosts: ['127.0.0.1', 'gantry-controller'] }, now)
    const admin = await issue(authority, { commonName: 'anna', organizations: ['system:masters'] }, now)
    const home = new ControllerHome({ dir, address: `127.0.0.1:${port}`, authority: authority.cert, admin })
    const texts = { 'ca.crt': authority.cert, 'server.crt': server.cert, 'server.key': server.key }
    for (const [name, text] of Object.entries(texts)) await writeFile(join(dir, name), text, { mode: 0o600 })
    const file = (name: string): string => JSON.stringify(join(dir, name))
    await writeFile(
      home.config,
      `{ name: c1, listen: "${home.address}", dataDir: ${file('data')}, tls: { ca: ${file('ca.crt')}, cert: ${file('server.crt')}, key: ${file('server.key')} }, ${settings} }`,
    )
    return home
  }

  connect(): Connection {
    return connect(this.address, { ca: this.authority, cert: this.admin.cert, key: this.admin.key })
  }

  /** Its etcd and NATS, as far as they have been started. */
  async children(): Promise<ProcessRecord[]> {
    const found = await Promise.all(
      ['etcd', 'nats'].map((name) => findRecorded(join(this.dir, 'data', name, `${name}.process`))),
    )
    return found.filter((record) => record !== undefined)
  }

  remove(): Promise<void> {
    return rm(this.dir, { recursive: true, force: true })
  }
}
