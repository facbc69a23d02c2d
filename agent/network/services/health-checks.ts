/**
 * Answers load balancers that ask whether this node has pods of a Service: an HTTP server for each
 * `healthCheckNodePort`, 200 with endpoints and 503 without.
 * https://kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer/#preserving-the-client-source-ip
 */
import { createServer, type Server } from 'node:http'
import { GantryError } from '../../../proto/base/errors.ts'

export interface HealthCheck {
  /** "namespace/name". */
  readonly service: string
  readonly localEndpoints: number
}

/** Milliseconds that a client may take for its request. */
const REQUEST_TIMEOUT_MS = 5000
const MOST_CLIENTS = 64

export class HealthChecks {
  readonly #servers = new Map<number, Server>()
  readonly #failed: (service: string, text: string) => void
  /** Ports whose failure has been told. */
  readonly #failing = new Set<number>()
  #checks: ReadonlyMap<number, HealthCheck> = new Map()

  /** `failed` hears, once, of a port that cannot be listened on; it is tried again with every `set`. */
  constructor(failed: (service: string, text: string) => void) {
    this.#failed = failed
  }

  /** What there is to answer, by port. Servers listen, and those no longer wanted are closed, when it resolves. */
  async set(checks: ReadonlyMap<number, HealthCheck>): Promise<void> {
    this.#checks = checks
    const closing = [...this.#servers].filter(([port]) => !checks.has(port))
    const opening = [...checks.keys()].filter((port) => !this.#servers.has(port))
    for (const port of this.#failing) if (!checks.has(port)) this.#failing.delete(port)
    await Promise.all(closing.map(([port, server]) => this.#close(port, server)))
    await Promise.all(opening.map((port) => this.#open(port)))
  }

  async stop(): Promise<void> {
    await this.set(new Map())
  }

  async #open(port: number): Promise<void> {
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => {
        request.resume()
        const check = this.#checks.get(port)
        if (check === undefined) {
          response.destroy()
          return
        }
        const [namespace, name] = check.service.split('/')
        const body = JSON.stringify({
          service: { namespace, name },
          localEndpoints: check.localEndpoints,
          serviceProxyHealthy: true,
        })
        response.writeHead(check.localEndpoints > 0 ? 200 : 503, {
          'content-type': 'application/json',
          'x-content-type-options': 'nosniff',
          'x-load-balancing-endpoint-weight': String(check.localEndpoints),
        })
        response.end(body)
      },
    )
    server.maxConnections = MOST_CLIENTS
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ port, host: '::', ipv6Only: false }, resolve)
      }).catch(async (thrown: unknown) => {
        // A kernel without IPv6.
        if ((thrown as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw thrown
        await new Promise<void>((resolve, reject) => {
          server.once('error', reject)
          server.listen({ port, host: '0.0.0.0' }, resolve)
        })
      })
      server.removeAllListeners('error').on('error', (error) => this.#fail(port, error))
      this.#servers.set(port, server)
      this.#failing.delete(port)
    } catch (thrown) {
      this.#fail(port, thrown)
    }
  }

  #fail(port: number, thrown: unknown): void {
    const service = this.#checks.get(port)?.service
    if (service === undefined || this.#failing.has(port)) return
    this.#failing.add(port)
    this.#failed(service, `health checks at port ${port} are not answered: ${GantryError.from(thrown).message}`)
  }

  async #close(port: number, server: Server): Promise<void> {
    this.#servers.delete(port)
    await new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  }
}
