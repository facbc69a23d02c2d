/** A command in a container joined to the person's own terminal or pipes. */
import { GantryError } from '../proto/api/errors.ts'
import type { Input } from '../proto/api/wire.ts'
import { Channel } from '../proto/base/channel.ts'
import type { ExecInput, ExecStart, TerminalSize } from '../proto/gen/types.ts'
import type { Cluster } from './cluster.ts'
import type { Environment } from './environment.ts'

/** Pieces of input that wait to be sent at most; then reading waits. */
const IN_FLIGHT = 4

/** Runs to its end; the command's own exit code. The terminal is put back into its state whatever happens. */
export async function runExec(cluster: Cluster, environment: Environment, start: Omit<ExecStart, 'size'>): Promise<number> {
  const { stdin, stdout, stderr } = environment
  const tty = start.tty && stdin.isTTY === true && stdout.isTTY === true
  if (start.tty && !tty) stderr.write('warning: -t is left out: standard input and output are not a terminal\n')
  const inputs = new Channel<Input<ExecInput>>()
  inputs.push({ input: { case: 'start', value: { ...start, tty, ...(tty ? { size: sizeOf(environment) } : {}) } } })
  const release = [...(start.stdin ? [passInput(environment, inputs)] : []), ...(tty ? [passTerminal(environment, inputs)] : [])]
  try {
    for await (const { output } of cluster.exec(inputs)) {
      switch (output?.case) {
        case 'stdout': stdout.write(output.value); break
        case 'stderr': stderr.write(output.value); break
        case 'exit':
          if (output.value.message !== '') stderr.write(`error: ${output.value.message}\n`)
          return output.value.code
        case undefined: break
      }
    }
    throw new GantryError('Unavailable', 'the connection ended before the command did', { details: [{ remedy: 'the command may still run' }] })
  } finally {
    for (const call of release) call()
    inputs.close()
  }
}

function sizeOf({ stdout }: Environment): TerminalSize {
  return { width: stdout.columns ?? 80, height: stdout.rows ?? 24 }
}

/** Sends standard input on until it ends, no faster than it is taken; answers with the call that lets go of it. */
function passInput({ stdin }: Environment, inputs: Channel<Input<ExecInput>>): () => void {
  let released = false
  const chunk = (data: Uint8Array | string): void => {
    inputs.push({ input: { case: 'stdin', value: Buffer.from(data as string) } })
    if (inputs.length < IN_FLIGHT) return
    stdin.pause()
    void inputs.room(IN_FLIGHT).then(() => {
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

/** Keys go to the container as they are pressed, and the container learns the terminal's size. */
function passTerminal(environment: Environment, inputs: Channel<Input<ExecInput>>): () => void {
  environment.stdin.setRawMode?.(true)
  const stop = environment.onResize(() => void inputs.push({ input: { case: 'resize', value: sizeOf(environment) } }))
  return () => {
    stop()
    environment.stdin.setRawMode?.(false)
  }
}
