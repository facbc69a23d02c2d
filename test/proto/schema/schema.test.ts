import assert from 'node:assert/strict'
import { jsonFields } from '../../../proto/codec/json-fields.ts'
import { SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import { valueFlaw } from '../../../proto/schema/field-rules.ts'
import { formats } from '../../../proto/base/format.ts'
import { defaultValue } from '../codec/oracle/defaults.ts'
import {
  apiVersionOf,
  findKind,
  messageSchema,
  resources,
  schema,
  SPECIAL_MESSAGES,
} from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import { docs } from '../../../proto/gen/docs.ts'

const served = (() => {
  const seen = new Set<string>()
  const visit = (message: string): void => {
    if (seen.has(message) || SPECIAL_MESSAGES.has(message)) return
    seen.add(message)
    for (const field of messageSchema(message).fields)
      if (field.kind === 'message' && field.options.unsupported === undefined) visit(field.type)
  }
  for (const { kind } of resources) visit(kind)
  return [...seen]
})()
const fields = served.flatMap((message) =>
  messageSchema(message).fields.map((field): [string, FieldSchema] => [`${message}.${field.name}`, field]),
)

describe('schema', () => {
  it('serves the kinds', () => {
    assert.deepEqual(resources.map((resource) => `${apiVersionOf(resource)} ${resource.kind}`).sort(), [
      'admissionregistration.k8s.io/v1 MutatingWebhookConfiguration',
      'admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy',
      'admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding',
      'admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration',
      'apiextensions.k8s.io/v1 CustomResourceDefinition',
      'apps/v1 Deployment',
      'apps/v1 ReplicaSet',
      'coordination.k8s.io/v1 Lease',
      'discovery.k8s.io/v1 EndpointSlice',
      'gantry.dev/v1 Network',
      'gateway.networking.k8s.io/v1 Gateway',
      'gateway.networking.k8s.io/v1 GatewayClass',
      'gateway.networking.k8s.io/v1 HTTPRoute',
      'gateway.networking.k8s.io/v1beta1 ReferenceGrant',
      'networking.k8s.io/v1 Ingress',
      'networking.k8s.io/v1 IngressClass',
      'networking.k8s.io/v1 NetworkPolicy',
      'v1 ConfigMap',
      'v1 Endpoints',
      'v1 Event',
      'v1 Namespace',
      'v1 Node',
      'v1 Pod',
      'v1 PodTemplate',
      'v1 ReplicationController',
      'v1 Secret',
      'v1 Service',
      'v1 ServiceAccount',
    ])
  })

  it('documents every message and field that is served', () => {
    const missing = [
      ...served.filter((message) => docs[message] === undefined),
      ...fields
        .filter(([path, field]) => field.options.inline !== true && docs[path] === undefined)
        .map(([path]) => path),
    ]
    assert.deepEqual(missing, [])
  })

  it('names only formats that exist, and keys of merged lists that are fields', () => {
    for (const [path, { options, type }] of fields) {
      for (const format of [options.format, options.keyFormat])
        assert(format === undefined || format in formats, `${path}: ${format}`)
      for (const key of options.mergeKey ?? []) assert(jsonFields(type).has(key), `${path}: ${key}`)
    }
  })

  it('has defaults that are allowed themselves', () => {
    for (const [path, field] of fields) {
      const text = field.options.default
      if (text === undefined || text === '{}') continue
      const value = defaultValue(field, text)
      assert(typeof value === 'boolean' || valueFlaw(field, value) === undefined, path)
      if (field.type === 'int32' || field.type === 'int64') assert.equal(typeof value, 'number', path)
    }
  })

  it('says what is accepted only of what is otherwise refused', () => {
    for (const [path, { options }] of fields)
      assert(options.inert === undefined || options.unsupported !== undefined, path)
  })

  it('has each field number and name once a message', () => {
    for (const { name, fields: own } of Object.values(schema.messages)) {
      assert.equal(new Set(own.map((field) => field.number)).size, own.length, name)
      assert.equal(new Set(own.map((field) => field.name)).size, own.length, name)
    }
  })

  const words: [string, string | undefined][] = [
    ['po', 'Pod'],
    ['PODS', 'Pod'],
    ['deploy', 'Deployment'],
    ['deployments.apps', 'Deployment'],
    ['deployments.v1.apps', 'Deployment'],
    ['deployments.batch', undefined],
    ['cm', 'ConfigMap'],
    ['', undefined],
    ['x', undefined],
  ]
  for (const [word, kind] of words) {
    it(`means ${kind ?? 'nothing'} by "${word}"`, () => assert.equal(SCHEMA_KINDS.findWord(word)?.kind, kind))
  }

  it('finds a kind in its own version only', () => {
    assert.equal(findKind('apps/v1', 'Deployment'), 'Deployment')
    assert.equal(findKind('v1', 'Deployment'), undefined)
  })
})
