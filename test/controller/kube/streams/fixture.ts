/** A face whose pods are played: commands, logs and ports that do what their names say. */
import { connect } from 'node:net'
import { request as httpsRequest } from 'node:https'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocket } from 'ws'
import { forwardConnection } from '../../../../agent/streams/forward.ts'
import { MASTERS } from '../../../../controller/authorization/groups.ts'
import type { PodStreams } from '../../../../controller/dispatch/pod-streams.ts'
import { GantryError } from '../../../../proto/base/errors.ts'
import type { CallContext } from '../../../../proto/rpc/rpc.ts'
import type {
  ExecInput,
  ExecOutput,
  LogsRequest,
  LogsResponse,
  PortForwardInput,
  PortForwardOutput,
} from '../../../../proto/gen/types.ts'
import { TestApiServer } from '../test-api-server.ts'

type Played = Pick<PodStreams, 'logs' | 'exec' | 'attach' | 'portForward'>

const PIECE = Buffer.alloc(32 * 1024, 'x')

/** The pods' side: what was asked is kept, what is done depends on the command's first word. */
export class FakePodStreams implements Played {
  /** What each exec and attach began with. */
  readonly started: ExecInput['input'][] = []
  readonly logged: LogsRequest[] = []
  readonly forwarded: { pod: string; uid: string; port: number }[] = []
  readonly calls: CallContext[] = []
  /** Commands and connections that have not ended. */
  running = 0
  /** Pieces that `flood` has been relieved of. */
  flooded = 0
  /** Bytes of input that `sip` has taken; it takes more when it is told. */
  sipped = 0
  sip: () => void = () => undefined
  log: (request: LogsRequest, call: CallContext) => AsyncIterable<string> = async function* () {
    yield 'line\n'
  }

  async *logs(request: LogsRequest, call: CallContext): AsyncGenerator<LogsResponse, void, undefined> {
    this.logged.push(request)
    for await (const text of this.log(request, call)) yield { data: Buffer.from(text) }
  }

  async *exec(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<ExecOutput, void, undefined> {
    yield* this.#run(inputs, call, (start) => (start?.case === 'start' ? start.value.command : []))
  }

  /** Attached to `cat`. */
  async *attach(inputs: AsyncIterable<ExecInput>, call: CallContext): AsyncGenerator<ExecOutput, void, undefined> {
    yield* this.#run(inputs, call, () => ['cat', '9'])
  }

  async *#run(
    inputs: AsyncIterable<ExecInput>,
    call: CallContext,
    commandOf: (start: ExecInput['input']) => readonly string[],
  ): AsyncGenerator<ExecOutput, void, undefined> {
    this.running++
    this.calls.push(call)
    try {
      const input = inputs[Symbol.asyncIterator]()
      const start = ((await input.next()).value as ExecInput).input
      this.started.push(start)
      const [name, argument = '0'] = commandOf(start)
      const out = (text: string, stream: 'stdout' | 'stderr' = 'stdout'): ExecOutput => ({
        output: { case: stream, value: Buffer.from(text) },
      })
      let code = Number(argument)
      switch (name) {
        case 'exit':
          break
        case 'both':
          yield out('out')
          yield out('err', 'stderr')
          break
        case 'missing':
          return yield { output: { case: 'exit', value: { code: 127, message: 'no such program' } } }
        case 'refused':
          throw new GantryError('FailedPrecondition', 'the container is not running')
        case 'lost':
          return
        case 'flood':
          for (; !call.signal.aborted; this.flooded++) yield { output: { case: 'stdout', value: PIECE } }
          throw call.signal.reason
        case 'yes':
          for (let left = Number(argument); left > 0; left--) yield { output: { case: 'stdout', value: PIECE } }
          code = 0
          break
        case 'sip':
          for (;;) {
            await new Promise<void>((resolve) => (this.sip = resolve))
            const next = await input.next()
            if (next.done === true || next.value.input?.case === 'stdinClosed') break
            if (next.value.input?.case === 'stdin') this.sipped += next.value.input.value.length
          }
          break
        case 'forever':
          await new Promise<never>((_, reject) =>
            call.signal.addEventListener('abort', () => reject(call.signal.reason as Error), { once: true }),
          )
          break
        case 'cat':
          for (
            let next = await input.next();
            next.done !== true && next.value.input?.case !== 'stdinClosed';
            next = await input.next()
          ) {
            if (next.value.input?.case === 'stdin') yield { output: { case: 'stdout', value: next.value.input.value } }
            else if (next.value.input?.case === 'resize')
              yield out(`[${next.value.input.value.width}x${next.value.input.value.height}]`)
          }
          break
        default:
          throw new TypeError(`no command ${name}`)
      }
      yield { output: { case: 'exit', value: { code, message: '' } } }
    } finally {
      this.running--
    }
  }

  /** To that port of this machine. */
  async *portForward(
    inputs: AsyncIterable<PortForwardInput>,
    call: CallContext,
  ): AsyncGenerator<PortForwardOutput, void, undefined> {
    this.running++
    this.calls.push(call)
    try {
      const rest = inputs[Symbol.asyncIterator]()
      const { input } = (await rest.next()).value as PortForwardInput
      if (input?.case !== 'start') throw new TypeError('no start')
      this.forwarded.push(input.value)
      const socket = connect({ port: input.value.port, host: '127.0.0.1', allowHalfOpen: true })
      await new Promise<void>((resolve, reject) =>
        socket
          .once('connect', resolve)
          .once('error', () =>
            reject(
              new GantryError('FailedPrecondition', `connection refused: nothing listens on port ${input.value.port}`),
            ),
          ),
      )
      // As the way to a node has it: with the call, what is sent to it ends.
      const over = new Promise<IteratorReturnResult<undefined>>((resolve) =>
        call.signal.addEventListener('abort', () => resolve({ done: true, value: undefined }), { once: true }),
      )
      const inner: AsyncIterator<PortForwardInput, undefined> = { next: () => Promise.race([rest.next(), over]) }
      yield* forwardConnection(socket, { [Symbol.asyncIterator]: () => inner }, call.signal)
    } finally {
      this.running--
    }
  }
}

export class StreamsFixture {
  readonly pods = new FakePodStreams()
  #face: TestApiServer | undefined
  #client: { ca: string; cert: string; key: string } | undefined
  readonly #open: Duplex[] = []

  get face(): TestApiServer {
    return this.#face!
  }

  static async start(): Promise<StreamsFixture> {
    const fixture = new StreamsFixture()
    fixture.#face = await TestApiServer.start({ parts: { pods: fixture.pods as unknown as PodStreams } })
    fixture.#client = await fixture.face.client('anna', [MASTERS, 'system:controllers'])
    return fixture
  }

  /** A pod on a node, as `state` says of each of its containers. */
  async pod(
    name: string,
    {
      containers = ['main'],
      state = { running: {} },
      phase = 'Running',
      node = 'n1',
      labels = {},
      ports = [],
    }: PodOptions = {},
  ): Promise<string> {
    const { api } = this.face
    const context = { fieldManager: 'test' }
    const spec = {
      ...(node !== '' && { nodeName: node }),
      containers: containers.map((container) => ({ name: container, image: 'busybox', ports })),
    }
    const pod = await api.create<'Pod'>(
      { kind: 'Pod', metadata: { name, namespace: 'default', labels }, spec },
      context,
    )
    const containerStatuses = containers.map((container) => ({
      name: container,
      ready: true,
      restartCount: 0,
      image: 'busybox',
      imageID: '',
      state,
    }))
    await api.updateStatus<'Pod'>(
      { ...structuredClone(pod), status: { ...pod.status, phase, containerStatuses } } as never,
      context,
    )
    return pod.metadata.uid
  }

  /** With the user's certificate, who is also, as far as the certificate says, a controller. */
  webSocket(path: string, protocols: string | string[], headers: Record<string, string> = {}): WebSocket {
    return new WebSocket(`wss://${this.face.address}${path}`, protocols, { ...this.#client!, headers })
  }

  /** Sends a body in pieces, whose length is not told. The answer's code. */
  chunked(method: string, path: string, body: readonly string[]): Promise<number> {
    const [host, port] = this.face.address.split(':')
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        { host, port, path, method, ...this.#client!, agent: false, headers: { 'Transfer-Encoding': 'chunked' } },
        (message) => message.resume().once('end', () => resolve(message.statusCode!)),
      )
      request.on('error', reject)
      for (const piece of body) request.write(piece)
      request.end()
    })
  }

  /** The connection once its protocol is changed; the answer if it is not. */
  upgrade(
    path: string,
    headers: OutgoingHttpHeaders,
    method = 'POST',
  ): Promise<{ message: IncomingMessage; socket?: Duplex; head?: Buffer }> {
    const [host, port] = this.face.address.split(':')
    return new Promise((resolve, reject) => {
      const request = httpsRequest({
        host,
        port,
        path,
        method,
        ...this.#client!,
        agent: false,
        headers: { Connection: 'Upgrade', ...headers },
      })
      request.on('upgrade', (message, socket: Duplex, head) => {
        this.#open.push(socket)
        socket.on('error', () => socket.destroy())
        resolve({ message, socket, head })
      })
      request.on('response', (message) => resolve({ message }))
      request.on('error', reject)
      request.end()
    })
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    await this.face.stop()
  }
}

interface PodOptions {
  readonly containers?: readonly string[]
  readonly state?: object
  readonly phase?: string
  readonly node?: string
  readonly labels?: Record<string, string>
  readonly ports?: readonly { name?: string; containerPort: number }[]
}

/** The Status in an answer that is no upgrade. */
export async function statusIn(message: IncomingMessage): Promise<{ code: number; reason: string; message: string }> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString()) as never
}
