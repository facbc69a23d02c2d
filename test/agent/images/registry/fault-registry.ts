/** A small registry that answers as a test tells it to: for faults that a real one does not make on demand. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import https from 'node:https'

export type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void

export class FaultRegistry {
  /** "METHOD path" of every request, in order. */
  readonly requests: IncomingMessage[] = []
  readonly #routes = new Map<string, Answer>()
  readonly #server: Server

  constructor(tls?: https.ServerOptions) {
    const handle = (request: IncomingMessage, response: ServerResponse): void => {
      this.requests.push(request)
      const path = new URL(request.url!, 'http://x').pathname
      const answer = this.#routes.get(`${request.method} ${path}`)
      if (answer === undefined) return void response.writeHead(404).end()
      answer(request, response, this.count(request.method!, path))
    }
    this.#server = tls === undefined ? createServer(handle) : https.createServer(tls, handle)
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`
  }

  on(method: 'GET' | 'HEAD', path: string, answer: Answer): void {
    this.#routes.set(`${method} ${path}`, answer)
  }

  count(method: string, path: string): number {
    return this.requests.filter(
      (request) => request.method === method && new URL(request.url!, 'http://x').pathname === path,
    ).length
  }
}
