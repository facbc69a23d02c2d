/**
 * Compiles the expressions of webhooks and policies when they are written: what does not compile is refused with its
 * place.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { entryPath, fieldPath } from '../../proto/base/path.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { Report } from '../../proto/validation/report.ts'
import type { AnyResource, Kind, MatchCondition, ValidatingAdmissionPolicy } from '../../proto/gen/types.ts'
import { CelError } from '../api/cel/error.ts'
import type { CelEnvironment } from '../api/cel/program.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../api/contract.ts'
import { conditionEnvironment, policyEnvironment } from './cel/environment.ts'
import { compiled } from './cel/expression.ts'

const KINDS: ReadonlySet<Kind> = new Set<Kind>([
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
  'ValidatingAdmissionPolicy',
])

export class ExpressionsPlugin implements AdmissionPlugin {
  readonly name = 'AdmissionExpressions'
  readonly admitsControlPlane = true

  handles({ operation, kind, subresource }: AdmissionRequestInfo): boolean {
    return KINDS.has(kind) && subresource === '' && (operation === 'CREATE' || operation === 'UPDATE')
  }

  /** InvalidArgument with every expression that does not compile. */
  validate({ object }: AdmissionAttributes): void {
    if (object === undefined) return
    const report = new Report()
    checkExpressions(report, object)
    if (report.details.length === 0) return
    throw new GantryError(
      'InvalidArgument',
      `${describeObject(object)} is invalid: ${report.details.map(({ field, message }) => `${field}: ${message}`).join('; ')}`,
      { details: report.details },
    )
  }
}

function checkExpressions(report: Report, object: AnyResource): void {
  switch (object.kind) {
    case 'MutatingWebhookConfiguration':
    case 'ValidatingWebhookConfiguration':
      object.webhooks?.forEach(({ matchConditions = [] }, index) =>
        checkConditions(
          report,
          matchConditions,
          fieldPath(entryPath('webhooks', index), 'matchConditions'),
          conditionEnvironment(),
        ),
      )
      return
    case 'ValidatingAdmissionPolicy':
      checkPolicy(report, object)
      return
    default:
  }
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
