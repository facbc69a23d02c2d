/** Runs a command in a container, no faster than its output is taken and its input comes. */
import { Channel } from '../../proto/base/channel.ts'
import { GantryError } from '../../proto/base/errors.ts'
import type { RunGroup } from '../../proto/base/run-group.ts'
import type { ExecInput, ExecOutput, ExecStart, TerminalSize } from '../../proto/gen/types.ts'
import type { RuntimeDriver } from '../runtime/contract.ts'
import type { StreamTarget } from './target.ts'

/** Pieces of a command's input or output that wait here at most: whoever sends more is made to wait. */
const IN_FLIGHT = 4

export interface ExecParts {
  readonly target: StreamTarget
  readonly runtime: Pick<RuntimeDriver, 'exec'>
  readonly group: RunGroup
}

/** Until the command has ended, the last output being its exit code. Whoever stops reading ends the command. */
export async function* execIn(
  { target, runtime, group }: ExecParts,
  start: ExecStart,
  inputs: AsyncIterable<ExecInput>,
  signal: AbortSignal,
): AsyncGenerator<ExecOutput, void, undefined> {
  const { id } = target.running(start.container)
  const stdin = new Channel<Uint8Array>()
  const resizes = new Channel<TerminalSize>()
  const outputs = new Channel<ExecOutput>()
  const ending = new AbortController()
  const both = AbortSignal.any([signal, ending.signal])
  group.spawn(() => routeInputs(inputs, stdin, resizes))
  const request = {
    command: start.command,
    tty: start.tty,
    size: start.size,
    stdin: start.stdin ? stdin : undefined,
    resizes,
    output: (stream: 'stdout' | 'stderr', chunk: Uint8Array): Promise<void> => {
      outputs.push({ output: { case: stream, value: chunk } })
      return outputs.waitForRoom(IN_FLIGHT)
    },
  }
  group.spawn(async () => {
    try {
      const { exitCode, message } = await runtime.exec(id, request, both)
      outputs.push({ output: { case: 'exit', value: { code: exitCode, message } } })
      outputs.close()
    } catch (thrown) {
      outputs.close(GantryError.from(thrown))
    } finally {
      stdin.close()
      resizes.close()
    }
  })
  try {
    yield* outputs
  } finally {
    outputs.close()
    ending.abort(new GantryError('Cancelled', 'the command is no longer wanted'))
  }
}

async function routeInputs(
  inputs: AsyncIterable<ExecInput>,
  stdin: Channel<Uint8Array>,
  resizes: Channel<TerminalSize>,
): Promise<void> {
  try {
    for await (const { input } of inputs) {
      switch (input?.case) {
        case 'stdin':
          stdin.push(input.value)
          await stdin.waitForRoom(IN_FLIGHT)
          break
        case 'stdinClosed':
          stdin.close()
          break
        case 'resize':
          resizes.push(input.value)
          break
        case 'start':
        case 'attach':
        case undefined:
          break
      }
    }
    stdin.close()
  } catch (thrown) {
    stdin.close(GantryError.from(thrown))
  }
}
