/**
 * Connections to localhost inside a pod's network, as the kubelet's port forwarding makes them: also what listens on
 * 127.0.0.1 only is reached, and who listens sees a client on its own machine. Node.js cannot enter another network
 * namespace; so a door is opened for a port in use:
 *
 *   agent ── unix socket ──▶ socat, in the pod's network namespace ──▶ 127.0.0.1:port
 *
 * One process for all connections to a port; it forks for each, which costs about a millisecond. Without connections it
 * goes after some seconds, and at once with the pod (whose namespace it would keep alive) or the agent.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, watch } from 'node:fs'
import { connect, isIPv6, type Socket } from 'node:net'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { delay, type Clock, type Timer } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import { readProcess } from '../../proto/base/process.ts'
import { listenersOf, localAddress } from './listeners.ts'
import type { StreamTarget } from './target.ts'

/** Milliseconds that a door stays open without a connection. */
const RELAY_IDLE_TIMEOUT_MS = 10_000
/** Milliseconds for the program to listen: far beyond a busy machine's need. */
const OPEN_DEADLINE = 10_000
/** Milliseconds for a connection to be taken. */
const CONNECT_DEADLINE = 10_000
/** Seconds that one direction may go on after the other has ended; socat's own default is half a second. */
const HALF_CLOSE_TIMEOUT_SECONDS = '86400'
/** Connections that wait for the program to take them: many come at once. */
const BACKLOG = 1024
/** Milliseconds until a door that does not open yet is tried again. */
const CONNECT_RETRY_INTERVAL_MS = 2
/** The kernel's form of ::1 in /proc/net/if_inet6. */
const LOOPBACK6 = '00000000000000000000000000000001'

interface SocatRelay {
  readonly child: ChildProcess
  readonly path: string
  readonly opened: Promise<void>
  readonly forget: () => void
  users: number
  idle: Timer | undefined
}

export interface PodDialerParts {
  /** For sockets; its path has 80 bytes at most (unix(7)). */
  readonly directory: string
  readonly clock: Clock
  readonly log: Logger
}

export class PodDialer {
  readonly #parts: PodDialerParts
  readonly #relays = new Map<string, SocatRelay>()
  #count = 0
  #begun = false

  constructor(parts: PodDialerParts) {
    this.#parts = parts
  }

  /**
   * A connection that may be half-closed. FailedPrecondition: the pod does not run, or nothing listens there (what does
   * is named). DeadlineExceeded, Cancelled.
   */
  async dial(target: StreamTarget, port: number, signal: AbortSignal): Promise<Socket> {
    const container = target.anyRunning
    if (target.gone || container === undefined)
      throw new GantryError('FailedPrecondition', `${describeObject(target.pod)} has no running container`)
    const listeners = listenersOf(container.pid)
    const address = localAddress(listeners, port)
    if (address === undefined) {
      const ports = [...new Set(listeners.map((listener) => listener.port))].sort((a, b) => a - b)
      const others = ports.length === 0 ? 'nothing listens in it' : `it listens on ${ports.slice(0, 20).join(', ')}`
      throw new GantryError(
        'FailedPrecondition',
        `connection refused: nothing listens on port ${port} in ${describeObject(target.pod)}; ${others}`,
        { details: [{ field: 'port', value: String(port) }] },
      )
    }
    const reached =
      address === '::1' && !(readProcess(container.pid, 'net/if_inet6') ?? '').includes(LOOPBACK6)
        ? '127.0.0.1'
        : address
    if (target.attachment === undefined)
      return this.#connected(connect({ host: reached, port, allowHalfOpen: true }), signal)
    return this.#through(target, target.attachment.netns, reached, port, signal)
  }

  /** Closes every door, and with it the connections. */
  stop(): void {
    for (const [key, door] of [...this.#relays]) this.#close(key, door)
  }

  async #through(
    target: StreamTarget,
    netns: string,
    address: string,
    port: number,
    signal: AbortSignal,
  ): Promise<Socket> {
    const key = `${netns} ${address} ${port}`
    const door = this.#relays.get(key) ?? this.#open(key, target, netns, address, port)
    door.users++
    door.idle?.cancel()
    const release = (): void => {
      if (--door.users > 0 || this.#relays.get(key) !== door) return
      door.idle = this.#parts.clock.after(RELAY_IDLE_TIMEOUT_MS, () => this.#close(key, door))
    }
    try {
      await door.opened
      const socket = await this.#waitForRelay(door, signal)
      socket.once('close', release)
      return socket
    } catch (thrown) {
      release()
      throw thrown
    }
  }

  /** The socket is there a moment before it listens, and a great many connections at once may find no room. */
  async #waitForRelay({ path, child }: SocatRelay, signal: AbortSignal): Promise<Socket> {
    const { clock } = this.#parts
    const deadline = clock.monotonic() + OPEN_DEADLINE
    for (;;) {
      try {
        return await this.#connected(connect({ path, allowHalfOpen: true }), signal)
      } catch (thrown) {
        const { code } = ((thrown as GantryError).cause as NodeJS.ErrnoException) ?? {}
        if ((code !== 'ECONNREFUSED' && code !== 'EAGAIN') || child.exitCode !== null || clock.monotonic() > deadline)
          throw thrown
      }
      await delay(clock, CONNECT_RETRY_INTERVAL_MS, signal)
    }
  }

  #open(key: string, target: StreamTarget, netns: string, address: string, port: number): SocatRelay {
    const { directory, clock, log } = this.#parts
    if (!this.#begun) rmSync(directory, { recursive: true, force: true }) // what an earlier run left
    this.#begun = true
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const path = join(directory, `${++this.#count}.sock`)
    const to = isIPv6(address) ? `TCP6:[${address}]:${port}` : `TCP4:${address}:${port}`
    const watcher = watch(directory)
    const child = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'nsenter',
        `--net=${netns}`,
        'socat',
        '-t',
        HALF_CLOSE_TIMEOUT_SECONDS,
        `UNIX-LISTEN:${path},fork,mode=600,backlog=${BACKLOG},unlink-close=0`,
        to,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let said = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000)
    })
    const opened = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (existsSync(path)) resolve()
      }
      watcher.on('change', look)
      watcher.on('error', reject)
      child.once('error', (cause) =>
        reject(
          new GantryError('FailedPrecondition', `cannot start setpriv: ${cause.message}`, {
            cause,
            details: [{ remedy: 'deploy/setup installs what is missing' }],
          }),
        ),
      )
      child.once('exit', (code) =>
        reject(
          new GantryError('FailedPrecondition', `socat ended with ${code} in the pod's network: ${said.trim()}`, {
            details: [{ remedy: 'if it is missing, deploy/setup installs it' }],
          }),
        ),
      )
      const late = clock.after(OPEN_DEADLINE, () =>
        reject(new GantryError('DeadlineExceeded', `socat does not listen within ${OPEN_DEADLINE} ms`)),
      )
      child.once('exit', () => late.cancel())
      watcher.on('close', () => late.cancel())
    }).finally(() => watcher.close())
    const forget = target.onChange(() => {
      if (target.gone) this.#close(key, door)
    })
    const door: SocatRelay = { child, path, opened, forget, users: 0, idle: undefined }
    this.#relays.set(key, door)
    const fail = (): void => this.#close(key, door)
    child.once('exit', (code, by) => {
      if (code !== 0 && by === null) log.warn({ netns, port, code, said }, 'a door into a pod ended')
      fail()
    })
    opened.catch(fail)
    return door
  }

  #close(key: string, door: SocatRelay): void {
    if (this.#relays.get(key) === door) this.#relays.delete(key)
    door.idle?.cancel()
    door.forget()
    door.child.kill('SIGTERM')
    rmSync(door.path, { force: true })
  }

  #connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
    const { clock } = this.#parts
    return new Promise((resolve, reject) => {
      const settle = (error?: GantryError): void => {
        late.cancel()
        signal.removeEventListener('abort', abort)
        socket.off('error', failed)
        socket.off('connect', settled)
        if (error === undefined) return resolve(socket)
        socket.destroy()
        reject(error)
      }
      const settled = (): void => settle()
      const failed = (thrown: Error): void => settle(GantryError.from(thrown, 'Unavailable'))
      const abort = (): void => settle(GantryError.from(signal.reason, 'Cancelled'))
      const late = clock.after(CONNECT_DEADLINE, () =>
        settle(new GantryError('DeadlineExceeded', `the connection was not taken within ${CONNECT_DEADLINE} ms`)),
      )
      socket.once('connect', settled)
      socket.once('error', failed)
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) abort()
    })
  }
}
