/**
 * Compiles the expressions of webhooks and policies when they are written: what does not compile is refused with its
 * place.
 */
import { entryPath, fieldPath } from '../../../proto/base/path.ts'
import { Report } from '../../../proto/validation/report.ts'
import type {
  ErrorDetail,
  MatchCondition,
  MutatingWebhookConfiguration,
  ValidatingAdmissionPolicy,
  ValidatingWebhookConfiguration,
} from '../../../proto/gen/types.ts'
import { CelError } from '../error.ts'
import type { CelEnvironment } from '../program.ts'
import { conditionEnvironment, policyEnvironment } from './environment.ts'
import { compiled } from './expression.ts'

/** What does not compile of the conditions of webhooks. */
export function webhookProblems({
  webhooks = [],
}: MutatingWebhookConfiguration | ValidatingWebhookConfiguration): readonly ErrorDetail[] {
  const report = new Report()
  webhooks.forEach(({ matchConditions = [] }, index) =>
    checkConditions(
      report,
      matchConditions,
      fieldPath(entryPath('webhooks', index), 'matchConditions'),
      conditionEnvironment(),
    ),
  )
  return report.details
}

/** What does not compile of a policy. */
export function policyProblems(policy: ValidatingAdmissionPolicy): readonly ErrorDetail[] {
  const report = new Report()
  checkPolicy(report, policy)
  return report.details
}

function checkConditions(
  report: Report,
  conditions: readonly MatchCondition[],
  path: string,
  environment: CelEnvironment,
): void {
  conditions.forEach(({ expression }, index) =>
    check(report, environment, expression, 'bool', fieldPath(entryPath(path, index), 'expression')),
  )
}

function checkPolicy(report: Report, { spec }: ValidatingAdmissionPolicy): void {
  const { paramKind, matchConditions = [], variables = [], validations = [], auditAnnotations = [] } = spec
  const params = paramKind !== undefined
  const names = variables.map(({ name }) => name)
  const environment = policyEnvironment({ params, variables: names })
  checkConditions(report, matchConditions, 'spec.matchConditions', conditionEnvironment(params))
  variables.forEach(({ expression }, index) =>
    check(
      report,
      policyEnvironment({ params, variables: names.slice(0, index) }),
      expression,
      undefined,
      fieldPath(entryPath('spec.variables', index), 'expression'),
    ),
  )
  validations.forEach(({ expression, messageExpression = '' }, index) => {
    const path = entryPath('spec.validations', index)
    check(report, environment, expression, 'bool', fieldPath(path, 'expression'))
    if (messageExpression !== '')
      check(
        report,
        policyEnvironment({ params, variables: names, authorizer: false }),
        messageExpression,
        'string',
        fieldPath(path, 'messageExpression'),
      )
  })
  auditAnnotations.forEach(({ valueExpression }, index) =>
    check(
      report,
      environment,
      valueExpression,
      undefined,
      fieldPath(entryPath('spec.auditAnnotations', index), 'valueExpression'),
    ),
  )
}

function check(
  report: Report,
  environment: CelEnvironment,
  expression: string,
  returns: string | undefined,
  path: string,
): void {
  const program = compiled(environment, expression, returns)
  if (program instanceof CelError) report.wrong(path, expression, `compilation failed: ${program.message}`)
}
