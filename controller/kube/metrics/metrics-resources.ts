/**
 * metrics.k8s.io: what nodes and pods use at this moment, asked of the nodes; nothing is kept. A node that cannot be
 * asked is left out of lists.
 * https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
 */
import { encodeFields } from '../../../proto/codec/codec.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { virtualResources } from '../../../proto/schema/schema.ts'
import { parseFieldSelector, parseLabelSelector } from '../../../proto/objects/selector.ts'
import { formatDuration, formatTime } from '../../../proto/base/time.ts'
import { encode } from '../../../proto/codec/wire.ts'
import type { Node, NodeMetrics, NodeUsage, ObjectMeta, Pod, PodMetrics, Usage } from '../../../proto/gen/types.ts'
import type { AuthorizedRequest } from '../../requests/authorized-request.ts'
import { servedResource } from '../catalog.ts'
import type { Answer, ResourceRequest, ServedResource, VirtualResource, EncodableObject } from '../contract.ts'
import { parameter } from '../resources/query.ts'
const GROUP_VERSION = 'metrics.k8s.io/v1beta1'

type Metrics = NodeMetrics | PodMetrics

export function metricsResources(): VirtualResource[] {
  return [
    resource('NodeMetrics', {
      get: async ({ target, authorized }) =>
        measured(await nodeMetrics(authorized, nodeNamed(authorized, target.name))),
      list: async (request) => {
        const { authorized } = request
        const nodes = authorized.backends.informer.lister('Node').list().filter(selector(request, 'Node'))
        return listed('NodeMetrics', await Promise.all(nodes.map((node) => available(nodeMetrics(authorized, node)))))
      },
    }),
    resource('PodMetrics', {
      get: async ({ target, authorized }) => {
        const pod = authorized.backends.informer.lister('Pod').get(target.namespace, target.name)
        const metrics = pod === undefined ? undefined : await podMetrics(authorized, pod)
        if (metrics === undefined)
          throw new GantryError(
            'NotFound',
            `podmetrics.metrics.k8s.io "${target.namespace}/${target.name}" not found`,
            {
              details: [
                { field: 'metadata.name', value: target.name, message: 'there is no such pod, or nothing of it runs' },
              ],
            },
          )
        return measured(metrics)
      },
      list: async (request) => {
        const { authorized, target } = request
        const { namespace } = target
        const pods = authorized.backends.informer
          .lister('Pod')
          .list(namespace === '' ? undefined : namespace)
          .filter(selector(request, 'Pod'))
        return listed('PodMetrics', await Promise.all(pods.map((pod) => available(podMetrics(authorized, pod)))))
      },
    }),
  ]
}

function resource(message: 'NodeMetrics' | 'PodMetrics', verbs: VirtualResource['verbs']): VirtualResource {
  const { stored: _stored, ...served } = servedResource(virtualResources.find(({ kind }) => kind === message)!)
  const resource: ServedResource = { ...served, categories: [], verbs: ['get', 'list'] }
  return { resource, verbs }
}

function selector(request: ResourceRequest, kind: 'Node' | 'Pod'): (object: Node | Pod) => boolean {
  const labels = parameter(() => parseLabelSelector(request.query.get('labelSelector') ?? ''))
  const fields = parameter(() => parseFieldSelector(request.query.get('fieldSelector') ?? '', kind))
  return (object) => labels.matches(object.metadata.labels) && fields.matches(object)
}

function nodeNamed({ backends }: AuthorizedRequest, name: string): Node {
  const node = backends.informer.lister('Node').get('', name)
  if (node === undefined)
    throw new GantryError('NotFound', `nodemetrics.metrics.k8s.io "${name}" not found`, {
      details: [{ field: 'metadata.name', value: name, message: 'there is no such node' }],
    })
  return node
}

async function nodeMetrics({ backends, caller }: AuthorizedRequest, { metadata }: Node): Promise<NodeMetrics> {
  const told = await backends.usage.of(metadata.name, caller)
  return {
    apiVersion: GROUP_VERSION,
    kind: 'NodeMetrics',
    metadata: about(metadata, told),
    ...windowOf(told),
    usage: amounts(told.machine),
  }
}

/** Undefined for a pod of which nothing runs. */
async function podMetrics(
  { backends, caller }: AuthorizedRequest,
  { metadata, spec }: Pod,
): Promise<PodMetrics | undefined> {
  if (spec.nodeName === undefined || spec.nodeName === '') return undefined
  const told = await backends.usage.of(spec.nodeName, caller)
  const containers = told.pods.find(({ uid }) => uid === metadata.uid)?.containers ?? []
  if (containers.length === 0) return undefined
  return {
    apiVersion: GROUP_VERSION,
    kind: 'PodMetrics',
    metadata: about(metadata, told),
    ...windowOf(told),
    containers: containers.map(({ name, usage: used }) => ({ name, usage: amounts(used) })),
  }
}

/** Undefined where the node cannot be asked, or is gone by now. */
async function available<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (thrown) {
    if (GantryError.is(thrown, 'Unavailable', 'NotFound', 'DeadlineExceeded', 'Unsupported', 'Cancelled'))
      return undefined
    throw thrown
  }
}

function about({ name, namespace, labels }: ObjectMeta, { time }: NodeUsage): ObjectMeta {
  return { name, namespace, labels, uid: '', resourceVersion: '', creationTimestamp: formatTime(time) }
}

function windowOf({ time, windowMillis }: NodeUsage): { timestamp: string; window: string } {
  return { timestamp: formatTime(time), window: formatDuration(windowMillis) }
}

function amounts(used: Usage | undefined): Record<string, string> {
  return { cpu: `${used?.cpuNanosPerSecond ?? 0}n`, memory: `${Math.ceil((used?.memoryBytes ?? 0) / 1024)}Ki` }
}

function measured(metrics: Metrics): Answer {
  return { is: 'object', object: sendable(metrics) }
}

function listed(kind: Metrics['kind'], items: readonly (Metrics | undefined)[]): Answer {
  return {
    is: 'list',
    apiVersion: GROUP_VERSION,
    kind: `${kind}List`,
    metadata: { resourceVersion: '' },
    items: items.flatMap((item) => (item === undefined ? [] : [sendable(item)])),
  }
}

function sendable(metrics: Metrics): EncodableObject {
  const { kind } = metrics
  return {
    apiVersion: GROUP_VERSION,
    kind,
    object: metrics,
    json: () => Buffer.from(JSON.stringify({ kind, apiVersion: GROUP_VERSION, ...encodeFields(kind, metrics) })),
    protobuf: () => encode(kind, metrics as never),
  }
}
