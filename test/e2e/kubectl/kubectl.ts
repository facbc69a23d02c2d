/** The distribution's own kubectl against a rig: what a person types, in a namespace and a home folder of its own. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { eventually } from '../../eventually.ts'
import { Cluster } from '../cluster.ts'

export interface KubectlResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface KubectlOptions {
  readonly stdin?: string
  readonly env?: Readonly<Record<string, string>>
}

/** The words of a command are divided at spaces; a command with a word that holds some is given as a list. */
export type Command = string | readonly string[]

/** A kubectl that goes on, such as `get -w`. */
export interface Running {
  readonly process: ChildProcess
  /** All that it has written so far. */
  readonly said: () => string
  /** Its exit code. */
  readonly ended: Promise<number | null>
}

/** Streams over SPDY instead of WebSocket, as kubectl did before 1.31. */
export const SPDY = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' } as const

/** Of Go's runtime: hundreds of programs that live for a moment need not collect their garbage so often. */
const GO = { GOGC: '400' } as const

/** What all Kubectls of one rig share. */
interface Shared {
  readonly cluster: Cluster
  readonly home: string
  readonly running: Set<ChildProcess>
}

export class Kubectl {
  readonly namespace: string
  /** Where it runs: files that a command names are here. */
  readonly folder: string
  readonly #shared: Shared

  private constructor(shared: Shared, namespace: string, folder = namespace) {
    this.#shared = shared
    this.namespace = namespace
    this.folder = join(shared.home, folder)
  }

  /** Makes a rig, and a Kubectl in its namespace "default". */
  static async start(purpose: string, nodes: number, controllers = 1): Promise<Kubectl> {
    const cluster = await Cluster.start(purpose, nodes, { controllers })
    const kubectl = new Kubectl(
      { cluster, home: await mkdtemp(join(tmpdir(), `gantry-e2e-${purpose}-`)), running: new Set() },
      'default',
    )
    await kubectl.#settle()
    return kubectl
  }

  /** Ends the rig and everything that still runs. */
  async stop(): Promise<void> {
    const { cluster, home, running } = this.#shared
    for (const child of running) child.kill('SIGKILL')
    await cluster.stop()
    await rm(home, { recursive: true })
  }

  get cluster(): Cluster {
    return this.#shared.cluster
  }

  /** For other clients: a kubeconfig of this namespace. */
  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig')
  }

  /** One in a new namespace. */
  async within(namespace: string): Promise<Kubectl> {
    const other = new Kubectl(this.#shared, namespace)
    const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }
    await Promise.all([other.#settle(), this.cluster.rig.apply(object)])
    return other
  }

  /** One that speaks to the controller with this number and to no other. */
  async at(controller: number): Promise<Kubectl> {
    const other = new Kubectl(this.#shared, this.namespace, `${this.namespace}-${controller}`)
    await other.#settle(this.cluster.rig.controller(controller).address)
    return other
  }

  /** Begins to delete the namespace with all in it. */
  async leave(): Promise<void> {
    await this.cluster.rig.client.delete('Namespace', '', this.namespace)
  }

  /** `host`: of the only controller; else one that answers now. */
  async #settle(host?: string): Promise<void> {
    const config = parse(await this.cluster.rig.kubeconfig()) as {
      contexts: { context: object }[]
      clusters: { cluster: { server: string } }[]
    }
    await mkdir(this.folder)
    if (host !== undefined)
      for (const { cluster } of config.clusters) cluster.server = cluster.server.replace(/\/\/[^:]+/, `//${host}`)
    for (const entry of config.contexts) entry.context = { ...entry.context, namespace: this.namespace }
    await writeFile(this.kubeconfig, JSON.stringify(config), { mode: 0o600 })
  }

  file(name: string, content: string | Buffer, mode = 0o644): Promise<void> {
    return writeFile(join(this.folder, name), content, { mode })
  }

  begin(command: Command, { env, stdin }: KubectlOptions = {}): Running {
    const child = this.#spawn('kubectl', wordsOf(command), env)
    // Without input of its own a command that reads some waits for it until it ends.
    if (stdin !== undefined) child.stdin!.end(stdin)
    return running(child)
  }

  /** In a terminal of 33 rows and 77 columns, where what is written to its standard input is typed. */
  terminal(command: string, env?: KubectlOptions['env']): Running {
    const args = [
      '--quiet',
      '--return',
      '--flush',
      '--echo',
      'never',
      '--command',
      `stty rows 33 cols 77; exec kubectl ${command}`,
      '/dev/null',
    ]
    return running(this.#spawn('script', args, { ...env, SHELL: '/bin/sh' }))
  }

  run(command: Command, options: KubectlOptions = {}): Promise<KubectlResult> {
    return this.other('kubectl', wordsOf(command), options)
  }

  /** Another program in the same folder, home and environment. */
  async other(
    program: string,
    args: readonly string[],
    { stdin = '', env }: KubectlOptions = {},
  ): Promise<KubectlResult> {
    const child = this.#spawn(program, args, env)
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout!.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr!.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin!.end(stdin)
    const code = await ended(child)
    return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }
  }

  /** What it writes to standard output; fails with all it said unless it ends with 0. */
  async ok(command: Command, options: KubectlOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, options)
    if (code !== 0) throw new Error(`kubectl ${wordsOf(command).join(' ')} ended with ${code}\n${stdout}${stderr}`)
    return stdout
  }

  /** What it says of why it refuses; fails if it does not. */
  async refused(command: Command, options: KubectlOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, options)
    if (code === 0) throw new Error(`kubectl ${wordsOf(command).join(' ')} was not refused\n${stdout}${stderr}`)
    return stderr
  }

  /** One value of an object by jsonpath, e.g. `value('pod/web', '.status.phase')`. */
  value(object: string, path: string): Promise<string> {
    return this.ok(['get', object, '-o', `jsonpath={${path}}`])
  }

  async json<T>(command: string): Promise<T> {
    return JSON.parse(await this.ok(`${command} -o json`)) as T
  }

  async apply(...objects: readonly object[]): Promise<void> {
    await this.ok('apply -f -', { stdin: list(objects) })
  }

  /** Applies pods, and waits until they are ready. */
  async ready(...pods: readonly Pod[]): Promise<void> {
    await this.apply(...pods)
    const { namespace } = this
    await Promise.all(
      pods.map(({ metadata }) => this.cluster.rig.until(`pod/${metadata.name}`, 'Ready', { namespace })),
    )
  }

  #spawn(program: string, args: readonly string[], env: KubectlOptions['env']): ChildProcess {
    const { home, running: all } = this.#shared
    const child = spawn(program, args, {
      cwd: this.folder,
      env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: this.kubeconfig, TERM: 'xterm', ...GO, ...env },
    })
    all.add(child)
    child.once('close', () => all.delete(child))
    // One that ends without reading all its input.
    child.stdin.on('error', () => undefined)
    return child
  }
}

export function list(objects: readonly object[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
}

export interface Pod {
  readonly apiVersion: 'v1'
  readonly kind: 'Pod'
  readonly metadata: { readonly name: string; readonly labels?: object }
  readonly spec: object
}

/** A pod of busybox that ends at once when told to. */
export function pod(
  name: string,
  script: string,
  {
    metadata = {},
    container = {},
    spec = {},
  }: { readonly metadata?: object; readonly container?: object; readonly spec?: object } = {},
): Pod {
  const containers = [{ name: 'main', image: 'busybox', command: ['sh', '-c', script], ...container }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name }, ...metadata },
    spec: { terminationGracePeriodSeconds: 0, containers, ...spec },
  }
}

/** Waits for what a command that goes on says. */
export async function awaitOutput({ said }: Running, text: RegExp): Promise<RegExpExecArray> {
  return eventually(() => {
    const match = text.exec(said())
    if (match === null) throw new Error(`it did not say ${text}, but: ${said()}`)
    return match
  }, 30_000)
}

function wordsOf(command: Command): readonly string[] {
  return typeof command === 'string' ? command.split(' ') : command
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}

function running(child: ChildProcess): Running {
  let text = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return { process: child, said: () => text, ended: ended(child) }
}
