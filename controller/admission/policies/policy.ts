/** A policy as it is stored, made ready to be evaluated. */
import type {
  MatchResources,
  ParamKind,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  Validation,
} from '../../../proto/gen/types.ts'
import type { Budget } from '../../cel/budget.ts'
import { MatchConditions } from '../../cel/admission/match-conditions.ts'
import { conditionEnvironment, policyEnvironment, variableValues } from '../../cel/admission/environment.ts'
import { Expression } from '../../cel/admission/expression.ts'
import { Matcher } from '../matcher.ts'

export interface Rule {
  readonly expression: Expression
  readonly reason: Validation['reason']
  readonly message: string
  readonly messageExpression: Expression | undefined
}

export class Policy {
  readonly name: string
  readonly match: Matcher
  readonly conditions: MatchConditions
  readonly rules: readonly Rule[]
  readonly annotations: readonly { readonly key: string; readonly expression: Expression }[]
  readonly paramKind: ParamKind | undefined
  /** A write goes on when it cannot be evaluated. */
  readonly ignoreFailures: boolean
  readonly #variables: readonly { readonly name: string; readonly expression: Expression }[]

  constructor({ metadata, spec }: ValidatingAdmissionPolicy) {
    const {
      paramKind,
      matchConstraints,
      validations = [],
      failurePolicy,
      auditAnnotations = [],
      matchConditions = [],
      variables = [],
    } = spec
    const params = paramKind !== undefined
    const names = variables.map(({ name }) => name)
    const environment = policyEnvironment({ params, variables: names })
    const forMessages = policyEnvironment({ params, variables: names, authorizer: false })
    this.name = metadata.name
    this.match = matchOf(matchConstraints)
    this.conditions = new MatchConditions(matchConditions, conditionEnvironment(params))
    this.#variables = variables.map(({ name, expression }, index) => ({
      name,
      expression: new Expression(policyEnvironment({ params, variables: names.slice(0, index) }), expression),
    }))
    this.rules = validations.map(({ expression, reason, message = '', messageExpression }) => ({
      reason,
      message,
      expression: new Expression(environment, expression, 'bool'),
      messageExpression:
        messageExpression === undefined || messageExpression === ''
          ? undefined
          : new Expression(forMessages, messageExpression, 'string'),
    }))
    this.annotations = auditAnnotations.map(({ key, valueExpression }) => ({
      key,
      expression: new Expression(environment, valueExpression),
    }))
    this.paramKind = paramKind
    this.ignoreFailures = failurePolicy === 'Ignore'
  }

  /** What its expressions know as `variables`; `values`: what they know beside that. */
  variables(values: () => Readonly<Record<string, unknown>>, budget: Budget): object {
    return variableValues(
      Object.fromEntries(
        this.#variables.map(({ name, expression }) => [name, () => expression.value(values(), budget)]),
      ),
    )
  }
}

export interface Binding {
  readonly name: string
  readonly policyName: string
  readonly paramRef: ValidatingAdmissionPolicyBinding['spec']['paramRef']
  /** Undefined: every write that the policy is about. */
  readonly match: Matcher | undefined
  readonly actions: readonly ('Deny' | 'Warn' | 'Audit')[]
}

export function bindingOf({
  metadata,
  spec: { policyName, paramRef, matchResources, validationActions },
}: ValidatingAdmissionPolicyBinding): Binding {
  return {
    name: metadata.name,
    policyName,
    paramRef,
    match: matchResources === undefined ? undefined : matchOf(matchResources),
    actions: validationActions,
  }
}

function matchOf({
  resourceRules = [],
  excludeResourceRules = [],
  matchPolicy,
  namespaceSelector,
  objectSelector,
}: MatchResources): Matcher {
  return new Matcher({
    rules: resourceRules,
    exclude: excludeResourceRules,
    matchPolicy,
    namespaceSelector,
    objectSelector,
  })
}
