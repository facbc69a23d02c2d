/** What is known about where a pod runs, as its containers may read it. Pure. */
import type { PodRecord } from '../../state/contract.ts'
import type { DownwardApiContext } from '../../volumes/downward-api.ts'
import type { NodeFacts } from '../dependencies.ts'
import { podAddresses } from './attach-request.ts'

export function downwardApiContext(
  { name, address, allocatable }: NodeFacts,
  { pod, sandbox }: Pick<PodRecord, 'pod' | 'sandbox'>,
): DownwardApiContext {
  return {
    nodeName: name,
    hostAddress: address,
    podAddresses: pod.spec.hostNetwork === true ? [address] : podAddresses(sandbox?.attachment),
    allocatable,
  }
}
