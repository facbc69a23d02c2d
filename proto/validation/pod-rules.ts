/** What holds of a whole pod, besides what holds of the pods of a template. */
import { validateFamilies } from './address.ts'
import type { KindRules } from './kind-rules.ts'
import { validatePodNetworks } from './network.ts'
import { validatePodUpdate } from './pod-update.ts'
import { refuseEphemeralContainers, validatePodSpec } from './pod.ts'

export const podRules: KindRules<'Pod'> = {
  object(report, { metadata, spec }) {
    validatePodSpec(report, 'spec', spec)
    validatePodNetworks(report, 'metadata', metadata, spec)
  },
  creation: (report, { spec }) => refuseEphemeralContainers(report, 'spec', spec),
  update: validatePodUpdate,
  status(report, { status: { podIPs = [], hostIPs = [] } }) {
    validateFamilies(report, 'status.podIPs', podIPs)
    validateFamilies(report, 'status.hostIPs', hostIPs)
  },
}
