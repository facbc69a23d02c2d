/** Which ConfigMaps and Secrets a pod uses: what its node is given beside it, and nothing else. */
import type { Container, Pod, Volume } from '../../proto/gen/types.ts'

export interface References {
  readonly configMaps: ReadonlySet<string>
  readonly secrets: ReadonlySet<string>
}

interface Found {
  readonly configMaps: Set<string>
  readonly secrets: Set<string>
}

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
  }
}

/** Names in the pod's own namespace. */
export function referencesOf(pod: Pod): References {
  const found: Found = { configMaps: new Set(), secrets: new Set() }
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) ofContainer(container, found)
  for (const volume of pod.spec.volumes ?? []) ofVolume(volume, found)
  for (const secret of pod.spec.imagePullSecrets ?? []) note(found.secrets, secret.name)
  return found
}
