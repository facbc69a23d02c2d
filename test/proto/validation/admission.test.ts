import assert from 'node:assert/strict'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { validate } from '../../../proto/validation/validation.ts'
import type { JsonObject, Kind } from '../../../proto/gen/types.ts'

function problems(kind: Kind, fields: JsonObject): string[] {
  const object = decodeJson(kind, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name: 'x' },
    ...fields,
  })
  applyDefaults(object)
  return validate(object).map(({ field, message }) => `${field}: ${message}`)
}

const RULE: JsonObject = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }
const HOOK: JsonObject = {
  name: 'a.example.com',
  clientConfig: { url: 'https://hooks.example.com/x' },
  rules: [RULE],
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
}

describe('admission webhooks and policies', () => {
  const webhooks: [string, JsonObject, RegExp | undefined][] = [
    ['a plain one', {}, undefined],
    ['a service', { clientConfig: { service: { namespace: 'a', name: 'b', path: '/c' } } }, undefined],
    [
      'a placeholder for the authorities',
      { clientConfig: { url: 'https://x.example.com', caBundle: 'Cg==' } },
      undefined,
    ],
    ['a short name', { name: 'hook' }, /^webhooks\[0\]\.name: .*three segments/],
    ['neither url nor service', { clientConfig: {} }, /^webhooks\[0\]\.clientConfig: is required/],
    [
      'both',
      { clientConfig: { url: 'https://x.example.com', service: { namespace: 'a', name: 'b' } } },
      /only one is allowed/,
    ],
    ['plain http', { clientConfig: { url: 'http://x.example.com' } }, /'https' is the only allowed URL scheme/],
    ['a user', { clientConfig: { url: 'https://a:b@x.example.com' } }, /user information/],
    ['a query', { clientConfig: { url: 'https://x.example.com/?a=b' } }, /query parameters/],
    ['a fragment', { clientConfig: { url: 'https://x.example.com/#a' } }, /fragments/],
    [
      'a path without slash',
      { clientConfig: { service: { namespace: 'a', name: 'b', path: 'c' } } },
      /must start with a '\/'/,
    ],
    ['a long time', { timeoutSeconds: 31 }, /between 1 and 30/],
    ['an old version only', { admissionReviewVersions: ['v1beta1'] }, /must include v1/],
    [
      'a star among others',
      { rules: [{ ...RULE, apiGroups: ['*', 'apps'] }] },
      /^webhooks\[0\]\.rules\[0\]\.apiGroups: if '\*' is present/,
    ],
    [
      'what a wildcard says',
      { rules: [{ ...RULE, resources: ['pods/*', 'pods/log'] }] },
      /if 'pods\/\*' is present, must not specify pods\/log/,
    ],
    ['everything and more', { rules: [{ ...RULE, resources: ['*/*', 'pods'] }] }, /if '\*\/\*' is present/],
    [
      'a selector without values',
      { namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
      /^webhooks\[0\]\.namespaceSelector/,
    ],
  ]
  for (const [what, over, message] of webhooks) {
    it(`${message === undefined ? 'may have' : 'may not have'} ${what}`, () => {
      for (const kind of ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'] as const) {
        const found = problems(kind, { webhooks: [{ ...HOOK, ...over }] })
        if (message === undefined) assert.deepEqual(found, [])
        else assert.match(found.join('\n'), message)
      }
    })
  }

  const SPEC: JsonObject = { matchConstraints: { resourceRules: [RULE] }, validations: [{ expression: 'true' }] }
  const policies: [string, JsonObject, RegExp | undefined][] = [
    ['is plain', {}, undefined],
    ['is about nothing', { matchConstraints: {} }, /^spec\.matchConstraints\.resourceRules: is required/],
    ['validates nothing', { validations: [] }, /^spec\.validations: is required/],
    [
      'has a message of two lines',
      { validations: [{ expression: 'true', message: 'a\nb' }] },
      /must not contain line breaks/,
    ],
    [
      'has an expression of two lines and no message',
      { validations: [{ expression: 'true\n&& true' }] },
      /validations\[0\]\.message: is required/,
    ],
    ['has a variable that is no name', { variables: [{ name: 'a-b', expression: '1' }] }, /valid CEL identifier/],
    [
      'notes two things under one key',
      {
        auditAnnotations: [
          { key: 'a', valueExpression: '"x"' },
          { key: 'a', valueExpression: '"y"' },
        ],
      },
      /auditAnnotations\[1\]\.key: is a duplicate/,
    ],
  ]
  for (const [what, over, message] of policies) {
    it(`${message === undefined ? 'accept' : 'refuse'} a policy that ${what}`, () => {
      const found = problems('ValidatingAdmissionPolicy', { spec: { ...SPEC, ...over } })
      if (message === undefined) assert.deepEqual(found, [])
      else assert.match(found.join('\n'), message)
    })
  }

  const bindings: [string, JsonObject, RegExp | undefined][] = [
    ['denies', { validationActions: ['Deny', 'Audit'] }, undefined],
    ['denies and warns', { validationActions: ['Deny', 'Warn'] }, /must not contain both Deny and Warn/],
    [
      'names parameters and selects them',
      { validationActions: ['Deny'], paramRef: { name: 'a', selector: {}, parameterNotFoundAction: 'Deny' } },
      /only one is allowed/,
    ],
  ]
  for (const [what, over, message] of bindings) {
    it(`${message === undefined ? 'accept' : 'refuse'} a binding that ${what}`, () => {
      const found = problems('ValidatingAdmissionPolicyBinding', { spec: { policyName: 'p', ...over } })
      if (message === undefined) assert.deepEqual(found, [])
      else assert.match(found.join('\n'), message)
    })
  }
})
