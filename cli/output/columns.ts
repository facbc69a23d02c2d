/** The table of each kind: kubectl's columns, those after `wide` only with `-o wide`. */
import { formatLabelSelector } from '../../proto/api/selector.ts'
import { resourceOf } from '../../proto/api/schema.ts'
import type { AnyResource, Event, Kind, LabelSelector, Node, PodSpec, Resources } from '../../proto/gen/types.ts'
import { ageSince } from './age.ts'
import { formatRestarts, summarizePod } from './pod-status.ts'

export interface Column<K extends Kind> {
  readonly header: string
  readonly wide?: true
  /** A word of state, which a terminal shows in colour. */
  readonly status?: true
  cell(object: Resources[K], now: number): string
}

function name<K extends Kind>(): Column<K> {
  return { header: 'NAME', cell: ({ metadata }) => metadata.name }
}

function age<K extends Kind>(): Column<K> {
  return { header: 'AGE', cell: ({ metadata }, now) => ageSince(metadata.creationTimestamp, now) }
}

/** Containers, images and selector of what makes pods. */
function template<K extends 'Deployment' | 'ReplicaSet'>(): Column<K>[] {
  const specOf = (object: Resources[K]): PodSpec => object.spec.template.spec
  return [
    { header: 'CONTAINERS', wide: true, cell: (object) => specOf(object).containers.map((container) => container.name).join(',') },
    { header: 'IMAGES', wide: true, cell: (object) => specOf(object).containers.map((container) => container.image ?? '').join(',') },
    { header: 'SELECTOR', wide: true, cell: (object) => formatSelector(object.spec.selector) },
  ]
}

export function formatSelector(selector: LabelSelector): string {
  return formatLabelSelector(selector) || '<none>'
}

/** "Ready,SchedulingDisabled" */
export function nodeStatus(node: Node): string {
  const ready = node.status.conditions?.find((condition) => condition.type === 'Ready')
  const word = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady'
  return node.spec.unschedulable === true ? `${word},SchedulingDisabled` : word
}

const ROLE = 'node-role.kubernetes.io/'

export function nodeRoles({ metadata: { labels = {} } }: Node): string {
  const roles = Object.keys(labels).filter((label) => label.startsWith(ROLE)).map((label) => label.slice(ROLE.length))
  return roles.length === 0 ? '<none>' : roles.sort().join(',')
}

function nodeAddress(node: Node, type: string): string {
  return node.status.addresses?.find((address) => address.type === type)?.address ?? '<none>'
}

/** When it happened last, RFC 3339. */
export function eventTime(event: Event): string | undefined {
  return event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata.creationTimestamp
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

export const columns: { readonly [K in Kind]: readonly Column<K>[] } = {
  Pod: [
    name(),
    { header: 'READY', cell: (pod) => `${summarizePod(pod).ready}/${pod.spec.containers.length}` },
    { header: 'STATUS', status: true, cell: (pod) => summarizePod(pod).status },
    { header: 'RESTARTS', cell: (pod, now) => formatRestarts(summarizePod(pod), now) },
    age(),
    { header: 'IP', wide: true, cell: ({ status }) => status.podIP || '<none>' },
    { header: 'NODE', wide: true, cell: ({ spec }) => spec.nodeName || '<none>' },
    { header: 'NOMINATED NODE', wide: true, cell: ({ status }) => status.nominatedNodeName || '<none>' },
    { header: 'READINESS GATES', wide: true, cell: (pod) => readinessGates(pod) },
  ],
  Node: [
    name(),
    { header: 'STATUS', status: true, cell: nodeStatus },
    { header: 'ROLES', cell: nodeRoles },
    age(),
    { header: 'VERSION', cell: ({ status }) => status.nodeInfo?.kubeletVersion ?? '' },
    { header: 'INTERNAL-IP', wide: true, cell: (node) => nodeAddress(node, 'InternalIP') },
    { header: 'EXTERNAL-IP', wide: true, cell: (node) => nodeAddress(node, 'ExternalIP') },
    { header: 'OS-IMAGE', wide: true, cell: ({ status }) => status.nodeInfo?.osImage || '<unknown>' },
    { header: 'KERNEL-VERSION', wide: true, cell: ({ status }) => status.nodeInfo?.kernelVersion || '<unknown>' },
    { header: 'CONTAINER-RUNTIME', wide: true, cell: ({ status }) => status.nodeInfo?.containerRuntimeVersion || '<unknown>' },
  ],
  Deployment: [
    name(),
    { header: 'READY', cell: ({ spec, status }) => `${status.readyReplicas ?? 0}/${spec.replicas}` },
    { header: 'UP-TO-DATE', cell: ({ status }) => String(status.updatedReplicas ?? 0) },
    { header: 'AVAILABLE', cell: ({ status }) => String(status.availableReplicas ?? 0) },
    age(),
    ...template<'Deployment'>(),
  ],
  ReplicaSet: [
    name(),
    { header: 'DESIRED', cell: ({ spec }) => String(spec.replicas) },
    { header: 'CURRENT', cell: ({ status }) => String(status.replicas ?? 0) },
    { header: 'READY', cell: ({ status }) => String(status.readyReplicas ?? 0) },
    age(),
    ...template<'ReplicaSet'>(),
  ],
  Namespace: [name(), { header: 'STATUS', status: true, cell: ({ status }) => status.phase ?? 'Active' }, age()],
  ConfigMap: [name(), { header: 'DATA', cell: ({ data, binaryData }) => String(count(data) + count(binaryData)) }, age()],
  Secret: [name(), { header: 'TYPE', cell: ({ type }) => type }, { header: 'DATA', cell: ({ data }) => String(count(data)) }, age()],
  Lease: [name(), { header: 'HOLDER', cell: ({ spec }) => spec.holderIdentity ?? '' }, age()],
  Event: [
    { header: 'LAST SEEN', cell: (event, now) => ageSince(eventTime(event), now) },
    { header: 'TYPE', status: true, cell: ({ type }) => type ?? '' },
    { header: 'REASON', cell: ({ reason }) => reason ?? '' },
    { header: 'OBJECT', cell: eventObject },
    { header: 'SUBOBJECT', wide: true, cell: ({ involvedObject }) => involvedObject?.fieldPath ?? '' },
    { header: 'SOURCE', wide: true, cell: eventSource },
    { header: 'MESSAGE', cell: ({ message }) => (message ?? '').trim().replace(/\s*\n\s*/g, ' ') },
    { header: 'FIRST SEEN', wide: true, cell: (event, now) => ageSince(event.firstTimestamp ?? event.eventTime, now) },
    { header: 'COUNT', wide: true, cell: (event) => String(event.series?.count ?? event.count ?? 1) },
    { header: 'NAME', wide: true, cell: ({ metadata }) => metadata.name },
  ],
}

function readinessGates({ spec, status }: Resources['Pod']): string {
  const gates = spec.readinessGates ?? []
  if (gates.length === 0) return '<none>'
  const met = gates.filter((gate) => status.conditions?.some((condition) => condition.type === gate.conditionType && condition.status === 'True') === true)
  return `${met.length}/${gates.length}`
}

export interface TableOptions {
  readonly wide: boolean
  /** A first column with the namespace. */
  readonly namespaces: boolean
  /** Names as "pod/web", for tables of several kinds. */
  readonly kinds: boolean
  /** A last column with every label. */
  readonly labels: boolean
  /** Columns of single labels. */
  readonly labelColumns: readonly string[]
  readonly color: (status: string) => string
}

export function tableHeader(kind: Kind, options: TableOptions): string[] {
  return [
    ...(options.namespaces && resourceOf(kind).namespaced ? ['NAMESPACE'] : []),
    ...shownColumns(kind, options).map((column) => column.header),
    ...options.labelColumns.map((label) => label.split('/').at(-1)!.toUpperCase()),
    ...(options.labels ? ['LABELS'] : []),
  ]
}

export function tableRow(object: AnyResource, options: TableOptions, now: number): string[] {
  const { kind, metadata } = object
  const { group, namespaced } = resourceOf(kind)
  const prefix = options.kinds ? `${kind.toLowerCase()}${group === '' ? '' : `.${group}`}/` : ''
  const labels = metadata.labels ?? {}
  return [
    ...(options.namespaces && namespaced ? [metadata.namespace] : []),
    ...shownColumns(kind, options).map((column) => {
      const text = column.cell(object as never, now)
      return column.status === true ? options.color(text) : column.header === 'NAME' ? prefix + text : text
    }),
    ...options.labelColumns.map((label) => labels[label] ?? ''),
    ...(options.labels ? [formatLabels(labels)] : []),
  ]
}

export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const list = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => `${key}=${value}`)
  return list.length === 0 ? '<none>' : list.join(',')
}

function shownColumns(kind: Kind, { wide }: TableOptions): readonly Column<Kind>[] {
  return (columns[kind] as unknown as readonly Column<Kind>[]).filter((column) => wide || column.wide !== true)
}
