/**
 * Defaults that depend on other values, by message: those of Kubernetes,
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
import type {
  Container,
  CustomResourceDefinitionSpec,
  Deployment,
  EphemeralContainer,
  Messages,
  Namespace,
  NetworkPolicySpec,
  Pod,
  PodSpec,
  ReplicationController,
  Secret,
  ServiceSpec,
} from '../gen/types.ts'

/** How long affinity by address lasts if nobody says otherwise. */
const AFFINITY_SECONDS = 10_800

/** They run before the message's own fields are filled in. */
export const COMPUTED = {
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
} satisfies Partial<Record<keyof Messages, (fields: never) => void>>

/** Always for an image whose content may change under its name: no tag, or "latest", and no digest. */
function pullPolicy(image: string): 'Always' | 'IfNotPresent' {
  if (image.includes('@')) return 'IfNotPresent'
  const tag = /:([^:/]+)$/.exec(image)?.[1] ?? 'latest'
  return tag === 'latest' ? 'Always' : 'IfNotPresent'
}
