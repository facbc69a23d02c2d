/** Asks validating webhooks, all at once. */
import type { AdmissionAttributes, AdmissionOccasion, AdmissionPlugin } from '../../api/contract.ts'
import type { Followed } from '../followed.ts'
import { isAskedAbout, Subject } from '../subject.ts'
import type { WebhookCaller } from './caller.ts'
import type { Webhook } from './webhook.ts'

export class ValidatingWebhooksPlugin implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionWebhook'
  readonly intrinsic = true
  readonly remote = true
  readonly #webhooks: Followed<readonly Webhook[]>
  readonly #caller: WebhookCaller

  constructor(webhooks: Followed<readonly Webhook[]>, caller: WebhookCaller) {
    this.#webhooks = webhooks
    this.#caller = caller
  }

  handles(occasion: AdmissionOccasion): boolean {
    return this.#webhooks.get().length > 0 && isAskedAbout(occasion)
  }

  /** With the refusal of the first of them, in their order. */
  async validate(attributes: AdmissionAttributes): Promise<void> {
    const subject = new Subject(attributes)
    const results = await Promise.allSettled(
      this.#webhooks.get().map(async (webhook) => {
        const version = await this.#caller.wanted(webhook, subject)
        if (version !== undefined) await this.#caller.answer(webhook, subject, version)
      }),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}
