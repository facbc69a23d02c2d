/** A controller of its own, with etcd and NATS, on loopback: what the benches of the Kubernetes API ask. */
import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpsRequest, Agent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuthority, issue } from '../../../deploy/ca.ts'
import { ROOT } from '../../e2e/cluster.ts'
import { until } from '../../eventually.ts'
import { freePorts } from '../../integration/free-port.ts'

export class BenchController {
  readonly folder: string
  readonly port: number
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #agent: Agent

  private constructor(folder: string, port: number, tls: BenchController['tls'], nodeOptions: readonly string[]) {
    this.folder = folder
    this.port = port
    this.tls = tls
    this.#child = spawn(
      process.execPath,
      [...nodeOptions, join(ROOT, 'dist/gantry-controller.cjs'), '--config', join(folder, 'config.yaml')],
      { cwd: folder, stdio: ['ignore', 'ignore', openSync(join(folder, 'log'), 'w')] },
    )
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#agent = new Agent({ keepAlive: true, ...tls })
  }

  /** Serving. `nodeOptions`: for a profile. */
  static async start(nodeOptions: readonly string[] = []): Promise<BenchController> {
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
        ports: { nats },
      }),
    )
    const controller = new BenchController(folder, kube!, { ca: authority.cert, ...admin }, nodeOptions)
    await writeFile(controller.kubeconfig, kubeconfig(controller))
    await until(
      'the controller serves',
      async () => (await controller.send('GET', '/readyz').catch(() => undefined)) === 200,
      60_000,
    )
    return controller
  }

  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig')
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** The answer's status. */
  async send(method: string, path: string, body?: object): Promise<number> {
    return (await this.ask(method, path, body)).status
  }

  ask(method: string, path: string, body?: object): Promise<{ status: number; text: string }> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path,
          agent: this.#agent,
          headers:
            text === undefined
              ? {}
              : {
                  'Content-Type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
                  'Content-Length': Buffer.byteLength(text),
                },
        },
        (message) => {
          const chunks: Buffer[] = []
          message
            .on('data', (chunk: Buffer) => chunks.push(chunk))
            .once('end', () => resolve({ status: message.statusCode!, text: Buffer.concat(chunks).toString() }))
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
  async floor(bytes: number): Promise<{ readonly port: number; stop(): Promise<void> }> {
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
      stop: async () => {
        child.stdin.end()
        await ended
      },
    }
  }

  async stop(): Promise<void> {
    this.#agent.destroy()
    this.#child.kill('SIGTERM')
    await this.#ended
    await rm(this.folder, { recursive: true, force: true })
  }
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
