/** A pod's placement on a node, and its end there, as changes of the pod. Pure. */
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { formatMicroTime, formatTime } from '../../proto/base/time.ts'
import { withCondition } from '../../proto/objects/conditions.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { uidConflict } from '../objects/preconditions.ts'

/**
 * The pod bound to the node; the same object if it is already. Conflict if it is bound elsewhere, being deleted, or
 * another than `uid`.
 */
export function bindPod(pod: Pod, uid: string, node: string, now: number): Pod {
  if (pod.metadata.uid !== uid) throw uidConflict(pod, uid)
  if (isDeleting(pod))
    throw refused(pod, 'metadata.deletionTimestamp', pod.metadata.deletionTimestamp!, 'is being deleted')
  const bound = pod.spec.nodeName ?? ''
  if (bound === node) return pod
  if (bound !== '') throw refused(pod, 'spec.nodeName', bound, `is bound to node ${bound} already`)
  return {
    ...pod,
    spec: { ...pod.spec, nodeName: node },
    status: {
      ...pod.status,
      conditions: withCondition(pod.status.conditions, {
        type: 'PodScheduled',
        status: 'True',
        lastTransitionTime: formatTime(now),
      }),
      timeline: [
        ...(pod.status.timeline ?? []).filter(({ step }) => step !== 'scheduled'),
        { step: 'scheduled', time: formatMicroTime(now) },
      ],
    },
  }
}

function refused(pod: Pod, field: string, value: string, message: string): GantryError {
  return new GantryError('Conflict', `${describeObject(pod)} ${message}`, { details: [{ field, value, message }] })
}

/** The pod's processes have ended: if it is being deleted, its grace is over. */
export function releasePod(pod: Pod): Pod {
  if (!isDeleting(pod)) return pod
  return { ...pod, metadata: { ...pod.metadata, deletionGracePeriodSeconds: 0 } }
}
