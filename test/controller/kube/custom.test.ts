import assert from 'node:assert/strict'
import type { AnyResource, CustomResourceDefinition, JsonObject } from '../../../proto/gen/types.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import { MASTERS } from '../../../controller/authorization/groups.ts'
import { ResourcesHandlers } from '../../../controller/grpc/resources.ts'
import { DefinitionReconciler } from '../../../controller/reconcile/definition/reconciler.ts'
import { runReconcilers } from '../../../controller/runner/runner.ts'
import { eventually } from '../../eventually.ts'
import { CRONTAB_SCHEMA, cronTab, cronTabs } from '../custom/plane.ts'
import { TestApiServer, type Reply } from './test-api-server.ts'
import { Kubectl } from './kubectl.ts'
import { reconcileParts } from '../reconcile-parts.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const V1 = '/apis/stable.example.com/v1/namespaces/default/crontabs'
const BETA = '/apis/stable.example.com/v1beta1/namespaces/default/crontabs'

describe('custom kinds in the Kubernetes face', () => {
  let face: TestApiServer
  let kubectl: Kubectl
  const group = new RunGroup()

  before(async () => {
    face = await TestApiServer.start()
    kubectl = await Kubectl.of(face)
    const parts = reconcileParts(face)
    group.add((signal) => runReconcilers([new DefinitionReconciler(parts)], parts, signal))
  })

  after(async () => {
    group.stop()
    await group.wait()
    await kubectl.stop()
    await face.stop()
  })

  async function define(definition: JsonObject): Promise<void> {
    const reply = await face.send('POST', DEFINITIONS, { body: definition })
    assert.equal(reply.status, 201, reply.body.toString())
  }

  afterEach(async () => {
    for (const definition of face.informer.lister('CustomResourceDefinition').list())
      await face.send('DELETE', `${DEFINITIONS}/${definition.metadata.name}`)
    await eventually(() => face.informer.lister('CustomResourceDefinition').list().length === 0)
  })

  const made = (reply: Reply): Reply => {
    assert.equal(reply.status, 201, reply.body.toString())
    return reply
  }

  it("refuses to apply a field that the schema does not declare, in Kubernetes' words, however strictly it is to be read", async () => {
    await define(cronTabs())
    const configuration = { ...cronTab('a'), spec: { ...(cronTab('a') as { spec: object }).spec, foo: 1 } }
    for (const strictness of ['Strict', 'Warn', 'Ignore']) {
      const path = `${V1}/a?fieldManager=m&fieldValidation=${strictness}`
      const { status, json } = await face.send('PATCH', path, {
        type: 'application/apply-patch+yaml',
        body: configuration,
      })
      assert.equal(status, 400, strictness)
      assert.match(
        json.message as string,
        /strict decoding error: unknown field "spec\.foo".*\.spec\.foo: field not declared in schema/,
      )
    }
  })

  it('serves a kind as soon as its definition is accepted, and no longer once it is gone', async () => {
    await define(cronTabs())
    made(await face.send('POST', V1, { body: cronTab('a') }))
    const discovery = (await face.get('/apis/stable.example.com/v1')).json as {
      resources: { name: string; kind: string; shortNames?: string[] }[]
    }
    assert.deepEqual(discovery.resources.map(({ name, kind }) => `${name} ${kind}`).sort(), [
      'crontabs CronTab',
      'crontabs/scale Scale',
      'crontabs/status CronTab',
    ])
    assert.equal((await face.get(`${V1}/a`)).json.spec.image, 'busybox')
    const definition = (await face.get(`${DEFINITIONS}/crontabs.stable.example.com`)).json as CustomResourceDefinition
    assert.deepEqual(
      definition.status.conditions?.map(({ type, status }) => `${type} ${status}`),
      ['NamesAccepted True', 'Established True'],
    )
    assert.deepEqual(definition.status.storedVersions, ['v1'])
    await face.send('DELETE', `${DEFINITIONS}/crontabs.stable.example.com`)
    await eventually(async () => (await face.get(V1)).status === 404)
  })

  it('answers what a schema does not allow as Kubernetes does', async () => {
    await define(cronTabs())
    const { status, json } = await face.send('POST', V1, { body: cronTab('a', { cronSpec: 'now', replicas: 20 }) })
    assert.deepEqual(
      [status, json.reason, json.details.kind, json.details.group],
      [422, 'Invalid', 'CronTab', 'stable.example.com'],
    )
    assert.match(
      json.message,
      /^CronTab\.stable\.example\.com "a" is invalid: \[spec\.cronSpec: Invalid value: "now": should match '.*', spec\.replicas: Invalid value: 20: should be less than or equal to 10\]$/,
    )
    const strict = await face.send('POST', `${V1}?fieldValidation=Strict`, { body: cronTab('a', { surplus: 1 }) })
    assert.deepEqual([strict.status, /unknown field "spec.surplus"/.test(strict.json.message)], [400, true])
    const warned = made(await face.send('POST', `${V1}?fieldValidation=Warn`, { body: cronTab('a', { surplus: 1 }) }))
    assert.match(String(warned.headers.warning), /unknown field \\"spec\.surplus\\"/)
    assert.equal(warned.json.spec.surplus, undefined)
    const ignored = made(
      await face.send('POST', `${V1}?fieldValidation=Ignore`, { body: cronTab('b', { surplus: 1 }) }),
    )
    assert.deepEqual([ignored.headers.warning, ignored.json.spec.surplus], [undefined, undefined])
  })

  it('keeps status and scale apart', async () => {
    await define(cronTabs())
    const { json } = made(await face.send('POST', V1, { body: { ...cronTab('a'), status: { replicas: 9 } } }))
    assert.equal(json.status, undefined)
    const observed = await face.send('PUT', `${V1}/a/status`, {
      body: { ...json, spec: {}, status: { replicas: 2, labelSelector: 'app=a' } },
    })
    assert.deepEqual(
      [observed.status, observed.json.spec.replicas, observed.json.status.replicas, observed.json.metadata.generation],
      [200, 1, 2, 1],
    )
    const scale = (await face.get(`${V1}/a/scale`)).json
    assert.deepEqual(
      [scale.kind, scale.spec, scale.status],
      ['Scale', { replicas: 1 }, { replicas: 2, selector: 'app=a' }],
    )
    const scaled = await face.send('PATCH', `${V1}/a/scale`, {
      type: 'application/merge-patch+json',
      body: { spec: { replicas: 4 } },
    })
    assert.equal(scaled.json.spec.replicas, 4, scaled.body.toString())
    assert.deepEqual(
      await face.get(`${V1}/a`).then(({ json: { spec, metadata } }) => [spec.replicas, metadata.generation]),
      [4, 2],
    )
    assert.equal(
      (
        await face.send('PATCH', `${V1}/a/scale`, {
          type: 'application/merge-patch+json',
          body: { spec: { replicas: 40 } },
        })
      ).status,
      422,
    )
  })

  const versions: JsonObject[] = [
    { name: 'v1beta1', served: true, storage: false, deprecated: true, schema: { openAPIV3Schema: CRONTAB_SCHEMA } },
    { name: 'v1alpha1', served: false, storage: false, schema: { openAPIV3Schema: CRONTAB_SCHEMA } },
    { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: CRONTAB_SCHEMA } },
  ]

  it('serves each version that is to be served, and warns of one that is deprecated', async () => {
    await define(cronTabs({}, { versions }))
    const { json, headers } = made(
      await face.send('POST', BETA, { body: cronTab('a', {}, {}, 'stable.example.com/v1beta1') }),
    )
    assert.equal(json.apiVersion, 'stable.example.com/v1beta1')
    assert.match(String(headers.warning), /v1beta1 CronTab is deprecated; use stable\.example\.com\/v1 CronTab/)
    assert.equal((await face.get(`${V1}/a`)).json.apiVersion, 'stable.example.com/v1')
    assert.equal((await face.get(BETA)).json.items[0].apiVersion, 'stable.example.com/v1beta1')
    assert.equal((await face.get(V1.replace('v1', 'v1alpha1'))).status, 404)
    const frames = await face.watch(`${BETA}?watch=true&resourceVersion=${json.metadata.resourceVersion}`)
    await face.send('PATCH', `${V1}/a`, { type: 'application/merge-patch+json', body: { spec: { suspend: true } } })
    const frame = await frames.next()
    assert.deepEqual(
      [frame?.type, frame?.object.apiVersion, frame?.object.spec.suspend],
      ['MODIFIED', 'stable.example.com/v1beta1', true],
    )
    frames.close()
    const { json: discovered } = await face.get('/apis/stable.example.com')
    assert.deepEqual(
      [discovered.preferredVersion.version, discovered.versions.map(({ version }: { version: string }) => version)],
      ['v1', ['v1', 'v1beta1']],
    )
  })

  it('ends watches when the definition changes, and when it goes: clients list again', async () => {
    await define(cronTabs())
    made(await face.send('POST', V1, { body: cronTab('a') }))
    const listed = async (): Promise<string> => (await face.get(V1)).json.metadata.resourceVersion as string
    const stop = new AbortController()
    /** On both faces, from a revision; resolves with how each ended. */
    const watched = async (revision: string): Promise<() => Promise<unknown[]>> => {
      const frames = await face.watch(`${V1}?watch=true&resourceVersion=${revision}`)
      const events = new ResourcesHandlers(face.requests).watch(
        {
          apiVersion: 'stable.example.com/v1',
          kind: 'CronTab',
          namespace: 'default',
          labelSelector: '',
          fieldSelector: '',
          resourceVersion: revision,
          bookmarks: false,
        },
        { signal: stop.signal, user: { name: 'anna', groups: [MASTERS] }, peer: '' },
      )
      const over = (async () => {
        const told: string[] = []
        for await (const { type } of events) told.push(type as string)
        return told
      })().then(
        (told) => `ended after ${told.join()}`,
        (thrown: { code: string }) => thrown.code,
      )
      return async () => {
        const types: unknown[] = []
        for (let frame = await frames.next(); frame !== undefined; frame = await frames.next())
          types.push(frame.type === 'ERROR' ? frame.object.code : frame.type)
        return [types, await over]
      }
    }
    const change = async (spec: object): Promise<void> => {
      const { json } = await face.get(`${DEFINITIONS}/crontabs.stable.example.com`)
      assert.equal(
        (
          await face.send('PUT', `${DEFINITIONS}/crontabs.stable.example.com`, {
            body: { ...json, spec: { ...json.spec, ...spec } },
          })
        ).status,
        200,
      )
      await face.reads.current()
    }
    const before = await listed()
    const first = await watched(before)
    await face.send('PATCH', `${DEFINITIONS}/crontabs.stable.example.com`, {
      type: 'application/merge-patch+json',
      body: { metadata: { labels: { nothing: 'changes' } } },
    })
    made(await face.send('POST', V1, { body: cronTab('b') }))
    const wider = structuredClone(CRONTAB_SCHEMA) as { properties: { spec: { properties: JsonObject } } }
    wider.properties.spec.properties.zone = { type: 'string', default: 'UTC' }
    await change(cronTabs({ schema: { openAPIV3Schema: wider as unknown as JsonObject } }).spec as object)
    assert.deepEqual(await first(), [['ADDED', 410], 'Expired'])
    assert.deepEqual(
      (await face.get(V1)).json.items.map(({ spec }: AnyResource & { spec: { zone: string } }) => spec.zone),
      ['UTC', 'UTC'],
    )
    assert.equal(
      (await face.get(`${V1}?watch=true&resourceVersion=${before}`)).status,
      410,
      'what was before cannot be gone on from',
    )

    const second = await watched(await listed()) // at the very revision of the change
    await change(
      cronTabs({ additionalPrinterColumns: [{ name: 'Image', type: 'string', jsonPath: '.spec.image' }] })
        .spec as object,
    )
    assert.deepEqual(await second(), [[410], 'Expired'])
    const third = await watched(await listed())
    await face.send('DELETE', `${V1}/a`)
    await face.send('DELETE', `${V1}/b`)
    await face.send('DELETE', `${DEFINITIONS}/crontabs.stable.example.com`)
    assert.deepEqual(await third(), [['DELETED', 'DELETED', 410], 'Expired'])
  })

  it('selects by the fields that the definition names', async () => {
    await define(cronTabs({ selectableFields: [{ jsonPath: '.spec.image' }] }))
    made(await face.send('POST', V1, { body: cronTab('a') }))
    made(await face.send('POST', V1, { body: cronTab('b', { image: 'nginx' }) }))
    const names = async (selector: string) =>
      ((await face.get(`${V1}?fieldSelector=${selector}`)).json.items as AnyResource[]).map(
        ({ metadata }) => metadata.name,
      )
    assert.deepEqual(await names('spec.image=nginx'), ['b'])
    assert.deepEqual(await names('spec.image!=nginx'), ['a'])
    assert.deepEqual(await names('metadata.name=a'), ['a'])
    assert.equal((await face.get(`${V1}?fieldSelector=spec.suspend=true`)).status, 400)
  })

  it('works with kubectl: apply, get, explain, patch, scale, label, wait, delete', async () => {
    const columns: JsonObject[] = [
      { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' },
      { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
      { name: 'Image', type: 'string', jsonPath: '.spec.image', priority: 1 },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ]
    const run = async (args: readonly string[], input = ''): Promise<string> => {
      const { code, stdout, stderr } = await kubectl.run(args, input)
      assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`)
      return stdout
    }
    await run(['apply', '-f', '-'], JSON.stringify(cronTabs({ additionalPrinterColumns: columns })))
    await run(['wait', '--for=condition=Established', 'crd/crontabs.stable.example.com', '--timeout=10s'])
    await run(['apply', '-f', '-'], JSON.stringify(cronTab('a')))
    await run(['apply', '-f', '-'], JSON.stringify(cronTab('a', { replicas: 2 })))
    await run(['apply', '--server-side', '-f', '-'], JSON.stringify(cronTab('b')))
    const rows = (await run(['get', 'ct']))
      .trim()
      .split('\n')
      .map((line) => line.split(/\s{2,}/))
    assert.deepEqual(
      [rows[0], rows.slice(1).map(([name, spec, replicas]) => [name, spec, replicas])],
      [
        ['NAME', 'SPEC', 'REPLICAS', 'AGE'],
        [
          ['a', '* * * * */5', '2'],
          ['b', '* * * * */5', '1'],
        ],
      ],
    )
    assert.match(await run(['get', 'crontab', 'a', '-o', 'wide']), /IMAGE/)
    assert.match(await run(['get', 'all']), /crontab\.stable\.example\.com\/a/)
    assert.match(await run(['explain', 'crontab.spec.replicas']), /FIELD: replicas <integer>/)
    await run(['scale', 'crontab/a', '--replicas=5'])
    await run(['patch', 'ct', 'a', '--type=merge', '-p', '{"spec":{"suspend":true}}'])
    await run(['label', 'ct', 'a', 'team=x'])
    assert.equal(await run(['get', 'ct', '-l', 'team=x', '-o', 'jsonpath={.items[*].spec.replicas}']), '5')
    const refused = await kubectl.run(['apply', '-f', '-'], JSON.stringify(cronTab('c', { replicsa: 2 })))
    assert.match(refused.stderr, /unknown field "spec\.replicsa"/)
    await run(['delete', 'ct', '--all'])
    await run(['delete', 'crd', 'crontabs.stable.example.com'])
  }).timeout(60_000)
})
