/** Which probes are to be made now: a pure function of a pod's record. */
import { allContainers } from '../../../proto/objects/containers.ts'
import type { Container, Pod, Probe } from '../../../proto/gen/types.ts'
import type { Instance, PodRecord } from '../../state/contract.ts'
import { isRunning, isStarted, isStopping, peekContainer } from '../plan/pod-state.ts'
import type { ProbeKind } from './probe-count.ts'

export interface WantedProbe {
  readonly container: Container
  readonly kind: ProbeKind
  readonly probe: Probe
  readonly instance: Instance
}

export function hasProbes({ spec }: Pod): boolean {
  return [...(spec.initContainers ?? []), ...spec.containers].some(
    ({ livenessProbe, readinessProbe, startupProbe }) =>
      (livenessProbe ?? readinessProbe ?? startupProbe) !== undefined,
  )
}

/** The startup probe alone until it has succeeded; of what is being ended only readiness. */
export function wantedProbes(record: PodRecord): WantedProbe[] {
  const ending = isStopping(record)
  return allContainers(record.pod).flatMap((container): WantedProbe[] => {
    const { instance } = peekContainer(record, container.name)
    if (!isRunning(container, instance)) return []
    const { startupProbe, readinessProbe, livenessProbe } = container
    const dying = ending || instance.kill !== undefined
    const wanted = (kind: ProbeKind, probe: Probe | undefined): WantedProbe[] =>
      probe === undefined || (dying && kind !== 'readiness') ? [] : [{ container, kind, probe, instance }]
    if (!isStarted(container, instance)) return wanted('startup', startupProbe)
    return [...wanted('readiness', readinessProbe), ...wanted('liveness', livenessProbe)]
  })
}
