/** Asks validating webhooks, all at once. */
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../../api/contract.ts'
import type { DerivedValue } from '../derived-value.ts'
import { isSubjectToAdmission, VersionedAttributes } from '../versioned-attributes.ts'
import type { WebhookDispatcher } from './dispatcher.ts'
import type { Webhook } from './webhook.ts'

export class ValidatingWebhooksPlugin implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionWebhook'
  readonly admitsControlPlane = true
  readonly remote = true
  readonly #webhooks: DerivedValue<readonly Webhook[]>
  readonly #caller: WebhookDispatcher

  constructor(webhooks: DerivedValue<readonly Webhook[]>, caller: WebhookDispatcher) {
    this.#webhooks = webhooks
    this.#caller = caller
  }

  handles(occasion: AdmissionRequestInfo): boolean {
    return this.#webhooks.get().length > 0 && isSubjectToAdmission(occasion)
  }

  /** With the refusal of the first of them, in their order. */
  async validate(attributes: AdmissionAttributes): Promise<void> {
    const subject = new VersionedAttributes(attributes)
    const results = await Promise.allSettled(
      this.#webhooks.get().map(async (webhook) => {
        const version = await this.#caller.matchVersion(webhook, subject)
        if (version !== undefined) await this.#caller.dispatch(webhook, subject, version)
      }),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}
