/**
 * pods/portforward.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#create-connect-post-portforward-pod
 */
import { createWebSocketStream, type WebSocket } from 'ws'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import type { ResourceRequest, UpgradedConnection } from '../contract.ts'
import { CHANNEL_PROTOCOLS, type ChannelProtocol } from './channels.ts'
import { forward } from './forwarding.ts'
import { badRequest, callOf, runningPod } from './pod-target.ts'
import { ForwardPairs } from './spdy-forward.ts'
import { acceptSpdy, chooseSpdyProtocol, wantsSpdy } from './spdy-upgrade.ts'
import { SpdySession } from './spdy/session.ts'
import { askedPorts, forwardedConnections } from './web-socket-forward.ts'
import { acceptWebSocket, chooseProtocol, closed, wantsWebSocket } from './web-socket.ts'

export interface PortForwardParts {
  readonly clock: Clock
}

/** Within SPDY. */
const PROTOCOL = 'portforward.k8s.io'
/**
 * SPDY within WebSocket messages, which kubectl asks for first.
 * https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets
 */
const TUNNEL = `SPDY/3.1+${PROTOCOL}`
/** Streams of a session at a time: two for each connection. */
const STREAMS = 2_000

export class PodPortForward {
  readonly #parts: PortForwardParts

  constructor(parts: PortForwardParts) {
    this.#parts = parts
  }

  /** Upgrades the connection and forwards until the client closes it. Errors before that are of HTTP. */
  async forward(request: ResourceRequest, connection: UpgradedConnection): Promise<void> {
    const { clock } = this.#parts
    const pod = await runningPod(request.authorized.backends.reads, request.target)
    if (wantsWebSocket(request)) {
      const name = chooseProtocol(request, [TUNNEL, ...CHANNEL_PROTOCOLS.map((protocol) => protocol.name)])
      if (name === TUNNEL) return this.#tunnel(request, await acceptWebSocket(request, connection, name, clock), pod)
      const ports = askedPorts(request.query)
      return this.#channels(
        request,
        await acceptWebSocket(request, connection, name, clock),
        CHANNEL_PROTOCOLS.find((protocol) => protocol.name === name)!,
        ports,
        pod,
      )
    }
    if (!wantsSpdy(request))
      throw badRequest(`connections are upgraded to websocket or SPDY/3.1, not to ${request.headers.upgrade}`)
    const protocol = chooseSpdyProtocol(connection.request, [PROTOCOL])
    const pairs = this.#pairs(request, pod)
    await acceptSpdy(request, connection, protocol, { clock, limit: STREAMS, opened: (stream) => pairs.opened(stream) })
      .ended
  }

  async #tunnel(request: ResourceRequest, socket: WebSocket, pod: Pod): Promise<void> {
    const pairs = this.#pairs(request, pod)
    const stream = createWebSocketStream(socket)
    // Told to whoever reads it, too; afterwards nobody listens.
    stream.on('error', () => stream.destroy())
    const session = new SpdySession({
      socket: stream,
      head: Buffer.alloc(0),
      clock: this.#parts.clock,
      limit: STREAMS,
      opened: (stream) => pairs.opened(stream),
    })
    await session.run(request.signal)
    await closed(socket)
  }

  async #channels(
    request: ResourceRequest,
    socket: WebSocket,
    protocol: ChannelProtocol,
    ports: readonly number[],
    pod: Pod,
  ): Promise<void> {
    await Promise.all(
      forwardedConnections(socket, protocol, ports).map((connection) =>
        forward(request.authorized.pods, pod, connection, callOf(request, connection.signal)),
      ),
    )
    socket.close(1000)
    await closed(socket)
  }

  #pairs(request: ResourceRequest, pod: Pod): ForwardPairs {
    return new ForwardPairs(
      this.#parts.clock,
      (connection) => void forward(request.authorized.pods, pod, connection, callOf(request, connection.signal)),
    )
  }
}
