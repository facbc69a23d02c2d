/**
 * Queries that are led here are answered with a fault if their name is among the chosen, and go on to the server that
 * they were meant for if it is not. Over UDP and TCP.
 *
 *   query ──▶ chosen? ──┬── yes ──▶ no answer, a refusal, or late
 *                       └── no ───▶ server ──▶ its answer
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '../../../../proto/base/clock.ts'
import { isBelow, MessageReader, readQuestion, refusal, withLength } from './dns-question.ts'
import { listen } from './listening.ts'
import type { DnsServer, DnsTask } from './task.ts'

/** Milliseconds that a server is waited for. */
const PATIENCE = 5_000
/** Queries under way to servers at most; more are not answered. */
const MOST = 1_000

/** What becomes of a query. */
type Verdict =
  | { readonly do: 'answer'; readonly message: Buffer }
  | { readonly do: 'pass'; readonly after: number }
  | { readonly do: 'nothing' }

export class DnsResponder {
  readonly #task: DnsTask
  readonly #clock: Clock
  readonly #listening: (UdpSocket | Server)[] = []
  readonly #open = new Set<UdpSocket | Socket>()
  readonly #timers = new Set<Timer>()
  #stopped = false

  constructor(task: DnsTask, clock: Clock) {
    this.#task = task
    this.#clock = clock
  }

  /** Four ports for each server of the task: UDP and TCP on loopback, UDP and TCP on every address. */
  async start(): Promise<number[]> {
    const ports: number[] = []
    for (const server of this.#task.servers) {
      for (const host of ['127.0.0.1', '0.0.0.0'])
        ports.push(await this.#listenUdp(host, server), await this.#listenTcp(host, server))
    }
    return ports
  }

  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) timer.cancel()
    for (const socket of this.#listening) socket.close()
    for (const socket of this.#open) close(socket)
  }

  async #listenUdp(host: string, server: DnsServer | null): Promise<number> {
    const socket = createSocket('udp4')
    this.#listening.push(socket)
    socket.on('message', (message, from) =>
      this.#judge(message, server, {
        answer: (answer) => {
          if (!this.#stopped) socket.send(answer, from.port, from.address)
        },
        pass: (onward) =>
          this.#ask(message, onward, (answer) => {
            if (!this.#stopped) socket.send(answer, from.port, from.address)
          }),
      }),
    )
    socket.bind(0, host)
    await once(socket, 'listening')
    // A reader that has gone away is told of by an error of the socket, which goes on.
    socket.on('error', complain)
    return socket.address().port
  }

  #listenTcp(host: string, server: DnsServer | null): Promise<number> {
    const listening = createServer((socket) => this.#serve(socket, server))
    this.#listening.push(listening)
    return listen(listening, host)
  }

  #serve(socket: Socket, server: DnsServer | null): void {
    this.#keep(socket)
    const reader = new MessageReader()
    let onward: Socket | undefined
    const write = (message: Buffer): void => {
      if (!socket.destroyed) socket.write(withLength(message))
    }
    const dial = ({ address, port }: DnsServer): Socket => {
      const answers = new MessageReader()
      const dialled = connect({ host: address, port })
      this.#keep(dialled)
      dialled.on('data', (piece: Buffer) => answers.read(piece).forEach(write))
      dialled.on('close', () => socket.destroy())
      return dialled
    }
    socket.on('data', (piece: Buffer) => {
      for (const message of reader.read(piece)) {
        this.#judge(message, server, {
          answer: write,
          pass: (to) => void (onward ??= dial(to)).write(withLength(message)),
        })
      }
    })
    socket.on('close', () => onward?.destroy())
  }

  #judge(
    message: Buffer,
    server: DnsServer | null,
    { answer, pass }: { answer: (message: Buffer) => void; pass: (server: DnsServer) => void },
  ): void {
    const verdict = this.#verdict(message)
    switch (verdict.do) {
      case 'answer':
        return answer(verdict.message)
      case 'nothing':
        return
      case 'pass':
        if (server === null) return
        if (verdict.after === 0) pass(server)
        else this.#later(verdict.after, () => pass(server))
    }
  }

  #verdict(message: Buffer): Verdict {
    const { fault, suffix, latency } = this.#task
    const query = readQuestion(message)
    if (query === undefined || (suffix !== undefined && !isBelow(query, suffix))) return { do: 'pass', after: 0 }
    switch (fault) {
      case 'timeout':
        return { do: 'nothing' }
      case 'slow':
        return { do: 'pass', after: latency }
      case 'servfail':
      case 'nxdomain':
        return { do: 'answer', message: refusal(query, fault) }
    }
  }

  /** One query over UDP, from a socket of its own; its answer if there is one in time. */
  #ask(message: Buffer, { address, port }: DnsServer, answer: (message: Buffer) => void): void {
    if (this.#open.size >= MOST) return
    const socket = createSocket('udp4')
    this.#keep(socket)
    const timer = this.#later(PATIENCE, () => socket.close())
    socket.once('close', () => this.#forget(timer))
    socket.once('message', (reply) => {
      answer(reply)
      socket.close()
    })
    socket.connect(port, address, () => socket.send(message))
  }

  #keep(socket: UdpSocket | Socket): void {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    socket.on('error', () => close(socket))
  }

  #later(millis: number, call: () => void): Timer {
    const timer = this.#clock.after(millis, () => {
      this.#timers.delete(timer)
      call()
    })
    this.#timers.add(timer)
    return timer
  }

  #forget(timer: Timer): void {
    timer.cancel()
    this.#timers.delete(timer)
  }
}

function close(socket: UdpSocket | Socket): void {
  if ('destroy' in socket) socket.destroy()
  else socket.close()
}

function complain(error: Error): void {
  process.stderr.write(`gantry-fault: dns: ${error.message}\n`)
}
