/** A controller of its own, with etcd and NATS, on loopback: what the benches of the API ask. */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request as httpsRequest, Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issue, type KeyPair } from '../../../deploy/ca.ts'
import { ROOT } from '../root.ts'
import { until } from '../../eventually.ts'
import { freePorts } from '../../integration/free-port.ts'

interface Settings {
  /** How many processes serve. */
  readonly serve?: number
  readonly ports?: { readonly processes: number }
}

interface Ports {
  readonly listen: number
  readonly kube: number
}

export class BenchController {
  readonly folder: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly #ports: Ports
  readonly #authority: KeyPair
  readonly #nodeOptions: readonly string[]
  readonly #agent: Agent
  #child: ChildProcess | undefined

  private constructor(
    folder: string,
    ports: Ports,
    authority: KeyPair,
    tls: BenchController['tls'],
    options: readonly string[],
  ) {
    this.folder = folder
    this.tls = tls
    this.#ports = ports
    this.#authority = authority
    this.#nodeOptions = options
    this.#agent = new Agent({ keepAlive: true, ...tls })
  }

  /** Serving. `nodeOptions`: for a profile. `settings`: of its configuration, beside what every one here needs. */
  static async start(nodeOptions: readonly string[] = [], settings: Settings = {}): Promise<BenchController> {
    const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-kube-'))
    const now = Date.now()
    const authority = await createAuthority('bench', now)
    const [server, admin] = await Promise.all([
      issue(authority, { commonName: 'gantry-controller', hosts: ['127.0.0.1', 'gantry-controller'] }, now),
      issue(authority, { commonName: 'bench', organizations: ['system:masters'] }, now),
    ])
    const [listen, kube, nats] = await freePorts(3)
    for (const [name, text] of Object.entries({
      'ca.crt': authority.cert,
      'server.crt': server.cert,
      'server.key': server.key,
    }))
      await writeFile(join(folder, name), text, { mode: 0o600 })
    const file = (name: string): string => join(folder, name)
    await writeFile(
      file('config.yaml'),
      JSON.stringify({
        name: 'c1',
        listen: `127.0.0.1:${listen}`,
        kubeListen: `127.0.0.1:${kube}`,
        dataDir: file('data'),
        tls: { ca: file('ca.crt'), cert: file('server.crt'), key: file('server.key') },
        ports: { nats, ...settings.ports },
        serve: settings.serve,
      }),
    )
    const tls = { ca: authority.cert, ...admin }
    const controller = new BenchController(folder, { listen: listen!, kube: kube! }, authority, tls, nodeOptions)
    await writeFile(controller.kubeconfig, kubeconfig(controller))
    try {
      await controller.#launch()
      return controller
    } catch (thrown) {
      await controller.stop()
      throw thrown
    }
  }

  get port(): number {
    return this.#ports.kube
  }

  /** Where agents reach it. */
  get address(): string {
    return `127.0.0.1:${this.#ports.listen}`
  }

  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig')
  }

  get pid(): number {
    return this.#child!.pid!
  }

  /** The socket of its own etcd. */
  get etcdSocket(): string {
    return join(this.folder, 'data/etcd/clients:0')
  }

  /** What it has written to standard error since its last start. */
  log(): Promise<string> {
    return readFile(join(this.folder, 'log'), 'utf8')
  }

  /** Ends it, and starts it on the same data. Returns the seconds from its start to its being ready. */
  async restart(): Promise<number> {
    await this.#end()
    const began = performance.now()
    await this.#launch()
    return (performance.now() - began) / 1000
  }

  nodeCredentials(name: string): Promise<KeyPair & { readonly ca: string }> {
    const identity = { commonName: `system:node:${name}`, organizations: ['system:nodes'] }
    return issue(this.#authority, identity, Date.now()).then((pair) => ({ ca: this.#authority.cert, ...pair }))
  }

  /** The answer's status. */
  async send(method: string, path: string, body?: object): Promise<number> {
    return (await this.ask(method, path, body)).status
  }

  ask(
    method: string,
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; bytes: Buffer }> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path,
          agent: this.#agent,
          headers: {
            ...headers,
            ...(text === undefined
              ? {}
              : {
                  'Content-Type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
                  'Content-Length': Buffer.byteLength(text),
                }),
          },
        },
        (message) => {
          const chunks: Buffer[] = []
          message
            .on('data', (chunk: Buffer) => chunks.push(chunk))
            .once('end', () => resolve({ status: message.statusCode!, bytes: Buffer.concat(chunks) }))
        },
      )
      outgoing.on('error', reject)
      outgoing.end(text)
    })
  }

  /** Runs load.mjs with a task, to its end. */
  async load(task: object): Promise<{ milliseconds?: number[]; count?: number; seconds?: number }> {
    const child = await this.begin(task)
    child.stdin!.end()
    const output: Buffer[] = []
    child.stdout!.on('data', (chunk: Buffer) => output.push(chunk))
    const code = await new Promise((resolve) => child.once('close', resolve))
    if (code !== 0) throw new Error(`the load ended with ${String(code)}`)
    return JSON.parse(
      Buffer.concat(output)
        .toString()
        .replace(/^ready\n/, ''),
    ) as { milliseconds?: number[] }
  }

  async begin(task: object): Promise<ChildProcess> {
    const file = join(this.folder, `task-${Math.random().toString(36).slice(2)}.json`)
    await writeFile(file, JSON.stringify({ host: '127.0.0.1', port: this.port, tls: this.tls, ...task }))
    return spawn(process.execPath, [join(ROOT, 'test/bench/kube/load.mjs'), file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
  }

  /** Runs floor.mjs, whose answers are so large, beside it. */
  async floor(bytes: number): Promise<FloorServer> {
    const child = spawn(process.execPath, [join(ROOT, 'test/bench/kube/floor.mjs'), this.folder, String(bytes)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => child.once('close', resolve))
    const port = await new Promise<number>((resolve, reject) => {
      child.stdout.once('data', (text: Buffer) => resolve(Number(text)))
      child.once('error', reject).once('exit', (code) => reject(new Error(`the floor ended with ${String(code)}`)))
    })
    return {
      port,
      pid: child.pid!,
      stop: async () => {
        child.stdin.end()
        await ended
      },
    }
  }

  async stop(): Promise<void> {
    this.#agent.destroy()
    await this.#end()
    await rm(this.folder, { recursive: true, force: true })
  }

  async #launch(): Promise<void> {
    const log = openSync(join(this.folder, 'log'), 'w')
    const child = spawn(
      process.execPath,
      [...this.#nodeOptions, join(ROOT, 'dist/gantry-controller.cjs'), '--config', join(this.folder, 'config.yaml')],
      { cwd: this.folder, stdio: ['ignore', 'ignore', log] },
    )
    closeSync(log)
    this.#child = child
    await until(
      'the controller serves',
      async () => {
        if (child.exitCode !== null) throw new Error(`the controller ended: ${(await this.log()).slice(-2000)}`)
        return (await this.send('GET', '/readyz').catch(() => undefined)) === 200
      },
      60_000,
    )
  }

  async #end(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGTERM')
    await ended
  }
}

/** A bare Node.js server over HTTPS. */
export interface FloorServer {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

function kubeconfig({ port, tls: { ca, cert, key } }: BenchController): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    clusters: [
      { name: 'bench', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(ca) } },
    ],
    users: [{ name: 'bench', user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
  })
}
