/**
 * A connection of this program's joined with one into a pod: bytes both ways, each end's end told to the other, no
 * faster than the slower side takes.
 */
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { Channel } from '../base/channel.ts'
import { waitForDrain } from '../base/wait-for-drain.ts'
import { duplexPair } from '../base/duplex-pair.ts'
import type { PortForwardInput, PortForwardOutput, PortForwardStart } from '../gen/types.ts'
import { GantryError } from '../base/errors.ts'
import type { Input } from '../codec/wire.ts'

/** Pieces on their way to the pod at most. */
const IN_FLIGHT = 4

/** The Pods service's PortForward, as whoever calls it has it. */
export type PortForwardCall = (
  inputs: AsyncIterable<PortForwardInput>,
  signal: AbortSignal,
) => AsyncIterable<Input<PortForwardOutput>>

/**
 * A stream that reaches a port of the pod. Destroyed with the error when the pod's side fails; with `tls` what goes
 * through is encrypted.
 */
export function connectPod(call: PortForwardCall, start: PortForwardStart, tls: boolean, signal: AbortSignal): Duplex {
  const [near, far] = duplexPair()
  joinPod(call, far, start, signal).catch((thrown: unknown) => near.destroy(thrown as Error))
  // Whom one speaks to is settled by the control plane's own certificates, on the way to the pod.
  return tls ? connectTls({ socket: near, rejectUnauthorized: false, servername: start.pod }) : near
}

/**
 * Ends when both directions have. Throws what the pod's side says, such as that nothing listens there; the socket is
 * then closed.
 */
export async function joinPod(
  call: PortForwardCall,
  socket: Duplex,
  start: PortForwardStart,
  signal: AbortSignal,
): Promise<void> {
  const inputs = new Channel<PortForwardInput>()
  inputs.push({ input: { case: 'start', value: start } })
  const ending = new AbortController()
  send(socket, inputs, ending)
  let closed = false
  try {
    for await (const { output } of call(inputs, AbortSignal.any([signal, ending.signal]))) {
      switch (output?.case) {
        case 'data':
          socket.write(output.value!)
          await waitForDrain(socket)
          break
        case 'closed':
          closed = true
          socket.end()
          break
        case 'connected':
        case undefined:
          break
      }
    }
    if (!closed && !ending.signal.aborted) throw new GantryError('Unavailable', 'the connection to the pod ended early')
  } catch (thrown) {
    if (!ending.signal.aborted) throw thrown
  } finally {
    inputs.close()
    // A client in the middle of an answer is to see that it was cut, not that it is complete.
    if (!closed && 'resetAndDestroy' in socket) (socket as { resetAndDestroy(): void }).resetAndDestroy()
    else if (!closed) socket.destroy()
  }
}

/** `ending` is aborted when the client is gone altogether. */
function send(socket: Duplex, inputs: Channel<PortForwardInput>, ending: AbortController): void {
  let ended = false
  socket.on('data', (chunk: Buffer) => {
    inputs.push({ input: { case: 'data', value: chunk } })
    if (inputs.length < IN_FLIGHT) return
    socket.pause()
    void inputs.waitForRoom(IN_FLIGHT).then(() => socket.resume())
  })
  socket.on('end', () => {
    ended = true
    inputs.push({ input: { case: 'closed', value: true } })
  })
  socket.on('error', (error) => ending.abort(GantryError.from(error)))
  socket.on('close', () => {
    if (!ended || !socket.writableFinished) ending.abort(new GantryError('Cancelled', 'the client is gone'))
  })
}
