/** The limits of a pod and of its running containers, set as granted. */
import type { InstanceChange } from '../plan/changes.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import { instanceOf } from '../plan/pod-state.ts'
import { hasPendingRestart, allocatedPod, actuatedPod, maxResources, containersToResize } from '../plan/resize.ts'
import type { StepContext, StepResult } from './contract.ts'
import { containerResources, podResources } from './cgroup-resources.ts'
import { stepRetry } from './step-retry.ts'

/** The pod has room for what was and for what will be, until its last container has what it may use now. */
export async function resize(step: PodStep, context: StepContext): Promise<StepResult> {
  const {
    deps: {
      runtime,
      random,
      node: { pidsLimit },
    },
    uid,
    state: { record },
  } = context
  const limited: InstanceChange[] = []
  try {
    const wanted = podResources(allocatedPod(record), pidsLimit)
    await runtime.updateSandbox(uid, maxResources(podResources(actuatedPod(record), pidsLimit), wanted))
    for (const container of containersToResize(record)) {
      const { id } = instanceOf(record, container.name)!
      await runtime.updateContainer(id, containerResources(container, pidsLimit))
      limited.push({ change: 'resourcesSet', id, resources: container.resources })
    }
    const restarts = hasPendingRestart(context.state.record)
    if (!restarts) await runtime.updateSandbox(uid, wanted)
    return { result: 'done', changes: [...limited, { change: 'resized', restarts }], write: 'awaited' }
  } catch (thrown) {
    return { result: 'retry', changes: limited, ...stepRetry(step, undefined, thrown, context.failures, random) }
  }
}
