/** The rig's certificate authority and its person's context and kubeconfig, kept in the rig's folder. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Context } from '../../proto/client/context.ts'
import { upsertContext } from '../../proto/client/context-changes.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { kubeconfig } from '../../proto/client/kubeconfig.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { createAuthority, issue, type CertificateRequest, type KeyPair } from '../ca.ts'
import { rigDirectory } from './rig-record.ts'

/** The context file in the rig's own folder: there whatever becomes of the person's. */
export function ownContextFile(rig: string): string {
  return join(rigDirectory(rig), 'context.yaml')
}

/** Likewise for kubectl and its like. */
export function kubeconfigFile(rig: string): string {
  return join(rigDirectory(rig), 'kubeconfig')
}

export class ClusterFiles {
  readonly #rig: string
  readonly #authority: KeyPair

  private constructor(rig: string, authority: KeyPair) {
    this.#rig = rig
    this.#authority = authority
  }

  /** A new authority for a new rig, whose folder is there. */
  static async create(rig: string): Promise<ClusterFiles> {
    const authority = await createAuthority(`gantry-${rig}`, systemClock.now())
    const { folder, cert, key } = authorityFiles(rig)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await Promise.all([writeFile(cert, authority.cert), writeFile(key, authority.key, { mode: 0o600 })])
    return new ClusterFiles(rig, authority)
  }

  /** That of a rig that was made before. */
  static async open(rig: string): Promise<ClusterFiles> {
    const files = authorityFiles(rig)
    try {
      const [cert, key] = await Promise.all([readFile(files.cert, 'utf8'), readFile(files.key, 'utf8')])
      return new ClusterFiles(rig, { cert, key })
    } catch (cause) {
      throw new GantryError(
        'FailedPrecondition',
        `the certificate authority of the rig "${rig}" cannot be read: ${(cause as Error).message}`,
        { cause, details: [{ remedy: `\`gantry rig down ${rig}\`, then up again` }] },
      )
    }
  }

  /** PEM. */
  get authority(): string {
    return this.#authority.cert
  }

  issue(request: CertificateRequest): Promise<KeyPair> {
    return issue(this.#authority, request, systemClock.now())
  }

  /**
   * Makes the rig's context, for an administrator of the cluster, in the rig's own context file, and the same as a
   * kubeconfig. `server`: controllers as host:port; `kube`: their Kubernetes API.
   */
  async writeContext(server: readonly string[], kube: readonly string[]): Promise<Context> {
    const pair = await this.issue({ commonName: 'admin', organizations: ['system:masters'] })
    const context = { name: this.#rig, server, kube, ca: this.#authority.cert, ...pair }
    await upsertContext(ownContextFile(this.#rig), context, { makeCurrent: true })
    await writeFile(kubeconfigFile(this.#rig), kubeconfig(context, { ca: this.#authority.cert, ...pair }, kube[0]!), {
      mode: 0o600,
    })
    return context
  }
}

function authorityFiles(rig: string): Record<'folder' | 'cert' | 'key', string> {
  const folder = join(rigDirectory(rig), 'ca')
  return { folder, cert: join(folder, 'ca.crt'), key: join(folder, 'ca.key') }
}
