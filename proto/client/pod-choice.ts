/** The pods that an operand means: a pod by name, or those of a workload. */
import { GantryError } from '../base/errors.ts'
import { isActive, isReady } from '../objects/pod.ts'
import { formatLabelSelector } from '../objects/selector.ts'
import type { AnyResource, Pod } from '../gen/types.ts'
import type { ClusterClient } from './cluster.ts'
import { UsageError } from './failures.ts'
import { kindWord } from './kind-words.ts'
import { kindsWith, recordOf } from './kinds/registry.ts'
import { kindOf } from './operands.ts'

/** The pod; where there is none, but a deployment of that name, the error says how to name its pods. */
async function podNamed(cluster: ClusterClient, namespace: string, name: string): Promise<Pod> {
  try {
    return await cluster.get('Pod', namespace, name)
  } catch (thrown) {
    if (!GantryError.is(thrown, 'NotFound') || (await cluster.find('Deployment', namespace, name)) === undefined)
      throw thrown
    throw new GantryError('NotFound', thrown.message, {
      details: [{ field: 'name', value: name, remedy: `there is a deployment of that name: write deploy/${name}` }],
      cause: thrown,
    })
  }
}

/** At least one pod. NotFound if the pod or workload is not there, FailedPrecondition if the workload has no pods. */
export async function findPods(cluster: ClusterClient, operand: string, namespace: string): Promise<Pod[]> {
  const [word, name] = operand.includes('/') ? (operand.split('/', 2) as [string, string]) : ['pod', operand]
  const kind = kindOf(word, cluster.kinds)
  if (kind === 'Pod') return [await podNamed(cluster, namespace, name)]
  const { pods } = recordOf(kind)
  if (pods?.are !== 'made') {
    const makers = kindsWith((record) => record.pods?.are === 'made', cluster.kinds)
    throw new UsageError(
      `a ${kind} has no pods; this works on pods and ${makers.map((maker) => `${maker}s`).join(' and ')}`,
    )
  }
  const object: AnyResource = await cluster.get(kind, namespace, name)
  const labelSelector = formatLabelSelector(pods.selector(object))
  const { items } = await cluster.list('Pod', { namespace, labelSelector })
  if (items.length === 0) {
    throw new GantryError('FailedPrecondition', `${kindWord(kind)}/${name} has no pods now`, {
      details: [{ remedy: `\`gantry describe ${kind.toLowerCase()} ${name}\` tells why` }],
    })
  }
  return items
}

/**
 * Of those that `findPods` found, the one to run a command in: such as stay before such as are being deleted, whose
 * containers may have ended; then such as run, ready ones first. As kubectl orders them, the first of equals.
 */
export function usablePod(pods: readonly Pod[]): Pod {
  const rank = (pod: Pod): number =>
    (isActive(pod) ? 4 : 0) + (pod.status.phase === 'Running' ? 2 : 0) + (isReady(pod) ? 1 : 0)
  return pods.reduce((best, pod) => (rank(pod) > rank(best) ? pod : best))
}
