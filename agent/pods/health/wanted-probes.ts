/** Which probes are to be made now: a pure function of a pod's record. */
import { allContainers } from '../../../proto/objects/containers.ts'
import type { Container, Pod, Probe } from '../../../proto/gen/types.ts'
import type { PodRecord, RunningStage } from '../../state/contract.ts'
import { containerRecord, isRunning, isStarted, isStopping } from '../plan/pod-state.ts'
import type { ProbeKind } from './probe-count.ts'

export interface WantedProbe {
  readonly container: Container
  readonly kind: ProbeKind
  readonly probe: Probe
  readonly running: RunningStage
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
    const { stage } = containerRecord(record, container.name)
    if (!isRunning(container, stage)) return []
    const { startupProbe, readinessProbe, livenessProbe } = container
    const dying = ending || stage.kill !== undefined
    const wanted = (kind: ProbeKind, probe: Probe | undefined): WantedProbe[] =>
      probe === undefined || (dying && kind !== 'readiness') ? [] : [{ container, kind, probe, running: stage }]
    if (!isStarted(container, stage)) return wanted('startup', startupProbe)
    return [...wanted('readiness', readinessProbe), ...wanted('liveness', livenessProbe)]
  })
}
