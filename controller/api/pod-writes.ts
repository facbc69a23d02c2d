/** The writes that only pods have: a pod is placed on a node, and what ran of it there has ended. */
import { then } from '../../proto/base/maybe-promise.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { bindPod, releasePod } from '../kinds/pod-binding.ts'
import { bindingMessage } from '../kinds/pod-messages.ts'
import type { WriteContext } from './contract.ts'
import type { DeletionOutcome } from './deletion.ts'
import type { ObjectAdmission } from './object-admission.ts'
import type { AdmissionResultCache } from './plugins.ts'

type PodStep = (stored: Pod, memory: AdmissionResultCache) => DeletionOutcome<'Pod'> | Promise<DeletionOutcome<'Pod'>>

export interface PodWritesParts {
  /** Takes a step from the stored pod and commits it, and takes it again from the newest state on a conflict. */
  readonly change: (
    kind: 'Pod',
    namespace: string,
    name: string,
    context: WriteContext,
    step: PodStep,
  ) => Promise<{ object: Pod }>
  /** What becomes of a pod that is being deleted when nothing holds it any more. */
  readonly settle: (pod: Pod) => DeletionOutcome<'Pod'>
  readonly admission: ObjectAdmission
  readonly clock: Clock
}

export class PodWrites {
  readonly #parts: PodWritesParts

  constructor(parts: PodWritesParts) {
    this.#parts = parts
  }

  async bind(namespace: string, name: string, uid: string, node: string, context: WriteContext): Promise<Pod> {
    const { change, admission, clock } = this.#parts
    const { object } = await change('Pod', namespace, name, context, (stored, memory) => {
      const next = bindPod(stored, uid, node, clock.now())
      const admitted = admission.post(stored, 'binding', bindingMessage(stored, node), context, memory)
      return then(admitted, () => next)
    })
    return object
  }

  async release(namespace: string, name: string, uid: string, context: WriteContext): Promise<Pod> {
    const { change, settle } = this.#parts
    const { object } = await change('Pod', namespace, name, context, (stored) =>
      stored.metadata.uid === uid ? settle(releasePod(stored)) : stored,
    )
    return object
  }
}
