/** The ConfigMaps and Secrets that the control plane gave this node, in memory only. */
import type { ConfigMap, Container, Pod, Secret } from '../../proto/gen/types.ts'

export interface ConfigSource {
  configMap(namespace: string, name: string): ConfigMap | undefined
  secret(namespace: string, name: string): Secret | undefined
}

export class AssignedObjects implements ConfigSource {
  readonly #configMaps = new Map<string, ConfigMap>()
  readonly #secrets = new Map<string, Secret>()
  #known = false

  /** False until the first complete assignment: what a pod refers to may exist. */
  get known(): boolean {
    return this.#known
  }

  /** A complete assignment begins: nothing holds that it does not name. */
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

  configMap(namespace: string, name: string): ConfigMap | undefined {
    return this.#configMaps.get(`${namespace}/${name}`)
  }

  secret(namespace: string, name: string): Secret | undefined {
    return this.#secrets.get(`${namespace}/${name}`)
  }

  /** Changes whenever anything that the pod refers to does (its own labels and annotations included); undefined while that is not known. */
  version(pod: Pod): string | undefined {
    const { namespace, labels, annotations } = pod.metadata
    const references = configReferences(pod)
    if (references.size > 0 && !this.#known) return undefined
    const parts = [...references].sort().map((reference) => {
      const [kind, name] = reference.split('/') as ['ConfigMap' | 'Secret', string]
      const object = kind === 'ConfigMap' ? this.configMap(namespace, name) : this.secret(namespace, name)
      return `${reference}@${object === undefined ? 'absent' : `${object.metadata.uid}:${object.metadata.resourceVersion}`}`
    })
    if (readsItself(pod)) parts.push(JSON.stringify([labels, annotations]))
    return parts.join(' ')
  }
}

function readsItself(pod: Pod): boolean {
  return pod.spec.volumes?.some((volume) => volume.downwardAPI !== undefined || volume.projected?.sources?.some((source) => source.downwardAPI !== undefined) === true) === true
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
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) addEnvironment(container, add)
  return found
}

function addEnvironment(container: Container, add: (kind: 'ConfigMap' | 'Secret', name: string | undefined) => void): void {
  for (const source of container.envFrom ?? []) {
    add('ConfigMap', source.configMapRef?.name)
    add('Secret', source.secretRef?.name)
  }
  for (const { valueFrom } of container.env ?? []) {
    add('ConfigMap', valueFrom?.configMapKeyRef?.name)
    add('Secret', valueFrom?.secretKeyRef?.name)
  }
}
