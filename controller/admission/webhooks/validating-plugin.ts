/** Asks validating webhooks, all at once. */
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../../api/contract.ts'
import { Candidates } from '../candidates.ts'
import type { DerivedValue } from '../derived-value.ts'
import { VersionedAttributes } from '../versioned-attributes.ts'
import type { WebhookDispatcher } from './dispatcher.ts'
import type { Webhook } from './webhook.ts'

export class ValidatingWebhooksPlugin implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionWebhook'
  readonly admitsControlPlane = true
  readonly remote = true
  readonly #webhooks: Candidates<Webhook>
  readonly #caller: WebhookDispatcher

  constructor(webhooks: DerivedValue<readonly Webhook[]>, caller: WebhookDispatcher) {
    this.#webhooks = new Candidates(webhooks, ({ match }) => match)
    this.#caller = caller
  }

  handles(occasion: AdmissionRequestInfo): boolean {
    return this.#webhooks.of(occasion).length > 0
  }

  /** With the refusal of the first of them, in their order. */
  async validate(attributes: AdmissionAttributes): Promise<void> {
    const subject = new VersionedAttributes(attributes)
    const results = await Promise.allSettled(
      this.#webhooks.of(attributes).map(async (webhook) => {
        const version = await this.#caller.matchVersion(webhook, subject)
        if (version !== undefined) await this.#caller.dispatch(webhook, subject, version)
      }),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}
