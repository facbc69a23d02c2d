import assert from 'node:assert/strict'
import { DeploymentReconciler } from '../../../controller/reconcile/deployment/reconciler.ts'
import { ReplicaSetReconciler } from '../../../controller/reconcile/replicaset/reconciler.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { ACCESS_ANNOTATION, AUTHOR_ANNOTATION } from '../../../proto/objects/account-access.ts'
import type { Deployment, Pod } from '../../../proto/gen/types.ts'
import { TestApiServer } from './test-api-server.ts'
import { reconcileParts } from '../reconcile-parts.ts'

const CONTEXT = { fieldManager: 'test' }
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments'
const PODS = '/api/v1/namespaces/default/pods'
const MERGE = 'application/merge-patch+json'

const podSpec = (account: string, image = 'i'): object => ({
  serviceAccountName: account,
  containers: [{ name: 'c', image }],
})
const deploymentOf = (name: string, account: string, metadata: object = {}): object => ({
  metadata: { name, ...metadata },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: podSpec(account) },
  },
})

describe('Kubernetes face: an account that is created or raised later', () => {
  let face: TestApiServer
  /** Of a tenant: an account with access edit. */
  let tenant: string
  let stop: AbortController
  let running: Promise<void>

  beforeEach(async () => {
    face = await TestApiServer.start({ admission: true })
    const parts = reconcileParts(face)
    stop = new AbortController()
    running = runReconcilers([new DeploymentReconciler(parts), new ReplicaSetReconciler(parts)], parts, stop.signal)
    await account('tenant', 'edit')
    tenant = await tokenOf('tenant')
  })

  afterEach(async () => {
    stop.abort()
    await running
    await face.stop()
  })

  async function account(name: string, access: string): Promise<void> {
    await face.api.create<'ServiceAccount'>(
      {
        kind: 'ServiceAccount',
        metadata: { name, namespace: 'default', annotations: { [ACCESS_ANNOTATION]: access } },
      },
      CONTEXT,
    )
    await face.reads.current()
  }

  async function raise(name: string, access: string): Promise<void> {
    await face.api.mutate(
      'ServiceAccount',
      'default',
      name,
      '',
      ({ metadata }) => void (metadata.annotations = { [ACCESS_ANNOTATION]: access }),
      CONTEXT,
    )
    await face.reads.current()
  }

  async function tokenOf(name: string, spec: object = {}): Promise<string> {
    return (await face.send('POST', `/api/v1/namespaces/default/serviceaccounts/${name}/token`, { body: { spec } }))
      .json.status.token as string
  }

  /** Lets time pass, for passes that are tried again, until the cache shows it; a minute at most. */
  async function until<T>(found: () => T | undefined): Promise<T> {
    for (let passed = 0; passed < 60_000; passed += 100) {
      const value = found()
      if (value !== undefined) return value
      await face.clock.advance(100)
      await new Promise(setImmediate)
    }
    throw new Error(
      `it does not happen: ${found.toString()}; ${JSON.stringify(
        face.informer
          .lister('Deployment')
          .list()
          .map(({ status }) => status),
      )}`,
    )
  }

  const deployment = (name: string): Deployment => face.informer.lister('Deployment').get('default', name)!
  const podOf = (app: string): Pod | undefined =>
    face.informer
      .lister('Pod')
      .list('default')
      .find(({ metadata }) => metadata.labels?.app === app)
  const authorOf = (object: { metadata: { annotations?: Record<string, string> | undefined } }): string | undefined =>
    object.metadata.annotations?.[AUTHOR_ANNOTATION]
  const failureOf = (name: string, text: RegExp): string | undefined =>
    deployment(name)?.status.conditions?.find(
      ({ type, message = '' }) => type === 'ReplicaFailure' && text.test(message),
    )?.message

  it('is not used by a Deployment that a tenant pointed at it before it was there', async () => {
    assert.equal(
      (await face.send('POST', DEPLOYMENTS, { body: deploymentOf('web', 'later'), token: tenant })).status,
      201,
    )
    await until(() => failureOf('web', /ServiceAccount default\/later not found/))
    await account('later', 'admin')
    const message = await until(() => failureOf('web', /cannot use/))
    assert.match(
      message,
      /its template in ReplicaSet web-\S+ was written with access "edit", and such a pod cannot use the ServiceAccount default\/later, which has access "admin"/,
    )
    assert.equal(podOf('web'), undefined)
    // An administrator takes it over: the annotation goes, and a restart makes pods of the template that is theirs now.
    await face.send('PATCH', `${DEPLOYMENTS}/web`, {
      body: {
        metadata: { annotations: { [AUTHOR_ANNOTATION]: null } },
        spec: { template: { metadata: { annotations: { restarted: 'now' } } } },
      },
      type: MERGE,
    })
    const pod = await until(() => podOf('web'))
    assert.deepEqual([pod.spec.serviceAccountName, authorOf(pod)], ['later', undefined])
  })

  it('is used by what an administrator wrote', async () => {
    assert.equal((await face.send('POST', DEPLOYMENTS, { body: deploymentOf('web', 'later') })).status, 201)
    await account('later', 'admin')
    assert.equal(authorOf(await until(() => podOf('web'))), undefined)
    assert.equal(authorOf(deployment('web')), undefined)
  })

  it('gives no power to the pods of a tenant that run already', async () => {
    await account('small', 'view')
    await face.send('POST', DEPLOYMENTS, { body: deploymentOf('web', 'small'), token: tenant })
    const made = await until(() => podOf('web'))
    const alone = (
      await face.send('POST', PODS, { body: { metadata: { name: 'alone' }, spec: podSpec('small') }, token: tenant })
    ).json as Pod
    await raise('small', 'admin')
    for (const {
      metadata: { name, uid },
    } of [made, alone]) {
      const token = await tokenOf('small', { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name, uid } })
      const { status, json } = await face.get('/api/v1/nodes', { token })
      assert.equal(status, 403, JSON.stringify(json))
      assert.match(json.message as string, /has access "edit" in this pod, as whoever wrote the pod/)
      assert.equal((await face.get(PODS, { token })).status, 200)
      const review = await face.send('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
        body: { spec: { resourceAttributes: { verb: 'list', resource: 'nodes' } } },
        token,
      })
      assert.equal(review.json.status.allowed, false)
    }
    assert.equal(
      (await face.get('/api/v1/nodes', { token: await tokenOf('small') })).status,
      200,
      'a token that an administrator made',
    )
  })

  it('leaves its record to nobody but administrators', async () => {
    const annotations = { [AUTHOR_ANNOTATION]: 'admin' }
    const created = await face.send('POST', DEPLOYMENTS, {
      body: deploymentOf('web', 'later', { annotations }),
      token: tenant,
    })
    assert.equal(authorOf(created.json as Deployment), 'edit')
    const path = `${DEPLOYMENTS}/web?fieldManager=x&force=true`
    const whole = { apiVersion: 'apps/v1', kind: 'Deployment', ...deploymentOf('web', 'later') }
    for (const [method, body, type] of [
      ['PATCH', { metadata: { annotations } }, MERGE],
      ['PATCH', { metadata: { annotations: { [AUTHOR_ANNOTATION]: null } } }, 'application/strategic-merge-patch+json'],
      [
        'PATCH',
        [{ op: 'remove', path: `/metadata/annotations/${AUTHOR_ANNOTATION.replace('/', '~1')}` }],
        'application/json-patch+json',
      ],
      ['PATCH', JSON.stringify({ ...whole, metadata: { name: 'web', annotations } }), 'application/apply-patch+yaml'],
      ['PUT', whole, 'application/json'],
    ] as const) {
      const { status, json } = await face.send(
        method,
        method === 'PUT' ? `${DEPLOYMENTS}/web` : type.includes('yaml') ? path : `${DEPLOYMENTS}/web`,
        { body, type, token: tenant },
      )
      assert.deepEqual(
        [status, authorOf(json as Deployment)],
        [200, 'edit'],
        `${method} ${type}: ${JSON.stringify(json)}`,
      )
    }
    // What the template says of its pods is not the record of them.
    await account('small', 'view')
    const template = { metadata: { labels: { app: 'two' }, annotations }, spec: podSpec('small') }
    await face.send('POST', DEPLOYMENTS, {
      body: { metadata: { name: 'two' }, spec: { replicas: 1, selector: { matchLabels: { app: 'two' } }, template } },
      token: tenant,
    })
    const pod = await until(() => podOf('two'))
    assert.equal(authorOf(pod), 'edit')
    // A pod that names an administrator's workload as its owner is the tenant's all the same.
    await face.send('POST', DEPLOYMENTS, { body: deploymentOf('mine', 'small') })
    const { uid } = deployment('mine').metadata
    const claimed = await face.send('POST', PODS, {
      body: {
        metadata: {
          name: 'claimed',
          ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'mine', uid, controller: true }],
        },
        spec: podSpec('small'),
      },
      token: tenant,
    })
    assert.equal(authorOf(claimed.json as Pod), 'edit')
  })

  it("is judged by whoever changed the template last, and an administrator's scale changes nothing", async () => {
    await account('small', 'view')
    await face.send('POST', DEPLOYMENTS, { body: deploymentOf('web', 'small') })
    const patch = (body: object, token?: string) =>
      face.send('PATCH', `${DEPLOYMENTS}/web`, { body, type: MERGE, ...(token !== undefined && { token }) })
    assert.equal(
      authorOf((await patch({ spec: { replicas: 2 } }, tenant)).json as Deployment),
      undefined,
      "the template stays an administrator's",
    )
    assert.equal(
      authorOf((await patch({ spec: { template: { spec: podSpec('small', 'theirs') } } }, tenant)).json as Deployment),
      'edit',
    )
    assert.equal(authorOf((await patch({ spec: { replicas: 3 } })).json as Deployment), 'edit')
    assert.equal(
      authorOf((await patch({ spec: { template: { spec: podSpec('small', 'newer') } } })).json as Deployment),
      'edit',
    )
    assert.equal(
      authorOf((await patch({ spec: { template: { spec: podSpec('tenant', 'newer') } } })).json as Deployment),
      undefined,
      'an administrator has chosen the account',
    )
  })
  it('gives no power to a container that a tenant added to the pod of an administrator', async () => {
    await account('small', 'view')
    const {
      metadata: { name, uid },
    } = (
      await face.send('POST', PODS, {
        body: { metadata: { name: 'p', annotations: { kept: 'yes' } }, spec: podSpec('small') },
      })
    ).json as Pod
    const debug = { spec: { ephemeralContainers: [{ name: 'debug', image: 'mine' }] } }
    const added = await face.send('PATCH', `${PODS}/${name}/ephemeralcontainers`, {
      body: debug,
      type: 'application/strategic-merge-patch+json',
      token: tenant,
    })
    assert.deepEqual(
      [added.status, (added.json as Pod).metadata.annotations],
      [200, { kept: 'yes', [AUTHOR_ANNOTATION]: 'edit' }],
      JSON.stringify(added.json),
    )
    await raise('small', 'admin')
    const token = await tokenOf('small', { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name, uid } })
    assert.equal((await face.get('/api/v1/nodes', { token })).status, 403)
    // An administrator's own container changes nothing.
    const mine = (await face.send('POST', PODS, { body: { metadata: { name: 'q' }, spec: podSpec('small') } }))
      .json as Pod
    const own = await face.send('PATCH', `${PODS}/q/ephemeralcontainers`, {
      body: debug,
      type: 'application/strategic-merge-patch+json',
    })
    assert.deepEqual([own.status, authorOf(own.json as Pod), authorOf(mine)], [200, undefined, undefined])
  })
})
