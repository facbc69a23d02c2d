/** The Kubernetes face, put together: the catalog with who answers for what, and the server. */
import type { Registry } from 'prom-client'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { Accounts } from '../accounts/accounts.ts'
import type { AccountTokens } from '../accounts/tokens.ts'
import type { Kinds } from '../kinds/kinds.ts'
import type { Requests } from '../requests/requests.ts'
import { Authentication } from './authentication.ts'
import { Catalog } from './catalog.ts'
import type { Endpoint, VirtualResource } from './contract.ts'
import { admitConnection } from './connections.ts'
import { serveCustomKinds } from './custom-resources.ts'
import { eventResources } from './events/event-resource.ts'
import { Discovery } from './discovery/endpoints.ts'
import { healthChecks } from './health/checks.ts'
import { healthEndpoints } from './health/endpoints.ts'
import { RequestMetrics } from './health/request-metrics.ts'
import { addProcessMetrics } from './health/process-metrics.ts'
import { accessReviews, type AccessReviewsParts } from './identity/access-reviews.ts'
import { openidEndpoints } from './identity/openid.ts'
import { identityReviews } from './identity/reviews.ts'
import { tokenSubresource } from './identity/token-request.ts'
import { metricsResources } from './metrics/metrics-resources.ts'
import { OpenApi } from './openapi/endpoints.ts'
import { absentKinds } from './resources/absent-kinds.ts'
import { bindingResource, bindingSubresources } from './resources/binding.ts'
import { readVerbs } from './resources/reads.ts'
import { storedSubresources } from './resources/subresources.ts'
import { writeVerbs } from './resources/writes.ts'
import { Router } from './router.ts'
import { KubeServer, TIMEOUTS, type Timeouts } from './server.ts'
import { streamSubresources } from './streams/subresources.ts'
import { answerOverWebSocket } from './streams/web-socket-answer.ts'

export interface ApiServerParts {
  readonly address: string
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string }
  /** The door: all that requests want is done there. */
  readonly requests: Requests
  readonly kinds: Kinds
  /** Of the program's numbers, which the path /metrics shows. */
  readonly registry: Registry
  /** What /metrics shows instead, of several processes together. */
  readonly metrics?: (() => Promise<string>) | undefined
  readonly accounts: Pick<Accounts, 'authenticator'> & { readonly tokens: Pick<AccountTokens, 'issuer' | 'keys'> }
  /** Throws Unavailable while nothing can be served. */
  readonly available: () => void
  readonly timeouts?: Timeouts
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export function createApiServer(parts: ApiServerParts): KubeServer {
  const catalog: Catalog = new Catalog([
    ...eventResources(parts),
    ...metricsResources(),
    bindingResource(),
    ...absentKinds(),
    ...reviews(parts, () => catalog),
  ])
  for (const subresource of streamSubresources(catalog, parts)) catalog.addSubresource(subresource)
  const { requests, registry } = parts
  addProcessMetrics(registry, parts.clock)
  const endpoints: Endpoint[] = healthEndpoints(healthChecks({ ...parts, health: requests.health }), {
    contentType: registry.contentType,
    metrics: parts.metrics ?? (() => registry.metrics()),
  })
  endpoints.push(...new OpenApi(catalog).endpoints)
  endpoints.push(...openidEndpoints(parts.accounts.tokens))
  endpoints.push(
    ...new Discovery(
      catalog,
      endpoints.map(({ path }) => path),
    ).endpoints,
  )
  for (const subresource of storedSubresources(catalog.resources(), parts.kinds)) catalog.addSubresource(subresource)
  serveCustomKinds(catalog, requests.definitions)
  for (const subresource of bindingSubresources(catalog)) catalog.addSubresource(subresource)
  catalog.addSubresource(tokenSubresource(catalog))
  const router = new Router({
    catalog,
    endpoints,
    stored: { ...readVerbs(parts.random), ...writeVerbs },
    requests,
    connecting: admitConnection,
    overWebSocket: (...exchange) => answerOverWebSocket(parts.clock, ...exchange),
  })
  const { address, tls, available, timeouts = TIMEOUTS, clock, logger } = parts
  return new KubeServer({
    address,
    tls,
    available,
    turns: requests.turns,
    timeouts,
    clock,
    logger,
    exchanges: new RequestMetrics(registry),
    authentication: new Authentication([parts.accounts.authenticator], requests.authorizer),
    router,
  })
}

/** Who is who, and who may do what. */
function reviews(
  { accounts: { authenticator, tokens }, requests: { authorizer } }: ApiServerParts,
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
