/** Which ConfigMaps, Secrets and tokens a pod uses: what its node is given beside it, and nothing else. */
import { allContainers } from '../../proto/objects/containers.ts'
import type { Container, Pod, ServiceAccountTokenProjection, Volume } from '../../proto/gen/types.ts'

/** A token of the pod's account, as a volume asks for it. */
export interface TokenReference {
  /** '': the API. */
  readonly audience: string
  readonly expirationSeconds: number
}

export interface References {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
  /** Each once. */
  readonly tokens: readonly TokenReference[]
}

interface Found {
  readonly configMaps: Set<string>
  readonly secrets: Set<string>
  readonly tokens: TokenReference[]
}

/** Where a volume does not say. */
const TOKEN_SECONDS = 3600

function note(names: Set<string>, name: string | undefined): void {
  if (name !== undefined && name !== '') names.add(name)
}

function ofContainer(container: Container, found: Found): void {
  for (const source of container.envFrom ?? []) {
    note(found.configMaps, source.configMapRef?.name)
    note(found.secrets, source.secretRef?.name)
  }
  for (const variable of container.env ?? []) {
    note(found.configMaps, variable.valueFrom?.configMapKeyRef?.name)
    note(found.secrets, variable.valueFrom?.secretKeyRef?.name)
  }
}

function ofVolume(volume: Volume, found: Found): void {
  note(found.configMaps, volume.configMap?.name)
  note(found.secrets, volume.secret?.secretName)
  for (const source of volume.projected?.sources ?? []) {
    note(found.configMaps, source.configMap?.name)
    note(found.secrets, source.secret?.name)
    if (source.serviceAccountToken !== undefined) noteToken(found.tokens, source.serviceAccountToken)
  }
}

function noteToken(
  tokens: TokenReference[],
  { audience = '', expirationSeconds = TOKEN_SECONDS }: ServiceAccountTokenProjection,
): void {
  if (!tokens.some((token) => token.audience === audience && token.expirationSeconds === expirationSeconds))
    tokens.push({ audience, expirationSeconds })
}

const known = new WeakMap<Pod, References>()

/** Names in the pod's own namespace; found out once for each object. */
export function referencesOf(pod: Pod): References {
  let references = known.get(pod)
  if (references === undefined) known.set(pod, (references = findReferences(pod)))
  return references
}

function findReferences(pod: Pod): References {
  const found: Found = { configMaps: new Set(), secrets: new Set(), tokens: [] }
  for (const container of allContainers(pod)) ofContainer(container, found)
  for (const volume of pod.spec.volumes ?? []) ofVolume(volume, found)
  for (const secret of pod.spec.imagePullSecrets ?? []) note(found.secrets, secret.name)
  return found
}
