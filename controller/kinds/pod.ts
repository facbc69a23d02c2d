/** Pods. https://kubernetes.io/docs/concepts/workloads/pods/ */
import { formatMicroTime } from '../../proto/base/time.ts'
import { podWarnings } from '../../proto/objects/pod-warnings.ts'
import { qosClassOf } from '../../proto/objects/qos.ts'
import { isBound, isTerminal } from '../../proto/objects/pod.ts'
import { mergeEphemeralContainers, mergeResize } from './pod-subresources.ts'
import type { Strategy } from './strategy.ts'

export const podStrategy: Strategy<'Pod'> = {
  prepareForCreate(pod, now) {
    pod.status = { phase: 'Pending', timeline: [{ step: 'accepted', time: formatMicroTime(now) }] }
  },
  /** Plugins may have changed the requests that the class follows from. */
  canonicalize(pod) {
    pod.status.qosClass = qosClassOf(pod.spec)
  },
  warnings: ({ spec }) => podWarnings(spec, 'spec'),
  subresources: { ephemeralcontainers: { merge: mergeEphemeralContainers }, resize: { merge: mergeResize } },
  deletion: {
    /**
     * Only a pod that may have processes gets any. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
     */
    graceSeconds(pod, wanted) {
      const isIdle = !isBound(pod) || isTerminal(pod)
      return isIdle ? 0 : Math.max(0, wanted ?? pod.spec.terminationGracePeriodSeconds)
    },
    /** Its processes run until the agent says that they have ended, which sets the grace to 0. */
    isHeld: ({ metadata }) => metadata.deletionGracePeriodSeconds !== 0,
  },
  indexes: {
    /** '' for pods that are not bound. */
    node: { field: 'spec.nodeName', keys: ({ spec }) => [spec.nodeName ?? ''] },
  },
}
