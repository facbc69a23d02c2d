/** A webhook as its configuration has it, made ready to be asked. */
import type {
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
  WebhookClientConfig,
} from '../../../proto/gen/types.ts'
import { conditionEnvironment } from '../cel/environment.ts'
import { Conditions } from '../cel/conditions.ts'
import { Match } from '../matching.ts'

export interface Webhook {
  readonly name: string
  readonly client: WebhookClientConfig
  readonly match: Match
  readonly conditions: Conditions
  /** A write goes on when it cannot be asked. */
  readonly ignored: boolean
  /** That it may take. */
  readonly seconds: number
  /** Asked once more when others have changed the object since. */
  readonly again: boolean
}

/** In the order in which they are asked. */
export function webhooksOf({
  webhooks = [],
}: MutatingWebhookConfiguration | ValidatingWebhookConfiguration): Webhook[] {
  return webhooks.map((webhook: MutatingWebhook | ValidatingWebhook): Webhook => {
    const {
      name,
      clientConfig,
      rules = [],
      matchPolicy,
      namespaceSelector,
      objectSelector,
      matchConditions = [],
      failurePolicy,
      timeoutSeconds,
    } = webhook
    return {
      name,
      client: clientConfig,
      seconds: timeoutSeconds,
      ignored: failurePolicy === 'Ignore',
      match: new Match({ rules, matchPolicy, namespaceSelector, objectSelector }),
      conditions: new Conditions(matchConditions, conditionEnvironment()),
      again: 'reinvocationPolicy' in webhook && webhook.reinvocationPolicy === 'IfNeeded',
    }
  })
}
