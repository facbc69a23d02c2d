/**
 * The service Nodes: an agent's session, and the streams that a controller asks it for. The certificate says whose they
 * are, so that nothing of them is read before it is known whether the caller may open them.
 */
import type { CallContext, Handlers } from '../../proto/rpc/rpc.ts'
import type { Input } from '../../proto/codec/wire.ts'
import type { ControllerMessage, NodeMessage, NodesService, StreamDown, StreamUp } from '../../proto/gen/types.ts'
import { nodeOf, type NodeConnection } from '../authorization/node-authorizer.ts'
import type { RequestInfo } from '../requests/request-info.ts'
import type { Requests } from '../requests/requests.ts'
import { userOf } from './caller.ts'

export class NodesHandlers implements Handlers<NodesService> {
  readonly #requests: Requests

  constructor(requests: Requests) {
    this.#requests = requests
  }

  session(
    messages: AsyncIterable<NodeMessage>,
    call: CallContext,
  ): AsyncGenerator<Input<ControllerMessage>, void, undefined> {
    return this.#requests.stream(infoOf('session', call), call, (request) => request.openNodeSession(messages, call))
  }

  stream(messages: AsyncIterable<StreamUp>, call: CallContext): AsyncGenerator<Input<StreamDown>, void, undefined> {
    return this.#requests.stream(infoOf('stream', call), call, (request) => request.openNodeStream(messages, call))
  }
}

function infoOf(subresource: NodeConnection, call: CallContext): RequestInfo {
  const user = userOf(call)
  const verb = 'create'
  return { face: 'grpc', user, verb, group: '', resource: 'nodes', subresource, name: nodeOf(user) ?? '' }
}
