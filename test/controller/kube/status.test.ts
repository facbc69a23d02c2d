import assert from 'node:assert/strict'
import { Agent, get } from 'node:https'
import type { ServedResource, Target } from '../../../controller/kube/contract.ts'
import { HttpError, statusOf } from '../../../controller/kube/status.ts'
import { TooManyRequests } from '../../../controller/requests/fairness/too-many-requests.ts'
import { GantryError, GRPC_STATUS, type ErrorCode } from '../../../proto/base/errors.ts'
import { packError, unpackError } from '../../../proto/rpc/error-status.ts'
import { TestApiServer } from './test-api-server.ts'

const PODS: Target = {
  resource: { group: '', version: 'v1', plural: 'pods', kind: 'Pod' } as ServedResource,
  namespace: 'default',
  name: 'web',
  subresource: '',
  rest: '',
}
const DEPLOYMENTS: Target = {
  ...PODS,
  resource: { group: 'apps', version: 'v1', plural: 'deployments', kind: 'Deployment' } as ServedResource,
}

describe('Kubernetes face: errors', () => {
  it('is a Status with a code and a reason for every code of ours', () => {
    for (const code of Object.keys(GRPC_STATUS) as ErrorCode[]) {
      const { code: status, body } = statusOf(new GantryError(code, 'words'), PODS)
      assert.ok(status >= 400 && status < 600, code)
      assert.deepEqual(
        [body.kind, body.apiVersion, body.status, body.code, typeof body.reason],
        ['Status', 'v1', 'Failure', status, 'string'],
      )
    }
  })

  it("says in Kubernetes' words what an object is not", () => {
    const missing = statusOf(
      new GantryError('NotFound', 'Deployment default/web not found', {
        details: [{ field: 'metadata.name', value: 'web', message: 'there is no such object' }],
      }),
      DEPLOYMENTS,
    ).body
    assert.deepEqual(
      [missing.message, missing.reason, missing.code],
      ['deployments.apps "web" not found', 'NotFound', 404],
    )
    assert.deepEqual(
      { ...(missing.details as object), causes: undefined },
      { name: 'web', group: 'apps', kind: 'deployments', causes: undefined },
    )
  })

  it('puts the faults of an object together', () => {
    const details = [
      { field: 'spec.replicas', value: '-1', message: 'is negative', remedy: 'give 0 or more' },
      { field: 'spec.selector', message: 'it selects the pods', reason: 'FieldValueRequired' },
      { field: 'spec.template', message: '', reason: 'FieldValueRequired' },
      { field: 'spec.strategy', value: '"x"', message: 'use Recreate', reason: 'FieldValueNotSupported' },
    ]
    const { code, body } = statusOf(new GantryError('InvalidArgument', 'many things', { details }), DEPLOYMENTS)
    assert.equal(code, 422)
    assert.equal(
      body.message,
      'Deployment.apps "web" is invalid: [spec.replicas: Invalid value: -1: is negative (give 0 or more), spec.selector: Required value: it selects the pods, spec.template: Required value, spec.strategy: Unsupported value: "x": use Recreate]',
    )
    assert.deepEqual(body.details, {
      name: 'web',
      group: 'apps',
      kind: 'Deployment',
      causes: [
        {
          reason: 'FieldValueInvalid',
          message: 'Invalid value: -1: is negative (give 0 or more)',
          field: 'spec.replicas',
        },
        { reason: 'FieldValueRequired', message: 'Required value: it selects the pods', field: 'spec.selector' },
        { reason: 'FieldValueRequired', message: 'Required value', field: 'spec.template' },
        { reason: 'FieldValueNotSupported', message: 'Unsupported value: "x": use Recreate', field: 'spec.strategy' },
      ],
    })
    assert.equal(
      statusOf(
        new GantryError('InvalidArgument', 'one thing', { details: details.slice(1, 2) }),
        { ...PODS, name: '' },
        'new',
      ).body.message,
      'Pod "new" is invalid: spec.selector: Required value: it selects the pods',
    )
  })

  it('says when to try again', () => {
    assert.deepEqual(
      [
        statusOf(new GantryError('Unavailable', 'away')).retryAfter,
        statusOf(new HttpError(504, 'Timeout', 'late', 'DeadlineExceeded')).retryAfter,
        statusOf(new TooManyRequests('2 are under way')).retryAfter,
      ],
      [1, undefined, 1],
    )
  })

  it('says of too many requests the same, whether this controller refuses them or one that they are passed on to', () => {
    const refused = new TooManyRequests('2 are under way')
    for (const error of [refused, unpackError(packError(refused))]) {
      const { code, retryAfter, body } = statusOf(error, PODS)
      assert.deepEqual([code, retryAfter, body['reason']], [429, 1, 'TooManyRequests'])
      assert.deepEqual((body['details'] as { causes?: unknown }).causes, undefined)
    }
    assert.equal(statusOf(new GantryError('ResourceExhausted', 'it is too large'), PODS).code, 413)
  })

  describe('of requests', () => {
    let face: TestApiServer
    before(async () => {
      face = await TestApiServer.start()
    })
    after(() => face.stop())

    const CONFIGS = '/api/v1/namespaces/default/configmaps'
    const config = (name: string, more: object = {}): object => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, ...more },
    })
    const told = async (method: string, path: string, body?: unknown, type?: string) => {
      const { status, json } = await face.send(method, path, {
        ...(body !== undefined && { body }),
        ...(type !== undefined && { type }),
      })
      return [status, json.reason, json.message, json.details?.kind, json.details?.name]
    }

    it('have the words that clients switch on', async () => {
      await face.send('POST', CONFIGS, { body: config('taken') })
      assert.deepEqual(await told('GET', `${CONFIGS}/none`), [
        404,
        'NotFound',
        'configmaps "none" not found',
        'configmaps',
        'none',
      ])
      assert.deepEqual(await told('POST', CONFIGS, config('taken')), [
        409,
        'AlreadyExists',
        'configmaps "taken" already exists',
        'configmaps',
        'taken',
      ])
      assert.deepEqual(await told('POST', '/api/v1/namespaces/nowhere/configmaps', config('x')), [
        404,
        'NotFound',
        'namespaces "nowhere" not found',
        'namespaces',
        'nowhere',
      ])
      assert.deepEqual(
        await told('PUT', `${CONFIGS}/taken`, { ...config('taken', { resourceVersion: '1' }), data: { a: 'b' } }),
        [
          409,
          'Conflict',
          'Operation cannot be fulfilled on configmaps "taken": the object has been modified; please apply your changes to the latest version and try again',
          'configmaps',
          'taken',
        ],
      )
      const [status, reason, message, kind, name] = await told('POST', '/api/v1/namespaces/default/pods', {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'Web' },
        spec: { containers: [{ name: 'main', image: 'busybox' }] },
      })
      assert.deepEqual([status, reason, kind, name], [422, 'Invalid', 'Pod', 'Web'])
      assert.match(message, /^Pod "Web" is invalid: metadata\.name: Invalid value: /)
    })

    it('name who owns what an apply is to change', async () => {
      const apply = (manager: string, value: string) =>
        face.send('PATCH', `${CONFIGS}/owned?fieldManager=${manager}`, {
          type: 'application/apply-patch+yaml',
          body: JSON.stringify({ ...config('owned'), data: { a: value } }),
        })
      assert.equal((await apply('one', '1')).status, 201)
      const { status, json } = await apply('two', '2')
      assert.deepEqual(
        [status, json.reason, json.details.causes.map(({ reason, field }: Record<string, string>) => [reason, field])],
        [409, 'Conflict', [['FieldManagerConflict', '.data.a']]],
      )
      assert.match(json.message, /^Apply failed with 1 conflict: .data.a is owned by "one" \(Apply since /)
    })

    it('of who has no certificate and no token is Unauthorized', async () => {
      const { ca } = await face.client('anna')
      const [host, port] = face.address.split(':')
      const agent = new Agent({ ca })
      const status = await new Promise((resolve, reject) =>
        get({ host, port, path: '/api/v1/namespaces', agent, headers: { Authorization: 'Bearer nobody' } }, (message) =>
          resolve(message.resume().statusCode),
        ).on('error', reject),
      )
      agent.destroy()
      assert.equal(status, 401)
    })
  })
})
