/** Valid objects, with the defaults that the API fills in, for tests of what becomes of them. */
import { fillZeroValues } from '../../controller/api/admission.ts'
import type { Draft } from '../../controller/api/contract.ts'
import { applyDefaults } from '../../proto/codec/defaults.ts'
import type {
  AnyResource,
  Deployment,
  Kind,
  Node,
  Pod,
  PodTemplateSpec,
  ReplicaSet,
  ReplicationController,
  Resources,
} from '../../proto/gen/types.ts'

const LABELS = { app: 'web' }

export function metadata(name: string, more: Partial<AnyResource['metadata']> = {}): AnyResource['metadata'] {
  return { name, namespace: 'default', uid: '', resourceVersion: '', generation: 1, ...more }
}

/** Of one container, with the label of the selectors here. */
export function template(image: string): PodTemplateSpec {
  return replicaSet('', 0, { template: written(image) }).spec.template
}

export function deployment(name: string, replicas: number, spec: Partial<Deployment['spec']> = {}): Deployment {
  return withDefaults({
    kind: 'Deployment',
    metadata: metadata(name),
    spec: { replicas, selector: { matchLabels: LABELS }, template: written('one'), ...spec },
  })
}

export function replicaSet(name: string, replicas: number, spec: Partial<ReplicaSet['spec']> = {}): ReplicaSet {
  return withDefaults({
    kind: 'ReplicaSet',
    metadata: metadata(name),
    spec: { replicas, selector: { matchLabels: LABELS }, template: written('one'), ...spec },
  })
}

export function replicationController(name: string, replicas: number): ReplicationController {
  return withDefaults({
    kind: 'ReplicationController',
    metadata: metadata(name),
    spec: { replicas, selector: LABELS, template: written('one') },
  })
}

/** Its metadata and status are as given, whatever the API would make of them. */
export function pod(
  name: string,
  more: { metadata?: Partial<Pod['metadata']>; spec?: Partial<Pod['spec']>; status?: Pod['status'] } = {},
): Pod {
  const spec = { containers: [{ name: 'c', image: 'one' }], ...more.spec }
  return {
    ...withDefaults({ kind: 'Pod', metadata: metadata(name), spec }),
    metadata: metadata(name, { labels: { ...LABELS }, ...more.metadata }),
    status: { phase: 'Pending', ...more.status },
  }
}

export function node(name: string, spec: Partial<Node['spec']> = {}, status: Node['status'] = {}): Node {
  return { apiVersion: 'v1', kind: 'Node', metadata: metadata(name, { namespace: '' }), spec, status }
}

function written(image: string): PodTemplateSpec {
  return { metadata: { labels: LABELS }, spec: { containers: [{ name: 'c', image }] } } as unknown as PodTemplateSpec
}

function withDefaults<K extends Kind>(draft: Draft<K>): Resources[K] {
  return applyDefaults(fillZeroValues(draft) as AnyResource) as Resources[K]
}
