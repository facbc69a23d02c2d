/**
 * Joins a running container's own input and outputs. What it writes is taken from its log, where each piece stands as
 * soon as it is written, so any number of people may look on and a slow one holds up nobody; what is typed goes to its
 * standard input.
 */
import { allContainers } from '../../proto/objects/containers.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import type { RunGroup } from '../../proto/base/run-group.ts'
import type { AttachStart, ExecInput, ExecOutput } from '../../proto/gen/types.ts'
import { followPieces } from './logs/log-reader.ts'
import type { ContainerInput, RuntimeDriver } from '../runtime/contract.ts'
import type { StreamTarget, TargetContainer } from './target.ts'

export interface AttachParts {
  readonly target: StreamTarget
  readonly runtime: RuntimeDriver
  readonly group: RunGroup
}

/** Until the container has ended, the last output being its exit code, or the signal is aborted. */
export async function* attachTo(
  { target, runtime, group }: AttachParts,
  start: AttachStart,
  inputs: AsyncIterable<ExecInput>,
  signal: AbortSignal,
): AsyncGenerator<ExecOutput, void, undefined> {
  const container = target.running(start.container)
  check(target, container, start)
  const ending = new AbortController()
  const both = AbortSignal.any([signal, ending.signal])
  const input = start.stdin ? await runtime.openInput(container.id) : undefined
  let broken: GantryError | undefined
  const source = {
    path: target.logPath(container),
    ended: () => broken !== undefined || !target.lives(container),
    onChange: (handler: () => void) => target.onChange(handler),
  }
  let begun = (): void => undefined
  const reading = new Promise<void>((resolve) => (begun = resolve))
  group.spawn(async () => {
    try {
      await reading // or the answer to what is typed could be past before anybody looks
      // Before anything is typed: the first command is to know the size.
      if (start.tty && start.size !== undefined) await redraw(runtime, container.id, start.size)
      await passInputs(inputs, input, (size) =>
        start.tty ? runtime.resizeTerminal(container.id, size) : Promise.resolve(),
      )
    } catch (thrown) {
      broken = GantryError.from(thrown)
      ending.abort(broken)
    } finally {
      await input?.close()
    }
  })
  try {
    for await (const pieces of followPieces(source, start.fromStart ? 'beginning' : 'now', both, begun)) {
      for (const { stream, content } of pieces) yield { output: { case: stream, value: content } }
    }
    if (broken !== undefined) throw broken
    if (!signal.aborted)
      yield { output: { case: 'exit', value: { code: await exitCode(target, container, signal), message: '' } } }
  } finally {
    begun()
    ending.abort(new GantryError('Cancelled', 'nobody is attached any more'))
  }
}

function check({ pod }: StreamTarget, { name }: TargetContainer, start: AttachStart): void {
  const spec = allContainers(pod).find((container) => container.name === name)
  const lacks = start.stdin && spec?.stdin !== true ? 'stdin' : start.tty && spec?.tty !== true ? 'tty' : undefined
  if (lacks === undefined) return
  throw new GantryError(
    'FailedPrecondition',
    `${describeObject(pod)}: container "${name}" was made without ${lacks === 'tty' ? 'a terminal' : 'a standard input'}`,
    {
      details: [
        { field: lacks, remedy: `set ${lacks}: true in its spec, or leave -${lacks === 'tty' ? 't' : 'i'} out` },
      ],
    },
  )
}

/**
 * A size that it has already would change nothing; one that differs for a moment makes a program draw its screen anew
 * for who has just come.
 */
async function redraw(
  runtime: RuntimeDriver,
  id: string,
  size: { readonly width: number; readonly height: number },
): Promise<void> {
  await runtime.resizeTerminal(id, { width: size.width + 1, height: size.height + 1 })
  await runtime.resizeTerminal(id, size)
}

async function passInputs(
  inputs: AsyncIterable<ExecInput>,
  input: ContainerInput | undefined,
  resize: (size: { readonly width: number; readonly height: number }) => Promise<void>,
): Promise<void> {
  for await (const { input: told } of inputs) {
    switch (told?.case) {
      case 'stdin':
        await input?.write(told.value)
        break
      case 'stdinClosed':
        await input?.close()
        break
      case 'resize':
        await resize(told.value)
        break
      case 'start':
      case 'attach':
      case undefined:
        break
    }
  }
}

/** The end is known a moment after the container's last word. */
async function exitCode(target: StreamTarget, container: TargetContainer, signal: AbortSignal): Promise<number> {
  for (;;) {
    const known = target.exitCode(container)
    if (known !== undefined) return known
    if (target.gone)
      throw new GantryError(
        'NotFound',
        `${describeObject(target.pod)} is gone, and how container "${container.name}" ended with it`,
      )
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => done(() => reject(GantryError.from(signal.reason, 'Cancelled')))
      const done = (settle: () => void): void => {
        stop()
        signal.removeEventListener('abort', abort)
        settle()
      }
      const stop = target.onChange(() => done(resolve))
      signal.addEventListener('abort', abort, { once: true })
      if (signal.aborted) abort()
    })
  }
}
