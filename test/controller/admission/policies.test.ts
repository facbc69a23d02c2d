import assert from 'node:assert/strict'
import { admissionPlugins } from '../../../controller/admission/admission.ts'
import type { Draft } from '../../../controller/api/contract.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { TestApiServer, type Reply } from '../kube/test-api-server.ts'

const GROUP = '/apis/admissionregistration.k8s.io/v1'
const POLICIES = `${GROUP}/validatingadmissionpolicies`
const BINDINGS = `${GROUP}/validatingadmissionpolicybindings`
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

const RULES = {
  resourceRules: [
    { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] },
  ],
}
const configMap = (name: string, data: Record<string, string> = {}, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  data,
})

describe('validating admission policies', () => {
  let face: TestApiServer
  let made = 0

  before(async () => {
    face = await TestApiServer.start({
      plugins: ({ informer, reads, accounts, clock, random }) =>
        admissionPlugins({
          informer,
          reads,
          authorizer: accounts.authorizer,
          portForward: () => {
            throw new TypeError('no webhook here')
          },
          clock,
          random,
          logger: silentLogger,
        }),
    })
  })

  after(() => face.stop())

  afterEach(async () => {
    for (const path of [BINDINGS, POLICIES]) {
      for (const { metadata } of (await face.get(path)).json.items)
        assert.equal((await face.send('DELETE', `${path}/${metadata.name}`)).status, 200)
    }
  })

  const policy = (spec: object): object => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: 'p' },
    spec: { matchConstraints: RULES, ...spec },
  })
  const binding = (spec: object = {}): object => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: 'b' },
    spec: { policyName: 'p', validationActions: ['Deny'], ...spec },
  })

  async function inForce(spec: object, bound: object = {}): Promise<void> {
    for (const [path, body] of [
      [POLICIES, policy(spec)],
      [BINDINGS, binding(bound)],
    ] as const) {
      const reply = await face.send('POST', path, { body })
      assert.equal(reply.status, 201, reply.body.toString())
    }
  }

  const create = (data: Record<string, string> = {}, metadata: object = {}): Promise<Reply> =>
    face.send('POST', CONFIG_MAPS, { body: configMap(`c${made++}`, data, metadata) })

  /** The message, without what stands before it; '' if it was accepted. */
  async function said(write: Promise<Reply>): Promise<string> {
    const { status, json } = await write
    return status < 300 ? '' : json.message.replace(/^.* denied request: /, '')
  }

  it('refuse, in the words and with the status of Kubernetes', async () => {
    await inForce({
      validations: [{ expression: 'object.data.size() <= 1', message: 'too much in it', reason: 'Forbidden' }],
    })
    const { status, json } = await face.send('POST', CONFIG_MAPS, { body: configMap('large', { a: '1', b: '2' }) })
    assert.equal(status, 403)
    assert.deepEqual(
      [json.reason, json.message],
      [
        'Forbidden',
        "configmaps \"large\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too much in it",
      ],
    )
    assert.deepEqual(json.details, {
      name: 'large',
      kind: 'configmaps',
      causes: [{ message: "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too much in it" }],
    })
    assert.equal((await create({ a: '1' })).status, 201)
  })

  it('say which expression failed, or what an expression makes', async () => {
    await inForce({
      validations: [
        { expression: "has(object.data) && 'owner' in object.data" },
        {
          expression: "object.data.owner.startsWith('team-')",
          message: 'plain',
          messageExpression: "'owner ' + object.data.owner + ' is no team'",
        },
        { expression: "object.data.owner != 'team-x'", message: 'plain', messageExpression: 'object.data.nothing' },
      ],
    })
    const reply = await create({ x: '1' })
    assert.deepEqual([reply.status, reply.json.reason], [422, 'Invalid'])
    assert.equal(await said(create({ x: '1' })), "failed expression: has(object.data) && 'owner' in object.data")
    assert.equal(await said(create({ owner: 'me' })), 'owner me is no team')
    assert.equal(await said(create({ owner: 'team-x' })), 'plain')
    assert.equal(await said(create({ owner: 'team-a' })), '')
  })

  it('know what there was, who asks, the namespace, and variables', async () => {
    await inForce({
      variables: [
        { name: 'size', expression: 'object.data.size()' },
        { name: 'grows', expression: 'oldObject == null || variables.size >= oldObject.data.size()' },
      ],
      validations: [
        { expression: 'variables.grows', message: 'shrinks' },
        { expression: "request.operation == 'UPDATE' || request.userInfo.username == 'anna'", message: 'not anna' },
        {
          expression: "namespaceObject.metadata.name == 'default' && request.namespace == 'default'",
          message: 'elsewhere',
        },
        {
          expression:
            "authorizer.group('').resource('configmaps').namespace('default').check('delete').allowed() && authorizer.requestResource.check('create').allowed()",
          message: 'may not',
        },
        {
          expression:
            "!authorizer.serviceAccount('default', 'nobody').group('').resource('configmaps').check('create').allowed()",
          message: 'nobody may',
        },
      ],
    })
    assert.equal(await said(face.send('POST', CONFIG_MAPS, { body: configMap('grown', { a: '1', b: '2' }) })), '')
    assert.equal(
      await said(face.send('PUT', `${CONFIG_MAPS}/grown`, { body: configMap('grown', { a: '1' }) })),
      'shrinks',
    )
    assert.equal(
      await said(
        face.send('PATCH', `${CONFIG_MAPS}/grown`, {
          type: 'application/merge-patch+json',
          body: { data: { c: '3' } },
        }),
      ),
      '',
    )
  })

  it('take parameters from objects: one by its name, or all with certain labels', async () => {
    await face.send('POST', CONFIG_MAPS, { body: configMap('limit', { most: '2' }, { labels: { limit: 'yes' } }) })
    await face.send('POST', CONFIG_MAPS, { body: configMap('stricter', { most: '1' }, { labels: { limit: 'yes' } }) })
    const spec = {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      validations: [
        {
          expression: 'object.data.size() <= int(params.data.most)',
          messageExpression: "'more than ' + params.data.most",
        },
      ],
    }
    await inForce(spec, { paramRef: { name: 'limit', parameterNotFoundAction: 'Deny' } })
    assert.equal(await said(create({ a: '', b: '' })), '')
    assert.equal(await said(create({ a: '', b: '', c: '' })), 'more than 2')
    const rebind = async (paramRef: object): Promise<void> =>
      void assert.equal((await face.send('PUT', `${BINDINGS}/b`, { body: binding({ paramRef }) })).status, 200)
    await rebind({ selector: { matchLabels: { limit: 'yes' } }, namespace: 'default', parameterNotFoundAction: 'Deny' })
    assert.equal(await said(create({ a: '', b: '' })), 'more than 1')
    await rebind({ name: 'gone', parameterNotFoundAction: 'Deny' })
    assert.equal(
      await said(create()),
      'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction',
    )
    await rebind({ name: 'gone', parameterNotFoundAction: 'Allow' })
    assert.equal(await said(create({ a: '', b: '', c: '' })), '')
  })

  it('take parameters from custom kinds', async () => {
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'limits.policy.example.com' },
      spec: {
        group: 'policy.example.com',
        scope: 'Cluster',
        names: { plural: 'limits', kind: 'Limit' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', properties: { most: { type: 'integer' } } } },
          },
        ],
      },
    }
    assert.equal(
      (await face.send('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', { body: definition })).status,
      201,
    )
    const spec = {
      paramKind: { apiVersion: 'policy.example.com/v1', kind: 'Limit' },
      validations: [{ expression: 'object.data.size() <= params.most' }],
    }
    await inForce(spec, { paramRef: { name: 'one', parameterNotFoundAction: 'Deny' } })
    assert.equal(
      await said(create({ a: '' })),
      "failed to configure policy: failed to find resource referenced by paramKind: 'policy.example.com/v1, Kind=Limit'",
    )
    // No controller runs here that establishes what is defined.
    await face.api.mutate(
      'CustomResourceDefinition',
      '',
      'limits.policy.example.com',
      'status',
      (stored) =>
        void (stored.status = {
          conditions: [{ type: 'Established', status: 'True' }],
          acceptedNames: stored.spec.names,
          storedVersions: ['v1'],
        }),
      { fieldManager: 'test' },
    )
    await face.reads.current()
    assert.equal(
      (
        await face.send('POST', '/apis/policy.example.com/v1/limits', {
          body: { apiVersion: 'policy.example.com/v1', kind: 'Limit', metadata: { name: 'one' }, most: 1 },
        })
      ).status,
      201,
    )
    await face.reads.current()
    assert.equal(await said(create({ a: '' })), '')
    assert.equal(await said(create({ a: '', b: '' })), 'failed expression: object.data.size() <= params.most')
  })

  it('are not evaluated where their conditions, rules or the binding do not say so', async () => {
    await inForce(
      {
        matchConstraints: {
          ...RULES,
          excludeResourceRules: [
            { apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*'], resourceNames: ['excluded'] },
          ],
        },
        matchConditions: [{ name: 'checked', expression: "!('unchecked' in object.data)" }],
        validations: [{ expression: 'false', message: 'never' }],
      },
      { matchResources: { objectSelector: { matchLabels: { strict: 'yes' } } } },
    )
    const strict = { labels: { strict: 'yes' } }
    assert.equal(await said(create({ a: '' }, strict)), 'never')
    assert.equal(await said(create({ a: '' })), '')
    assert.equal(await said(create({ unchecked: '' }, strict)), '')
    assert.equal(await said(face.send('POST', CONFIG_MAPS, { body: configMap('excluded', { a: '' }, strict) })), '')
  })

  it('warn, or only take note', async () => {
    await inForce(
      { validations: [{ expression: 'false', message: 'be careful' }] },
      { validationActions: ['Warn', 'Audit'] },
    )
    const { status, headers } = await create()
    assert.equal(status, 201)
    assert.equal(
      headers.warning,
      `299 - "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': be careful"`,
    )
  })

  it('refuse what they cannot evaluate, unless they are to be passed over', async () => {
    await inForce({ validations: [{ expression: 'object.data.missing == "x"' }] })
    assert.match(await said(create({ a: '1' })), /^expression 'object\.data\.missing == "x"' resulted in error: /)
    assert.equal(
      (
        await face.send('PATCH', `${POLICIES}/p`, {
          type: 'application/merge-patch+json',
          body: { spec: { failurePolicy: 'Ignore' } },
        })
      ).status,
      200,
    )
    assert.equal(await said(create({ a: '1' })), '')
  })

  it('hold for what reconcilers make, and not for what the control plane notes', async () => {
    await inForce({
      validations: [
        {
          expression: "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')",
          message: 'not for controllers',
        },
      ],
    })
    const draft = (name: string): Draft<'ConfigMap'> => ({
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default' },
    })
    await assert.rejects(
      face.api.create(draft('by-reconciler'), { fieldManager: 'x', controllerAccount: 'x-controller' }),
      /not for controllers/,
    )
    await face.api.create(draft('by-dispatch'), { fieldManager: 'gantry-dispatch' })
  })

  it('are of no effect without a binding, and do not end up in their own way', async () => {
    const everything = {
      resourceRules: [{ apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*'] }],
    }
    assert.equal(
      (
        await face.send('POST', POLICIES, {
          body: policy({ matchConstraints: everything, validations: [{ expression: 'false' }] }),
        })
      ).status,
      201,
    )
    assert.equal(await said(create()), '')
    assert.equal((await face.send('POST', BINDINGS, { body: binding() })).status, 201)
    assert.equal(await said(create()), 'failed expression: false')
    assert.equal((await face.send('DELETE', `${BINDINGS}/b`)).status, 200)
  })

  const wrong: [string, object, RegExp][] = [
    [
      'what is no CEL',
      { validations: [{ expression: 'object.' }] },
      /spec\.validations\[0\]\.expression: Invalid value: .*compilation failed: line 1, column/,
    ],
    [
      'a variable that there is not',
      { validations: [{ expression: 'params.x' }] },
      /spec\.validations\[0\]\.expression: .*compilation failed/,
    ],
    [
      'a variable that is not declared',
      { validations: [{ expression: 'variables.nothing == 1' }] },
      /spec\.validations\[0\]\.expression: .*compilation failed/,
    ],
    [
      'what results in no bool',
      { validations: [{ expression: '1 + 1' }] },
      /spec\.validations\[0\]\.expression: .*must result in bool/,
    ],
    [
      'a variable that is declared later',
      {
        variables: [
          { name: 'a', expression: 'variables.b' },
          { name: 'b', expression: '1' },
        ],
        validations: [{ expression: 'true' }],
      },
      /spec\.variables\[0\]\.expression: .*compilation failed/,
    ],
    [
      'a condition that is none',
      { matchConditions: [{ name: 'c', expression: "'x'" }], validations: [{ expression: 'true' }] },
      /spec\.matchConditions\[0\]\.expression: .*must result in bool/,
    ],
    [
      'a message that is no text',
      { validations: [{ expression: 'true', messageExpression: '1' }] },
      /spec\.validations\[0\]\.messageExpression: .*must result in string/,
    ],
    ['nothing to validate', {}, /spec\.validations: Required value/],
  ]
  for (const [what, spec, message] of wrong) {
    it(`are not stored with ${what}`, async () => {
      const { status, json } = await face.send('POST', POLICIES, { body: policy(spec) })
      assert.equal(status, 422)
      assert.match(json.message, message)
    })
  }
})
