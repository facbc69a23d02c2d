/**
 * What a pod's spec refers to by name, in every place where it can. The control plane gives a node what its pods refer
 * to and nothing else, and the agent waits for exactly that: both ask here.
 */
import type {
  Container,
  EphemeralContainer,
  Pod,
  PodSpec,
  ServiceAccountTokenProjection,
  Volume,
} from '../gen/types.ts'
import { allContainers } from './containers.ts'

/** A token of the pod's account, as a volume asks for it. */
export interface TokenReference {
  /** '': the API. */
  readonly audience: string
  readonly expirationSeconds: number
}

/** Names in the pod's own namespace, each once. */
export interface PodReferences {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
  /** PersistentVolumeClaims. */
  readonly claims: ReadonlySet<string>
  readonly serviceAccount: string
  readonly tokens: readonly TokenReference[]
}

/** The account of a pod that names none. */
export const DEFAULT_SERVICE_ACCOUNT = 'default'

/** Of a token volume that does not say how long its token is good. */
const DEFAULT_TOKEN_EXPIRATION_SECONDS = 3600

class ReferenceCollector implements PodReferences {
  readonly configMaps = new Set<string>()
  readonly secrets = new Set<string>()
  readonly claims = new Set<string>()
  readonly tokens: TokenReference[] = []
  readonly serviceAccount: string
  readonly #knownTokens = new Set<string>()

  constructor(serviceAccount: string) {
    this.serviceAccount = serviceAccount
  }

  addContainer({ env = [], envFrom = [] }: Pick<Container | EphemeralContainer, 'env' | 'envFrom'>): void {
    for (const { configMapRef, secretRef } of envFrom) {
      note(this.configMaps, configMapRef?.name)
      note(this.secrets, secretRef?.name)
    }
    for (const { valueFrom } of env) {
      note(this.configMaps, valueFrom?.configMapKeyRef?.name)
      note(this.secrets, valueFrom?.secretKeyRef?.name)
    }
  }

  addVolume({ configMap, secret, projected, persistentVolumeClaim }: Volume): void {
    note(this.configMaps, configMap?.name)
    note(this.secrets, secret?.secretName)
    note(this.claims, persistentVolumeClaim?.claimName)
    for (const source of projected?.sources ?? []) {
      note(this.configMaps, source.configMap?.name)
      note(this.secrets, source.secret?.name)
      if (source.serviceAccountToken !== undefined) this.#addToken(tokenReference(source.serviceAccountToken))
    }
  }

  #addToken(token: TokenReference): void {
    const identity = `${token.expirationSeconds} ${token.audience}`
    if (this.#knownTokens.has(identity)) return
    this.#knownTokens.add(identity)
    this.tokens.push(token)
  }
}

const referencesCache = new WeakMap<PodSpec, PodReferences>()

/** Found out once for each spec, which nobody changes in place after that. */
export function podReferences({ spec }: Pick<Pod, 'spec'>): PodReferences {
  let references = referencesCache.get(spec)
  if (references === undefined) referencesCache.set(spec, (references = findReferences(spec)))
  return references
}

function findReferences(spec: PodSpec): PodReferences {
  const found = new ReferenceCollector(serviceAccountName(spec))
  for (const container of allContainers({ spec })) found.addContainer(container)
  for (const volume of spec.volumes ?? []) found.addVolume(volume)
  for (const { name } of spec.imagePullSecrets ?? []) note(found.secrets, name)
  return found
}

/** serviceAccount is the field's old name. */
export function serviceAccountName({
  serviceAccountName: name,
  serviceAccount: old,
}: Pick<PodSpec, 'serviceAccountName' | 'serviceAccount'>): string {
  return [name, old].find((text) => text !== undefined && text !== '') ?? DEFAULT_SERVICE_ACCOUNT
}

/** With what the volume does not say. */
export function tokenReference({
  audience = '',
  expirationSeconds = DEFAULT_TOKEN_EXPIRATION_SECONDS,
}: Pick<ServiceAccountTokenProjection, 'audience' | 'expirationSeconds'>): TokenReference {
  return { audience, expirationSeconds }
}

/** Whether containers have values of ConfigMaps or Secrets in their environment, which no agent keeps on disk. */
export function hasConfiguredEnvironment(pod: Pick<Pod, 'spec'>): boolean {
  const found = new ReferenceCollector('')
  for (const container of allContainers(pod)) found.addContainer(container)
  return found.configMaps.size + found.secrets.size > 0
}

function note(names: Set<string>, name: string | undefined): void {
  if (name !== undefined && name !== '') names.add(name)
}
