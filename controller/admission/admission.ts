/** Admission by what users configure: webhooks and policies. */
import type { PortForwardCall } from '../../proto/rpc/port-forward.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Authorizer } from '../api/authorization.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { AdmissionPlugin } from '../api/contract.ts'
import type { Informer } from '../informer/contract.ts'
import { ExpressionsPlugin } from './expressions-plugin.ts'
import { Followed, MadeOnce } from './followed.ts'
import { Namespaces } from './matching.ts'
import { PoliciesPlugin } from './policies/plugin.ts'
import { WebhookCaller } from './webhooks/caller.ts'
import { Connections } from './webhooks/connections.ts'
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
  const namespaces = new Namespaces(informer, reads)
  const connections = new Connections(parts)
  const caller = new WebhookCaller({ ...parts, connections, namespaces })
  const registered = (
    kind: 'MutatingWebhookConfiguration' | 'ValidatingWebhookConfiguration',
  ): Followed<readonly Webhook[]> => {
    const made = new MadeOnce<typeof kind, Webhook[]>(webhooksOf)
    return new Followed(informer, [kind], () => {
      connections.keep(
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
    new ExpressionsPlugin(),
    new PoliciesPlugin({ ...parts, namespaces }),
    new ValidatingWebhooksPlugin(registered('ValidatingWebhookConfiguration'), caller),
  ]
}
