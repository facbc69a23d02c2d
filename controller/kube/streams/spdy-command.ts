/**
 * A command's client over SPDY/3.1: it opens a stream for each of stdin, stdout, stderr, how it ended, and the
 * terminal's size.
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { Channel } from '../../../proto/base/channel.ts'
import type { ExecInput, JsonObject } from '../../../proto/gen/types.ts'
import {
  failureText,
  MAX_PENDING_INPUTS,
  pieces,
  resizeInputs,
  type CommandClient,
  type JoinedStreams,
} from './command-client.ts'
import { RESET } from './spdy/frames.ts'
import type { SpdyStream } from './spdy/session.ts'

/** Preferred first. https://pkg.go.dev/k8s.io/apimachinery/pkg/util/remotecommand */
export const COMMAND_PROTOCOLS = [
  'v5.channel.k8s.io',
  'v4.channel.k8s.io',
  'v3.channel.k8s.io',
  'v2.channel.k8s.io',
  'channel.k8s.io',
]
const WITH_STATUS = ['v5.channel.k8s.io', 'v4.channel.k8s.io']
const WITH_RESIZE = [...WITH_STATUS, 'v3.channel.k8s.io']

type StreamType = 'error' | 'stdin' | 'stdout' | 'stderr' | 'resize'

export class SpdyCommand implements CommandClient {
  readonly inputs = new Channel<ExecInput>()
  /** All streams are there. */
  readonly ready: Promise<void>
  readonly #protocol: string
  readonly #wanted: readonly StreamType[]
  readonly #streams = new Map<StreamType, SpdyStream>()
  readonly #close: () => Promise<void>
  #all: () => void = () => undefined

  /** `close` ends the session and resolves when it is over. */
  constructor(protocol: string, joined: JoinedStreams, close: () => Promise<void>) {
    this.#protocol = protocol
    this.#close = close
    const all: [StreamType, boolean][] = [
      ['error', true],
      ['stdin', joined.stdin],
      ['stdout', joined.stdout],
      ['stderr', joined.stderr],
      ['resize', joined.tty && WITH_RESIZE.includes(protocol)],
    ]
    this.#wanted = all.flatMap(([type, wanted]) => (wanted ? [type] : []))
    this.ready = new Promise((resolve) => (this.#all = resolve))
  }

  /** A stream that was not asked for, or is there already, is refused. */
  opened(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype') as StreamType | undefined
    if (type === undefined || !this.#wanted.includes(type) || this.#streams.has(type))
      return stream.reset(RESET.refusedStream)
    this.#streams.set(type, stream)
    stream.accept()
    if (type === 'stdin')
      this.#pass(stream, (data) => pieces(data).map((value) => ({ input: { case: 'stdin', value } })))
    else if (type === 'resize') this.#pass(stream, sizes())
    if (this.#streams.size === this.#wanted.length) this.#all()
  }

  async write(stream: 'stdout' | 'stderr', data: Uint8Array): Promise<void> {
    await this.#streams.get(stream)?.write(data)
  }

  async finish(status: JsonObject): Promise<void> {
    const text = WITH_STATUS.includes(this.#protocol) ? JSON.stringify(status) : failureText(status)
    await this.#streams.get('error')?.write(Buffer.from(text))
    for (const stream of this.#streams.values()) await stream.end()
    this.inputs.fail(new GantryError('Cancelled', 'the command has ended'))
    await this.#close()
  }

  #pass(stream: SpdyStream, read: (data: Uint8Array) => ExecInput[]): void {
    const { inputs } = this
    const pass = async (): Promise<void> => {
      for await (const data of stream.incoming) {
        for (const input of read(data)) inputs.push(input)
        await inputs.waitForRoom(MAX_PENDING_INPUTS)
      }
      if (stream.headers.get('streamtype') === 'stdin') inputs.push({ input: { case: 'stdinClosed', value: true } })
    }
    pass().catch((thrown: unknown) => inputs.fail(thrown))
  }
}

/** JSON objects behind each other, in pieces as they come; InvalidArgument for anything else. */
function sizes(): (data: Uint8Array) => ExecInput[] {
  let held = ''
  return (data) => {
    const texts = (held + Buffer.from(data).toString()).split('}')
    held = texts.pop()!
    if (held.length > 1000) throw new GantryError('InvalidArgument', "a terminal's size is too long")
    return texts.flatMap((text) => resizeInputs(`${text}}`))
  }
}
