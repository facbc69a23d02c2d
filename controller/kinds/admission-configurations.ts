/**
 * What other requests are admitted by: webhooks, and policies with their bindings.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
 */
import type { Strategy } from './strategy.ts'

/** Whoever has configured admission expects the next request to obey. */
const obeyedAtOnce = { acknowledgedWhenCached: 'write' } as const

export const mutatingWebhookConfigurationStrategy: Strategy<'MutatingWebhookConfiguration'> = obeyedAtOnce
export const validatingWebhookConfigurationStrategy: Strategy<'ValidatingWebhookConfiguration'> = obeyedAtOnce
export const validatingAdmissionPolicyStrategy: Strategy<'ValidatingAdmissionPolicy'> = obeyedAtOnce
export const validatingAdmissionPolicyBindingStrategy: Strategy<'ValidatingAdmissionPolicyBinding'> = obeyedAtOnce
