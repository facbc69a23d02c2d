/** Templates, their hashes, and the ReplicaSet that stands for one. */
import { clone } from '../../../proto/base/clone.ts'
import { parseInt64 } from '../../../proto/base/int64.ts'
import { createHash } from 'node:crypto'
import { sameJson } from '../../../proto/base/json.ts'
import type { Deployment, PodTemplateSpec, ReplicaSet } from '../../../proto/gen/types.ts'
import type { Draft } from '../../api/contract.ts'
import { controllerReference } from '../../../proto/objects/owners.ts'

const HASH_LABEL = 'pod-template-hash'
export const REVISION = 'deployment.kubernetes.io/revision'
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
/**
 * spec.replicas of the Deployment when the ReplicaSet was sized last; another number means that the Deployment was
 * scaled since.
 */
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas'
/** replicas + maxSurge at that time. */
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas'

const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  'kubectl.kubernetes.io/last-applied-configuration',
])

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const HASH_LENGTH = 10

/** The same for equal templates; `collisions` makes another one when a name is taken by something else. */
export function templateHash(template: PodTemplateSpec, collisions: number): string {
  const digest = createHash('sha256')
    .update(canonical(withoutHash(template)))
    .update(`#${collisions}`)
    .digest()
  return [...digest.subarray(0, HASH_LENGTH)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('')
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

function withoutHash(template: PodTemplateSpec): PodTemplateSpec {
  const { [HASH_LABEL]: _hash, ...labels } = template.metadata.labels ?? {}
  return {
    ...template,
    metadata: { ...template.metadata, labels: Object.keys(labels).length === 0 ? undefined : labels },
  }
}

export function sameTemplate(a: PodTemplateSpec, b: PodTemplateSpec): boolean {
  return sameJson(withoutHash(a), withoutHash(b))
}

/** A Deployment's annotations that its ReplicaSets carry too. */
export function sharedAnnotations(deployment: Deployment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(deployment.metadata.annotations ?? {}).filter(([name]) => !OWN_ANNOTATIONS.has(name)),
  )
}

export function replicaSetDraft(
  deployment: Deployment,
  hash: string,
  replicas: number,
  annotations: Record<string, string>,
): Draft<'ReplicaSet'> {
  const { metadata, spec } = deployment
  const template = clone(spec.template)
  template.metadata.labels = { ...template.metadata.labels, [HASH_LABEL]: hash }
  return {
    kind: 'ReplicaSet',
    metadata: {
      name: `${metadata.name}-${hash}`,
      namespace: metadata.namespace,
      labels: { ...template.metadata.labels },
      annotations,
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas,
      minReadySeconds: spec.minReadySeconds,
      selector: { ...spec.selector, matchLabels: { ...spec.selector.matchLabels, [HASH_LABEL]: hash } },
      template,
    },
  }
}

/** The number of a ReplicaSet's template: a signed integer of 64 bits, as in Kubernetes; 0 for what is none. */
export function revisionOf(replicaSet: ReplicaSet): bigint {
  return parseInt64(replicaSet.metadata.annotations?.[REVISION] ?? '') ?? 0n
}
