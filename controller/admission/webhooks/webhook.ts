/** A webhook as its configuration has it, made ready to be asked. */
import type {
  MutatingWebhook,
  MutatingWebhookConfiguration,
  ValidatingWebhook,
  ValidatingWebhookConfiguration,
  WebhookClientConfig,
} from '../../../proto/gen/types.ts'
import { conditionEnvironment } from '../../cel/admission/environment.ts'
import { MatchConditions } from '../../cel/admission/match-conditions.ts'
import { Matcher } from '../matcher.ts'

export interface Webhook {
  readonly name: string
  readonly client: WebhookClientConfig
  readonly match: Matcher
  readonly conditions: MatchConditions
  /** A write goes on when it cannot be asked. */
  readonly ignoreFailures: boolean
  /** That it may take. */
  readonly timeoutSeconds: number
  /** Asked once more when others have changed the object since. */
  readonly reinvoke: boolean
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
      timeoutSeconds: timeoutSeconds,
      ignoreFailures: failurePolicy === 'Ignore',
      match: new Matcher({ rules, matchPolicy, namespaceSelector, objectSelector }),
      conditions: new MatchConditions(matchConditions, conditionEnvironment()),
      reinvoke: 'reinvocationPolicy' in webhook && webhook.reinvocationPolicy === 'IfNeeded',
    }
  })
}
