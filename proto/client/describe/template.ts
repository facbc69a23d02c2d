/** The containers and volumes of a pod, or of the template that pods are made from. */
import type {
  Container,
  ContainerState,
  ContainerStatus,
  EnvVar,
  PodSpec,
  PodTemplateSpec,
  Toleration,
  Volume,
  VolumeProjection,
} from '../../gen/types.ts'
import { probeEntries } from './probes.ts'
import { block, entry, mapValue, optional, type Entry } from './page.ts'

export function templateEntries({ metadata, spec }: PodTemplateSpec): Entry[] {
  return [
    entry('Labels', mapValue(metadata.labels)),
    ...(metadata.annotations === undefined ? [] : [entry('Annotations', mapValue(metadata.annotations, ': '))]),
    ...containerEntries(spec, [], []),
    volumeEntry(spec.volumes ?? []),
    entry('Node-Selectors', mapValue(spec.nodeSelector)),
    entry('Tolerations', tolerations(spec.tolerations)),
  ]
}

export function containerEntries(
  { initContainers: init = [], containers, ephemeralContainers: added = [] }: PodSpec,
  initStatuses: readonly ContainerStatus[],
  statuses: readonly ContainerStatus[],
  addedStatuses: readonly ContainerStatus[] = [],
): Entry[] {
  return [
    ...(init.length === 0
      ? []
      : [
          entry(
            'Init Containers',
            init.map((container) => containerEntry(container, initStatuses)),
          ),
        ]),
    entry(
      'Containers',
      containers.map((container) => containerEntry(container, statuses)),
    ),
    ...(added.length === 0
      ? []
      : [
          entry(
            'Ephemeral Containers',
            added.map((container) => containerEntry(container, addedStatuses)),
          ),
        ]),
  ]
}

function containerEntry(container: Container, statuses: readonly ContainerStatus[]): Entry {
  const status = statuses.find(({ name }) => name === container.name)
  const ports = (container.ports ?? []).map(
    ({ containerPort, protocol, name }) => `${containerPort}/${protocol}${name === undefined ? '' : ` (${name})`}`,
  )
  return entry(container.name, [
    ...optional('Container ID', status?.containerID),
    entry('Image', container.image ?? '<none>'),
    ...optional('Image ID', status?.imageID),
    entry('Ports', ports.length === 0 ? '<none>' : ports.join(', ')),
    ...(container.command === undefined ? [] : [entry('Command', block(container.command))]),
    ...(container.args === undefined ? [] : [entry('Args', block(container.args))]),
    ...(status === undefined
      ? []
      : [
          ...stateEntries('State', status.state),
          ...(status.lastState === undefined || Object.keys(status.lastState).length === 0
            ? []
            : stateEntries('Last State', status.lastState)),
          entry('Ready', status.ready ? 'True' : 'False'),
          entry('Restart Count', String(status.restartCount)),
        ]),
    ...(container.resources.limits === undefined ? [] : [entry('Limits', resourceEntries(container.resources.limits))]),
    ...(container.resources.requests === undefined
      ? []
      : [entry('Requests', resourceEntries(container.resources.requests))]),
    ...probeEntries(container),
    ...environmentEntries(container),
    entry(
      'Mounts',
      block(
        (container.volumeMounts ?? []).map(
          (mount) =>
            `${mount.mountPath} from ${mount.name} (${mount.readOnly === true ? 'ro' : 'rw'}${mount.subPath === undefined ? '' : `,path="${mount.subPath}"`})`,
        ),
      ),
    ),
  ])
}

function resourceEntries(list: Readonly<Record<string, string>>): Entry[] {
  return Object.entries(list)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, quantity]) => entry(name, quantity))
}

/** State and what is known of it, on one level with the container's own fields. */
function stateEntries(label: string, state: ContainerState | undefined): Entry[] {
  if (state?.running !== undefined) return [entry(label, 'Running'), ...optional('  Started', state.running.startedAt)]
  if (state?.terminated !== undefined) {
    const { reason, message, exitCode, signal, startedAt, finishedAt } = state.terminated
    return [
      entry(label, 'Terminated'),
      ...optional('  Reason', reason),
      ...optional('  Message', message),
      entry('  Exit Code', String(exitCode)),
      ...(signal === undefined || signal === 0 ? [] : [entry('  Signal', String(signal))]),
      ...optional('  Started', startedAt),
      ...optional('  Finished', finishedAt),
    ]
  }
  return [
    entry(label, 'Waiting'),
    ...optional('  Reason', state?.waiting?.reason),
    ...optional('  Message', state?.waiting?.message),
  ]
}

function environmentEntries({ env = [], envFrom = [] }: Container): Entry[] {
  const sources = envFrom.map(({ prefix, configMapRef, secretRef }) => {
    const [name, kind, optionalSource] =
      configMapRef === undefined
        ? [secretRef?.name, 'Secret', secretRef?.optional]
        : [configMapRef.name, 'ConfigMap', configMapRef.optional]
    return `${name ?? ''}  ${kind}${prefix === undefined || prefix === '' ? '' : ` with prefix "${prefix}"`}  Optional: ${String(optionalSource ?? false)}`
  })
  return [
    ...(sources.length === 0 ? [] : [entry('Environment Variables from', block(sources))]),
    env.length === 0
      ? entry('Environment', '<none>')
      : entry(
          'Environment',
          env.map((variable) => entry(variable.name, environmentValue(variable))),
        ),
  ]
}

function environmentValue({ value, valueFrom }: EnvVar): string {
  if (valueFrom?.fieldRef !== undefined) return `(${valueFrom.fieldRef.apiVersion}:${valueFrom.fieldRef.fieldPath})`
  if (valueFrom?.resourceFieldRef !== undefined) return `(${valueFrom.resourceFieldRef.resource})`
  const ref = valueFrom?.configMapKeyRef ?? valueFrom?.secretKeyRef
  if (ref === undefined) return value ?? ''
  return `<set to the key '${ref.key}' of ${valueFrom?.configMapKeyRef === undefined ? 'secret' : 'config map'} '${ref.name ?? ''}'>  Optional: ${String(ref.optional ?? false)}`
}

export function volumeEntry(volumes: readonly Volume[]): Entry {
  return volumes.length === 0
    ? entry('Volumes', '<none>')
    : entry(
        'Volumes',
        volumes.map((volume) => entry(volume.name, volumeEntries(volume))),
      )
}

function volumeEntries({ emptyDir, hostPath, configMap, secret, downwardAPI, projected }: Volume): Entry[] {
  if (emptyDir !== undefined)
    return [
      entry('Type', 'EmptyDir (lives as long as the pod)'),
      entry('Medium', emptyDir.medium ?? ''),
      entry('SizeLimit', emptyDir.sizeLimit ?? '<unset>'),
    ]
  if (hostPath !== undefined)
    return [
      entry('Type', 'HostPath (a directory or file of the node)'),
      entry('Path', hostPath.path),
      entry('HostPathType', hostPath.type),
    ]
  if (configMap !== undefined)
    return [
      entry('Type', 'ConfigMap'),
      entry('Name', configMap.name ?? ''),
      entry('Optional', String(configMap.optional ?? false)),
    ]
  if (secret !== undefined)
    return [
      entry('Type', 'Secret'),
      entry('SecretName', secret.secretName ?? ''),
      entry('Optional', String(secret.optional ?? false)),
    ]
  if (downwardAPI !== undefined)
    return [
      entry('Type', 'DownwardAPI'),
      entry(
        'Items',
        block(
          (downwardAPI.items ?? []).map(
            (item) => `${item.fieldRef?.fieldPath ?? item.resourceFieldRef?.resource ?? ''} -> ${item.path}`,
          ),
        ),
      ),
    ]
  if (projected !== undefined) {
    return [entry('Type', 'Projected'), entry('Sources', block((projected.sources ?? []).map(sourceText)))]
  }
  return [entry('Type', '<unknown>')]
}

function sourceText({ configMap, secret, serviceAccountToken }: VolumeProjection): string {
  if (configMap !== undefined) return `ConfigMap ${configMap.name ?? ''}`
  if (secret !== undefined) return `Secret ${secret.name ?? ''}`
  if (serviceAccountToken === undefined) return 'DownwardAPI'
  const { audience = '', expirationSeconds } = serviceAccountToken
  return `Token of the ServiceAccount, for ${audience === '' ? 'the API' : audience}${expirationSeconds === undefined ? '' : `, renewed within ${expirationSeconds}s`}`
}

export function tolerations(list: readonly Toleration[] | undefined): readonly string[] {
  if (list === undefined || list.length === 0) return ['<none>']
  return list.map(({ key = '', operator, value, effect, tolerationSeconds }) => {
    const what = `${key}${value === undefined || value === '' ? '' : `=${value}`}${effect === undefined ? '' : `:${effect}`}`
    return `${what}${operator === 'Exists' ? ' op=Exists' : ''}${tolerationSeconds === undefined ? '' : ` for ${tolerationSeconds}s`}`
  })
}
