/** The controller's end of node sessions, scripted by a test, over real gRPC on loopback. */
import { Server } from '../../../proto/rpc/rpc.ts'
import { encodeResource, type Input } from '../../../proto/codec/wire.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type {
  AnyResource,
  ControllerMessage,
  Node,
  NodeMessage,
  ObjectBytes,
  StreamDown,
  StreamUp,
} from '../../../proto/gen/types.ts'

export class FakeController {
  readonly sessions: FakeSession[] = []
  readonly streams: { readonly up: StreamUp[]; readonly down: Channel<Input<StreamDown>>; ended: boolean }[] = []
  #server: Server | undefined
  address = '127.0.0.1:0'

  /** Listens; a second time, after `stop`, at the same address. */
  async start(): Promise<void> {
    this.#server = new Server({ address: this.address })
    this.#server.add('Nodes', {
      session: (messages) => this.#session(messages),
      stream: (messages) => this.#stream(messages),
    })
    this.address = await this.#server.start()
  }

  async stop(): Promise<void> {
    for (const session of this.sessions) session.end()
    for (const stream of this.streams) stream.down.close()
    await this.#server?.stop()
  }

  get last(): FakeSession | undefined {
    return this.sessions.at(-1)
  }

  async *#session(messages: AsyncIterable<NodeMessage>): AsyncGenerator<Input<ControllerMessage>, void, undefined> {
    const session = new FakeSession()
    this.sessions.push(session)
    session.reading = session.read(messages)
    yield* session.outgoing
  }

  async *#stream(messages: AsyncIterable<StreamUp>): AsyncGenerator<Input<StreamDown>, void, undefined> {
    const stream = { up: [] as StreamUp[], down: new Channel<Input<StreamDown>>(), ended: false }
    this.streams.push(stream)
    const reading = (async () => {
      for await (const message of messages) stream.up.push(message)
      stream.ended = true
      stream.down.close()
    })()
    yield* stream.down
    await reading
  }
}

export class FakeSession {
  readonly received: NodeMessage[] = []
  readonly outgoing = new Channel<Input<ControllerMessage>>()
  reading: Promise<void> = Promise.resolve()
  #sequence = 0

  async read(messages: AsyncIterable<NodeMessage>): Promise<void> {
    for await (const message of messages) this.received.push(message)
    this.end()
  }

  welcome(node: Node, heartbeatMillis = 1000): void {
    this.outgoing.push({ message: { case: 'welcome', value: { sessionId: 's', heartbeatMillis, node } } })
  }

  complete(...set: AnyResource[]): void {
    this.#sequence = 1
    this.outgoing.push({
      message: { case: 'assignments', value: { complete: true, sequence: 1, set: set.map(bytes), removed: [] } },
    })
  }

  change(set: AnyResource[], skip = 0): void {
    this.#sequence += 1 + skip
    this.outgoing.push({
      message: {
        case: 'assignments',
        value: { complete: false, sequence: this.#sequence, set: set.map(bytes), removed: [] },
      },
    })
  }

  send(message: Input<ControllerMessage>['message']): void {
    this.outgoing.push({ message })
  }

  end(): void {
    this.outgoing.close()
  }

  cases(): (string | undefined)[] {
    return this.received.map(({ message }) => message?.case)
  }
}

function bytes(object: AnyResource): ObjectBytes {
  return { apiVersion: object.apiVersion, kind: object.kind, raw: encodeResource(object) }
}
