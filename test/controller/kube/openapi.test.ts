import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import protobuf from 'protobufjs'
import { Catalog } from '../../../controller/kube/catalog.ts'
import { toV2 } from '../../../controller/kube/openapi/dialect.ts'
import { OpenApi } from '../../../controller/kube/openapi/endpoints.ts'
import { encodeDocument, message, text } from '../../../controller/kube/openapi/gnostic.ts'
import { Schemas } from '../../../controller/kube/openapi/schemas.ts'
import type { KubeRequest, ServedResource } from '../../../controller/kube/contract.ts'
import { customKinds, type CustomKind } from '../../../proto/schema/custom/definitions.ts'
import { resources, virtualResources } from '../../../proto/schema/schema.ts'
import type { JsonObject, JSONSchemaProps } from '../../../proto/gen/types.ts'
import { definitions } from '../../../proto/gen/definitions.ts'
import { docs } from '../../../proto/gen/docs.ts'
import { TestApiServer } from './test-api-server.ts'

type Document = any

const PROTOBUF_V2 = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
const PROTOBUF_V3 = 'application/com.github.proto-openapi.spec.v3@v1.0+protobuf'

describe('OpenAPI', () => {
  let face: TestApiServer
  let v2: Document
  let core: Document
  let apps: Document
  before(async () => {
    face = await TestApiServer.start()
    v2 = (await face.get('/openapi/v2')).json
    core = (await face.get('/openapi/v3/api/v1')).json
    apps = (await face.get('/openapi/v3/apis/apps/v1')).json
  })
  after(() => face.stop())

  const property = (document: Document, definition: string, name: string): Document =>
    document.components.schemas[definition].properties[name]

  it('names every definition as Kubernetes does', () => {
    for (const name of [
      'io.k8s.api.core.v1.Pod',
      'io.k8s.api.core.v1.PodList',
      'io.k8s.api.apps.v1.DeploymentSpec',
      'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta',
      'io.k8s.apimachinery.pkg.api.resource.Quantity',
      'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
      'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps',
      'io.k8s.api.networking.v1.NetworkPolicy',
    ])
      assert(v2.definitions[name] !== undefined, name)
  })

  it('has a definition of every kind of the schema', () => {
    const schemas = new Schemas({ docs, definitions })
    for (const { kind, message } of [...resources, ...virtualResources]) schemas.ref(message ?? kind)
    const all = schemas.all() as Record<string, Document>
    const kinds = Object.values(all).flatMap((schema) => schema['x-kubernetes-group-version-kind'] ?? [])
    assert.equal(kinds.length, resources.length + virtualResources.length)
    // Two messages with one name would be one definition.
    const names = Object.values(definitions)
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    )
  })

  it('refers only to what is there', () => {
    const check = (document: Document, prefix: string, known: Record<string, unknown>): void => {
      const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target!)
      assert(references.length > 100)
      for (const target of references)
        assert(target.startsWith(prefix) && Object.hasOwn(known, target.slice(prefix.length)), target)
    }
    check(v2, '#/definitions/', v2.definitions)
    check(core, '#/components/schemas/', core.components.schemas)
  })

  it('says of fields what the schema says', () => {
    const pod = 'io.k8s.api.core.v1.PodSpec'
    assert.deepEqual(property(core, pod, 'restartPolicy'), {
      type: 'string',
      enum: ['Always', 'OnFailure', 'Never'],
      description: docs['PodSpec.restartPolicy'],
      default: 'Always',
    })
    assert.deepEqual(core.components.schemas[pod].required, ['containers'])
    assert.deepEqual(property(core, pod, 'terminationGracePeriodSeconds').format, 'int64')
    assert.equal(property(core, 'io.k8s.api.core.v1.Secret', 'data').additionalProperties.format, 'byte')
    assert.deepEqual(property(core, 'io.k8s.api.core.v1.Pod', 'metadata').allOf, [
      { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
    ])
    assert.deepEqual(core.components.schemas['io.k8s.api.core.v1.Pod']['x-kubernetes-group-version-kind'], [
      { group: '', kind: 'Pod', version: 'v1' },
    ])
    assert.equal(property(apps, 'io.k8s.api.apps.v1.RollingUpdateDeployment', 'maxSurge').default, '25%')
    assert.deepEqual(core.components.schemas['io.k8s.apimachinery.pkg.util.intstr.IntOrString'].oneOf, [
      { type: 'integer' },
      { type: 'string' },
    ])
    assert.equal(v2.definitions['io.k8s.apimachinery.pkg.util.intstr.IntOrString'].type, 'string')
  })

  it('says what is refused, and what of it is accepted', () => {
    const { description } = property(core, 'io.k8s.api.core.v1.PodSpec', 'schedulerName')
    assert.match(
      description,
      /Gantry does not act on it \(there is one scheduler\): refused where it is set to anything but default-scheduler\.$/,
    )
  })

  it('says how lists and maps are merged', () => {
    const lists = (document: Document, definition: string, name: string): Document => {
      const {
        'x-kubernetes-list-type': type,
        'x-kubernetes-list-map-keys': keys,
        'x-kubernetes-patch-merge-key': key,
        'x-kubernetes-patch-strategy': strategy,
      } = property(document, definition, name)
      return [type, keys, key, strategy]
    }
    assert.deepEqual(lists(core, 'io.k8s.api.core.v1.PodSpec', 'containers'), ['map', ['name'], 'name', 'merge'])
    assert.deepEqual(lists(core, 'io.k8s.api.core.v1.PodSpec', 'volumes'), [
      'map',
      ['name'],
      'name',
      'merge,retainKeys',
    ])
    assert.deepEqual(lists(core, 'io.k8s.api.core.v1.Container', 'ports'), [
      'map',
      ['containerPort', 'protocol'],
      'containerPort',
      'merge',
    ])
    assert.deepEqual(lists(core, 'io.k8s.api.core.v1.Container', 'command'), [
      'atomic',
      undefined,
      undefined,
      undefined,
    ])
    assert.deepEqual(lists(core, 'io.k8s.api.core.v1.NodeSpec', 'taints'), ['atomic', undefined, undefined, undefined])
    const mapType = (definition: string, name: string): unknown =>
      property(core, definition, name)['x-kubernetes-map-type']
    assert.deepEqual(
      [
        mapType('io.k8s.api.core.v1.ReplicationControllerSpec', 'selector'),
        mapType('io.k8s.api.core.v1.ServiceSpec', 'selector'),
        mapType('io.k8s.api.core.v1.PodSpec', 'nodeSelector'),
        mapType('io.k8s.api.core.v1.ConfigMap', 'data'),
      ],
      ['atomic', 'atomic', 'atomic', undefined],
    )
    assert.deepEqual(lists(core, 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', 'finalizers'), [
      'set',
      undefined,
      undefined,
      'merge',
    ])
    assert.deepEqual(lists(apps, 'io.k8s.api.apps.v1.DeploymentSpec', 'strategy'), [
      undefined,
      undefined,
      undefined,
      'retainKeys',
    ])
  })

  it('has the operations of each path, with what may be said in the query', () => {
    const { get, put, patch, delete: remove, parameters } = core.paths['/api/v1/namespaces/{namespace}/pods/{name}']
    assert.deepEqual(
      [get, put, patch, remove].map((operation) => operation['x-kubernetes-action']),
      ['get', 'put', 'patch', 'delete'],
    )
    assert.deepEqual(
      parameters.map(({ name }: Document) => name),
      ['name', 'namespace', 'pretty'],
    )
    assert.deepEqual(
      patch.parameters.map(({ name }: Document) => name),
      ['dryRun', 'fieldManager', 'fieldValidation', 'force'],
    )
    assert.deepEqual(Object.keys(patch.requestBody.content), [
      'application/apply-patch+yaml',
      'application/json-patch+json',
      'application/merge-patch+json',
      'application/strategic-merge-patch+json',
    ])
    assert.deepEqual(patch['x-kubernetes-group-version-kind'], { group: '', kind: 'Pod', version: 'v1' })
    assert.equal(get.operationId, 'readCoreV1NamespacedPod')
    assert.equal(core.paths['/api/v1/pods'].get.operationId, 'listCoreV1PodForAllNamespaces')
    assert.equal(
      core.paths['/api/v1/namespaces/{namespace}/pods'].delete.operationId,
      'deleteCoreV1CollectionNamespacedPod',
    )
    assert.deepEqual(Object.keys(core.paths['/api/v1/namespaces/{namespace}/pods/{name}/exec']), [
      'get',
      'post',
      'parameters',
    ])
    assert.equal(
      core.paths['/api/v1/namespaces/{namespace}/pods/{name}/log'].get.responses[200].content['text/plain'].schema.type,
      'string',
    )
    const ids = Object.values(v2.paths as Record<string, Document>).flatMap((item) =>
      Object.values(item as Record<string, Document>).flatMap(({ operationId }) => operationId ?? []),
    )
    assert.deepEqual(
      ids.filter((id, index) => ids.indexOf(id) !== index),
      [],
    )
  })

  describe('as documents', () => {
    it('lists those of version 3, each with a hash that is for good', async () => {
      const { paths } = (await face.get('/openapi/v3')).json as { paths: Record<string, { serverRelativeURL: string }> }
      const url = paths['apis/apps/v1']!.serverRelativeURL
      const { status, headers } = await face.get(url)
      assert.deepEqual([status, headers['cache-control']], [200, 'public, immutable, max-age=31536000'])
      const former = await face.get('/openapi/v3/apis/apps/v1?hash=0123')
      assert.deepEqual([former.status, former.headers.location], [301, url])
      assert.match((await face.get('/openapi/v3/apis/apps/v1')).headers['cache-control']!, /no-cache/)
    })

    it('sends them compressed to who takes that', async () => {
      const { headers, body } = await face.get('/openapi/v2', { headers: { 'Accept-Encoding': 'gzip' } })
      assert.equal(headers['content-encoding'], 'gzip')
      assert.deepEqual(JSON.parse(gunzipSync(body).toString()), v2)
    })

    for (const path of ['/openapi/v2', '/openapi/v3', '/openapi/v3/api/v1']) {
      it(`sends ${path} once to who keeps it`, async () => {
        const {
          headers: { etag },
        } = await face.get(path)
        const again = await face.get(path, { headers: { 'If-None-Match': etag! } })
        assert.deepEqual([again.status, again.body.length], [304, 0])
      })
    }

    it('has no other documents, takes no other methods, sends no other types', async () => {
      assert.equal((await face.get('/openapi/v3/apis/apps/v7')).status, 404)
      assert.equal((await face.send('POST', '/openapi/v2', { body: {} })).status, 405)
      assert.equal((await face.get('/openapi/v2', { headers: { Accept: 'text/html' } })).status, 406)
      assert.equal((await face.get('/openapi/v3', { headers: { Accept: PROTOBUF_V3 } })).status, 406)
      assert.equal((await face.get('/openapi/v2', { headers: { Accept: 'text/html, */*' } })).status, 200)
    })
  })

  describe('in protobuf', () => {
    // The few fields that are looked at, of the messages of gnostic-models.
    const looked = protobuf.parse(`syntax = "proto3";
      message Any { string yaml = 2; } message NamedAny { string name = 1; Any value = 2; }
      message Info { string title = 1; }
      message TypeItem { repeated string value = 1; } message ItemsItem { repeated Schema2 schema = 1; }
      message Schema2 { string _ref = 1; string description = 4; Any default = 5; repeated string required = 19; repeated Any enum = 20; TypeItem type = 22; ItemsItem items = 23; Schemas2 properties = 25; repeated NamedAny extension = 31; }
      message NamedSchema2 { string name = 1; Schema2 value = 2; } message Schemas2 { repeated NamedSchema2 all = 1; }
      message Document2 { string swagger = 1; Info info = 2; Schemas2 definitions = 9; }
      message Reference { string _ref = 1; } message SchemaOr { oneof it { Schema3 schema = 1; Reference reference = 2; } }
      message DefaultType { oneof it { double number = 1; bool boolean = 2; string string = 3; } }
      message Schema3 { string type = 25; repeated SchemaOr all_of = 26; repeated SchemaOr one_of = 27; Schemas3 properties = 31; DefaultType default = 33; string description = 34; }
      message NamedSchema3 { string name = 1; SchemaOr value = 2; } message Schemas3 { repeated NamedSchema3 all = 1; }
      message Components { Schemas3 schemas = 1; } message Document3 { string openapi = 1; Components components = 5; }`).root

    it('is version 2 as gnostic has it', async () => {
      const { headers, body } = await face.get('/openapi/v2', { headers: { Accept: PROTOBUF_V2 } })
      assert.equal(headers['content-type'], 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf')
      const document = looked.lookupType('Document2').decode(body) as Document
      assert.deepEqual([document.swagger, document.info.title], ['2.0', 'Gantry'])
      assert.deepEqual(
        document.definitions.all.map(({ name }: Document) => name),
        Object.keys(v2.definitions),
      )
      const spec = document.definitions.all.find(({ name }: Document) => name === 'io.k8s.api.core.v1.PodSpec').value
      const find = (name: string): Document => spec.properties.all.find((one: Document) => one.name === name).value
      assert.deepEqual([spec.required, spec.type.value], [['containers'], ['object']])
      assert.deepEqual(
        [find('restartPolicy').default.yaml, find('restartPolicy').enum.map(({ yaml }: Document) => yaml)],
        ['"Always"', ['"Always"', '"OnFailure"', '"Never"']],
      )
      assert.equal(find('containers').items.schema[0]._ref, '#/definitions/io.k8s.api.core.v1.Container')
      assert.deepEqual(
        find('containers').extension.map(({ name, value }: Document) => `${name} ${value.yaml}`),
        [
          'x-kubernetes-list-type "map"',
          'x-kubernetes-list-map-keys ["name"]',
          'x-kubernetes-patch-merge-key "name"',
          'x-kubernetes-patch-strategy "merge"',
        ],
      )
    })

    it('is version 3 as gnostic has it', async () => {
      const { headers, body } = await face.get('/openapi/v3/api/v1', { headers: { Accept: PROTOBUF_V3 } })
      assert.equal(headers['content-type'], 'application/com.github.proto-openapi.spec.v3.v1.0+protobuf')
      const document = looked.lookupType('Document3').decode(body) as Document
      const { all } = document.components.schemas
      assert.deepEqual(
        [document.openapi, all.map(({ name }: Document) => name)],
        ['3.0.0', Object.keys(core.components.schemas)],
      )
      const find = (definition: string, name: string): Document =>
        all
          .find((one: Document) => one.name === definition)
          .value.schema.properties.all.find((one: Document) => one.name === name).value.schema
      assert.equal(find('io.k8s.api.core.v1.PodSpec', 'restartPolicy').default.string, 'Always')
      assert.equal(
        find('io.k8s.api.core.v1.Pod', 'spec').allOf[0].reference._ref,
        '#/components/schemas/io.k8s.api.core.v1.PodSpec',
      )
    })

    it('does not lose a key that it does not know', () => {
      assert.throws(
        () => encodeDocument({ swagger: '2.0', other: 1 }, message({ swagger: text(1) })),
        /no field for other/,
      )
    })
  })

  describe('of custom kinds', () => {
    const served = (message?: string): ServedResource => ({
      group: 'shop.example.com',
      version: 'v1',
      plural: 'orders',
      singular: 'order',
      kind: 'Order',
      listKind: 'OrderList',
      namespaced: true,
      shortNames: [],
      categories: [],
      verbs: ['get', 'list', 'patch', 'create'],
      stored: 'Order.shop.example.com' as never,
      ...(message !== undefined && { message }),
    })
    const define = (schema: JSONSchemaProps): void => {
      const version = {
        name: 'v1',
        apiVersion: 'shop.example.com/v1',
        served: true,
        storage: true,
        deprecation: undefined,
        schema,
        status: false,
        scale: undefined,
        columns: [],
        selectable: [],
      }
      customKinds.set({
        id: 'Order.shop.example.com' as never,
        names: { plural: 'orders', kind: 'Order' },
        versions: [version],
        stored: version,
        uid: '1',
        leaving: false,
        resource: {
          group: 'shop.example.com',
          version: 'v1',
          kind: 'Order',
          plural: 'orders',
          namespaced: true,
          shortNames: [],
        },
      } as unknown as CustomKind)
    }
    const bytesOf = async (api: OpenApi, path: string, accept = '*/*'): Promise<Buffer> => {
      const endpoint =
        api.endpoints.find((one) => one.path === path) ?? api.endpoints.find((one) => one.path === '/openapi/v3/')!
      const answer = await endpoint.handle({
        method: 'GET',
        path,
        headers: { accept },
        query: new URLSearchParams(),
      } as KubeRequest)
      assert(answer.is === 'bytes')
      return Buffer.from(answer.body)
    }
    const ask = async (api: OpenApi, path: string): Promise<Document> =>
      JSON.parse((await bytesOf(api, path)).toString()) as Document
    afterEach(() => customKinds.delete('Order.shop.example.com'))

    it('shows their schemas with what every object has, and follows their changes', async () => {
      const catalog = new Catalog([])
      const api = new OpenApi(catalog)
      const before = await ask(api, '/openapi/v3')
      define({
        type: 'object',
        properties: {
          spec: {
            type: 'object',
            required: ['size'],
            properties: { size: { type: 'integer', description: 'How many.' } },
          },
        },
      })
      catalog.setCustom([served()], [])
      const index = await ask(api, '/openapi/v3')
      const document = await ask(api, '/openapi/v3/apis/shop.example.com/v1')
      const order = document.components.schemas['com.example.shop.v1.Order']
      assert.deepEqual(Object.keys(order.properties), ['spec', 'apiVersion', 'kind', 'metadata'])
      assert.deepEqual(
        [order.properties.spec.required, order['x-kubernetes-group-version-kind']],
        [['size'], [{ group: 'shop.example.com', kind: 'Order', version: 'v1' }]],
      )
      const { patch } = document.paths['/apis/shop.example.com/v1/namespaces/{namespace}/orders/{name}']
      assert.deepEqual(Object.keys(patch.requestBody.content), [
        'application/apply-patch+yaml',
        'application/json-patch+json',
        'application/merge-patch+json',
      ])
      assert(document.components.schemas['com.example.shop.v1.OrderList'] !== undefined)
      assert.equal(index.paths['apis/apps/v1'].serverRelativeURL, before.paths['apis/apps/v1'].serverRelativeURL)

      define({ type: 'object', properties: { spec: { type: 'object', properties: { colour: { type: 'string' } } } } })
      catalog.setCustom([served()], [])
      const changed = await ask(api, '/openapi/v3/apis/shop.example.com/v1')
      assert.deepEqual(
        Object.keys(changed.components.schemas['com.example.shop.v1.Order'].properties.spec.properties),
        ['colour'],
      )
      assert.notEqual(
        (await ask(api, '/openapi/v3')).paths['apis/shop.example.com/v1'].serverRelativeURL,
        index.paths['apis/shop.example.com/v1'].serverRelativeURL,
      )
      assert(JSON.stringify(await ask(api, '/openapi/v2')).includes('com.example.shop.v1.OrderList'))

      catalog.setCustom([], [])
      assert.equal((await ask(api, '/openapi/v3')).paths['apis/shop.example.com/v1'], undefined)
    })

    it('says no extension that is false, as clients of Go write them', async () => {
      const catalog = new Catalog([])
      const api = new OpenApi(catalog)
      define({
        type: 'object',
        'x-kubernetes-preserve-unknown-fields': true,
        'x-kubernetes-embedded-resource': false,
        properties: {
          spec: {
            type: 'object',
            'x-kubernetes-int-or-string': false,
            allOf: [{ 'x-kubernetes-preserve-unknown-fields': false }],
          },
        },
      } as JSONSchemaProps)
      catalog.setCustom([served()], [])
      for (const path of ['/openapi/v2', '/openapi/v3/apis/shop.example.com/v1']) {
        const text = JSON.stringify(await ask(api, path))
        assert.doesNotMatch(text, /"x-kubernetes-[a-z-]+":false/)
        assert.match(text, /"x-kubernetes-preserve-unknown-fields":true/)
      }
    })

    it('has everything that a schema can say in protobuf, too', async () => {
      const any: JSONSchemaProps = {
        type: 'object',
        $schema: 'http://json-schema.org/schema#',
        title: 'An order',
        description: 'x',
        nullable: true,
        required: ['a'],
        minProperties: 1,
        maxProperties: 9,
        example: { a: 1 },
        externalDocs: { url: 'http://docs', description: 'd' },
        properties: {
          a: {
            type: 'number',
            minimum: 1,
            maximum: 9,
            exclusiveMinimum: true,
            exclusiveMaximum: false,
            multipleOf: 0.5,
            default: 2,
            enum: [2, 3],
          },
          b: { type: 'string', minLength: 1, maxLength: 9, pattern: '^x', format: 'date', default: 'x1' },
          c: {
            type: 'array',
            minItems: 1,
            maxItems: 2,
            uniqueItems: false,
            items: { type: 'string' },
            'x-kubernetes-list-type': 'set',
            default: ['a'],
          },
          d: { type: 'object', additionalProperties: { type: 'integer' } },
          e: { type: 'object', additionalProperties: true },
          f: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
          g: {
            type: 'boolean',
            default: true,
            not: { enum: [false] },
            allOf: [{ enum: [true] }],
            oneOf: [{ enum: [true] }],
          },
        },
        'x-kubernetes-validations': [{ rule: 'self.a > 1' }],
      }
      const catalog = new Catalog([])
      define(any)
      catalog.setCustom([served()], [])
      const api = new OpenApi(catalog)
      for (const [path, accept] of [
        ['/openapi/v2', PROTOBUF_V2],
        ['/openapi/v3/apis/shop.example.com/v1', PROTOBUF_V3],
      ] as const) {
        assert((await bytesOf(api, path, accept)).includes('com.example.shop.v1.Order'))
      }
    })

    it('leaves out in version 2 what clients of it would take amiss', () => {
      assert.deepEqual(
        toV2({ type: 'object', properties: { a: { type: 'string' } }, 'x-kubernetes-preserve-unknown-fields': true }),
        { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      )
      assert.deepEqual(toV2({ type: 'string', nullable: true, description: 'x' }), { description: 'x' })
      assert.deepEqual(toV2({ type: 'integer', anyOf: [{ minimum: 1 }], not: { enum: [3] } }), { type: 'integer' })
      assert.deepEqual(toV2({ allOf: [{ $ref: '#/components/schemas/x' }], default: {}, description: 'y' }), {
        description: 'y',
        $ref: '#/definitions/x',
      })
      const properties: JsonObject = {
        oneOf: { type: 'string' },
        nullable: { allOf: [{ $ref: '#/components/schemas/z' }] },
      }
      assert.deepEqual(toV2({ properties }), {
        properties: { oneOf: { type: 'string' }, nullable: { $ref: '#/definitions/z' } },
      })
    })
  })
})
