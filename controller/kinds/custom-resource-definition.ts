/**
 * CustomResourceDefinitions: what an established one defines is a kind like any other.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
 */
import { ruleProblems } from '../cel/custom/rules.ts'
import { sameSpec } from '../objects/object-section.ts'
import type { Strategy } from './strategy.ts'

/** Goes when no object of the kind is left: the definition reconciler removes it. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

export const customResourceDefinitionStrategy: Strategy<'CustomResourceDefinition'> = {
  /** Whether the rules in CEL are rules at all; those that are stored have been looked at. */
  validate: (next, stored) => (stored !== undefined && sameSpec(next, stored) ? [] : ruleProblems(next)),
  deletion: { finalizers: [CLEANUP_FINALIZER] },
  defines: (definition, kinds) => kinds.kindOf(definition),
}
