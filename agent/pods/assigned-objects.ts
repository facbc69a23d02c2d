/** The ConfigMaps, Secrets and tokens that the control plane gave this node, in memory only. */
import { podReferences, tokenReference } from '../../proto/objects/pod-references.ts'
import type { ConfigMap, Pod, PodToken, Secret } from '../../proto/gen/types.ts'
import type { ConfigSource, TokenRequest } from '../volumes/config-source.ts'

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

  #token(podUid: string, wanted: TokenRequest): { readonly token: string; readonly version: number } | undefined {
    const { audience, expirationSeconds } = tokenReference(wanted)
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
    const { configMaps, secrets, tokens } = podReferences(pod)
    if (configMaps.size + secrets.size + tokens.length > 0 && !this.#known) return undefined
    const parts = [
      ...[...configMaps].sort().map((name) => `ConfigMap/${name}@${versionOf(this.configMap(namespace, name))}`),
      ...[...secrets].sort().map((name) => `Secret/${name}@${versionOf(this.secret(namespace, name))}`),
    ]
    for (const wanted of tokens) parts.push(`token ${this.#token(pod.metadata.uid, wanted)?.version ?? 'absent'}`)
    if (readsItself(pod)) parts.push(JSON.stringify([labels, annotations]))
    return parts.join(' ')
  }
}

function versionOf(object: ConfigMap | Secret | undefined): string {
  return object === undefined ? 'absent' : `${object.metadata.uid}:${object.metadata.resourceVersion}`
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
