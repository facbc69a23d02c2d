/** The distribution's kubectl, against a face on loopback. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import type { TestApiServer } from './test-api-server.ts'

export interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export class Kubectl {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async of(face: TestApiServer, user = 'anna', groups: readonly string[] = [MASTERS]): Promise<Kubectl> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-kubectl-'))
    const { ca, cert, key } = await face.client(user, groups)
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    await writeFile(
      join(folder, 'config'),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'test',
        clusters: [
          { name: 'test', cluster: { server: `https://${face.address}`, 'certificate-authority-data': base64(ca) } },
        ],
        users: [{ name: user, user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user, namespace: 'default' } }],
      }),
    )
    return new Kubectl(folder)
  }

  /** Where files for it may be put. */
  get folder(): string {
    return this.#folder
  }

  /** What it is to be run with, by whoever runs it otherwise. */
  get environment(): NodeJS.ProcessEnv {
    return { PATH: process.env.PATH, HOME: this.#folder, KUBECONFIG: join(this.#folder, 'config') }
  }

  /** Runs it to its end. `input` goes to its standard input. */
  async run(args: readonly string[], input = '', variables: NodeJS.ProcessEnv = {}): Promise<Output> {
    const running = promisify(execFile)('kubectl', args, {
      env: { ...this.environment, ...variables },
      timeout: 60_000,
      maxBuffer: 32 * 1024 * 1024,
    })
    running.child.stdin?.end(input)
    return running.then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (thrown: { code?: unknown; stdout: string; stderr: string }) => {
        if (typeof thrown.code !== 'number') throw thrown
        return { code: thrown.code, stdout: thrown.stdout, stderr: thrown.stderr }
      },
    )
  }

  async stop(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
