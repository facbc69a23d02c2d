/** A webhook on loopback, over TLS, that answers as a test tells it to. */
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createAuthority, issue } from '../../../deploy/ca.ts'

// oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever came
export type Request = any

/**
 * The response of an AdmissionReview without its uid; a text or a number: the whole body, or an HTTP status, instead;
 * undefined: no answer ever comes.
 */
export type Reply = object | string | number | undefined

export class WebhookServer {
  /** What it was asked, in this order. */
  readonly asked: Request[] = []
  /** base64, for a configuration. */
  readonly caBundle: string
  answer: (request: Request, path: string) => Reply | Promise<Reply> = () => ({ allowed: true })
  readonly #server: Server
  #connections = 0

  private constructor(server: Server, caBundle: string) {
    this.#server = server
    this.caBundle = caBundle
    server.on('secureConnection', () => void this.#connections++)
    server.on('request', (message, response) => {
      const chunks: Buffer[] = []
      message.on('data', (chunk: Buffer) => void chunks.push(chunk))
      message.on('end', () => {
        const review = JSON.parse(Buffer.concat(chunks).toString()) as { request: Request }
        this.asked.push(review.request)
        void Promise.resolve(this.answer(review.request, message.url!.split('?')[0]!)).then((reply) => {
          if (reply === undefined) return
          response.statusCode = typeof reply === 'number' ? reply : 200
          response.end(
            typeof reply === 'string'
              ? reply
              : typeof reply === 'number'
                ? 'it is broken'
                : JSON.stringify({
                    apiVersion: 'admission.k8s.io/v1',
                    kind: 'AdmissionReview',
                    response: { uid: review.request.uid, ...reply },
                  }),
          )
        })
      })
    })
  }

  static async start(host = '127.0.0.1'): Promise<WebhookServer> {
    const authority = await createAuthority('webhooks', Date.now())
    const server = createServer(
      await issue(authority, { commonName: 'webhook', hosts: [host, 'hook.tools.svc'] }, Date.now()),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new WebhookServer(server, Buffer.from(authority.cert).toString('base64'))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get connections(): number {
    return this.#connections
  }

  /** Of a webhook's configuration. */
  client(path = '/'): object {
    return { url: `https://127.0.0.1:${this.port}${path}`, caBundle: this.caBundle }
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** A configuration with webhooks that are asked about pods that are made, unless they say otherwise. */
export function configuration(kind: 'Mutating' | 'Validating', name: string, webhooks: readonly object[]): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: `${kind}WebhookConfiguration`,
    metadata: { name },
    webhooks: webhooks.map((webhook, index) => ({
      name: `hook${index}.${name}.example.com`,
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
      rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
      ...webhook,
    })),
  }
}

/** A mutating response. */
export function patch(...operations: readonly object[]): object {
  return { allowed: true, patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(operations)).toString('base64') }
}
