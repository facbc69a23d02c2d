/**
 * Joins one connection into a pod with a stream: bytes both ways, each end's end told to the other, no faster than the
 * slower side takes.
 */
import type { Socket } from 'node:net'
import { GantryError } from '../../proto/base/errors.ts'
import { waitForDrain } from '../../proto/base/wait-for-drain.ts'
import type { PortForwardInput, PortForwardOutput } from '../../proto/gen/types.ts'

/**
 * Ends when both directions have, or the connection is broken (throws), or the inputs end without `closed`: whoever
 * sent them is gone.
 */
export async function* forwardConnection(
  socket: Socket,
  inputs: AsyncIterable<PortForwardInput>,
  signal: AbortSignal,
): AsyncGenerator<PortForwardOutput, void, undefined> {
  let broken: unknown
  socket.on('error', (thrown) => (broken ??= thrown))
  const abort = (): void => void socket.destroy()
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  const writing = write(socket, inputs)
  writing.catch((thrown: unknown) => socket.destroy(GantryError.from(thrown)))
  try {
    yield { output: { case: 'connected', value: true } }
    // Told to leave it open: what the other side still sends goes on to the pod.
    for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>)
      yield { output: { case: 'data', value: chunk } }
    yield { output: { case: 'closed', value: true } }
    await writing
    if (broken !== undefined) throw GantryError.from(broken)
  } catch (thrown) {
    throw GantryError.from(broken ?? thrown, 'Unavailable')
  } finally {
    signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

async function write(socket: Socket, inputs: AsyncIterable<PortForwardInput>): Promise<void> {
  for await (const { input } of inputs) {
    if (socket.destroyed) return
    switch (input?.case) {
      case 'data':
        socket.write(input.value)
        await waitForDrain(socket)
        break
      case 'closed':
        socket.end()
        return
      case 'start':
      case undefined:
        break
    }
  }
  socket.destroy()
}
