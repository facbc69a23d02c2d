/**
 * A watch or a log over WebSocket: each change is a message, of text in JSON and of bytes in protobuf; what is written
 * to a log is a message of bytes, or of base64 for who asks for that.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
import type { WebSocket } from 'ws'
import type { Clock } from '../../../proto/base/clock.ts'
import { frameOf, LARGE_FRAME, negotiated } from '../answer.ts'
import type { Answer, ResourceRequest, UpgradedConnection } from '../contract.ts'
import { encodeFrame } from '../encoding.ts'
import { encodableMessage } from '../encodable-object.ts'
import { statusOf } from '../status.ts'
import { protocolsOf } from '../web-socket-protocols.ts'
import { badRequest } from './pod-target.ts'
import { acceptWebSocket, chooseProtocol, closed, wantsWebSocket } from './web-socket.ts'

const BASE64 = 'base64.binary.k8s.io'
/** https://pkg.go.dev/k8s.io/apimachinery/pkg/util/httpstream/wsstream#NewDefaultReaderProtocols */
const LOG_PROTOCOLS = ['binary.k8s.io', BASE64, '']
/** RFC 6455, section 7.4.1: normal closure. */
const NORMAL = 1000
/** Bytes before the message of a change in protobuf: over HTTP they tell how long it is. */
const LENGTH = 4

/** Errors before the connection is a WebSocket are of HTTP. Resolves when it is closed. */
export async function answerOverWebSocket(
  clock: Clock,
  request: ResourceRequest,
  connection: UpgradedConnection,
  ask: () => Promise<Answer>,
): Promise<void> {
  if (!wantsWebSocket(request))
    throw badRequest(`this connection is upgraded to websocket, not to ${request.headers.upgrade}`)
  const protocol = request.verb === 'watch' ? '' : chooseProtocol(request, LOG_PROTOCOLS)
  const answer = await ask()
  if (answer.is === 'watch') return sendWatch(clock, request, connection, answer)
  if (answer.is !== 'stream') throw badRequest('this path cannot be upgraded to another protocol')
  const socket = await acceptWebSocket(request, connection, protocol, clock)
  const message = (bytes: Uint8Array): Uint8Array | string =>
    protocol === BASE64 ? Buffer.from(bytes).toString('base64') : bytes
  // Kubernetes begins with an empty message: its client knows by it that the log is there.
  await send(socket, message(new Uint8Array()))
  for await (const chunk of answer.chunks) await send(socket, message(chunk))
  await end(socket)
}

async function sendWatch(
  clock: Clock,
  request: ResourceRequest,
  connection: UpgradedConnection,
  answer: Extract<Answer, { is: 'watch' }>,
): Promise<void> {
  const { target, query, headers } = request
  const { form, shown } = negotiated(headers.accept, answer, { target, query, clock })
  const media = form.media === 'protobuf' ? 'protobuf' : 'json'
  const message = (bytes: Buffer): Uint8Array | string => (media === 'json' ? bytes.toString() : bytes.subarray(LENGTH))
  // A protocol has no meaning here: who names one wants to hear it again.
  const socket = await acceptWebSocket(request, connection, protocolsOf(headers)[0] ?? '', clock)
  try {
    for await (const frame of (shown as typeof answer).frames) {
      const bytes = frameOf(frame, media)
      if (bytes.length >= LARGE_FRAME) await request.turn?.()
      await send(socket, message(bytes))
    }
  } catch (thrown) {
    await send(
      socket,
      message(encodeFrame({ type: 'ERROR', object: encodableMessage('Status', statusOf(thrown, target).body) }, media)),
    )
  }
  await end(socket)
}

/** Resolves when the connection has taken it; what is sent to a closed one is dropped. */
function send(socket: WebSocket, message: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => socket.send(message, () => resolve()))
}

async function end(socket: WebSocket): Promise<void> {
  socket.close(NORMAL)
  await closed(socket)
}
