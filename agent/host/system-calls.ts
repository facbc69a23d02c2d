/**
 * Calls of the kernel that Node.js has not: mounts, namespaces and netlink, which would each cost the start of a
 * program (mount(8), unshare(1), ip(8), nft(8)), many times what the call itself takes. A small Perl process makes
 * them: its `syscall` is all that is needed, and `perl-base` is on every Debian.
 *
 *   agent ── a request: calls in order ──▶ perl ──▶ kernel        one request at a time, in its own namespaces;
 *     ▲                                     │                     what a request changes of those, its end takes back
 *     └──── an error number for each ───────┘
 *
 * The process ends with the agent, when its input does.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import type { Clock, Timer } from '../../proto/base/clock.ts'
import { PERL_PROGRAM, systemCallNumbers } from './system-calls-program.ts'

/** As the manual has them in section 2, and in section 7 of netlink. Paths are absolute. */
export type SystemCall =
  | {
      readonly call: 'mount'
      readonly source: string
      readonly target: string
      readonly type: string
      readonly flags: number
      /** MAX_MOUNT_OPTIONS bytes at most. */
      readonly options: string
    }
  | { readonly call: 'umount'; readonly target: string; readonly flags: number }
  /** Relative paths of the calls that follow are below it. */
  | { readonly call: 'chdir'; readonly path: string }
  /** The calls that follow are made in new namespaces. */
  | { readonly call: 'unshare'; readonly flags: number }
  /** The calls that follow are made in the network namespace of this path. */
  | { readonly call: 'setns'; readonly path: string }
  /** Of a file that is not there: nothing happens. */
  | { readonly call: 'write'; readonly path: string; readonly text: string }
  | {
      readonly call: 'netlink'
      readonly protocol: number
      /** How many messages ask for an acknowledgement. */
      readonly messages: number
      readonly bytes: Buffer
      /** The device whose number is to stand at a place of the bytes. */
      readonly device?: { readonly name: string; readonly at: number } | undefined
    }
  /** Opens a file as the descriptor HELD_DESCRIPTOR, for the calls that follow. */
  | { readonly call: 'hold'; readonly path: string }

export const HELD_DESCRIPTOR = 3

/** The kernel reads one page with its final zero, and cuts what is longer without a word. */
const MAX_MOUNT_OPTIONS = 4095

export const MS_NOSUID = 0x2
export const MS_NODEV = 0x4
export const MS_NOEXEC = 0x8
export const MS_BIND = 0x1000
export const MNT_DETACH = 0x2
/** Errors of umount where nothing is mounted, or nothing is at all. */
export const NOT_MOUNTED: readonly string[] = ['EINVAL', 'ENOENT']
export const CLONE_NEWUTS = 0x04000000
export const CLONE_NEWIPC = 0x08000000
export const CLONE_NEWNET = 0x40000000

/** What a call came to. */
export interface SystemCallResult {
  /** E.g. "EINVAL", of errno(3); undefined: it was done. */
  readonly errno: string | undefined
  readonly error: GantryError | undefined
  /** What netlink answered beside acknowledgements. */
  readonly data: Buffer
}

/** Who makes calls, for those who need some. */
export type SystemCaller = Pick<SystemCalls, 'make' | 'makeEach'>

interface Request {
  readonly calls: readonly SystemCall[]
  readonly resolve: (results: readonly SystemCallResult[]) => void
  readonly reject: (error: GantryError) => void
}

/** Milliseconds for one request. */
const DEADLINE = 60_000

export class SystemCalls {
  readonly #clock: Clock
  #child: ChildProcess | undefined
  /** The first of them is under way. */
  #requests: Request[] = []
  #answer: Buffer = Buffer.alloc(0)
  #late: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Makes calls in order; the first that fails is the last, and its error the failure. */
  async make(calls: readonly SystemCall[]): Promise<readonly SystemCallResult[]> {
    const results = await this.#submit(calls, true)
    for (const { error } of results) if (error !== undefined) throw error
    return results
  }

  /** Makes every call, whatever becomes of the ones before it. */
  makeEach(calls: readonly SystemCall[]): Promise<readonly SystemCallResult[]> {
    return this.#submit(calls, false)
  }

  /** Ends the process; what is under way goes on untold. */
  stop(): void {
    this.#child?.stdin!.end()
    this.#child = undefined
    this.#fail(new GantryError('Cancelled', 'system calls are stopped'))
  }

  #submit(calls: readonly SystemCall[], untilFailure: boolean): Promise<readonly SystemCallResult[]> {
    if (calls.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const body = fields([untilFailure ? '1' : '', ...calls.map((call) => fields(words(call)))])
      // First, since it may throw: the order of requests is that in which the process answers them.
      const child = (this.#child ??= this.#begin())
      this.#requests.push({ calls, resolve, reject })
      if (this.#requests.length === 1) this.#await(child)
      child.stdin!.write(fields([body]))
    })
  }

  #begin(): ChildProcess {
    const child = spawn('perl', ['-e', PERL_PROGRAM, ...systemCallNumbers().map(String)], {
      detached: true,
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH },
    })
    const gone = (cause?: NodeJS.ErrnoException): void => {
      if (this.#child !== child) return
      this.#child = undefined
      this.#fail(
        cause?.code === 'ENOENT'
          ? new GantryError('FailedPrecondition', 'perl is not installed', {
              cause,
              details: [{ field: 'perl', remedy: 'install perl (Debian: apt-get install perl-base)' }],
            })
          : new GantryError('Internal', `the process for system calls ended${cause ? `: ${cause.message}` : ''}`, {
              cause,
            }),
      )
    }
    // Before anything else: without descriptors for pipes, the process comes without them and with this event.
    child.on('error', gone)
    child.stdout!.on('data', (chunk: Buffer) => {
      // Those who waited for a process that is given up were told so already.
      if (this.#child === child) this.#read(chunk, child)
    })
    child.on('exit', () => gone())
    child.stdin!.on('error', gone)
    this.#hold(child, false)
    return child
  }

  #read(chunk: Buffer, child: ChildProcess): void {
    this.#answer = this.#answer.length === 0 ? chunk : Buffer.concat([this.#answer, chunk])
    for (;;) {
      if (this.#answer.length < 4) return
      const end = 4 + this.#answer.readUInt32BE(0)
      if (this.#answer.length < end) return
      const parts = readFields(this.#answer.subarray(4, end))
      this.#answer = this.#answer.subarray(end)
      const { calls, resolve } = this.#requests.shift()!
      this.#late?.cancel()
      if (this.#requests.length > 0) this.#await(child)
      else this.#hold(child, false)
      resolve(
        Array.from({ length: parts.length / 2 }, (_, index) =>
          resultOf(calls[index]!, Number(parts[2 * index]!.toString()), parts[2 * index + 1]!),
        ),
      )
    }
  }

  #await(child: ChildProcess): void {
    this.#hold(child, true)
    this.#late = this.#clock.after(DEADLINE, () => child.kill('SIGKILL'))
  }

  #fail(error: GantryError): void {
    this.#late?.cancel()
    this.#answer = Buffer.alloc(0)
    for (const { reject } of this.#requests.splice(0)) reject(error)
  }

  /** Node.js goes on while it waits for an answer, and no longer. */
  #hold(child: ChildProcess, on: boolean): void {
    for (const part of [child, child.stdin as Socket, child.stdout as Socket])
      if (on) part.ref()
      else part.unref()
  }
}

function words(call: SystemCall): readonly (string | Buffer)[] {
  switch (call.call) {
    case 'mount':
      if (Buffer.byteLength(call.options) > MAX_MOUNT_OPTIONS)
        throw new GantryError(
          'InvalidArgument',
          `the options of the mount at ${call.target} are longer than ${MAX_MOUNT_OPTIONS} bytes`,
        )
      return ['mount', call.source, call.target, call.type, String(call.flags), call.options]
    case 'umount':
      return ['umount', call.target, String(call.flags)]
    case 'chdir':
    case 'setns':
    case 'hold':
      return [call.call, call.path]
    case 'unshare':
      return ['unshare', String(call.flags)]
    case 'write':
      return ['write', call.path, call.text]
    case 'netlink':
      return [
        'netlink',
        String(call.protocol),
        String(call.messages),
        call.bytes,
        call.device?.name ?? '',
        String(call.device?.at ?? 0),
      ]
  }
}

function resultOf(call: SystemCall, error: number, data: Buffer): SystemCallResult {
  if (error === 0) return { errno: undefined, error: undefined, data }
  const errno = getSystemErrorName(-error)
  const about = 'target' in call ? ` ${call.target}` : 'path' in call ? ` ${call.path}` : ''
  const thrown = Object.assign(new Error(`${call.call}${about}: ${errno}`), { code: errno })
  return { errno, error: GantryError.from(thrown), data }
}

/** Each with its length before it, as Perl's unpack reads "N/a*". */
function fields(parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = typeof part === 'string' ? Buffer.from(part) : part
      if (typeof part === 'string' && part.includes('\0'))
        throw new GantryError('InvalidArgument', 'an argument of a system call contains a zero byte')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}

function readFields(bytes: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at)
    found.push(bytes.subarray(at + 4, end))
    at = end
  }
  return found
}
