/**
 * Admission webhooks and policies. Expressions in CEL are compiled by the controller.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/ and
 * …/validating-admission-policy/
 */
import type {
  MatchCondition,
  MatchResources,
  MutatingWebhookConfiguration,
  NamedRuleWithOperations,
  RuleWithOperations,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
  ValidatingWebhookConfiguration,
  Validation,
  WebhookClientConfig,
} from '../gen/types.ts'
import { CEL_RESERVED_WORDS } from '../base/cel-words.ts'
import { formats } from '../base/format.ts'
import { entryPath, fieldPath } from '../base/path.ts'
import { validateSelector } from './metadata.ts'
import type { KindRules } from './kind-rules.ts'
import { exactlyOne, type Report } from './report.ts'

export const mutatingWebhookRules: KindRules<'MutatingWebhookConfiguration'> = { object: validateWebhooks }
export const validatingWebhookRules: KindRules<'ValidatingWebhookConfiguration'> = { object: validateWebhooks }
export const policyRules: KindRules<'ValidatingAdmissionPolicy'> = { object: validatePolicy }
export const policyBindingRules: KindRules<'ValidatingAdmissionPolicyBinding'> = { object: validatePolicyBinding }

const CONDITIONS = 64
const ANNOTATIONS = 20
/** Seconds. */
const LONGEST = 30
const IDENTIFIER = /^[_a-zA-Z][_a-zA-Z0-9]*$/

function validateWebhooks(
  report: Report,
  { webhooks = [] }: MutatingWebhookConfiguration | ValidatingWebhookConfiguration,
): void {
  webhooks.forEach(
    (
      {
        name,
        clientConfig,
        rules = [],
        timeoutSeconds,
        admissionReviewVersions,
        matchConditions = [],
        namespaceSelector = {},
        objectSelector = {},
      },
      index,
    ) => {
      const path = entryPath('webhooks', index)
      if (
        name !== undefined &&
        name !== '' &&
        (name.split('.').length < 3 || formats['dnsSubdomain']!(name) !== undefined)
      ) {
        report.wrong(
          fieldPath(path, 'name'),
          name,
          'should be a domain with at least three segments separated by dots',
          'write it as NAME.example.com',
        )
      }
      if (timeoutSeconds < 1 || timeoutSeconds > LONGEST)
        report.wrong(
          fieldPath(path, 'timeoutSeconds'),
          timeoutSeconds,
          `the timeout value must be between 1 and ${LONGEST} seconds`,
        )
      if (admissionReviewVersions.length > 0 && !admissionReviewVersions.includes('v1'))
        report.wrong(
          fieldPath(path, 'admissionReviewVersions'),
          admissionReviewVersions,
          'must include v1',
          'let the webhook answer in version v1, and name it here',
        )
      if (clientConfig !== undefined) validateClient(report, clientConfig, fieldPath(path, 'clientConfig'))
      rules.forEach((rule, at) => validateRule(report, rule, entryPath(fieldPath(path, 'rules'), at)))
      validateSelector(report, fieldPath(path, 'namespaceSelector'), namespaceSelector)
      validateSelector(report, fieldPath(path, 'objectSelector'), objectSelector)
      validateConditions(report, matchConditions, fieldPath(path, 'matchConditions'))
    },
  )
}

function validateClient(report: Report, client: WebhookClientConfig, path: string): void {
  exactlyOne(report, path, client, ['url', 'service'], { many: 'FieldValueRequired' })
  const { url, service } = client
  if (url !== undefined) validateUrl(report, url, fieldPath(path, 'url'))
  const place = service?.path
  if (place !== undefined && (!place.startsWith('/') || /[?#\s]/.test(place) || place.includes('//')))
    report.wrong(
      fieldPath(path, 'service.path'),
      place,
      "must start with a '/' and be a URL path",
      'write it as /validate',
    )
}

function validateUrl(report: Report, text: string, path: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined)
    report.wrong(path, text, 'url must be a valid URL', 'write it as https://HOST:PORT/PATH', 'FieldValueRequired')
  else if (url.protocol !== 'https:')
    report.wrong(path, text, "'https' is the only allowed URL scheme", 'write it as https://HOST:PORT/PATH')
  else if (url.hostname === '') report.wrong(path, text, 'host must be specified')
  else if (url.username !== '' || url.password !== '')
    report.wrong(path, `${url.protocol}//${url.host}`, 'user information is not permitted in the URL', 'leave it out')
  else if (url.hash !== '' || text.includes('#'))
    report.wrong(path, text, 'fragments are not permitted in the URL', 'leave it out')
  else if (url.search !== '' || text.includes('?'))
    report.wrong(path, text, 'query parameters are not permitted in the URL', 'leave them out')
}

function validateRule(
  report: Report,
  { operations = [], apiGroups = [], apiVersions = [], resources = [] }: RuleWithOperations,
  path: string,
): void {
  const alone = (name: string, values: readonly string[], what: string): void => {
    if (values.includes('*') && values.length > 1)
      report.wrong(fieldPath(path, name), values, `if '*' is present, must not specify other ${what}`, 'keep "*" alone')
  }
  alone('operations', operations, 'operations')
  alone('apiGroups', apiGroups, 'API groups')
  alone('apiVersions', apiVersions, 'API versions')
  apiVersions.forEach((version, index) => {
    if (version === '') report.missing(entryPath(fieldPath(path, 'apiVersions'), index))
  })
  validateResources(report, resources, fieldPath(path, 'resources'))
}

/** No name says again what a wildcard says already. */
function validateResources(report: Report, resources: readonly string[], path: string): void {
  resources.forEach((resource, index) => {
    if (resource === '') return report.missing(entryPath(path, index))
    const [parent, part] = resource.split('/', 2)
    const before = resources.slice(0, index)
    const wildcard =
      part === undefined
        ? undefined
        : [`${parent}/*`, `*/${part}`].find((name) => name !== resource && before.includes(name))
    if (wildcard !== undefined)
      report.wrong(entryPath(path, index), resource, `if '${wildcard}' is present, must not specify ${resource}`)
  })
  if (resources.includes('*/*') && resources.length > 1)
    report.wrong(path, resources, "if '*/*' is present, must not specify other resources", 'keep "*/*" alone')
  else if (resources.includes('*') && resources.filter((resource) => !resource.includes('/')).length > 1)
    report.wrong(path, resources, "if '*' is present, must not specify other resources without subresources")
}

function validateConditions(report: Report, conditions: readonly MatchCondition[], path: string): void {
  if (conditions.length > CONDITIONS)
    report.wrong(path, conditions.length, `must have at most ${CONDITIONS} items`, '', 'FieldValueTooMany')
  conditions.forEach(({ expression }, index) =>
    validateExpression(report, expression, fieldPath(entryPath(path, index), 'expression')),
  )
}

/** Nothing but spaces says nothing; that none is there is told already. */
function validateExpression(report: Report, expression: string | undefined, path: string): void {
  if (expression !== undefined && expression !== '' && expression.trim() === '') report.missing(path)
}

function validatePolicy(report: Report, { spec }: ValidatingAdmissionPolicy): void {
  const {
    paramKind,
    matchConstraints,
    validations = [],
    auditAnnotations = [],
    matchConditions = [],
    variables = [],
  } = spec
  if (validations.length === 0 && auditAnnotations.length === 0)
    report.missing('spec.validations', 'validations or auditAnnotations must contain at least one item')
  if (paramKind?.apiVersion !== undefined && paramKind.apiVersion.split('/').length > 2)
    report.wrong(
      'spec.paramKind.apiVersion',
      paramKind.apiVersion,
      'is not an API version',
      'write it as GROUP/VERSION, or v1',
    )
  if (matchConstraints !== undefined) {
    validateMatch(report, matchConstraints, 'spec.matchConstraints')
    if ((matchConstraints.resourceRules ?? []).length === 0) report.missing('spec.matchConstraints.resourceRules')
  }
  validateConditions(report, matchConditions, 'spec.matchConditions')
  validations.forEach((validation, index) =>
    validateValidation(report, validation, entryPath('spec.validations', index)),
  )
  variables.forEach(({ name, expression }, index) => {
    const path = entryPath('spec.variables', index)
    if (name !== undefined && name !== '' && (!IDENTIFIER.test(name) || CEL_RESERVED_WORDS.has(name)))
      report.wrong(
        fieldPath(path, 'name'),
        name,
        'name is not a valid CEL identifier',
        'use letters, digits and "_", not beginning with a digit',
      )
    validateExpression(report, expression, fieldPath(path, 'expression'))
  })
  if (auditAnnotations.length > ANNOTATIONS)
    report.wrong(
      'spec.auditAnnotations',
      auditAnnotations.length,
      `must not have more than ${ANNOTATIONS} auditAnnotations`,
    )
  auditAnnotations.forEach(({ key, valueExpression }, index) => {
    const path = entryPath('spec.auditAnnotations', index)
    const flaw =
      key === undefined || key === ''
        ? undefined
        : key.includes('/')
          ? { message: 'has a prefix', remedy: 'leave it out: the name of the policy is put before it' }
          : formats['labelKey']!(key)
    if (flaw !== undefined) report.wrong(fieldPath(path, 'key'), key, flaw.message, flaw.remedy)
    if (auditAnnotations.findIndex((other) => other.key === key) !== index)
      report.duplicate(fieldPath(path, 'key'), key)
    validateExpression(report, valueExpression, fieldPath(path, 'valueExpression'))
  })
}

function validateValidation(
  report: Report,
  { expression, message, messageExpression }: Validation,
  path: string,
): void {
  validateExpression(report, expression, fieldPath(path, 'expression'))
  validateExpression(report, messageExpression, fieldPath(path, 'messageExpression'))
  if (message !== undefined && /[\n\r]/.test(message))
    report.wrong(fieldPath(path, 'message'), message, 'message must not contain line breaks')
  if (message !== undefined && message !== '' && message.trim() === '')
    report.wrong(fieldPath(path, 'message'), message, 'message must be non-empty if specified')
  if (expression?.trim().includes('\n') === true && (message ?? '') === '')
    report.missing(fieldPath(path, 'message'), 'message must be specified if expression contains line breaks')
}

function validateMatch(
  report: Report,
  { resourceRules = [], excludeResourceRules = [], namespaceSelector = {}, objectSelector = {} }: MatchResources,
  path: string,
): void {
  validateSelector(report, fieldPath(path, 'namespaceSelector'), namespaceSelector)
  validateSelector(report, fieldPath(path, 'objectSelector'), objectSelector)
  const check = (rules: readonly NamedRuleWithOperations[], at: string): void =>
    rules.forEach((rule, index) => {
      const place = entryPath(at, index)
      validateRule(report, rule, place)
      rule.resourceNames?.forEach((name, nth) => {
        if (name === '') report.missing(entryPath(fieldPath(place, 'resourceNames'), nth))
        else if (rule.resourceNames!.indexOf(name) !== nth)
          report.duplicate(entryPath(fieldPath(place, 'resourceNames'), nth), name)
      })
    })
  check(resourceRules, fieldPath(path, 'resourceRules'))
  check(excludeResourceRules, fieldPath(path, 'excludeResourceRules'))
}

function validatePolicyBinding(report: Report, { spec }: ValidatingAdmissionPolicyBinding): void {
  const { paramRef, matchResources, validationActions = [] } = spec
  if (paramRef !== undefined) exactlyOne(report, 'spec.paramRef', paramRef, ['name', 'selector'])
  if (paramRef?.selector !== undefined) validateSelector(report, 'spec.paramRef.selector', paramRef.selector)
  if (matchResources !== undefined) validateMatch(report, matchResources, 'spec.matchResources')
  if (validationActions.includes('Deny') && validationActions.includes('Warn')) {
    report.wrong(
      'spec.validationActions',
      validationActions,
      'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      'keep one of them',
    )
  }
}
