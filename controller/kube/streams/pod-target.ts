/**
 * The pod and container that a stream is about, looked at before the connection changes its protocol: afterwards there
 * are no HTTP errors any more.
 */
import { allContainers } from '../../../proto/objects/containers.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container, Pod } from '../../../proto/gen/types.ts'
import type { CallContext } from '../../../proto/rpc/rpc.ts'
import { isTerminal, isBound } from '../../../proto/objects/pod.ts'
import type { Backends } from '../../requests/backends.ts'
import type { ResourceRequest, Target } from '../contract.ts'
import { HttpError } from '../status.ts'

/** Placed, and not over. NotFound; 400 as Kubernetes says it. */
export async function runningPod(reads: Backends['reads'], target: Target): Promise<Pod> {
  const pod = await placedPod(reads, target)
  if (isTerminal(pod))
    throw badRequest(`pod ${pod.metadata.name} has ended (${pod.status.phase}): nothing runs in it any more`)
  return pod
}

export async function placedPod(reads: Backends['reads'], { namespace, name }: Target): Promise<Pod> {
  const { object: pod } = await reads.get('Pod', namespace, name)
  if (!isBound(pod)) throw badRequest(`pod ${name} does not have a host assigned: it is not placed on a node yet`)
  return pod
}

/** The one named, or the only one. 400 if that is none. */
export function containerOf(pod: Pod, asked: string): string {
  const { containers, initContainers = [] } = pod.spec
  const names = (of: readonly Container[]): string => `[${of.map(({ name }) => name).join(' ')}]`
  if (asked === '') {
    if (containers.length === 1) return containers[0]!.name
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: ${names(containers)}${initContainers.length === 0 ? '' : ` or one of the init containers: ${names(initContainers)}`}`,
    )
  }
  if (!allContainers(pod).some(({ name }) => name === asked))
    throw badRequest(`container ${asked} is not valid for pod ${pod.metadata.name}`)
  return asked
}

/** As its node last told. 400 if it does not run, with what it waits for. */
export function runningContainer(pod: Pod, asked: string): string {
  const name = containerOf(pod, asked)
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status
  const state = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find(
    (status) => status.name === name,
  )?.state
  if (state?.running !== undefined) return name
  const why =
    state?.terminated !== undefined
      ? `it has ended with exit code ${state.terminated.exitCode}`
      : `it is waiting to start: ${state?.waiting?.reason ?? 'PodInitializing'}`
  throw badRequest(`container ${name} in pod ${pod.metadata.name} is not running: ${why}`)
}

/** The call to the node that carries the stream. */
export function callOf({ peer }: ResourceRequest, signal: AbortSignal): Omit<CallContext, 'user'> {
  return { signal, peer }
}

/**
 * What a node refuses is, for a client of Kubernetes, a request that was wrong: 400. Anything else stays what it is.
 */
export function refusal(thrown: unknown): unknown {
  return GantryError.is(thrown, 'FailedPrecondition', 'InvalidArgument') && !(thrown instanceof HttpError)
    ? badRequest(thrown.message)
    : thrown
}

export function badRequest(message: string): HttpError {
  return new HttpError(400, 'BadRequest', message)
}
