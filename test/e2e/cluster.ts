/** A real cluster for end-to-end tests: a rig of its own, and the command line run against it as a person would. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pushDemoImages } from '../../deploy/rig/demo.ts'
import { connectContext } from '../../deploy/rig/admin-connection.ts'
import { identify, readProcess, type ProcessIdentity } from '../../proto/base/process.ts'
import { createRig, registryOf, removeRig } from '../../deploy/rig/rig.ts'
import type { RigRecord } from '../../deploy/rig/rig-record.ts'
import type { Connection } from '../../proto/api/rpc.ts'
import { run } from '../../proto/base/command.ts'

export const ROOT = resolve(import.meta.dirname, '../..')

/** A rig's name that another checkout on the same host does not use. */
export function rigName(purpose: string): string {
  return `${purpose}-${createHash('sha256').update(ROOT).digest('hex').slice(0, 6)}`
}

export interface Output {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export class Cluster {
  readonly rig: RigRecord
  readonly connection: Connection
  readonly #home: string

  private constructor(rig: RigRecord, connection: Connection, home: string) {
    this.rig = rig
    this.connection = connection
    this.#home = home
  }

  /** Starts one with its own context file; leftovers of an interrupted run of this checkout are removed first. */
  static async start(purpose: string, nodes: number): Promise<Cluster> {
    const name = rigName(purpose)
    const home = mkdtempSync(join(tmpdir(), 'gantry-e2e-'))
    process.env.GANTRY_CONFIG = join(home, 'config.yaml')
    await removeRig(name)
    const rig = await createRig({ name, nodes, root: ROOT, progress: () => undefined, fillRegistry: pushDemoImages })
    return new Cluster(rig, await connectContext(name), home)
  }

  async stop(): Promise<void> {
    this.connection.close()
    await removeRig(this.rig.name)
    rmSync(this.#home, { recursive: true })
  }

  get registry(): string {
    return registryOf(this.rig)
  }

  /** Runs `gantry` with these arguments. */
  run(args: readonly string[], stdin = ''): Promise<Output> {
    return new Promise((done, reject) => {
      const child = spawn(process.execPath, [join(ROOT, 'dist/gantry.cjs'), '--context', this.rig.name, ...args], { env: { ...process.env, NO_COLOR: '1' } })
      const chunks = { stdout: '', stderr: '' }
      child.stdout.on('data', (chunk: Buffer) => (chunks.stdout += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (chunks.stderr += chunk.toString()))
      child.on('error', reject)
      child.on('close', (code) => done({ code: code ?? -1, ...chunks }))
      child.stdin.end(stdin)
    })
  }

  /** Runs `gantry` and gives its standard output; fails with all it said unless the exit code is 0. */
  async ok(args: readonly string[], stdin = ''): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, stdin)
    if (code !== 0) throw new Error(`gantry ${args.join(' ')} ended with ${code}\n${stdout}${stderr}`)
    return stdout
  }

  /** One value of an object by jsonpath, e.g. `value('pod/web', '.status.phase')`. */
  async value(object: string, path: string, namespace = 'default'): Promise<string> {
    return this.ok(['get', object, '-n', namespace, '-o', `jsonpath={${path}}`])
  }

  /** Runs a program on a machine of the rig, in all its namespaces. */
  async on(machine: string, command: readonly string[]): Promise<string> {
    const init = this.rig.machines.find(({ spec }) => spec.name === machine)!.init
    return (await run('nsenter', ['--target', String(init.pid), '--all', ...command])).stdout
  }

  /** Processes of a machine whose command line contains a text, by their pids on the host. */
  processes(machine: string, text: string): ProcessIdentity[] {
    const init = this.rig.machines.find(({ spec }) => spec.name === machine)!.init
    return descendants(init.pid).filter((pid) => commandLine(pid).includes(text)).flatMap((pid) => identify(pid) ?? [])
  }
}

function commandLine(pid: number): string {
  return readProcess(pid, 'cmdline')?.replaceAll('\0', ' ') ?? ''
}

function descendants(pid: number): number[] {
  const children = readProcess(pid, `task/${pid}/children`)?.trim().split(' ').filter((text) => text !== '').map(Number) ?? []
  return children.flatMap((child) => [child, ...descendants(child)])
}
