/** Writes answers in the form that the client asked for. */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../../proto/base/clock.ts'
import type { InFlightRequest } from './in-flight-request.ts'
import { CHUNK_SIZE, writeChunks } from './chunks.ts'
import { compressed } from './compression.ts'
import type { Answer, RawExchange, Target, WatchFrame } from './contract.ts'
import { encodeFrame, encodeList, encodeObject, pretty } from './encoding.ts'
import { MEDIA_TYPES, negotiate, wantsPretty, type ResponseFormat, type Media } from './negotiation.ts'
import { encodableMessage } from './encodable-object.ts'
import { statusOf } from './status.ts'
import { includeObject } from './table.ts'
import { viewed } from './views.ts'

export interface AnswerOptions {
  readonly query: URLSearchParams
  /** What the request was about, if it was about a resource. */
  readonly target: Target | undefined
  /** Sent as Warning headers. */
  readonly warnings: readonly string[]
  readonly call: Pick<InFlightRequest, 'isOver'>
  readonly clock: Clock
  /** Resolves when it is the caller's turn to cost the thread that all share something; undefined: it is at once. */
  readonly turn?: () => Promise<void> | undefined
  /** Milliseconds that a client may take for reading what waits for it: one that takes longer is cut off. */
  readonly stall: number
}

type Negotiated = Extract<Answer, { is: 'object' | 'list' | 'watch' }>
type Headers = Readonly<Record<string, string>>

const JSON_TYPE = MEDIA_TYPES.json
/**
 * Bytes of a frame that others are let before: encryption takes its time, and a user may have a thousand watches of one
 * large object.
 */
export const LARGE_FRAME = 16 * 1024

/**
 * Resolves once all is handed to the connection, or that is gone. HttpError if the client takes none of the forms that
 * there are.
 */
export async function writeAnswer(exchange: RawExchange, answer: Answer, options: AnswerOptions): Promise<void> {
  const { response } = exchange
  switch (answer.is) {
    case 'object':
    case 'list':
    case 'watch':
      return writeNegotiated(response, answer, options)
    case 'json':
      return send(response, answer.code ?? 200, JSON_TYPE, [inPlainJson(response, answer.json, options)], options)
    case 'bytes':
      return send(response, answer.code ?? 200, answer.type, [bytesOf(answer.body)], options, answer.headers)
    case 'stream': {
      begin(response, 200, answer.type, options)
      response.flushHeaders()
      // Who pages through a log reads nothing for minutes, and holds little.
      for await (const chunk of answer.chunks) await write(response, chunk, { ...options, stall: 0 })
      response.end()
      return
    }
    case 'raw':
      return answer.serve(exchange)
  }
}

/** An answer that has begun cannot become an error any more: the connection ends instead. */
export async function writeStatus(
  response: ServerResponse,
  thrown: unknown,
  objectName: string | undefined,
  options: AnswerOptions,
): Promise<void> {
  if (response.headersSent) return void response.destroy()
  const { code, retryAfter, body } = statusOf(thrown, options.target, objectName)
  // What the client has still to send is not read: the connection is of no more use.
  const headers = {
    ...(retryAfter !== undefined && { 'Retry-After': String(retryAfter) }),
    ...(!response.req.complete && { Connection: 'close' }),
  }
  const object = encodableMessage('Status', body)
  const media = statusMedia(response.req.headers.accept)
  await send(response, code, MEDIA_TYPES[media], encodeObject(object, media), options, headers)
}

/** Whoever takes none of the forms is told so in JSON. */
function statusMedia(accept: string | undefined): Media {
  try {
    return negotiate(accept, { yaml: true, protobuf: () => true, views: true }).media
  } catch {
    return 'json'
  }
}

/** The answer in the form that the client wants. HttpError 406. */
export function negotiated(
  accept: string | undefined,
  answer: Negotiated,
  { query, target, clock }: Pick<AnswerOptions, 'query' | 'target' | 'clock'>,
): { readonly form: ResponseFormat; readonly shown: Negotiated } {
  const form = negotiate(accept, {
    yaml: answer.is !== 'watch',
    protobuf: () => hasProtobuf(answer, target),
    views: hasViews(answer),
  })
  const shown =
    form.view === 'whole'
      ? answer
      : viewed(answer, form, { resource: target?.resource, include: includeObject(query), now: () => clock.now() })
  return { form, shown }
}

async function writeNegotiated(response: ServerResponse, answer: Negotiated, options: AnswerOptions): Promise<void> {
  const { headers } = response.req
  const { query } = options
  const { form, shown } = negotiated(headers.accept, answer, options)
  if (shown.is === 'watch') return writeWatch(response, shown.frames, form, options)
  const pieces = shown.is === 'object' ? encodeObject(shown.object, form.media) : encodeList(shown, form.media)
  const laidOut = form.media === 'json' && wantsPretty(query, headers['user-agent']) ? pretty(pieces) : pieces
  await send(response, shown.is === 'object' ? (shown.code ?? 200) : 200, MEDIA_TYPES[form.media], laidOut, options)
}

/** Of an object it is known only by encoding it; of a list or a watch the kind says it. */
function hasProtobuf(answer: Negotiated, target: Target | undefined): boolean {
  return answer.is === 'object' ? answer.object.protobuf() !== undefined : target?.resource.message !== undefined
}

function hasViews(answer: Negotiated): boolean {
  return answer.is !== 'object' || 'metadata' in answer.object.object
}

async function writeWatch(
  response: ServerResponse,
  frames: AsyncIterable<WatchFrame>,
  form: ResponseFormat,
  options: AnswerOptions,
): Promise<void> {
  const media = form.media === 'protobuf' ? 'protobuf' : 'json'
  begin(response, 200, media === 'json' ? JSON_TYPE : `${MEDIA_TYPES.protobuf};stream=watch`, options)
  response.flushHeaders()
  try {
    for await (const frame of frames) {
      const bytes = frameOf(frame, media)
      if (bytes.length >= LARGE_FRAME) await options.turn?.()
      await write(response, bytes, options)
    }
  } catch (thrown) {
    // The client learns why in the words of a watch; after that it is over.
    const object = encodableMessage('Status', statusOf(thrown, options.target).body)
    await write(response, encodeFrame({ type: 'ERROR', object }, media), options)
  }
  response.end()
}

/** Those of the newest changes: all who watch are told one after the other. */
const frames = new Map<string, { readonly frame: WatchFrame; readonly bytes: Buffer }>()

export function frameOf(frame: WatchFrame, media: 'json' | 'protobuf'): Buffer {
  const key = `${frame.type} ${media}`
  const last = frames.get(key)
  if (last?.frame.object === frame.object) return last.bytes
  const bytes = encodeFrame(frame, media)
  frames.set(key, { frame, bytes })
  return bytes
}

function inPlainJson(response: ServerResponse, json: object, { query }: AnswerOptions): Buffer {
  return Buffer.from(
    wantsPretty(query, response.req.headers['user-agent'])
      ? `${JSON.stringify(json, null, 2)}\n`
      : JSON.stringify(json),
  )
}

function bytesOf(body: Uint8Array | string): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : body
}

function begin(
  response: ServerResponse,
  code: number,
  type: string,
  { warnings }: AnswerOptions,
  headers: Headers = {},
): void {
  const warned = warnings.length === 0 ? undefined : { Warning: warnings.map((text) => `299 - ${quoted(text)}`) }
  response.writeHead(code, { 'Content-Type': type, 'Cache-Control': 'no-cache, private', ...warned, ...headers })
}

/** A quoted string of a header: what has no place in one is replaced (RFC 9110, section 5.6.4). */
function quoted(text: string): string {
  return `"${text
    .replace(/[\r\n\t]+/g, ' ')
    .replace(/[^\x20-\x7e]/g, '?')
    .replace(/["\\]/g, '\\$&')}"`
}

async function send(
  response: ServerResponse,
  code: number,
  type: string,
  pieces: readonly Uint8Array[],
  options: AnswerOptions,
  headers: Headers = {},
): Promise<void> {
  const { req } = response
  const shorter = 'Content-Encoding' in headers ? undefined : compressed(req.headers['accept-encoding'], pieces)
  const body = shorter === undefined ? pieces : [await shorter]
  const length = body.reduce((sum, piece) => sum + piece.length, 0)
  const withoutBody = code === 304 || code === 204
  begin(response, code, type, options, {
    ...(!withoutBody && { 'Content-Length': String(length) }),
    ...(shorter !== undefined && { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' }),
    ...headers,
  })
  // Until it is out; then the socket waits for the next request, with the timeout of that.
  response.setTimeout(options.stall)
  if (req.method === 'HEAD' || withoutBody) response.end()
  else if (length > CHUNK_SIZE) {
    await writeChunks(response, body)
    response.end()
  } else response.end(body.length === 1 ? body[0] : Buffer.concat(body, length))
}

/**
 * With the connection's backpressure: resolves when there is room for more, or the connection is gone. The socket's own
 * timeout sees whether anything goes out, however little of one long write; a client that reads nothing for so long is
 * cut off.
 */
async function write(response: ServerResponse, chunk: Uint8Array, { call, stall }: AnswerOptions): Promise<void> {
  if (call.isOver || response.write(chunk)) return
  await new Promise<void>((resolve) => {
    response.setTimeout(stall)
    const done = (): void => {
      response.setTimeout(0)
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.once('drain', done)
    response.once('close', done)
  })
}
