/** What a policy says of a request, with one object of parameters. Nothing is waited for. */
import { encodeJson } from '../../../proto/codec/codec.ts'
import type { AnyResource, Namespace, Validation } from '../../../proto/gen/types.ts'
import type { Authorizer } from '../../authorization/authorizer.ts'
import { Budget } from '../../cel/budget.ts'
import { untyped } from '../../cel/custom/schema-types.ts'
import { lazy, requestValues } from '../../cel/admission/environment.ts'
import type { VersionedAttributes } from '../versioned-attributes.ts'
import type { Policy, Rule } from './policy.ts'

/** Of a text that an annotation has. */
const ANNOTATION = 10 * 1024

export interface Failure {
  readonly message: string
  readonly reason: Validation['reason']
  /** Of the validation; undefined if it is not one that failed. */
  readonly index?: number
}

export interface PolicyDecision {
  readonly failures: readonly Failure[]
  readonly annotations: Readonly<Record<string, string>>
}

export interface EvaluationParts {
  readonly authorizer: Authorizer
  /** In which the request's objects are meant. */
  readonly version: string
  /** Of the object; undefined for what is in none. */
  readonly namespace: Namespace | undefined
}

const NOTHING: PolicyDecision = { failures: [], annotations: {} }

export function evaluate(
  policy: Policy,
  params: AnyResource | undefined,
  subject: VersionedAttributes,
  { authorizer, version, namespace }: EvaluationParts,
): PolicyDecision {
  const budget = new Budget()
  const request = requestValues(subject, version, authorizer)
  const extra = lazy({
    params: () => (params === undefined ? null : untyped(encodeJson(params))),
    namespaceObject: () => (namespace === undefined ? null : untyped(encodeJson(namespace))),
    variables: () => policy.variables(() => values, budget),
  })
  const values = joined(request, extra)
  const met = policy.conditions.match(
    () => values,
    () => budget,
  )
  if (met.is === 'unmet') return NOTHING
  if (met.is === 'failed')
    return { failures: policy.ignoreFailures ? [] : [{ message: met.message, reason: 'Invalid' }], annotations: {} }
  const failures = policy.rules.flatMap((rule, index): Failure[] => {
    const result = rule.expression.evaluate(values, budget)
    if (result.is === 'failed')
      return policy.ignoreFailures ? [] : [{ message: result.message, reason: 'Invalid', index }]
    return result.value === true ? [] : [{ message: messageOf(rule, values, budget), reason: rule.reason, index }]
  })
  const annotations: [string, string][] = []
  for (const { key, expression } of policy.annotations) {
    const result = expression.evaluate(values, budget)
    const fault =
      result.is === 'failed'
        ? result.message
        : result.value !== null && typeof result.value !== 'string'
          ? `valueExpression '${expression.text}' resulted in unsupported return type: ${typeof result.value}; return type must be either string or null`
          : undefined
    if (fault !== undefined) {
      if (!policy.ignoreFailures) failures.push({ message: fault, reason: 'Invalid' })
    } else if (result.is === 'value' && typeof result.value === 'string' && result.value.trim() !== '')
      annotations.push([`${policy.name}/${key}`, result.value.slice(0, ANNOTATION)])
  }
  return { failures, annotations: Object.fromEntries(annotations) }
}

/** The plain message is said where the expression fails, or makes no text of one line. */
function messageOf(
  { expression, message, messageExpression }: Rule,
  values: Readonly<Record<string, unknown>>,
  budget: Budget,
): string {
  const result = messageExpression?.evaluate(values, budget)
  if (
    result?.is === 'value' &&
    typeof result.value === 'string' &&
    result.value.trim() !== '' &&
    !/[\r\n]/.test(result.value)
  )
    return result.value
  return message !== '' ? message : `failed expression: ${expression.text}`
}

/** Both, as they are when they are read. */
function joined(...parts: readonly Readonly<Record<string, unknown>>[]): Record<string, unknown> {
  return lazy(Object.fromEntries(parts.flatMap((part) => Object.keys(part).map((name) => [name, () => part[name]]))))
}
