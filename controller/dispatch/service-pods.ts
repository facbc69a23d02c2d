/**
 * The ready pods behind a port of a Service, as its EndpointSlices have them: endpoints that are no pods are not
 * reached by way of a node.
 */
import type { EndpointSlice, PortForwardStart } from '../../proto/gen/types.ts'
import type { Informer } from '../informer/contract.ts'

/** Whose slice it is. https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ownership */
const SERVICE_NAME = 'kubernetes.io/service-name'

/** `port`: its name, by which the slices know it. */
export function readyPods(
  informer: Informer,
  namespace: string,
  service: string,
  port: string | undefined,
): PortForwardStart[] {
  return informer
    .lister('EndpointSlice')
    .list(namespace)
    .filter(({ metadata }) => metadata.labels?.[SERVICE_NAME] === service)
    .flatMap((slice) => podsOf(slice, port))
}

function podsOf(
  { metadata: { namespace }, ports = [], endpoints = [] }: EndpointSlice,
  wanted: string | undefined,
): PortForwardStart[] {
  const port = ports.find(({ name, protocol }) => (name ?? '') === (wanted ?? '') && protocol === 'TCP')?.port
  if (port === undefined) return []
  return endpoints.flatMap(({ conditions, targetRef }) => {
    if (conditions?.ready !== true || targetRef?.kind !== 'Pod' || targetRef.name === undefined) return []
    return [{ namespace, pod: targetRef.name, uid: targetRef.uid ?? '', port }]
  })
}
