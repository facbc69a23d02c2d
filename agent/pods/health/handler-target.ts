/** Whom probes and hooks of a container speak to. */
import type { Container } from '../../../proto/gen/types.ts'
import type { PodRecord } from '../../state/contract.ts'
import type { NodeFacts } from '../dependencies.ts'
import type { HandlerTarget } from './contract.ts'

/** `instanceId`: the instance of the container that is meant. */
export function handlerTarget(
  node: NodeFacts,
  { sandbox }: PodRecord,
  { ports = [] }: Container,
  instanceId: string,
): HandlerTarget {
  return { instanceId, address: sandbox?.attachment?.address ?? node.address, ports }
}
