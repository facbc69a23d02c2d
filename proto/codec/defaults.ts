/**
 * What an object gets that its manifest does not say: the option `default` of each field, and the few values that
 * depend on others (those of Kubernetes,
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/).
 */
import type {
  AnyResource,
  Container,
  CustomResourceDefinitionSpec,
  Deployment,
  EphemeralContainer,
  JsonObject,
  Namespace,
  NetworkPolicySpec,
  Pod,
  PodSpec,
  ReplicationController,
  Secret,
  ServiceSpec,
} from '../gen/types.ts'
import { jsonFields } from './json-fields.ts'
import { fillDefaults } from '../schema/custom/coerce.ts'
import { customKinds, versionOfObject } from '../schema/custom/definitions.ts'
import { schema, SPECIAL_MESSAGES } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'

/** How long affinity by address lasts if nobody says otherwise. */
const AFFINITY_SECONDS = 10_800

type Fields = Record<string, unknown>
type Step = (fields: Fields) => void

/**
 * Fills in defaults, in place (copy first what came out of a cache), and returns the object. Doing it again changes
 * nothing.
 */
export function applyDefaults<T extends AnyResource>(object: T): T {
  const custom = customKinds.get(object.kind)
  if (custom !== undefined) {
    fillDefaults(object as unknown as JsonObject, versionOfObject(custom, object.apiVersion).schema)
    return object
  }
  fill(object.kind, object as unknown as Fields)
  return object
}

/** The values that depend on others, by message. They run before the message's own fields are filled in. */
const COMPUTED: Readonly<Record<string, (fields: never) => void>> = {
  Namespace(namespace: Namespace) {
    namespace.metadata.labels = { ...namespace.metadata.labels, 'kubernetes.io/metadata.name': namespace.metadata.name }
  },
  /**
   * Of pods only: a template stays as it was written, as with Kubernetes. A request that a template got from its limit
   * would be nobody's, and would stand in the way of every lower limit.
   */
  Pod({ spec }: Pod) {
    if (spec === undefined) return
    spec.enableServiceLinks ??= true
    for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
      const { limits, requests } = container.resources ?? {}
      if (limits !== undefined) container.resources = { ...container.resources, requests: { ...limits, ...requests } }
    }
  },
  PodSpec(spec: PodSpec) {
    for (const volume of spec.volumes ?? []) {
      const { name: _name, ...source } = volume
      if (Object.values(source).every((value) => value === undefined)) volume.emptyDir = {}
    }
  },
  Container(container: Container) {
    container.imagePullPolicy ??= pullPolicy(container.image ?? '')
  },
  EphemeralContainer(container: EphemeralContainer) {
    container.imagePullPolicy ??= pullPolicy(container.image ?? '')
  },
  CustomResourceDefinitionSpec({ names }: CustomResourceDefinitionSpec) {
    if (names === undefined || names.kind === undefined || names.kind === '') return
    names.singular ??= names.kind.toLowerCase()
    names.listKind ??= `${names.kind}List`
  },
  DeploymentSpec(spec: Deployment['spec']) {
    if ((spec.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate')
      spec.strategy = {
        ...spec.strategy,
        type: 'RollingUpdate',
        rollingUpdate: spec.strategy?.rollingUpdate ?? ({} as never),
      }
  },
  /** What it says of its pods once is not to be said again. */
  ReplicationController({ metadata, spec }: ReplicationController) {
    const labels = spec.template?.metadata?.labels
    if (labels === undefined || Object.keys(labels).length === 0) return
    if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels }
    if (Object.keys(metadata.labels ?? {}).length === 0) metadata.labels = { ...labels }
  },
  NetworkPolicySpec(spec: NetworkPolicySpec) {
    if ((spec.policyTypes ?? []).length === 0)
      spec.policyTypes = ['Ingress', ...((spec.egress ?? []).length > 0 ? ['Egress' as const] : [])]
  },
  ServiceSpec(spec: ServiceSpec) {
    const type = spec.type ?? 'ClusterIP'
    if ((spec.clusterIP ?? '') !== '' && (spec.clusterIPs ?? []).length === 0) spec.clusterIPs = [spec.clusterIP!]
    if (type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster'
    if (type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && (spec.externalIPs ?? []).length > 0))
      spec.externalTrafficPolicy ??= 'Cluster'
    if (type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true
    if (spec.sessionAffinity === 'ClientIP') {
      const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS
      spec.sessionAffinityConfig = {
        ...spec.sessionAffinityConfig,
        clientIP: { ...spec.sessionAffinityConfig?.clientIP, timeoutSeconds: seconds },
      }
    }
    if (type !== 'ExternalName')
      for (const port of spec.ports ?? [])
        if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '')
          port.targetPort = port.port
  },
  Secret(secret: Secret) {
    if (secret.stringData === undefined) return
    const encoded = Object.entries(secret.stringData).map(
      ([key, text]) => [key, Buffer.from(text).toString('base64')] as const,
    )
    secret.data = { ...secret.data, ...Object.fromEntries(encoded) }
    delete secret.stringData
  },
}

/** Always for an image whose content may change under its name: no tag, or "latest", and no digest. */
function pullPolicy(image: string): 'Always' | 'IfNotPresent' {
  if (image.includes('@')) return 'IfNotPresent'
  const tag = /:([^:/]+)$/.exec(image)?.[1] ?? 'latest'
  return tag === 'latest' ? 'Always' : 'IfNotPresent'
}

const plans = new Map<string, readonly Step[]>()

function fill(message: string, fields: Fields): void {
  for (const step of planOf(message)) step(fields)
}

/** What is to be done to a message; empty for the many in which nothing has a default. */
function planOf(message: string): readonly Step[] {
  const known = plans.get(message)
  if (known !== undefined) return known
  const steps: Step[] = []
  plans.set(message, steps)
  const computed = COMPUTED[message]
  if (computed !== undefined) steps.push(computed as Step)
  for (const field of jsonFields(message).values()) {
    if (field.options.default !== undefined) steps.push(defaultStep(field, field.options.default))
    if (field.kind === 'message' && reaches(field.type, new Set())) steps.push(descend(field))
  }
  return steps
}

/** True if anything in this message or below has a default. */
function reaches(message: string, seen: Set<string>): boolean {
  if (SPECIAL_MESSAGES.has(message) || seen.has(message)) return false
  seen.add(message)
  if (message in COMPUTED) return true
  return [...jsonFields(message).values()].some(
    (field) => field.options.default !== undefined || (field.kind === 'message' && reaches(field.type, seen)),
  )
}

function defaultStep(field: FieldSchema, text: string): Step {
  const { name } = field
  if (field.kind === 'message' && !SPECIAL_MESSAGES.has(field.type)) return (fields) => void (fields[name] ??= {})
  const value = defaultValue(field, text)
  return (fields) => void (fields[name] ??= value)
}

/** The value that a default's text stands for, in memory. */
export function defaultValue(field: FieldSchema, text: string): string | number | boolean {
  if (field.type === 'bool') return text === 'true'
  if (field.type === 'string' || field.type in schema.enums) return text
  return /^-?\d+$/.test(text) && field.type !== 'Quantity' ? Number(text) : text
}

function descend({ name, type, label }: FieldSchema): Step {
  switch (label) {
    case 'optional':
      return (fields) => {
        if (fields[name] !== undefined) fill(type, fields[name] as Fields)
      }
    case 'repeated':
      return (fields) => {
        for (const item of (fields[name] as Fields[] | undefined) ?? []) fill(type, item)
      }
    case 'map':
      return (fields) => {
        for (const item of Object.values((fields[name] as Record<string, Fields> | undefined) ?? {})) fill(type, item)
      }
  }
}
