/** An ingress proxy with a HAProxy of its own on loopback ports, backends, and clients. */
import { mkdtempSync, rmSync } from 'node:fs'
import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IngressProxy, type IngressProblem } from '../../../agent/ingress/ingress-proxy.ts'
import { run } from '../../../proto/base/command.ts'
import { systemClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import type { AnyResource } from '../../../proto/gen/types.ts'
import { freePorts } from '../../integration/free-port.ts'
import { CLASSES, objects, TestView } from './objects.ts'

/** A server that says who it is and what it was asked. */
export interface Pod {
  readonly name: string
  readonly port: number
  readonly server: http.Server
  /** Requests so far. */
  readonly count: () => number
  close(): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** What the pod saw, if one answered. */
  readonly seen?: {
    readonly pod: string
    readonly method: string
    readonly url: string
    readonly headers: Record<string, string>
  }
}

export interface RequestOptions {
  readonly host?: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly port?: number
  readonly tls?: boolean
  readonly agent?: http.Agent
  readonly body?: string
}

export class IngressFixture {
  readonly view = new TestView()
  readonly problems: IngressProblem[] = []
  readonly directory = mkdtempSync(join(tmpdir(), 'gantry-entrance-'))
  http = 0
  https = 0
  /** Further ports, for Gateways. */
  further: number[] = []
  proxy!: IngressProxy
  /** How programs are run. */
  run: typeof run = run
  readonly #pods: Pod[] = []

  static async open(nameServers?: readonly string[]): Promise<IngressFixture> {
    const lab = new IngressFixture()
    ;[lab.http, lab.https, ...lab.further] = (await freePorts(5)) as [number, number, ...number[]]
    lab.begin(nameServers)
    lab.view.put(...objects(CLASSES))
    return lab
  }

  /** A new agent's ingress proxy; the one before must have stopped. */
  begin(nameServers?: readonly string[]): void {
    this.proxy = new IngressProxy({
      directory: this.directory,
      http: this.http,
      https: this.https,
      addresses: ['127.0.0.1'],
      run: (...command) => this.run(...command),
      clock: systemClock,
      logger: silentLogger,
      report: (problem) => void this.problems.push(problem),
      ...(nameServers === undefined ? {} : { nameServers }),
    })
  }

  /** Puts objects and has them served. */
  async apply(...put: readonly (AnyResource | string)[]): Promise<void> {
    const keys = this.view.put(...put.flatMap((item) => (typeof item === 'string' ? objects(item) : [item])))
    await this.proxy.apply(this.view, { complete: false, keys })
  }

  async close(): Promise<void> {
    for (const kind of ['Ingress', 'Gateway'] as const)
      for (const key of [...this.view.objects(kind).keys()])
        this.view.remove(kind, key.split('/')[1]!, key.split('/')[0])
    await this.proxy.apply(this.view, { complete: true, keys: new Set() })
    await this.proxy.stop()
    await Promise.all(this.#pods.map((pod) => pod.close()))
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** `address`: of loopback, 127.0.0.0/8. With a port given, several pods can be endpoints of one slice. */
  async pod(name: string, address = '127.0.0.1', port = 0, handle?: http.RequestListener): Promise<Pod> {
    let count = 0
    const sockets = new Set<Socket>()
    const server = http.createServer((request, response) => {
      count++
      if (handle !== undefined) return handle(request, response)
      request.resume()
      request.on('end', () =>
        response
          .setHeader('content-type', 'application/json')
          .end(JSON.stringify({ pod: name, method: request.method, url: request.url, headers: request.headers })),
      )
    })
    server.on('connection', (socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket))
    })
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, address, resolve))
    const close = (): Promise<void> =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      })
    const pod = { name, server, port: (server.address() as AddressInfo).port, count: () => count, close }
    this.#pods.push(pod)
    return pod
  }

  request(path: string, options: RequestOptions = {}): Promise<Answer> {
    const { host = 'localhost', method = 'GET', headers = {}, tls = false, agent, body } = options
    const port = options.port ?? (tls ? this.https : this.http)
    return new Promise((resolve, reject) => {
      const request = (tls ? https : http).request(
        {
          host: '127.0.0.1',
          port,
          path,
          method,
          headers: { host, ...headers },
          agent: agent ?? false,
          ...(tls ? { servername: host, rejectUnauthorized: false } : {}),
        },
        (response) => {
          let text = ''
          response.setEncoding('utf8')
          response.on('data', (chunk: string) => void (text += chunk))
          response.on('error', reject)
          response.on('end', () =>
            resolve({
              status: response.statusCode!,
              headers: response.headers,
              body: text,
              ...(response.headers['content-type'] === 'application/json'
                ? { seen: JSON.parse(text) as Answer['seen'] & object }
                : {}),
            }),
          )
        },
      )
      request.on('error', reject)
      request.end(body)
    })
  }
}
