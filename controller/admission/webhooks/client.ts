/**
 * One question to a webhook over HTTPS.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response
 */
import { request as httpsRequest } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { WebhookEndpoint } from './connection-pool.ts'

/** Of an answer, in bytes. */
const LIMIT = 3 * 1024 * 1024
/** Characters of an answer that is none, as it is told. */
const MAX_QUOTED_CHARS = 256

/**
 * The text of the answer. Rejects with why there is none; DeadlineExceeded after `seconds`. A connection that was kept
 * and turns out to be closed is replaced.
 */
export async function callWebhook(
  endpoint: WebhookEndpoint,
  body: string,
  seconds: number,
  clock: Clock,
): Promise<string> {
  const url = new URL(endpoint.url)
  url.searchParams.set('timeout', `${seconds}s`)
  const ending = new AbortController()
  const timer = clock.after(seconds * 1000, () =>
    ending.abort(
      new GantryError('DeadlineExceeded', `no answer within ${seconds} seconds (context deadline exceeded)`),
    ),
  )
  try {
    return await exchange(url, endpoint, body, ending.signal).catch((thrown: unknown) => {
      if (thrown instanceof StaleConnectionError) return exchange(url, endpoint, body, ending.signal)
      throw thrown
    })
  } catch (thrown) {
    const error = GantryError.from(
      ending.signal.aborted ? ending.signal.reason : thrown instanceof StaleConnectionError ? thrown.cause : thrown,
      'Unavailable',
    )
    throw new GantryError(error.code, `failed to call webhook: Post "${url.href}": ${error.message}`, { cause: error })
  } finally {
    timer.cancel()
  }
}

/** The webhook had closed the connection before the question came. */
class StaleConnectionError extends Error {}

function exchange(url: URL, { agent }: WebhookEndpoint, body: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let answered = false
    const sent = httpsRequest(
      url,
      {
        method: 'POST',
        agent,
        signal,
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'User-Agent': 'gantry-controller/admission',
        },
      },
      (reply) => {
        answered = true
        read(reply).then(resolve, (thrown: unknown) => {
          sent.destroy()
          reject(thrown as Error)
        })
      },
    )
    sent.on('error', (error) =>
      reject(
        !answered && sent.reusedSocket && !signal.aborted
          ? new StaleConnectionError(error.message, { cause: error })
          : error,
      ),
    )
    sent.end(body)
  })
}

async function read(reply: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of reply) {
    size += (chunk as Buffer).length
    if (size > LIMIT) throw new GantryError('ResourceExhausted', `the answer has more than ${LIMIT} bytes`)
    chunks.push(chunk as Buffer)
  }
  const text = Buffer.concat(chunks).toString()
  if (reply.statusCode !== 200)
    throw new GantryError(
      'Unavailable',
      `HTTP status ${reply.statusCode}${text.trim() === '' ? '' : `: ${text.trim().slice(0, MAX_QUOTED_CHARS)}`}`,
    )
  return text
}
