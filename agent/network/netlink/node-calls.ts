/** Calls made where the node's network is: in the agent's own namespace, or in one that it is told of. */
import type { SystemCall, SystemCaller } from '../../host/system-calls.ts'

/** `netns`: path of the namespace, if it is not the agent's own. */
export function nodeCalls(caller: SystemCaller, netns: string | undefined): SystemCaller {
  if (netns === undefined) return caller
  const inNode = (calls: readonly SystemCall[]): SystemCall[] => [{ call: 'setns', path: netns }, ...calls]
  return {
    make: async (calls) => (await caller.make(inNode(calls))).slice(1),
    makeEach: async (calls) => (await caller.makeEach(inNode(calls))).slice(1),
  }
}
