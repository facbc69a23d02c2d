/** A real cluster for end-to-end tests: a rig of its own, and the command line run against it as a person would. */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { RigOptions } from '../../deploy/rig/options.ts'
import { Rig } from '../../deploy/rig/rig.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { loadCredentials, readContexts } from '../../proto/client/context.ts'
import { connect, type Connection } from '../../proto/rpc/rpc.ts'
import type { CommandResult } from '../../proto/base/command.ts'
import { identify, readProcess, type ProcessIdentity } from '../../proto/base/process.ts'

import { startGantry } from '../support/command-line.ts'

export const ROOT = resolve(import.meta.dirname, '../..')

/** A rig's name that another checkout on the same host does not use. */
export function rigName(purpose: string): string {
  return `${purpose}-${createHash('sha256').update(ROOT).digest('hex').slice(0, 6)}`
}

export class Cluster {
  readonly rig: Rig
  readonly connection: Connection

  private constructor(rig: Rig, connection: Connection) {
    this.rig = rig
    this.connection = connection
  }

  /** Starts one; leftovers of an interrupted run of this checkout are removed first. */
  static async start(
    purpose: string,
    nodes: number,
    more: Pick<RigOptions, 'settings' | 'controllers'> = {},
  ): Promise<Cluster> {
    const name = rigName(purpose)
    await removeRig(name)
    const rig = await Rig.up({ name, nodes, ...more })
    const { file, server } = rig.context()
    const [context] = (await readContexts(file)).contexts
    return new Cluster(rig, connect(server[0]!, await loadCredentials(context!, file)))
  }

  async stop(): Promise<void> {
    this.connection.close()
    await this.rig.down()
  }

  get registry(): string {
    return this.rig.registry
  }

  /** Runs `gantry` with these arguments, in this process. */
  async run(args: readonly string[], stdin = ''): Promise<CommandResult> {
    const { file, name } = this.rig.context()
    const place = { env: { GANTRY_CONFIG: file, NO_COLOR: '1' }, cwd: ROOT, clock: systemClock }
    const { exit, stdout, stderr } = await startGantry(['--context', name, ...args], place, { stdin }).result
    return { code: exit, stdout, stderr }
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
    return (await this.rig.machine(machine).run(command)).stdout
  }

  /** Processes of a machine whose command line contains a text, by their pids on the host. */
  processes(machine: string, text: string): ProcessIdentity[] {
    const { handle } = this.rig.record.machines.find(({ spec }) => spec.name === machine)!
    const { init } = handle as unknown as { readonly init: ProcessIdentity }
    return descendants(init.pid)
      .filter((pid) => commandLine(pid).includes(text))
      .flatMap((pid) => identify(pid) ?? [])
  }
}

function commandLine(pid: number): string {
  return readProcess(pid, 'cmdline')?.replaceAll('\0', ' ') ?? ''
}

function descendants(pid: number): number[] {
  const children =
    readProcess(pid, `task/${pid}/children`)
      ?.trim()
      .split(' ')
      .filter((text) => text !== '')
      .map(Number) ?? []
  return children.flatMap((child) => [child, ...descendants(child)])
}
