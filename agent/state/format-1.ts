/** Pod records as agents wrote them whose record had flags for stages. */
import type {
  ContainerRecord,
  ContainerStage,
  ExitedState,
  HookProgress,
  Kill,
  PodRecord,
  PodStage,
  Termination,
} from './contract.ts'

interface Instance1 {
  readonly id: string
  readonly attempt: number
  readonly state:
    | { readonly state: 'creating' | 'created' }
    | { readonly state: 'running'; readonly pid: number; readonly startedAt: number }
    | ExitedState
  readonly stopSignal: string
  readonly kill?: Kill
  readonly postStart?: HookProgress
  readonly started?: boolean
  readonly ready?: boolean
}

interface Container1 extends Omit<ContainerRecord, 'stage'> {
  readonly instance?: Instance1
  readonly ended?: Termination
  readonly retryAt: number
}

export interface PodRecord1 extends Omit<PodRecord, 'stage' | 'containers'> {
  readonly containers: Readonly<Record<string, Container1>>
  readonly activeSince?: number
  readonly stopSince?: number
  readonly tornDown: boolean
  readonly released: boolean
}

/** The same record as it is written now. */
export function fromFormat1({
  containers,
  activeSince,
  stopSince,
  tornDown,
  released,
  ...record
}: PodRecord1): PodRecord {
  return {
    ...record,
    stage: podStage(record.acceptedAt, activeSince, stopSince, tornDown, released),
    containers: Object.fromEntries(Object.entries(containers).map(([name, known]) => [name, containerOf(known)])),
  }
}

function podStage(
  acceptedAt: number,
  activeSince: number | undefined,
  stopSince: number | undefined,
  tornDown: boolean,
  released: boolean,
): PodStage {
  if (released) return { stage: 'released' }
  if (tornDown) return { stage: 'tornDown' }
  return stopSince === undefined
    ? { stage: 'active', since: activeSince ?? acceptedAt }
    : { stage: 'stopping', since: stopSince }
}

function containerOf({ instance, ended, retryAt, ...known }: Container1): ContainerRecord {
  return { ...known, stage: containerStage(instance, ended, retryAt) }
}

function containerStage(
  instance: Instance1 | undefined,
  ended: Termination | undefined,
  retryAt: number,
): ContainerStage {
  if (instance === undefined) return ended === undefined ? { stage: 'idle' } : { stage: 'ended', end: ended, retryAt }
  const { state, kill, postStart, started, ready, ...same } = instance
  switch (state.state) {
    case 'creating':
    case 'created':
      return { stage: state.state, instance: same }
    case 'running': {
      const { pid, startedAt } = state
      return { stage: 'running', instance: same, pid, startedAt, postStart, started, ready, kill }
    }
    case 'exited':
      return { stage: 'exited', instance: same, exit: state, postStart, kill }
  }
}
