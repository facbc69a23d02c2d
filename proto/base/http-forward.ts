/**
 * HTTP requests handed on over a connection that is there already (RFC 9110, section 7.6): what concerns one connection
 * only stays, redirects of the other side lead back through here.
 */
import {
  request as makeRequest,
  ServerResponse,
  type ClientRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { HtmlLinks } from './html-links.ts'

export interface ForwardTarget {
  /** To the other side; used for this request only. */
  readonly socket: Duplex
  /** With its query, as the other side is asked. */
  readonly path: string
  /** What stands before it here. */
  readonly prefix: string
  /** Headers, in lower case, that are not for the other side. */
  readonly strippedHeaders?: readonly string[]
  /** Headers that the other side gets in their place. */
  readonly addedHeaders?: OutgoingHttpHeaders
}

/** Of one connection only, RFC 9110 section 7.6.1; an expectation is met here. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
]

/** Resolves when the answer has ended. Rejects if there is none; one that is cut in the middle is cut here too. */
export async function forwardRequest(
  request: IncomingMessage,
  response: ServerResponse,
  onward: ForwardTarget,
): Promise<void> {
  response.on('close', () => onward.socket.destroy())
  // A body whose length was not told goes on as such, whatever the method.
  const framing = request.headers['transfer-encoding'] === undefined ? {} : { 'transfer-encoding': 'chunked' }
  await exchange(request, onward, { ...framing, connection: 'close' }, (sent, done) => {
    sent.once('response', (reply) => done(() => pass(reply, response, onward)))
    request.pipe(sent)
  })
}

/**
 * Hands on a request to change the protocol, and joins the two connections if the other side agrees; otherwise its
 * answer is the last thing said on the client's. Resolves when both have ended. Rejects if there is no answer.
 */
export async function forwardUpgrade(
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
  onward: ForwardTarget,
): Promise<void> {
  client.on('close', () => onward.socket.destroy())
  await exchange(request, onward, { connection: 'Upgrade', upgrade: request.headers.upgrade ?? '' }, (sent, done) => {
    sent.once('response', (reply) => {
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(client as Socket)
      response.once('finish', () => client.end())
      done(() => pass(reply, response, onward))
    })
    sent.once('upgrade', (reply, socket, first) => {
      const headers = { ...replyHeaders(reply, request, onward), connection: 'Upgrade', upgrade: reply.headers.upgrade }
      const lines = Object.entries(headers).flatMap(([name, value]) =>
        [value ?? []].flat().map((one) => `${name}: ${one}\r\n`),
      )
      client.write(`HTTP/1.1 101 ${phraseOf(reply)}\r\n${lines.join('')}\r\n`)
      if (first.length > 0) client.write(first)
      if (head.length > 0) socket.write(head)
      done(() => join(client, socket))
    })
    sent.end()
  })
}

/**
 * Sends the request; `answered` is to call `done` once there is an answer, with what passes it on until its end. The
 * connection onward is of no use afterwards.
 */
async function exchange(
  request: IncomingMessage,
  onward: ForwardTarget,
  headers: OutgoingHttpHeaders,
  answered: (sent: ClientRequest, done: (passOn: () => Promise<void>) => void) => void,
): Promise<void> {
  const { socket, path } = onward
  try {
    await new Promise<void>((resolve, reject) => {
      const sent = makeRequest({
        createConnection: () => socket,
        method: request.method,
        path,
        headers: { ...onwardHeaders(request, onward), ...headers },
      })
      for (const source of [socket, sent]) source.on('error', reject)
      const unanswered = (): void => reject(new Error('the connection ended without an answer'))
      sent.once('close', unanswered)
      answered(sent, (passOn) => {
        sent.off('close', unanswered)
        // Thrown in a listener it would be nobody's, and end the program.
        try {
          passOn().then(resolve, reject)
        } catch (thrown) {
          reject(thrown as Error)
        }
      })
    })
  } finally {
    socket.destroy()
  }
}

/** Resolves when the reply has been passed, or cut. */
function pass(reply: IncomingMessage, response: ServerResponse, onward: ForwardTarget): Promise<void> {
  const { statusCode = 0 } = reply
  if (statusCode < 200) throw new Error(`the other side answers with status ${statusCode}`)
  const headers = replyHeaders(reply, response.req, onward)
  // Links become longer: how long the page is, and what its bytes are, is not known any more.
  const changed = isPage(reply) ? ['content-length', 'content-md5', 'digest', 'etag', 'accept-ranges'] : []
  response.writeHead(
    statusCode,
    phraseOf(reply),
    Object.fromEntries(Object.entries(headers).filter(([name]) => !changed.includes(name))),
  )
  if (isPage(reply)) reply.pipe(new HtmlLinks(onward.prefix, response.req.headers.host ?? '')).pipe(response)
  else reply.pipe(response)
  reply.once('error', () => response.destroy()) // cut in the middle: to be seen as such
  return new Promise((resolve) => {
    for (const end of ['finish', 'close']) response.once(end, resolve)
    reply.once('close', () => {
      if (!reply.complete) response.destroy()
    })
  })
}

/** Whether its links are to be rewritten. One that is compressed passes as it is: the other side is asked for none. */
function isPage({ headers }: IncomingMessage): boolean {
  return (
    /^text\/html(?:\s*;|\s*$)/i.test(headers['content-type'] ?? '') &&
    (headers['content-encoding'] ?? 'identity') === 'identity'
  )
}

/** The reason phrase; nothing in the place of one that cannot be said on (RFC 9112, section 4: it means nothing). */
function phraseOf({ statusMessage = '' }: IncomingMessage): string {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(statusMessage) ? statusMessage : ''
}

/** Resolves when both have ended. */
async function join(client: Duplex, socket: Duplex): Promise<void> {
  const ends = [client, socket].map((side) => new Promise<void>((resolve) => side.once('close', resolve)))
  socket.once('close', () => {
    if (socket.errored !== null || !socket.readableEnded) client.destroy()
  })
  socket.pipe(client).pipe(socket)
  await Promise.all(ends)
}

function onwardHeaders(
  request: IncomingMessage,
  { prefix, path, strippedHeaders: withheld = [], addedHeaders: added = {} }: ForwardTarget,
): OutgoingHttpHeaders {
  const { headers, socket } = request
  const dropped = [
    ...HOP_BY_HOP,
    ...withheld,
    ...(headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()),
  ]
  const before = headers['x-forwarded-for']
  return {
    ...without(request.headersDistinct, dropped),
    'x-forwarded-for': [...(before === undefined ? [] : [before]), socket.remoteAddress ?? ''].join(', '),
    'x-forwarded-host': headers.host ?? '',
    'x-forwarded-proto': (socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http',
    'x-forwarded-uri': `${prefix}${path.replace(/[?#][^]*$/, '')}`,
    ...added,
  }
}

/** A redirect to where the other side thinks it is stays within what is reached through here. */
function replyHeaders(
  reply: IncomingMessage,
  { headers: { host } }: IncomingMessage,
  { prefix }: ForwardTarget,
): OutgoingHttpHeaders {
  const passed = without(reply.headersDistinct, [
    ...HOP_BY_HOP,
    ...(reply.headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()),
  ])
  const [, authority, path] = /^(?:(?:https?:)?\/\/([^/?#]*))?((?:\/[^]*)?)$/i.exec(reply.headers.location ?? '') ?? []
  if (path === undefined || path.startsWith(prefix) || (authority !== undefined ? authority !== host : path === ''))
    return passed
  return { ...passed, location: `${prefix}${path === '' ? '/' : path}` }
}

function without(headers: NodeJS.Dict<string[]>, dropped: readonly string[]): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped.includes(name)))
}
