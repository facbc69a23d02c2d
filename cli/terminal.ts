/** A command or container joined to the person's own terminal or pipes. */
import { GantryError } from '../proto/base/errors.ts'
import type { Input } from '../proto/codec/wire.ts'
import { Channel } from '../proto/base/channel.ts'
import type { AttachStart, ExecInput, ExecOutput, ExecStart, TerminalSize } from '../proto/gen/types.ts'
import type { ClusterClient } from '../proto/client/cluster.ts'
import type { Environment } from '../proto/terminal/environment.ts'

/** Pieces of input that wait to be sent at most; then reading waits. */
const IN_FLIGHT = 4
/** ctrl-p ctrl-q, as docker has them. */
const DETACH_KEYS = Buffer.from([0x10, 0x11])

/** Runs to its end; the command's own exit code. The terminal is put back into its state whatever happens. */
export async function runExec(
  cluster: ClusterClient,
  environment: Environment,
  start: Omit<ExecStart, 'size'>,
): Promise<number> {
  const tty = withTerminal(environment, start.tty)
  const value = { ...start, tty, ...(tty ? { size: sizeOf(environment) } : {}) }
  const code = await converse(
    environment,
    (inputs) => cluster.exec(inputs),
    { case: 'start', value },
    { stdin: start.stdin, tty, detachable: false },
  )
  if (code === undefined)
    throw new GantryError('Unavailable', 'the connection ended before the command did', {
      details: [{ remedy: 'the command may still run' }],
    })
  return code
}

/** Until the container ends: its exit code; or until the person lets go of it with ctrl-p ctrl-q: undefined. */
export async function runAttach(
  cluster: ClusterClient,
  environment: Environment,
  start: Omit<AttachStart, 'size'>,
): Promise<number | undefined> {
  const tty = withTerminal(environment, start.tty)
  const value = { ...start, tty, ...(tty ? { size: sizeOf(environment) } : {}) }
  return converse(
    environment,
    (inputs) => cluster.attach(inputs),
    { case: 'attach', value },
    { stdin: start.stdin, tty, detachable: tty && start.stdin },
  )
}

function withTerminal({ stdin, stdout, stderr }: Environment, wanted: boolean): boolean {
  const tty = wanted && stdin.isTTY === true && stdout.isTTY === true
  if (wanted && !tty) stderr.write('warning: -t is left out: standard input and output are not a terminal\n')
  return tty
}

interface Conversation {
  readonly stdin: boolean
  readonly tty: boolean
  readonly detachable: boolean
}

/** The exit code; undefined if the person let go. */
async function converse(
  environment: Environment,
  open: (inputs: AsyncIterable<Input<ExecInput>>) => AsyncIterable<ExecOutput>,
  first: Input<ExecInput>['input'],
  { stdin, tty, detachable }: Conversation,
): Promise<number | undefined> {
  const { stdout, stderr } = environment
  const inputs = new Channel<Input<ExecInput>>()
  inputs.push({ input: first })
  let detach = (): void => undefined
  const detached = new Promise<IteratorReturnResult<undefined>>(
    (resolve) => (detach = () => resolve({ done: true, value: undefined })),
  )
  const release = [
    ...(stdin ? [passInput(environment, inputs, detachable ? detach : undefined)] : []),
    ...(tty ? [passTerminal(environment, inputs)] : []),
  ]
  const outputs = open(inputs)[Symbol.asyncIterator]()
  let ended = false
  void detached.then(() => (ended = true))
  try {
    for (;;) {
      const next: IteratorResult<ExecOutput, undefined> = await Promise.race([outputs.next(), detached])
      if (next.done === true) {
        if (ended) return undefined
        throw new GantryError('Unavailable', 'the connection ended before its time', {
          details: [{ remedy: 'what ran may still run' }],
        })
      }
      const { output } = next.value
      switch (output?.case) {
        case 'stdout':
          stdout.write(output.value)
          break
        case 'stderr':
          stderr.write(output.value)
          break
        case 'exit':
          if (output.value.message !== '') stderr.write(`error: ${output.value.message}\n`)
          return output.value.code
        case undefined:
          break
      }
    }
  } finally {
    for (const call of release) call()
    inputs.close()
    // Not waited for: an answer that is still on its way must not keep the person.
    void outputs.return?.().catch(() => undefined)
  }
}

function sizeOf({ stdout }: Environment): TerminalSize {
  return { width: stdout.columns ?? 80, height: stdout.rows ?? 24 }
}

/** Sends standard input on until it ends, no faster than it is taken; answers with the call that lets go of it. */
function passInput(
  { stdin }: Environment,
  inputs: Channel<Input<ExecInput>>,
  detach: (() => void) | undefined,
): () => void {
  let released = false
  const keys = detach === undefined ? undefined : new DetachKeys(detach)
  const chunk = (raw: Uint8Array | string): void => {
    const bytes = Buffer.from(raw as string)
    const data = keys === undefined ? bytes : keys.filter(bytes)
    if (data.length > 0) inputs.push({ input: { case: 'stdin', value: data } })
    if (inputs.length < IN_FLIGHT) return
    stdin.pause()
    void inputs.waitForRoom(IN_FLIGHT).then(() => {
      if (!released) stdin.resume()
    })
  }
  const end = (): void => void inputs.push({ input: { case: 'stdinClosed', value: true } })
  stdin.on('data', chunk)
  stdin.on('end', end)
  return () => {
    released = true
    stdin.off('data', chunk)
    stdin.off('end', end)
    stdin.pause()
  }
}

/** Looks for the keys in what is typed; the first of them waits for the next key. */
export class DetachKeys {
  readonly #found: () => void
  #begun = false

  constructor(found: () => void) {
    this.#found = found
  }

  /** What is to be sent of it. */
  filter(typed: Buffer): Buffer {
    const bytes = this.#begun ? Buffer.concat([DETACH_KEYS.subarray(0, 1), typed]) : typed
    this.#begun = false
    const at = bytes.indexOf(DETACH_KEYS)
    if (at >= 0) {
      this.#found()
      return bytes.subarray(0, at)
    }
    if (bytes.at(-1) !== DETACH_KEYS[0]) return bytes
    this.#begun = true
    return bytes.subarray(0, -1)
  }
}

/** Keys go to the container as they are pressed, and the container learns the terminal's size. */
function passTerminal(environment: Environment, inputs: Channel<Input<ExecInput>>): () => void {
  environment.stdin.setRawMode?.(true)
  const stop = environment.onResize(() => void inputs.push({ input: { case: 'resize', value: sizeOf(environment) } }))
  return () => {
    stop()
    environment.stdin.setRawMode?.(false)
  }
}
