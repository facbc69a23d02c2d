/**
 * The table of each kind, for the command line and for clients that ask the server for tables: kubectl's columns, those
 * that are `wide` only with `-o wide`.
 */
import { readyCondition } from '../node.ts'
import { findCondition, isConditionTrue } from '../conditions.ts'
import { podSelectorOf } from '../pod-selection.ts'
import { formatLabelSelector } from '../selector.ts'
import type { Container, Event, Kind, LabelSelector, Node, PodTemplateSpec, Resources } from '../../gen/types.ts'
import { customKinds, versionOfObject } from '../../schema/custom/definitions.ts'
import { ageSince, sinceText } from './age.ts'
import { customColumns } from './custom.ts'
import { conditionWord, ingressAddresses, ingressHosts } from './ingress.ts'
import { formatRestarts, podStatusSince, summarizePod } from './pod-status.ts'
import {
  clusterAddress,
  endpointsAddresses,
  externalAddress,
  servicePorts,
  serviceSelector,
  sliceEndpoints,
  slicePorts,
} from './service.ts'
import type { Column } from './column.ts'

function name<K extends Kind>(): Column<K> {
  return { name: 'Name', format: 'name', cell: ({ metadata }) => metadata.name }
}

function age<K extends Kind>(): Column<K> {
  return { name: 'Age', ages: () => true, cell: ({ metadata }, now) => ageSince(metadata.creationTimestamp, now) }
}

/** Of what keeps a number of pods. */
function replicas<K extends 'ReplicaSet' | 'ReplicationController'>(): Column<K>[] {
  return [
    name(),
    { name: 'Desired', type: 'integer', cell: ({ spec }) => String(spec.replicas) },
    { name: 'Current', type: 'integer', cell: ({ status }) => String(status.replicas ?? 0) },
    { name: 'Ready', type: 'integer', cell: ({ status }) => String(status.readyReplicas ?? 0) },
    age(),
    ...template<K>(),
  ]
}

/** Containers, images and selector of what makes pods. */
function template<K extends 'Deployment' | 'ReplicaSet' | 'ReplicationController'>(): Column<K>[] {
  return [
    ...containerColumns<K>(({ spec }) => spec.template, true),
    { name: 'Selector', wide: true, cell: (object) => formatSelector(podSelectorOf(object)) },
  ]
}

function containerColumns<K extends Kind>(
  templateOf: (object: Resources[K]) => PodTemplateSpec | undefined,
  wide: boolean,
): Column<K>[] {
  const containersOf = (object: Resources[K]): readonly Container[] => templateOf(object)?.spec.containers ?? []
  return [
    {
      name: 'Containers',
      ...(wide && { wide }),
      cell: (object) =>
        containersOf(object)
          .map((container) => container.name)
          .join(','),
    },
    {
      name: 'Images',
      ...(wide && { wide }),
      cell: (object) =>
        containersOf(object)
          .map((container) => container.image ?? '')
          .join(','),
    },
  ]
}

export function formatSelector(selector: LabelSelector | undefined): string {
  return (selector === undefined ? '' : formatLabelSelector(selector)) || '<none>'
}

/** Ready's reasons while a node is not heard from. */
const UNREACHABLE_STATUS: Readonly<Record<string, string>> = { NodeSuspect: 'Suspect', NodeLost: 'Lost' }

/** "Ready,SchedulingDisabled"; "Lost,EvictionHeld" where the pods stay because too many nodes vanished together. */
export function nodeStatus({ status: { conditions = [] }, spec }: Node): string {
  const ready = findCondition(conditions, 'Ready')
  return [
    ready === undefined
      ? 'Unknown'
      : ready.status === 'True'
        ? 'Ready'
        : (UNREACHABLE_STATUS[ready.reason ?? ''] ?? 'NotReady'),
    ...(isConditionTrue(conditions, 'EvictionHeld') ? ['EvictionHeld'] : []),
    ...(spec.unschedulable === true ? ['SchedulingDisabled'] : []),
  ].join(',')
}

/** In kubectl's words: a node that is not ready is NotReady, whatever keeps it. */
function kubernetesNodeStatus({ status: { conditions = [] }, spec }: Node): string {
  const ready = findCondition(conditions, 'Ready')
  const word = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return spec.unschedulable === true ? `${word},SchedulingDisabled` : word
}

/** With since when, for a node that is not heard from: "Lost since 12:03:07". */
function wideNodeStatus(node: Node, now: number): string {
  const ready = readyCondition(node)
  const [word, ...more] = nodeStatus(node).split(',')
  return [
    UNREACHABLE_STATUS[ready?.reason ?? ''] === undefined
      ? word
      : `${word} ${sinceText(ready?.lastHeartbeatTime, now)}`,
    ...more,
  ].join(',')
}

const ROLE = 'node-role.kubernetes.io/'

export function nodeRoles({ metadata: { labels = {} } }: Node): string {
  const roles = Object.keys(labels)
    .filter((label) => label.startsWith(ROLE))
    .map((label) => label.slice(ROLE.length))
  return roles.length === 0 ? '<none>' : roles.sort().join(',')
}

function nodeAddress(node: Node, type: string): string {
  return node.status.addresses?.find((address) => address.type === type)?.address ?? '<none>'
}

/** When it happened last, RFC 3339. */
export function eventTime(event: Event): string | undefined {
  return (
    event.series?.lastObservedTime ??
    event.lastTimestamp ??
    event.eventTime ??
    event.firstTimestamp ??
    event.metadata.creationTimestamp
  )
}

/** "5m", or "10s (x3 over 5m)" for what happened often. */
export function eventAge(event: Event, now: number): string {
  const last = ageSince(eventTime(event), now)
  const count = event.series?.count ?? event.count ?? 1
  const first = event.firstTimestamp ?? event.eventTime
  return count > 1 && first !== undefined ? `${last} (x${count} over ${ageSince(first, now)})` : last
}

/** "pod/web-1" */
export function eventObject({ involvedObject }: Event): string {
  return `${(involvedObject?.kind ?? '').toLowerCase()}/${involvedObject?.name ?? ''}`
}

export function eventSource({ source, reportingComponent }: Event): string {
  const component = source?.component ?? reportingComponent ?? ''
  return source?.host === undefined || source.host === '' ? component : `${component}, ${source.host}`
}

function count(map: Readonly<Record<string, string>> | undefined): number {
  return Object.keys(map ?? {}).length
}

/** Of a kind that has no columns of its own. */
const PLAIN: readonly Column<Kind>[] = [
  { name: 'Name', format: 'name', cell: ({ metadata }) => metadata?.name ?? '' },
  { name: 'Created At', type: 'date', cell: ({ metadata }) => metadata?.creationTimestamp ?? '' },
]

/** The columns of a kind, of a custom kind those that its definition gives the version that `apiVersion` names. */
export function columnsOf(kind: Kind | undefined, apiVersion?: string): readonly Column<Kind>[] {
  if (kind === undefined) return PLAIN
  const custom = customKinds.get(kind)
  if (custom !== undefined)
    return customColumns(apiVersion === undefined ? custom.stored : versionOfObject(custom, apiVersion))
  return Object.hasOwn(columns, kind) ? (columns[kind] as unknown as readonly Column<Kind>[]) : PLAIN
}

/** What stands above a column. */
export function headerOf({ name: text }: Pick<Column<Kind>, 'name'>): string {
  return text.toUpperCase()
}

export const columns: { readonly [K in Kind]: readonly Column<K>[] } = {
  Pod: [
    name(),
    {
      name: 'Ready',
      cell: (pod) => {
        const { ready, containers } = summarizePod(pod)
        return `${ready}/${containers}`
      },
    },
    {
      name: 'Status',
      status: true,
      cell: (pod) => summarizePod(pod).status,
      wideCell: (pod, now) => podStatusSince(pod, now),
    },
    {
      name: 'Restarts',
      ages: (pod) => summarizePod(pod).lastRestart !== undefined,
      cell: (pod, now) => formatRestarts(summarizePod(pod), now),
    },
    age(),
    { name: 'IP', wide: true, cell: ({ status }) => status.podIP || '<none>' },
    { name: 'Node', wide: true, cell: ({ spec }) => spec.nodeName || '<none>' },
    { name: 'Nominated Node', wide: true, cell: ({ status }) => status.nominatedNodeName || '<none>' },
    { name: 'Readiness Gates', wide: true, cell: (pod) => readinessGates(pod) },
  ],
  Node: [
    name(),
    { name: 'Status', status: true, cell: nodeStatus, wideCell: wideNodeStatus, kubernetesCell: kubernetesNodeStatus },
    { name: 'Roles', cell: nodeRoles },
    age(),
    { name: 'Version', cell: ({ status }) => status.nodeInfo?.kubeletVersion ?? '' },
    { name: 'Internal-IP', wide: true, cell: (node) => nodeAddress(node, 'InternalIP') },
    { name: 'External-IP', wide: true, cell: (node) => nodeAddress(node, 'ExternalIP') },
    { name: 'OS-Image', wide: true, cell: ({ status }) => status.nodeInfo?.osImage || '<unknown>' },
    { name: 'Kernel-Version', wide: true, cell: ({ status }) => status.nodeInfo?.kernelVersion || '<unknown>' },
    {
      name: 'Container-Runtime',
      wide: true,
      cell: ({ status }) => status.nodeInfo?.containerRuntimeVersion || '<unknown>',
    },
  ],
  Deployment: [
    name(),
    { name: 'Ready', cell: ({ spec, status }) => `${status.readyReplicas ?? 0}/${spec.replicas}` },
    { name: 'Up-to-date', type: 'integer', cell: ({ status }) => String(status.updatedReplicas ?? 0) },
    { name: 'Available', type: 'integer', cell: ({ status }) => String(status.availableReplicas ?? 0) },
    age(),
    ...template<'Deployment'>(),
  ],
  ReplicaSet: replicas<'ReplicaSet'>(),
  ReplicationController: replicas<'ReplicationController'>(),
  PodTemplate: [
    name(),
    ...containerColumns<'PodTemplate'>(({ template }) => template, false),
    { name: 'Pod Labels', cell: ({ template }) => formatSelector({ matchLabels: template.metadata.labels ?? {} }) },
  ],
  Namespace: [name(), { name: 'Status', status: true, cell: ({ status }) => status.phase ?? 'Active' }, age()],
  ConfigMap: [
    name(),
    { name: 'Data', type: 'integer', cell: ({ data, binaryData }) => String(count(data) + count(binaryData)) },
    age(),
  ],
  Secret: [
    name(),
    { name: 'Type', cell: ({ type }) => type },
    { name: 'Data', type: 'integer', cell: ({ data }) => String(count(data)) },
    age(),
  ],
  ServiceAccount: [name(), age()],
  Service: [
    name(),
    { name: 'Type', cell: ({ spec }) => spec.type },
    { name: 'Cluster-IP', cell: clusterAddress },
    {
      name: 'External-IP',
      cell: (service) => externalAddress(service),
      wideCell: (service) => externalAddress(service, true),
    },
    { name: 'Port(s)', cell: servicePorts },
    age(),
    { name: 'Selector', wide: true, cell: serviceSelector },
  ],
  EndpointSlice: [
    name(),
    { name: 'AddressType', cell: ({ addressType }) => addressType },
    { name: 'Ports', cell: slicePorts },
    { name: 'Endpoints', cell: sliceEndpoints },
    age(),
  ],
  Endpoints: [name(), { name: 'Endpoints', cell: endpointsAddresses }, age()],
  NetworkPolicy: [name(), { name: 'Pod-Selector', cell: ({ spec }) => formatSelector(spec.podSelector) }, age()],
  Ingress: [
    name(),
    { name: 'Class', cell: ({ spec }) => spec.ingressClassName ?? '<none>' },
    { name: 'Hosts', cell: ingressHosts },
    { name: 'Address', cell: ingressAddresses },
    { name: 'Ports', cell: ({ spec }) => (spec.tls === undefined ? '80' : '80, 443') },
    age(),
  ],
  IngressClass: [
    name(),
    { name: 'Controller', cell: ({ spec }) => spec.controller },
    { name: 'Parameters', cell: () => '<none>' },
    age(),
  ],
  GatewayClass: [
    name(),
    { name: 'Controller', cell: ({ spec }) => spec.controllerName },
    { name: 'Accepted', status: true, cell: ({ status }) => conditionWord(status.conditions, 'Accepted') },
    age(),
    { name: 'Description', wide: true, cell: ({ spec }) => spec.description ?? '' },
  ],
  Gateway: [
    name(),
    { name: 'Class', cell: ({ spec }) => spec.gatewayClassName },
    { name: 'Address', cell: ({ status }) => (status.addresses ?? []).map(({ value }) => value).join(',') },
    { name: 'Programmed', status: true, cell: ({ status }) => conditionWord(status.conditions, 'Programmed') },
    age(),
  ],
  HTTPRoute: [name(), { name: 'Hostnames', cell: ({ spec }) => spec.hostnames?.join(',') ?? '*' }, age()],
  ReferenceGrant: [name(), age()],
  Network: [
    name(),
    { name: 'CIDRs', cell: ({ spec, status }) => (status.cidrs ?? spec.cidrs ?? []).join(',') },
    {
      name: 'Nodes',
      type: 'integer',
      cell: ({ status }) => String(new Set((status.blocks ?? []).map(({ node }) => node)).size),
    },
    { name: 'Ready', status: true, cell: ({ status }) => conditionWord(status.conditions, 'Ready') },
    age(),
  ],
  CustomResourceDefinition: [
    name(),
    { name: 'Created At', cell: ({ metadata }) => metadata.creationTimestamp ?? '<unknown>' },
  ],
  MutatingWebhookConfiguration: [
    name(),
    { name: 'Webhooks', type: 'integer', cell: ({ webhooks }) => String(webhooks?.length ?? 0) },
    age(),
  ],
  ValidatingWebhookConfiguration: [
    name(),
    { name: 'Webhooks', type: 'integer', cell: ({ webhooks }) => String(webhooks?.length ?? 0) },
    age(),
  ],
  ValidatingAdmissionPolicy: [
    name(),
    { name: 'Validations', type: 'integer', cell: ({ spec }) => String(spec.validations?.length ?? 0) },
    {
      name: 'ParamKind',
      cell: ({ spec: { paramKind } }) =>
        paramKind === undefined ? '<unset>' : `${paramKind.apiVersion}/${paramKind.kind}`,
    },
    age(),
  ],
  ValidatingAdmissionPolicyBinding: [
    name(),
    { name: 'PolicyName', cell: ({ spec }) => spec.policyName },
    {
      name: 'ParamRef',
      cell: ({ spec: { paramRef } }) =>
        paramRef === undefined
          ? '<unset>'
          : `${paramRef.namespace === undefined ? '*' : paramRef.namespace}/${paramRef.name ?? (paramRef.selector === undefined ? '' : formatLabelSelector(paramRef.selector))}`,
    },
    age(),
  ],
  Lease: [name(), { name: 'Holder', cell: ({ spec }) => spec.holderIdentity ?? '' }, age()],
  Event: [
    { name: 'Last Seen', ages: () => true, cell: (event, now) => ageSince(eventTime(event), now) },
    { name: 'Type', status: true, cell: ({ type }) => type ?? '' },
    { name: 'Reason', cell: ({ reason }) => reason ?? '' },
    { name: 'Object', cell: eventObject },
    { name: 'Subobject', wide: true, cell: ({ involvedObject }) => involvedObject?.fieldPath ?? '' },
    { name: 'Source', wide: true, cell: eventSource },
    { name: 'Message', cell: ({ message }) => (message ?? '').trim().replace(/\s*\n\s*/g, ' ') },
    {
      name: 'First Seen',
      wide: true,
      ages: () => true,
      cell: (event, now) => ageSince(event.firstTimestamp ?? event.eventTime, now),
    },
    { name: 'Count', type: 'integer', wide: true, cell: (event) => String(event.series?.count ?? event.count ?? 1) },
    { name: 'Name', format: 'name', wide: true, cell: ({ metadata }) => metadata.name },
  ],
}

function readinessGates({ spec, status }: Resources['Pod']): string {
  const gates = spec.readinessGates ?? []
  if (gates.length === 0) return '<none>'
  const met = gates.filter((gate) => isConditionTrue(status.conditions, gate.conditionType))
  return `${met.length}/${gates.length}`
}
