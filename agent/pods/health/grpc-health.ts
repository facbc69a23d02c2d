/**
 * The gRPC health check, grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), over plain
 * HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): a connection of its own for each, gone when
 * the answer is there, which a whole gRPC client would make several times as dear. The two messages have one field
 * each: HealthCheckRequest { string service = 1 }, HealthCheckResponse { enum status = 1 }.
 */
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { status } from '@grpc/grpc-js'
import { GantryError } from '../../../proto/base/errors.ts'
import type { ProbeOutcome } from './contract.ts'

const METHOD = '/grpc.health.v1.Health/Check'
const STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
/** Field 1, length-delimited; field 1, varint. */
const SERVICE_TAG = 0x0a
const STATUS_TAG = 0x08
/** Before each message: whether it is compressed, and its length in four bytes. */
const PREFIX = 5
/** Bytes of an answer that are looked at. */
const ANSWER_LIMIT = 1024

/** Over a connection without TLS, as Kubernetes asks. Never rejects. */
export function grpcHealth(
  host: string,
  port: number,
  service: string,
  userAgent: string,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`
    const session = connect(`http://${authority}`)
    const end = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', abort)
      resolve(outcome)
      session.destroy()
    }
    const fails = (message: string): void => end({ verdict: 'failure', message })
    const abort = (): void => fails(`health rpc did not complete: ${GantryError.from(signal.reason).message}`)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    let connected = false
    session.once('connect', () => (connected = true))
    const failed = (error: Error): void =>
      fails(
        connected
          ? `health rpc failed: ${error.message}`
          : `cannot connect: ${error.cause instanceof Error ? error.cause.message : error.message}`,
      )
    session.on('error', failed)
    // An end without an answer; after one, nothing more is listened to.
    session.on('close', () => fails('health rpc failed: the connection was closed'))
    const stream = session.request({
      ':method': 'POST',
      ':path': METHOD,
      ':scheme': 'http',
      ':authority': authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': userAgent,
    })
    const told: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    let size = 0
    stream.on('response', (headers) => Object.assign(told, headers))
    stream.on('trailers', (trailers) => Object.assign(told, trailers))
    stream.on('data', (chunk: Buffer) => {
      if (size < ANSWER_LIMIT) chunks.push(chunk)
      size += chunk.length
    })
    stream.on('error', failed)
    stream.on('end', () => end(outcomeOf(told, Buffer.concat(chunks))))
    stream.end(encodeRequest(service))
  })
}

function outcomeOf(told: IncomingHttpHeaders, answer: Buffer): ProbeOutcome {
  const code = Number(told['grpc-status'] ?? NaN)
  if (code === Number(status.OK)) return verdict(decodeResponse(answer))
  // Who does not speak gRPC answers by HTTP alone.
  if (Number.isNaN(code))
    return {
      verdict: 'failure',
      message: `health rpc failed: no gRPC status, HTTP status ${told[':status'] ?? 'none'}`,
    }
  if (code === Number(status.UNIMPLEMENTED))
    return {
      verdict: 'failure',
      message: 'this server does not implement the grpc health protocol (grpc.health.v1.Health)',
    }
  return {
    verdict: 'failure',
    message: `health rpc failed: ${decoded(String(told['grpc-message'] ?? ''))} (${status[code] ?? code})`,
  }
}

function verdict(answer: number): ProbeOutcome {
  if (STATUS[answer] === 'SERVING') return { verdict: 'success', message: 'service healthy' }
  return { verdict: 'failure', message: `service unhealthy (responded with "${STATUS[answer] ?? answer}")` }
}

/** grpc-message is percent-encoded; one that is not is shown as it is. */
function decoded(text: string): string {
  return /^(?:[^%]|%[0-7][\da-fA-F])*$/.test(text) ? decodeURIComponent(text) : text
}

/** A message with its prefix. Lengths within it are varints (https://protobuf.dev/programming-guides/encoding/). */
export function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const length: number[] = []
  for (let rest = name.length; ; rest >>>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest)
    if (rest <= 0x7f) break
  }
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([SERVICE_TAG, ...length]), name])
  const prefix = Buffer.alloc(PREFIX)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** 0 (UNKNOWN) is not written; other fields are of a newer server. */
export function decodeResponse(bytes: Buffer): number {
  return bytes[PREFIX] === STATUS_TAG ? (bytes[PREFIX + 1] ?? 0) : 0
}
