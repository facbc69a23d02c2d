/** Asks webhooks: which of them a request is for, the question, and what becomes of it when one cannot be asked. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Clock } from '../../../proto/base/clock.ts'
import type { Logger } from '../../../proto/base/logger.ts'
import { randomUuid, type Random } from '../../../proto/base/random.ts'
import type { AdmissionResponse } from '../../../proto/gen/types.ts'
import { AdmissionRefusal } from '../../api/admission-refusal.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import { Budget } from '../../cel/budget.ts'
import { requestValues } from '../../cel/admission/environment.ts'
import type { NamespaceLookup } from '../matcher.ts'
import { describeSubject, type VersionedAttributes } from '../versioned-attributes.ts'
import { callWebhook } from './client.ts'
import type { WebhookConnectionPool } from './connection-pool.ts'
import { answerOf, questionOf, refusalOf } from './review.ts'
import type { Webhook } from './webhook.ts'

/** Characters of one warning. */
const WARNING = 256
/** Warnings of one answer. */
const WARNINGS = 20

export interface WebhookDispatcherParts {
  readonly connections: WebhookConnectionPool
  readonly namespaces: NamespaceLookup
  readonly authorizer: Authorizer
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export class WebhookDispatcher {
  readonly #parts: WebhookDispatcherParts

  constructor(parts: WebhookDispatcherParts) {
    this.#parts = parts
  }

  /**
   * The version in which it is to be asked about it; undefined if it is not. Forbidden if a condition cannot be
   * evaluated and the webhook is not to be passed over.
   */
  async matchVersion(webhook: Webhook, subject: VersionedAttributes): Promise<string | undefined> {
    const { namespaces, authorizer } = this.#parts
    const version = webhook.match.version(subject.matchAttributes)
    if (
      version === undefined ||
      !webhook.match.selectsObject(subject) ||
      !(await webhook.match.selectsNamespace(subject, namespaces))
    )
      return undefined
    const met = webhook.conditions.match(
      () => requestValues(subject, version, authorizer),
      () => new Budget(),
    )
    switch (met.is) {
      case 'met':
        return version
      case 'unmet':
        return undefined
      case 'failed': {
        if (!webhook.ignoreFailures)
          throw new AdmissionRefusal({
            code: 403,
            reason: 'Forbidden',
            message: `${describeSubject(subject)} is forbidden: webhook "${webhook.name}": ${met.message}`,
          })
        this.#passOver(webhook, subject, new GantryError('FailedPrecondition', met.message))
        return undefined
      }
    }
  }

  /**
   * Its answer, if it allows; undefined if it could not be asked and is to be passed over. Rejects with its refusal, or
   * with why it could not be asked.
   */
  async dispatch(
    webhook: Webhook,
    subject: VersionedAttributes,
    version: string,
  ): Promise<AdmissionResponse | undefined> {
    const { connections, clock, random, logger } = this.#parts
    const uid = randomUuid(random)
    let response: AdmissionResponse
    try {
      response = answerOf(
        await callWebhook(
          connections.endpointFor(webhook.client),
          questionOf(subject, uid, version),
          webhook.timeoutSeconds,
          clock,
        ),
        uid,
      )
    } catch (thrown) {
      if (!webhook.ignoreFailures) throw failed(webhook, thrown)
      this.#passOver(webhook, subject, thrown)
      return undefined
    }
    for (const warning of (response.warnings ?? []).slice(0, WARNINGS))
      subject.attributes.context.warn?.(warning.length > WARNING ? `${warning.slice(0, WARNING)}…` : warning)
    const notes = Object.entries(response.auditAnnotations ?? {}).map(([key, value]) => [
      `${webhook.name}/${key}`,
      value,
    ])
    if (notes.length > 0)
      logger.info(
        {
          subject: describeSubject(subject),
          user: subject.user.name,
          annotations: Object.fromEntries(notes) as object,
        },
        'noted by an admission webhook',
      )
    if (response.allowed !== true) throw refusalOf(webhook.name, response)
    return response
  }

  #passOver({ name }: Webhook, subject: VersionedAttributes, thrown: unknown): void {
    this.#parts.logger.warn(
      { webhook: name, subject: describeSubject(subject), err: thrown },
      'an admission webhook cannot be asked and is passed over',
    )
  }
}

/** The server's fault, in Kubernetes' words. */
export function failed({ name }: Webhook, thrown: unknown): AdmissionRefusal {
  const text = `failed calling webhook "${name}": ${GantryError.from(thrown).message}`
  return new AdmissionRefusal(
    {
      code: 500,
      reason: 'InternalError',
      message: `Internal error occurred: ${text}`,
      details: { causes: [{ message: text }] },
    },
    thrown,
  )
}
