/** The Kubernetes face, put together: the catalog with who answers for what, and the server. */
import { Registry } from 'prom-client'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Accounts } from '../accounts/accounts.ts'
import type { ConsistentReads } from '../api/consistent-reads.ts'
import type { ObjectApi } from '../api/contract.ts'
import type { ListPaginator } from '../api/list-paginator.ts'
import type { Watches } from '../api/watches.ts'
import type { PodStreams } from '../dispatch/pod-streams.ts'
import type { Informer } from '../informer/contract.ts'
import type { Kinds } from '../kinds/kinds.ts'
import { Authentication } from './authentication.ts'
import { Catalog } from './catalog.ts'
import type { Endpoint, VirtualResource } from './contract.ts'
import { admitConnection } from './connections.ts'
import { serveCustomKinds } from './custom-resources.ts'
import { eventResources, type EventResourceParts } from './events/event-resource.ts'
import { Discovery } from './discovery/endpoints.ts'
import type { PriorityLevels } from './fairness/seat-allocator.ts'
import { healthChecks } from './health/checks.ts'
import { healthEndpoints } from './health/endpoints.ts'
import { RequestMetrics } from './health/request-metrics.ts'
import { addProcessMetrics } from './health/process-metrics.ts'
import { accessReviews, type AccessReviewsParts } from './identity/access-reviews.ts'
import { openidEndpoints } from './identity/openid.ts'
import { identityReviews } from './identity/reviews.ts'
import { tokenSubresource } from './identity/token-request.ts'
import { metricsResources, type MetricsParts } from './metrics/metrics-resources.ts'
import { OpenApi } from './openapi/endpoints.ts'
import { absentKinds } from './resources/absent-kinds.ts'
import { withNodeLeases } from './resources/node-leases.ts'
import { bindingResource, bindingSubresources } from './resources/binding.ts'
import { StoredReads } from './resources/reads.ts'
import { storedSubresources } from './resources/subresources.ts'
import { StoredWrites } from './resources/writes.ts'
import { Router } from './router.ts'
import { KubeServer, TIMEOUTS, type Timeouts } from './server.ts'
import type { NodeProxyParts } from './streams/node-proxy.ts'
import { streamSubresources } from './streams/subresources.ts'
import { answerOverWebSocket } from './streams/web-socket-answer.ts'

export interface ApiServerParts {
  readonly address: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  readonly api: ObjectApi
  readonly informer: Informer
  readonly reads: ConsistentReads
  readonly kinds: Kinds
  readonly pages: ListPaginator
  readonly watches: Watches
  readonly pods: PodStreams
  readonly usage: MetricsParts['usage']
  readonly nodePages: NodeProxyParts['nodePages']
  readonly events: EventResourceParts['events']
  readonly namedEvents: EventResourceParts['named']
  readonly publish: EventResourceParts['publish']
  readonly accounts: Pick<Accounts, 'authorizer' | 'authenticator' | 'tokens'>
  /** Throws Unavailable while nothing can be served. */
  readonly available: () => void
  readonly timeouts?: Timeouts
  readonly shares?: PriorityLevels
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export function createApiServer(parts: ApiServerParts): KubeServer {
  const catalog: Catalog = new Catalog([
    ...eventResources({ ...parts, named: parts.namedEvents }),
    ...metricsResources(parts),
    bindingResource(parts),
    ...absentKinds(parts),
    ...reviews(parts, () => catalog),
  ])
  for (const subresource of streamSubresources(catalog, parts)) catalog.addSubresource(subresource)
  const registry = new Registry()
  addProcessMetrics(registry, parts.clock)
  const endpoints: Endpoint[] = healthEndpoints(healthChecks(parts), registry)
  endpoints.push(...new OpenApi(catalog).endpoints)
  endpoints.push(...openidEndpoints(parts.accounts.tokens))
  endpoints.push(
    ...new Discovery(
      catalog,
      endpoints.map(({ path }) => path),
    ).endpoints,
  )
  const reads = new StoredReads(parts)
  const writes = new StoredWrites(parts.api, reads)
  const stored = {
    ...reads.verbs,
    get: withNodeLeases(reads.verbs.get!, parts),
    list: withNodeLeases(reads.verbs.list!, parts),
    ...writes.verbs,
  }
  const subresourceParts = { api: parts.api, consistent: parts.reads, reads, writes, kinds: parts.kinds }
  for (const subresource of storedSubresources(catalog.resources(), subresourceParts))
    catalog.addSubresource(subresource)
  serveCustomKinds(catalog, parts.informer, subresourceParts)
  for (const subresource of bindingSubresources(catalog, parts)) catalog.addSubresource(subresource)
  catalog.addSubresource(tokenSubresource(catalog, { tokens: parts.accounts.tokens, reads: parts.reads }))
  const router = new Router({
    catalog,
    endpoints,
    stored,
    authorizer: parts.accounts.authorizer,
    connecting: (request, subresource) => admitConnection(parts.api, request, subresource),
    overWebSocket: (...exchange) => answerOverWebSocket(parts.clock, ...exchange),
  })
  const { address, tls, available, timeouts = TIMEOUTS, clock, logger } = parts
  return new KubeServer({
    ...(parts.shares !== undefined && { shares: parts.shares }),
    address,
    tls,
    available,
    timeouts,
    clock,
    logger,
    exchanges: new RequestMetrics(registry),
    authentication: new Authentication([parts.accounts.authenticator], parts.accounts.authorizer),
    router,
  })
}

/** Who is who, and who may do what. */
function reviews(
  { accounts: { authenticator, authorizer, tokens } }: ApiServerParts,
  catalog: () => Catalog,
): VirtualResource[] {
  const served = (): ReturnType<AccessReviewsParts['served']> => ({
    resources: catalog().resources(),
    subresources: catalog()
      .subresources()
      .map((subresource) => subresource.served),
  })
  return [...identityReviews(authenticator, tokens.issuer), ...accessReviews({ authorizer, served })]
}
