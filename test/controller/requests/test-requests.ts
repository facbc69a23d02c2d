/** The door over an API core of a test, which hands in those backends that it has. */
import { Registry } from 'prom-client'
import { AccessAuthorizer } from '../../../controller/accounts/access-authorizer.ts'
import type { Authorizer } from '../../../controller/authorization/authorizer.ts'
import { NodeAuthorizer } from '../../../controller/authorization/node-authorizer.ts'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import { readyPods } from '../../../controller/dispatch/service-pods.ts'
import type { Backends, ClusterBackend } from '../../../controller/requests/backends.ts'
import type { Informer } from '../../../controller/informer/contract.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { Requests, type RequestsParts } from '../../../controller/requests/requests.ts'

export type TestRequestsParts = Partial<Pick<RequestsParts, 'api' | 'informer' | 'reads' | 'clock'>> &
  Partial<Pick<RequestsParts, 'authorizer' | 'auditor' | 'priorityLevels' | 'registry' | 'pods' | 'nodes'>> &
  Partial<Omit<Backends, 'cluster' | 'reads' | 'informer' | 'events'>> & {
    readonly events?: Partial<Backends['events']>
  } & { readonly cluster?: Partial<ClusterBackend> }

/** The administrators may do everything, and nobody else anything. */
export const mastersOnly: Authorizer = {
  decide: ({ user }) => (user.groups.includes(MASTERS) ? { allowed: true } : { allowed: false, reason: 'no master' }),
}

/** Whoever asks a backend that is missing learns that the test must hand it in. */
export function testRequests(parts: TestRequestsParts): Requests {
  const { cluster = {} } = parts
  const clock = parts.clock ?? new FakeClock()
  const informer = parts.informer ?? missing<Informer>('cache')
  const reads = parts.reads ?? missing<RequestsParts['reads']>('reads')
  return new Requests({
    api: parts.api ?? missing('core'),
    informer,
    reads,
    clock,
    authorizer: new NodeAuthorizer(parts.authorizer ?? new AccessAuthorizer(informer)),
    ...(parts.auditor !== undefined && { auditor: parts.auditor }),
    ...(parts.priorityLevels !== undefined && { priorityLevels: parts.priorityLevels }),
    registry: parts.registry ?? new Registry(),
    pods: parts.pods ?? missing('pods'),
    nodes: parts.nodes ?? missing('nodes'),
    backends: {
      usage: parts.usage ?? missing('usage'),
      nodePages: parts.nodePages ?? missing('pages of nodes'),
      events: (parts.events as Backends['events'] | undefined) ?? missing('events'),
      namedEvents: parts.namedEvents ?? missing('events by name'),
      publish: parts.publish ?? (() => undefined),
      tokens: parts.tokens ?? missing('tokens'),
      reads: reads as unknown as Backends['reads'],
      informer,
      readyPods: parts.readyPods ?? ((namespace, service, port) => readyPods(informer, namespace, service, port)),
      cluster: { ...missing<ClusterBackend>('cluster'), ...cluster },
    },
  })
}

function missing<T>(name: string): T {
  const complain = (): Promise<never> => Promise.reject(new TypeError(`this test has no ${name}: hand one in`))
  return new Proxy({}, { get: () => complain }) as T
}
