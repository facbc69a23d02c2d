/** Admission by what users configure: webhooks and policies. */
import type { PortForwardCall } from '../../proto/rpc/port-forward.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Authorizer } from '../authorization/authorizer.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { AdmissionPlugin } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { DerivedValue, PerObjectCache } from './derived-value.ts'
import { NamespaceLookup } from './matcher.ts'
import { PoliciesPlugin } from './policies/plugin.ts'
import { WebhookDispatcher } from './webhooks/dispatcher.ts'
import { WebhookConnectionPool } from './webhooks/connection-pool.ts'
import { MutatingWebhooksPlugin } from './webhooks/mutating-plugin.ts'
import { ValidatingWebhooksPlugin } from './webhooks/validating-plugin.ts'
import { webhooksOf, type Webhook } from './webhooks/webhook.ts'

export interface AdmissionParts {
  readonly informer: Informer
  readonly reads: Pick<ConsistentReads, 'find'>
  readonly authorizer: Authorizer
  /** To pods of Services that are webhooks. */
  readonly portForward: PortForwardCall
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** In the order in which they are asked; what the server adds to objects itself comes before. */
export function admissionPlugins(parts: AdmissionParts): readonly AdmissionPlugin[] {
  const { informer, reads, logger } = parts
  const namespaces = new NamespaceLookup(informer, reads)
  const connections = new WebhookConnectionPool(parts)
  const caller = new WebhookDispatcher({ ...parts, connections, namespaces })
  const registered = (
    kind: 'MutatingWebhookConfiguration' | 'ValidatingWebhookConfiguration',
  ): DerivedValue<readonly Webhook[]> => {
    const made = new PerObjectCache<typeof kind, Webhook[]>(webhooksOf)
    return new DerivedValue(informer, [kind], () => {
      connections.retainOnly(
        [
          ...informer.lister('MutatingWebhookConfiguration').list(),
          ...informer.lister('ValidatingWebhookConfiguration').list(),
        ].flatMap(({ webhooks = [] }) => webhooks.map(({ clientConfig }) => clientConfig)),
      )
      return made.of(informer.lister(kind).list()).flat()
    })
  }
  return [
    new MutatingWebhooksPlugin(registered('MutatingWebhookConfiguration'), caller, logger),
    new PoliciesPlugin({ ...parts, namespaces }),
    new ValidatingWebhooksPlugin(registered('ValidatingWebhookConfiguration'), caller),
  ]
}
