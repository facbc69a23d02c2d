/**
 * What other requests are admitted by: webhooks, and policies with their bindings.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
 */
import { policyProblems, webhookProblems } from '../cel/admission/configuration-problems.ts'
import type { Strategy } from './strategy.ts'

/** Whoever has configured admission expects the next request to obey. */
const obeyedAtOnce = { acknowledgedWhenCached: 'write' } as const

/** What says whether a webhook is asked has to compile. */
const webhooks = { ...obeyedAtOnce, validate: webhookProblems } satisfies Strategy<'MutatingWebhookConfiguration'>

export const mutatingWebhookConfigurationStrategy: Strategy<'MutatingWebhookConfiguration'> = webhooks
export const validatingWebhookConfigurationStrategy: Strategy<'ValidatingWebhookConfiguration'> = webhooks
export const validatingAdmissionPolicyStrategy: Strategy<'ValidatingAdmissionPolicy'> = {
  ...obeyedAtOnce,
  validate: policyProblems,
}
export const validatingAdmissionPolicyBindingStrategy: Strategy<'ValidatingAdmissionPolicyBinding'> = obeyedAtOnce
