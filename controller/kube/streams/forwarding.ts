/**
 * One forwarded connection: what the client sends goes to a port of the pod, and back, each end's end told to the
 * other.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import type { Pod, PortForwardInput } from '../../../proto/gen/types.ts'
import type { PodConnections } from '../../requests/pod-connections.ts'

/** The client's side, whatever protocol it speaks. */
export interface ForwardedConnection {
  readonly port: number
  /** Ends when the client sends nothing more. */
  readonly incoming: AsyncIterable<Uint8Array>
  /** Aborted when the client has let go of it. */
  readonly signal: AbortSignal
  /** Resolves when the connection has taken it. */
  write(data: Uint8Array): Promise<void>
  /** The pod sends nothing more. */
  end(): Promise<void>
  /** It is over, with what went wrong. */
  fail(message: string): Promise<void>
}

/** Resolves when both directions are over, and never rejects: what goes wrong is told to the client. */
export async function forward(
  pods: Pick<PodConnections, 'portForward'>,
  { metadata: { namespace, name, uid } }: Pod,
  connection: ForwardedConnection,
  call: Omit<CallContext, 'user'>,
): Promise<void> {
  const { port, incoming, signal } = connection
  const start: PortForwardInput = { input: { case: 'start', value: { namespace, pod: name, uid, port } } }
  const inputs = async function* (): AsyncGenerator<PortForwardInput, void, undefined> {
    for await (const value of incoming) yield { input: { case: 'data', value } }
    yield { input: { case: 'closed', value: true } }
  }
  let closed = false
  try {
    for await (const { output } of pods.portForward(start, inputs(), call)) {
      switch (output?.case) {
        case 'data':
          await connection.write(output.value!)
          break
        case 'closed':
          closed = true
          await connection.end()
          break
        case 'connected':
        case undefined:
          break
      }
    }
    if (!closed) throw new GantryError('Unavailable', 'the connection to the pod ended early')
  } catch (thrown) {
    if (!signal.aborted)
      await connection.fail(
        `error forwarding port ${port} to pod ${name}, uid ${uid}: ${GantryError.from(thrown).message}`,
      )
  }
}
