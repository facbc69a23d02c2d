/** The nodes that a command is about: named, or chosen by their labels. */
import { GantryError } from '../proto/base/errors.ts'
import type { Node } from '../proto/gen/types.ts'
import type { ClusterClient } from '../proto/client/cluster.ts'
import { UsageError } from '../proto/client/failures.ts'
import { parseNames } from '../proto/client/operands.ts'

/** Those that are there, and what is wrong with the others. */
export async function findNodes(
  cluster: ClusterClient,
  args: readonly string[],
  selector: string | undefined,
): Promise<{ nodes: Node[]; failures: GantryError[] }> {
  if (selector !== undefined)
    return { nodes: (await cluster.list('Node', { namespace: '', labelSelector: selector })).items, failures: [] }
  const found = await Promise.allSettled(
    parseNames(args, ['Node'], cluster.kinds).map(({ name }) => cluster.get('Node', '', name)),
  )
  return {
    nodes: found.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : [])),
    failures: found.flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : [])),
  }
}

/** Names or a selector, one of the two. */
export function requireNodes(args: readonly string[], selector: string | undefined): void {
  if ((args.length === 0) !== (selector === undefined)) return
  throw new UsageError(
    args.length === 0 ? 'which node? Name it, or select with -l' : 'give names or a selector, not both',
  )
}
