/** The page of any object, with what belongs to it read from the cluster. */
import { resourceOf } from '../../proto/schema/schema.ts'
import { formatLabelSelector } from '../../proto/objects/selector.ts'
import type { AnyResource, ConfigMap, Event, Kind, Lease, Namespace, Secret } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { ageSince } from '../../proto/objects/columns/age.ts'
import { eventTime } from '../../proto/objects/columns/columns.ts'
import { isOwnedBy } from '../../proto/objects/owners.ts'
import {
  conditionEntry,
  controllerEntries,
  deletionEntries,
  eventEntry,
  markEntries,
  nameEntries,
  tableEntry,
} from './metadata.ts'
import { block, entry, formatPage, type Entry } from './page.ts'

/** As much of a value as a page shows. */
const VALUE_LINES = 200

export async function describeObject(
  cluster: ClusterClient,
  object: AnyResource,
  showEvents: boolean,
  now: number,
): Promise<string> {
  const [entries, events] = await Promise.all([
    entriesOf(cluster, object, now),
    showEvents && hasEvents(object.kind) ? eventsOf(cluster, object) : [],
  ])
  return formatPage([...entries, ...(showEvents && hasEvents(object.kind) ? [eventEntry(events, now)] : [])])
}

function hasEvents(kind: Kind): boolean {
  return kind !== 'Event' && kind !== 'Lease'
}

async function eventsOf(cluster: ClusterClient, { kind, metadata }: AnyResource): Promise<Event[]> {
  const events: Event[] = []
  for await (const event of cluster.events({
    namespace: metadata.namespace,
    kind: resourceOf(kind).kind,
    name: metadata.name,
  })) {
    const uid = event.involvedObject?.uid
    if (uid === undefined || uid === '' || uid === metadata.uid) events.push(event)
  }
  return events
}

async function entriesOf(cluster: ClusterClient, object: AnyResource, now: number): Promise<Entry[]> {
  switch (object.kind) {
    case 'Pod':
      return (await import('./pod.ts')).podEntries(object, now)
    case 'Node': {
      const [{ nodeEntries }, { items }] = await Promise.all([
        import('./node.ts'),
        cluster.list('Pod', { namespace: '', fieldSelector: `spec.nodeName=${object.metadata.name}` }),
      ])
      return nodeEntries(object, items, now)
    }
    case 'Deployment': {
      const [{ deploymentEntries }, { revisionsOf }] = await Promise.all([
        import('./workload.ts'),
        import('../../proto/client/revisions.ts'),
      ])
      return deploymentEntries(object, await revisionsOf(cluster, object))
    }
    case 'ReplicaSet': {
      const [{ replicaSetEntries }, { items }] = await Promise.all([
        import('./workload.ts'),
        cluster.list('Pod', {
          namespace: object.metadata.namespace,
          labelSelector: formatLabelSelector(object.spec.selector),
        }),
      ])
      return replicaSetEntries(
        object,
        items.filter((pod) => isOwnedBy(pod, object.metadata.uid)),
      )
    }
    case 'Service': {
      const { serviceEntries, serviceSurroundings } = await import('./service.ts')
      return serviceEntries(object, await serviceSurroundings(cluster, object))
    }
    case 'EndpointSlice':
      return (await import('./service.ts')).endpointSliceEntries(object)
    case 'Endpoints':
      return (await import('./service.ts')).endpointsEntries(object)
    case 'Namespace':
      return namespaceEntries(object)
    case 'ConfigMap':
      return configMapEntries(object)
    case 'Secret':
      return secretEntries(object)
    case 'NetworkPolicy': {
      const [{ networkPolicyEntries }, { items }] = await Promise.all([
        import('./network-policy.ts'),
        cluster.list('Pod', {
          namespace: object.metadata.namespace,
          labelSelector: formatLabelSelector(object.spec.podSelector),
        }),
      ])
      return networkPolicyEntries(object, items)
    }
    case 'Network':
      return (await import('./network.ts')).networkEntries(object)
    case 'Ingress': {
      const { ingressEntries, ingressSurroundings } = await import('./ingress.ts')
      return ingressEntries(object, await ingressSurroundings(cluster, object))
    }
    case 'IngressClass':
      return (await import('./ingress.ts')).ingressClassEntries(object)
    case 'GatewayClass':
      return (await import('./ingress.ts')).gatewayClassEntries(object)
    case 'Gateway':
      return (await import('./ingress.ts')).gatewayEntries(object)
    case 'HTTPRoute':
      return (await import('./ingress.ts')).httpRouteEntries(object)
    case 'ReferenceGrant':
      return (await import('./ingress.ts')).referenceGrantEntries(object)
    case 'Lease':
      return leaseEntries(object, now)
    case 'Event':
      return eventEntries(object, now)
    // Definitions, and the kinds that they define.
    case 'CustomResourceDefinition':
    default:
      return (await import('./custom.ts')).customEntries(object)
  }
}

function namespaceEntries(namespace: Namespace): Entry[] {
  const { conditions } = namespace.status
  return [
    ...nameEntries(namespace),
    ...markEntries(namespace),
    entry('Status', namespace.status.phase ?? 'Active'),
    ...deletionEntries(namespace),
    ...(conditions === undefined ? [] : [conditionEntry(conditions)]),
  ]
}

function configMapEntries(configMap: ConfigMap): Entry[] {
  const data = Object.entries(configMap.data ?? {}).map(([key, value]) => entry(key, block(shortened(value))))
  const binary = Object.entries(configMap.binaryData ?? {}).map(([key, value]) =>
    entry(key, `${Buffer.from(value, 'base64').length} bytes`),
  )
  return [
    ...nameEntries(configMap),
    ...markEntries(configMap),
    ...immutableEntry(configMap),
    ...deletionEntries(configMap),
    entry('Data', data.length === 0 ? '<none>' : data),
    ...(binary.length === 0 ? [] : [entry('BinaryData', binary)]),
  ]
}

function shortened(text: string): string[] {
  const lines = text.replace(/\n$/, '').split('\n')
  return lines.length <= VALUE_LINES
    ? lines
    : [...lines.slice(0, VALUE_LINES), `… ${lines.length - VALUE_LINES} more lines`]
}

/** Only how long each value is. */
function secretEntries(secret: Secret): Entry[] {
  const data = Object.entries(secret.data ?? {}).map(([key, value]) =>
    entry(key, `${Buffer.from(value, 'base64').length} bytes`),
  )
  return [
    ...nameEntries(secret),
    ...markEntries(secret),
    entry('Type', secret.type),
    ...immutableEntry(secret),
    ...deletionEntries(secret),
    entry('Data', data.length === 0 ? '<none>' : data),
  ]
}

function immutableEntry({ immutable }: ConfigMap | Secret): Entry[] {
  return immutable === true ? [entry('Immutable', 'true')] : []
}

function leaseEntries(lease: Lease, now: number): Entry[] {
  const { holderIdentity = '<none>', leaseDurationSeconds, renewTime } = lease.spec
  return [
    ...nameEntries(lease),
    ...markEntries(lease),
    ...controllerEntries(lease),
    entry('Holder', holderIdentity),
    ...(leaseDurationSeconds === undefined ? [] : [entry('Duration', `${leaseDurationSeconds}s`)]),
    entry('Renewed', renewTime === undefined ? '<never>' : `${ageSince(renewTime, now)} ago`),
  ]
}

function eventEntries(event: Event, now: number): Entry[] {
  const { involvedObject = {} } = event
  return [
    ...nameEntries(event),
    ...markEntries(event),
    entry('Type', event.type ?? ''),
    entry('Reason', event.reason ?? ''),
    entry('Message', event.message ?? ''),
    tableEntry(
      'Involved Object',
      ['Kind', 'Namespace', 'Name'],
      [[involvedObject.kind ?? '', involvedObject.namespace ?? '', involvedObject.name ?? '']],
    ),
    entry('Last Seen', `${ageSince(eventTime(event), now)} ago`),
  ]
}
