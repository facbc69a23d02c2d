/** The configuration of a rig's programs: certificates, one file for the controller, one a node, one for the registry. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { systemClock } from '../../proto/base/clock.ts'
import { contextFilePath, upsertContext } from '../../proto/api/context.ts'
import { CONTROLLER_HOST } from '../../proto/api/rpc.ts'
import { createAuthority, issue, type CertificateRequest, type KeyPair } from '../ca.ts'

export const CONTROLLER_PORT = 7443
export const REGISTRY_PORT = 5000

async function writeKeyPair(directory: string, authority: KeyPair, pair: KeyPair): Promise<{ ca: string; cert: string; key: string }> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const files = { ca: join(directory, 'ca.crt'), cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key') }
  await writeFile(files.ca, authority.cert)
  await writeFile(files.cert, pair.cert)
  await writeFile(files.key, pair.key, { mode: 0o600 })
  return files
}

async function writeYaml(file: string, content: unknown): Promise<string> {
  await writeFile(file, stringify(content), { mode: 0o600 })
  return file
}

/** Certificates and files of one rig, under its own folder. */
export class ClusterFiles {
  readonly #directory: string
  readonly #authority: KeyPair

  private constructor(directory: string, authority: KeyPair) {
    this.#directory = directory
    this.#authority = authority
  }

  static async create(directory: string, name: string): Promise<ClusterFiles> {
    const authority = await createAuthority(`gantry-${name}`, systemClock.now())
    await writeKeyPair(join(directory, 'ca'), authority, authority)
    return new ClusterFiles(directory, authority)
  }

  #issue(request: CertificateRequest): Promise<KeyPair> {
    return issue(this.#authority, request, systemClock.now())
  }

  /** The controller's configuration file. */
  async controller(name: string, address: string): Promise<string> {
    const home = join(this.#directory, name)
    const pair = await this.#issue({ commonName: `system:controller:${name}`, organizations: ['system:controllers'], hosts: [CONTROLLER_HOST, address, name, 'localhost', '127.0.0.1'] })
    const tls = await writeKeyPair(join(home, 'tls'), this.#authority, pair)
    return writeYaml(join(home, 'config.yaml'), { name, listen: `${address}:${CONTROLLER_PORT}`, dataDir: join(home, 'data'), tls })
  }

  /** A node's configuration file. */
  async node(name: string, options: { controller: string; mirror: string; cgroup: string; runDir: string }): Promise<string> {
    const home = join(this.#directory, name)
    const tls = await writeKeyPair(join(home, 'tls'), this.#authority, await this.#issue({ commonName: `system:node:${name}`, organizations: ['system:nodes'] }))
    return writeYaml(join(home, 'config.yaml'), {
      name, controllers: [`${options.controller}:${CONTROLLER_PORT}`], tls, stateDir: join(home, 'state'), runDir: options.runDir, cgroupParent: `/${options.cgroup}`,
      registries: { mirrors: { 'docker.io': [`http://${options.mirror}`] }, insecure: [options.mirror] },
    })
  }

  /** The registry's configuration file. https://distribution.github.io/distribution/about/configuration/ */
  async registry(name: string, address: string): Promise<string> {
    const home = join(this.#directory, name)
    await mkdir(home, { recursive: true })
    return writeYaml(join(home, 'config.yml'), {
      version: 0.1, log: { level: 'warn' }, http: { addr: `${address}:${REGISTRY_PORT}` },
      storage: { filesystem: { rootdirectory: join(home, 'data') }, delete: { enabled: true } },
    })
  }

  /** Gives the person who runs this a context for the cluster, and makes it the current one. */
  async context(name: string, address: string): Promise<void> {
    const pair = await this.#issue({ commonName: 'admin', organizations: ['system:masters'] })
    await upsertContext(contextFilePath(process.env), { name, server: [`${address}:${CONTROLLER_PORT}`], ca: this.#authority.cert, ...pair }, { makeCurrent: true })
  }
}
