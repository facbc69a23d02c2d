/**
 * nodes/proxy: the pages of a node's agent, by way of its session.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 */
import { GantryError } from '../../../proto/base/errors.ts'
import { parseProxyReference } from '../../../proto/objects/proxy-reference.ts'
import type { Answer, ResourceRequest } from '../contract.ts'
import { HttpError } from '../status.ts'
import { badRequest, refusal } from './pod-target.ts'

/**
 * Where a kubelet would listen: a node says so in status.daemonEndpoints, and what monitors nodes names it. An agent
 * listens nowhere.
 */
const KUBELET_PORT = '10250'

/** What a node's pages are. Anything else a hostile node might have a browser take for a page of the API server. */
const CODES: ReadonlySet<number> = new Set([200, 404])
const TYPE = /^(?:text\/plain|application\/json|application\/openmetrics-text)(?:;[ -~]*)?$/

export async function answerNodePage({ method, target, signal, authorized }: ResourceRequest): Promise<Answer> {
  const { name, port } = referenceOf(target.name)
  if (port !== '' && port !== KUBELET_PORT)
    throw badRequest(`node ${name} has pages at port ${KUBELET_PORT} only: other ports of nodes are not proxied`)
  if (method !== 'GET' && method !== 'HEAD')
    throw new HttpError(405, 'MethodNotAllowed', `the pages of a node are read with GET, not with ${method}`)
  const { backends, caller: user } = authorized
  const path = target.rest === '' ? '/' : target.rest
  const { code, contentType, body } = await backends.nodePages.read(name, path, { user, signal })
  if (!CODES.has(code) || !TYPE.test(contentType))
    throw new GantryError('Unavailable', `node ${name} answers with what is no page of a node`)
  return {
    is: 'bytes',
    code,
    type: contentType,
    body: Buffer.from(body),
    headers: { 'X-Content-Type-Options': 'nosniff' },
  }
}

function referenceOf(text: string): { name: string; port: string } {
  try {
    return parseProxyReference(text)
  } catch (thrown) {
    throw refusal(thrown)
  }
}
