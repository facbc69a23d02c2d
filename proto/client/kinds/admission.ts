/** Kinds that configure admission: controllers obey them once they exist. */
import type { Kind } from '../../gen/types.ts'
import type { KindRecord } from './kind-record.ts'
import { readyOnceThere } from './readiness.ts'

function configuration<K extends Kind>(): KindRecord<K> {
  return {
    readiness: readyOnceThere,
    describe: async (object) => (await import('../describe/generic.ts')).genericEntries(object),
  }
}

export const mutatingWebhookConfiguration = configuration<'MutatingWebhookConfiguration'>()
export const validatingWebhookConfiguration = configuration<'ValidatingWebhookConfiguration'>()
export const validatingAdmissionPolicy = configuration<'ValidatingAdmissionPolicy'>()
export const validatingAdmissionPolicyBinding = configuration<'ValidatingAdmissionPolicyBinding'>()
