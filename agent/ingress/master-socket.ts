/**
 * Speaks to HAProxy's master process, and through it to each of its workers.
 * https://docs.haproxy.org/3.0/management.html#9.4
 */
import { createConnection } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock } from '../../proto/base/clock.ts'
import { workerCommand } from './haproxy-syntax.ts'

/** Milliseconds for an answer; a reload is answered when the new worker is ready. */
const COMMAND_TIMEOUT_MS = 20_000
/** Bytes of commands in one line, well below HAProxy's buffer. */
const MAX_LINE_BYTES = 8_192

export interface Worker {
  readonly pid: number
  /** False for one that only finishes what it has begun. */
  readonly current: boolean
}

/** A server of a worker. */
export interface ServerState {
  readonly backend: string
  readonly name: string
  readonly address: string
  readonly port: number
  /** It is given requests. */
  readonly enabled: boolean
}

export interface Master {
  workers(): Promise<Worker[]>
  servers(pid: number): Promise<ServerState[]>
  /**
   * Runs commands in a worker, in order. InvalidArgument, with none run, for a text that is more than one command.
   * Internal with the first answer that is a refusal.
   */
  run(pid: number, commands: readonly string[]): Promise<void>
  /**
   * Loads the configuration again; resolves when the new worker serves. InvalidArgument with HAProxy's words if it does
   * not: then the one before goes on.
   */
  reload(): Promise<void>
}

/**
 * Bits of srv_admin_state that keep requests away: maintenance asked for, inherited, and for want of an address. 0x04
 * does not: it says for ever that the configuration had the server disabled, also once it has been made ready.
 */
const MAINTENANCE = 0x01 | 0x02 | 0x20 | 0x40

/** What commands answer that has nothing to do with a refusal. */
const BENIGN_REPLY_PATTERN = /^(\s*|.*(changed from|no need to change|nothing changed).*)$/

export class MasterSocket implements Master {
  readonly #path: string
  readonly #clock: Clock

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  async workers(): Promise<Worker[]> {
    return parseWorkers(await this.#ask('show proc'))
  }

  async servers(pid: number): Promise<ServerState[]> {
    return parseServers(await this.#ask(`@!${pid} show servers state`))
  }

  async run(pid: number, commands: readonly string[]): Promise<void> {
    for (const line of packed(commands.map((one) => `@!${pid} ${workerCommand(one)}`))) {
      const refusal = (await this.#ask(line)).split('\n').find((answer) => !BENIGN_REPLY_PATTERN.test(answer))
      if (refusal !== undefined) throw new GantryError('Internal', `haproxy refused a command: ${refusal.trim()}`)
    }
  }

  async reload(): Promise<void> {
    const answer = await this.#ask('reload')
    if (answer.startsWith('Success=1')) return
    throw new GantryError(
      'InvalidArgument',
      `haproxy cannot use its configuration: ${alertsIn(answer) || answer.trim().slice(-500)}`,
    )
  }

  /** One line, one connection, everything that it answers. Unavailable if nobody is there. */
  #ask(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ path: this.#path, allowHalfOpen: true })
      let text = ''
      const timer = this.#clock.after(COMMAND_TIMEOUT_MS, () =>
        socket.destroy(
          new GantryError(
            'DeadlineExceeded',
            `haproxy did not answer "${line.slice(0, 60)}" within ${COMMAND_TIMEOUT_MS} ms`,
          ),
        ),
      )
      socket.setEncoding('utf8')
      socket.on('data', (chunk: string) => void (text += chunk))
      socket.on('error', (cause) => {
        timer.cancel()
        reject(
          cause instanceof GantryError
            ? cause
            : new GantryError('Unavailable', `haproxy does not answer: ${cause.message}`, { cause }),
        )
      })
      socket.on('close', () => {
        timer.cancel()
        resolve(text)
      })
      socket.end(`${line}\n`)
    })
  }
}

/** Commands in as few lines as may be. */
function packed(commands: readonly string[]): string[] {
  const lines: string[] = []
  for (const one of commands) {
    const last = lines.at(-1)
    if (last === undefined || last.length + one.length > MAX_LINE_BYTES) lines.push(one)
    else lines[lines.length - 1] = `${last};${one}`
  }
  return lines
}

/** The lines that say what is wrong, without their marks. */
export function alertsIn(text: string): string {
  return text
    .split('\n')
    .filter((line) => line.startsWith('[ALERT]'))
    .map((line) => line.replace(/^\[ALERT\]\s*\(\d+\)\s*:\s*/, ''))
    .slice(0, 5)
    .join('; ')
}

function parseWorkers(text: string): Worker[] {
  let current = true
  return text.split('\n').flatMap((line): Worker[] => {
    if (line.startsWith('#')) current = !line.startsWith('# old')
    const [pid, type] = line.split(/\s+/)
    return type === 'worker' ? [{ pid: Number(pid), current }] : []
  })
}

/** Columns: be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state … srv_port at the nineteenth place. */
function parseServers(text: string): ServerState[] {
  return text.split('\n').flatMap((line): ServerState[] => {
    const words = line.split(' ')
    if (!/^\d+$/.test(words[0] ?? '') || words.length < 19) return []
    return [
      {
        backend: words[1]!,
        name: words[3]!,
        address: words[4]!,
        port: Number(words[18]),
        enabled: (Number(words[6]) & MAINTENANCE) === 0,
      },
    ]
  })
}
