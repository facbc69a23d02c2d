/** The pod that connections to an operand go to: a pod itself, or one of a workload's or Service's, ready if any is. */
import { GantryError } from '../../proto/base/errors.ts'
import { formatLabelSelector } from '../../proto/objects/selector.ts'
import { resourceOf } from '../../proto/schema/schema.ts'
import { kindsWith, recordOf } from '../../proto/client/kinds/registry.ts'
import type { AnyResource, Kind, Pod, Service } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { UsageError, notFound } from '../../proto/client/failures.ts'
import { kindWord } from '../../proto/client/kind-words.ts'
import { withDeadline } from '../../proto/base/deadline.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { kindOf } from '../../proto/client/operands.ts'
import { summarizePod } from '../../proto/objects/columns/pod-status.ts'
import { watchWithRetry } from '../../proto/client/follow.ts'
import { isTerminal } from '../../proto/objects/pod.ts'
import { isConditionTrue } from '../../proto/objects/conditions.ts'

export interface ForwardTarget {
  readonly pod: Pod
  /** Set if the operand is one. */
  readonly service: Service | undefined
}

/** Waits up to `timeout` milliseconds for a pod that runs. NotFound, DeadlineExceeded with what the pods wait for. */
export async function resolveForwardTarget(
  cluster: ClusterClient,
  environment: Environment,
  operand: string,
  namespace: string,
  timeout: number,
): Promise<ForwardTarget> {
  const { selection, service, gone } = await selectionOf(cluster, operand, namespace)
  const { clock, signal } = environment
  const pods = new Map<string, Pod>()
  let whole = false
  const pod = await withDeadline(
    clock,
    timeout,
    signal,
    () => `${operand}: no pod runs: ${describeWaiting([...pods.values()], selection.labelSelector ?? '')}`,
    async (limited) => {
      for await (const change of watchWithRetry(cluster, clock, 'Pod', { namespace, ...selection }, '', limited)) {
        switch (change.type) {
          case 'ADDED':
          case 'MODIFIED':
            pods.set(change.object.metadata.name, change.object)
            break
          case 'DELETED':
            pods.delete(change.object.metadata.name)
            break
          case 'BOOKMARK':
            whole = true
            break
          case 'RESTARTED':
            whole = false
            pods.clear()
            break
        }
        if (!whole) continue
        if (pods.size === 0 && gone !== undefined) throw gone
        const found = best([...pods.values()])
        if (found !== undefined) return found
        const ended = gone === undefined ? undefined : [...pods.values()].find(isTerminal)
        if (ended !== undefined)
          throw new GantryError('FailedPrecondition', `pod "${ended.metadata.name}" has ended (${ended.status.phase})`)
      }
      throw new GantryError('Unavailable', `${operand} could not be followed`)
    },
  )
  return { pod, service }
}

interface Selected {
  readonly selection: { readonly fieldSelector?: string; readonly labelSelector?: string }
  readonly service: Service | undefined
  /** Thrown when there is no pod; undefined: one may come. */
  readonly gone: GantryError | undefined
}

async function selectionOf(cluster: ClusterClient, operand: string, namespace: string): Promise<Selected> {
  const [word, name, ...more] = operand.includes('/') ? operand.split('/') : ['pod', operand]
  if (name === undefined || name === '' || more.length > 0) throw new UsageError(`"${operand}" is not POD or TYPE/NAME`)
  const kind = kindOf(word!, cluster.kinds)
  const { pods } = recordOf(kind)
  if (pods === undefined)
    throw new UsageError(
      `a ${kind} has no pods to connect to; this works on ${formatList(kindsWith((record) => record.pods !== undefined, cluster.kinds))}`,
    )
  if (pods.are === 'itself')
    return {
      selection: { fieldSelector: `metadata.name=${name}` },
      service: undefined,
      gone: notFound(kind, namespace, name),
    }
  const object: AnyResource = await cluster.get(kind, namespace, name)
  const labelSelector = formatLabelSelector(pods.selector(object))
  if (labelSelector === '')
    throw new GantryError(
      'FailedPrecondition',
      `${kindWord(kind)} "${name}" selects no pods of its own, so there is none to connect to`,
    )
  return { selection: { labelSelector }, service: object.kind === 'Service' ? object : undefined, gone: undefined }
}

function formatList(kinds: readonly Kind[]): string {
  return new Intl.ListFormat('en-GB').format(kinds.map((kind) => resourceOf(kind).plural))
}

/** Ready before running, older before newer. */
function best(pods: readonly Pod[]): Pod | undefined {
  const running = pods.filter(
    ({ metadata, status }) => status.phase === 'Running' && metadata.deletionTimestamp === undefined,
  )
  const rank = ({ status }: Pod): number => (isConditionTrue(status.conditions, 'Ready') ? 0 : 1)
  return running.sort(
    (a, b) =>
      rank(a) - rank(b) || (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? ''),
  )[0]
}

function describeWaiting(pods: readonly Pod[], labels: string): string {
  return pods.length === 0
    ? `there is none with the labels ${labels}`
    : pods.map((pod) => `${pod.metadata.name} is ${summarizePod(pod).status}`).join(', ')
}
