/** A pod that stands for many like it, without what is large and never decides where they go. */
import type { Container, Pod } from '../../proto/gen/types.ts'

export function podEssence({ metadata, spec, status, ...rest }: Pod): Pod {
  return {
    ...rest,
    metadata: { ...metadata, annotations: undefined, managedFields: undefined },
    spec: {
      ...spec,
      containers: spec.containers.map(containerEssence),
      initContainers: spec.initContainers?.map(containerEssence),
      ephemeralContainers: undefined,
      volumes: undefined,
    },
    status: { ...status, timeline: undefined },
  }
}

function containerEssence(container: Container): Container {
  return {
    ...container,
    command: undefined,
    args: undefined,
    env: undefined,
    envFrom: undefined,
    volumeMounts: undefined,
    lifecycle: undefined,
    livenessProbe: undefined,
    readinessProbe: undefined,
    startupProbe: undefined,
    securityContext: undefined,
  }
}
