/** The ConfigMaps, Secrets and tokens that the control plane gave this node, in memory only. */
import { allContainers } from '../../proto/objects/containers.ts'
import type { ConfigMap, Container, Pod, PodToken, Secret } from '../../proto/gen/types.ts'
import type { ConfigSource, TokenRequest } from '../volumes/config-source.ts'

/** Where a volume does not say. */
const TOKEN_SECONDS = 3600

export class AssignedObjects implements ConfigSource {
  readonly #configMaps = new Map<string, ConfigMap>()
  readonly #secrets = new Map<string, Secret>()
  /** By pod, then by audience and seconds. */
  readonly #tokens = new Map<string, Map<string, { readonly token: string; readonly version: number }>>()
  #tokenVersions = 0
  #known = false

  /** False until the first complete assignment: what a pod refers to may exist. */
  get known(): boolean {
    return this.#known
  }

  /** A complete assignment begins: nothing holds that it does not name, but tokens, which go with their pods. */
  reset(): void {
    this.#configMaps.clear()
    this.#secrets.clear()
    this.#known = true
  }

  set(object: ConfigMap | Secret): void {
    const key = `${object.metadata.namespace}/${object.metadata.name}`
    if (object.kind === 'ConfigMap') this.#configMaps.set(key, object)
    else this.#secrets.set(key, object)
  }

  remove(kind: 'ConfigMap' | 'Secret', namespace: string, name: string): void {
    const objects = kind === 'ConfigMap' ? this.#configMaps : this.#secrets
    objects.delete(`${namespace}/${name}`)
  }

  /** In the place of the one before. */
  setToken({ podUid, audience, expirationSeconds, token }: PodToken): void {
    let tokens = this.#tokens.get(podUid)
    if (tokens === undefined) this.#tokens.set(podUid, (tokens = new Map()))
    tokens.set(`${expirationSeconds} ${audience}`, { token, version: ++this.#tokenVersions })
  }

  removeTokens(podUid: string): void {
    this.#tokens.delete(podUid)
  }

  token(podUid: string, wanted: TokenRequest): string | undefined {
    return this.#token(podUid, wanted)?.token
  }

  #token(
    podUid: string,
    { audience = '', expirationSeconds = TOKEN_SECONDS }: TokenRequest,
  ): { readonly token: string; readonly version: number } | undefined {
    return this.#tokens.get(podUid)?.get(`${expirationSeconds} ${audience}`)
  }

  configMap(namespace: string, name: string): ConfigMap | undefined {
    return this.#configMaps.get(`${namespace}/${name}`)
  }

  secret(namespace: string, name: string): Secret | undefined {
    return this.#secrets.get(`${namespace}/${name}`)
  }

  /**
   * Changes whenever anything that the pod refers to does (its own labels and annotations included); undefined while
   * that is not known.
   */
  version(pod: Pod): string | undefined {
    const { namespace, labels, annotations } = pod.metadata
    const references = configReferences(pod)
    const tokens = tokenRequests(pod)
    if (references.size + tokens.length > 0 && !this.#known) return undefined
    const parts = [...references].sort().map((reference) => {
      const [kind, name] = reference.split('/') as ['ConfigMap' | 'Secret', string]
      const object = kind === 'ConfigMap' ? this.configMap(namespace, name) : this.secret(namespace, name)
      return `${reference}@${object === undefined ? 'absent' : `${object.metadata.uid}:${object.metadata.resourceVersion}`}`
    })
    for (const wanted of tokens) parts.push(`token ${this.#token(pod.metadata.uid, wanted)?.version ?? 'absent'}`)
    if (readsItself(pod)) parts.push(JSON.stringify([labels, annotations]))
    return parts.join(' ')
  }
}

function tokenRequests(pod: Pod): TokenRequest[] {
  return (pod.spec.volumes ?? []).flatMap(
    ({ projected }) => projected?.sources?.flatMap((source) => source.serviceAccountToken ?? []) ?? [],
  )
}

function readsItself(pod: Pod): boolean {
  return (
    pod.spec.volumes?.some(
      (volume) =>
        volume.downwardAPI !== undefined ||
        volume.projected?.sources?.some((source) => source.downwardAPI !== undefined) === true,
    ) === true
  )
}

/** "ConfigMap/name" and "Secret/name" of everything that a pod's volumes, environments and image pulls refer to. */
export function configReferences(pod: Pod): Set<string> {
  const found = new Set<string>()
  const add = (kind: 'ConfigMap' | 'Secret', name: string | undefined): void => {
    if (name !== undefined && name !== '') found.add(`${kind}/${name}`)
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) add('Secret', name)
  for (const volume of pod.spec.volumes ?? []) {
    add('ConfigMap', volume.configMap?.name)
    add('Secret', volume.secret?.secretName)
    for (const source of volume.projected?.sources ?? []) {
      add('ConfigMap', source.configMap?.name)
      add('Secret', source.secret?.name)
    }
  }
  for (const container of allContainers(pod)) addEnvironment(container, add)
  return found
}

/**
 * True if the pod's containers have values of ConfigMaps or Secrets in their environment: nothing of that outlives the
 * agent.
 */
export function hasConfiguredEnvironment(pod: Pod): boolean {
  let found = false
  for (const container of allContainers(pod))
    addEnvironment(container, (_kind, name) => void (found ||= name !== undefined && name !== ''))
  return found
}

function addEnvironment(
  container: Container,
  add: (kind: 'ConfigMap' | 'Secret', name: string | undefined) => void,
): void {
  for (const source of container.envFrom ?? []) {
    add('ConfigMap', source.configMapRef?.name)
    add('Secret', source.secretRef?.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    add('ConfigMap', valueFrom?.configMapKeyRef?.name)
    add('Secret', valueFrom?.secretKeyRef?.name)
  }
}
