import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import protobuf from 'protobufjs/minimal.js'
import { parse } from 'yaml'
import { openEnvelope } from '../../../controller/kube/envelope.ts'
import { decode, decodeResource } from '../../../proto/codec/wire.ts'
import type { Pod } from '../../../proto/gen/types.ts'
import { TestApiServer } from './test-api-server.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const PODS = '/api/v1/namespaces/default/pods'
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io'
const METADATA = ';as=PartialObjectMetadata;v=v1;g=meta.k8s.io'
const METADATA_LIST = ';as=PartialObjectMetadataList;v=v1;g=meta.k8s.io'

describe('Kubernetes face: content', () => {
  let face: TestApiServer
  before(async () => {
    face = await TestApiServer.start()
    for (const name of ['a', 'b'])
      await face.api.create<'Pod'>(
        {
          kind: 'Pod',
          metadata: { name, namespace: 'default', labels: { app: name } },
          spec: { containers: [{ name: 'main', image: 'busybox' }] },
        },
        { fieldManager: 'test' },
      )
    await face.reads.current()
  })
  after(() => face.stop())

  const accept = (path: string, type: string, headers: Record<string, string> = {}) =>
    face.get(path, { headers: { Accept: type, ...headers } })
  const typeOf = async (path: string, type: string): Promise<string> => {
    const { status, headers } = await accept(path, type)
    return status === 200 ? headers['content-type']! : String(status)
  }

  it('chooses among forms by weight, then by order', async () => {
    for (const [header, type] of [
      ['', 'application/json'],
      ['*/*', 'application/json'],
      ['application/*', 'application/json'],
      ['application/yaml', 'application/yaml'],
      [PROTOBUF, PROTOBUF],
      [`${PROTOBUF},application/json`, PROTOBUF],
      [`application/json,${PROTOBUF}`, 'application/json'],
      [`application/json;q=0.5, ${PROTOBUF};q=0.8`, PROTOBUF],
      ['text/html, application/yaml;q=0.9, */*;q=0.8', 'application/yaml'],
      ['*/*, application/yaml', 'application/yaml'],
      ['application/json;q=0, application/yaml', 'application/yaml'],
      ['text/plain', '406'],
      ['application/json;q=0', '406'],
      ['application/json;as=Nothing;v=v1;g=meta.k8s.io', '406'],
      [`${TABLE.replace('v=v1', 'v=v7')},application/yaml`, 'application/yaml'],
      ['APPLICATION/JSON', 'application/json'],
      ['application/json;charset=utf-8', 'application/json'],
    ])
      assert.equal(await typeOf(`${PODS}/a`, header!), type, header)
  })

  it('says in JSON what there is, to who takes nothing of it', async () => {
    const { status, json } = await accept(PODS, 'text/html')
    assert.deepEqual(
      [status, json.reason, json.message],
      [
        406,
        'NotAcceptable',
        `only the following media types are accepted: application/json, application/yaml, ${PROTOBUF}`,
      ],
    )
  })

  it('sends an object in protobuf as it is stored, with its resourceVersion', async () => {
    const { body } = await accept(`${PODS}/a`, PROTOBUF)
    const { apiVersion, kind, raw } = openEnvelope(body)
    assert.deepEqual([apiVersion, kind], ['v1', 'Pod'])
    const { json } = await face.get(`${PODS}/a`)
    const pod = decodeResource('Pod', raw)
    assert.deepEqual(
      [pod.metadata.resourceVersion, pod.metadata.uid, pod.spec.containers[0]!.image],
      [json.metadata.resourceVersion, json.metadata.uid, 'busybox'],
    )
  })

  it('sends a list in protobuf as Kubernetes has it', async () => {
    const { json } = await face.get(PODS)
    for (const [path, names, more] of [
      [PODS, ['a', 'b'], ''],
      [`${PODS}?limit=1`, ['a'], '1'],
      [`${PODS}?labelSelector=app%3Dc`, [], ''],
    ] as const) {
      const { apiVersion, kind, raw } = openEnvelope((await accept(path, PROTOBUF)).body)
      assert.deepEqual([apiVersion, kind], ['v1', 'PodList'])
      const { metadata, items } = readList(raw)
      assert.deepEqual(
        items.map((item) => decodeResource('Pod', item).metadata.name),
        names,
      )
      assert.deepEqual(
        [metadata.resourceVersion, String(metadata.remainingItemCount ?? '')],
        [json.metadata.resourceVersion, more],
      )
    }
  })

  it('sends YAML that says what JSON says', async () => {
    for (const path of [`${PODS}/a`, PODS])
      assert.deepEqual(parse((await accept(path, 'application/yaml')).body.toString()), (await face.get(path)).json)
  })

  it('lays JSON out for people', async () => {
    const lines = async (path: string, headers = {}): Promise<boolean> =>
      (await face.get(path, { headers })).body.toString().includes('\n  "metadata": {')
    assert.deepEqual(
      [
        await lines(`${PODS}/a`),
        await lines(`${PODS}/a?pretty=true`),
        await lines(PODS, { 'User-Agent': 'curl/8.0' }),
        await lines(`${PODS}?pretty=0`, { 'User-Agent': 'Mozilla/5.0 (X11)' }),
      ],
      [false, true, true, false],
    )
  })

  it('answers HEAD with the head alone', async () => {
    const { status, headers, body } = await face.send('HEAD', `${PODS}/a`)
    const whole = await face.get(`${PODS}/a`)
    assert.deepEqual([status, body.length, headers['content-length']], [200, 0, String(whole.body.length)])
    assert.equal((await face.send('HEAD', `${PODS}?watch=true`)).status, 200)
  })

  it('sends tables with the columns that people know', async () => {
    const { json } = await accept(PODS, `${TABLE},${TABLE.replace('v1', 'v1beta1')},application/json`)
    const list = (await face.get(PODS)).json
    assert.deepEqual([json.kind, json.apiVersion, json.metadata], ['Table', 'meta.k8s.io/v1', list.metadata])
    assert.deepEqual(
      json.columnDefinitions.map(({ name, type, priority }: Record<string, unknown>) => [name, type, priority]),
      [
        ['Name', 'string', 0],
        ['Ready', 'string', 0],
        ['Status', 'string', 0],
        ['Restarts', 'string', 0],
        ['Age', 'string', 0],
        ['IP', 'string', 1],
        ['Node', 'string', 1],
        ['Nominated Node', 'string', 1],
        ['Readiness Gates', 'string', 1],
      ],
    )
    assert.deepEqual(json.columnDefinitions[0].format, 'name')
    const [row] = json.rows
    assert.deepEqual(row.cells, ['a', '0/1', 'Pending', '0', '0s', '<none>', '<none>', '<none>', '<none>'])
    const { managedFields, ...shown } = list.items[0].metadata
    assert.deepEqual(
      [managedFields.length, row.object],
      [1, { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: shown }],
    )
    const one = (await accept(`${PODS}/b`, TABLE)).json
    assert.deepEqual(
      [one.rows.map((each: { cells: unknown[] }) => each.cells[0]), one.metadata],
      [['b'], { resourceVersion: list.items[1].metadata.resourceVersion }],
    )
  })

  it('puts into a row of a table what is asked for, numbers as numbers', async () => {
    const included = async (include: string): Promise<unknown> =>
      (await accept(`${PODS}?includeObject=${include}`, TABLE)).json.rows[0].object?.kind
    assert.deepEqual(
      [await included('None'), await included('Metadata'), await included('Object'), await included('')],
      [undefined, 'PartialObjectMetadata', 'Pod', 'PartialObjectMetadata'],
    )
    assert.equal((await accept(`${PODS}?includeObject=Some`, TABLE)).status, 400)
    await face.api.create<'ConfigMap'>(
      { kind: 'ConfigMap', metadata: { name: 'c', namespace: 'default' }, data: { x: '1', y: '2' } },
      { fieldManager: 'test' },
    )
    const { json } = await accept('/api/v1/configmaps', TABLE)
    assert.deepEqual(
      json.rows.map((row: { cells: unknown[] }) => row.cells),
      [['c', 2, '0s']],
    )
  })

  it('sends the columns of a table without rows, and an error as what it is', async () => {
    const empty = (await accept('/apis/apps/v1/deployments', TABLE)).json
    assert.deepEqual([empty.rows, empty.columnDefinitions[1].name], [[], 'Ready'])
    const { status, json } = await accept(`${PODS}/z`, `${TABLE},application/json`)
    assert.deepEqual([status, json.kind, json.code], [404, 'Status', 404])
  })

  it('sends metadata alone, in JSON and in protobuf', async () => {
    const { metadata } = (await face.get(`${PODS}/a`)).json
    assert.deepEqual((await accept(`${PODS}/a`, `application/json${METADATA}`)).json, {
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
      metadata,
    })
    const list = (await accept(PODS, `application/json${METADATA_LIST}`)).json
    assert.deepEqual(
      [list.kind, list.apiVersion, list.items[0]],
      [
        'PartialObjectMetadataList',
        'meta.k8s.io/v1',
        { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata },
      ],
    )
    const { kind, raw } = openEnvelope(
      (await accept(`${PODS}/a`, `${PROTOBUF}${METADATA},application/json${METADATA}`)).body,
    )
    const bare = decodeResource('Pod', raw) as Pod
    assert.deepEqual(
      [kind, bare.metadata.name, bare.metadata.resourceVersion, bare.spec.containers],
      ['PartialObjectMetadata', 'a', metadata.resourceVersion, []],
    )
    const many = openEnvelope((await accept(PODS, `${PROTOBUF}${METADATA_LIST}`)).body)
    assert.deepEqual(
      [many.kind, readList(many.raw).items.map((item) => decodeResource('Pod', item).metadata.name)],
      ['PartialObjectMetadataList', ['a', 'b']],
    )
  })

  it('sends long answers compressed to who takes that', async () => {
    const data = { text: 'x'.repeat(200_000) }
    await face.api.create<'ConfigMap'>(
      { kind: 'ConfigMap', metadata: { name: 'long', namespace: 'default' }, data },
      { fieldManager: 'test' },
    )
    const path = '/api/v1/namespaces/default/configmaps/long'
    const { headers, body } = await face.get(path, { headers: { 'Accept-Encoding': 'gzip' } })
    assert.deepEqual(
      [headers['content-encoding'], headers.vary, JSON.parse(gunzipSync(body).toString()).data],
      ['gzip', 'Accept-Encoding', data],
    )
    assert.ok(body.length < 20_000)
    for (const [target, coding] of [
      [path, 'gzip;q=0'],
      [path, 'br'],
      [`${PODS}/a`, 'gzip'],
    ] as const)
      assert.equal(
        (await face.get(target, { headers: { 'Accept-Encoding': coding } })).headers['content-encoding'],
        undefined,
      )
  })

  it('tells errors in protobuf and YAML too', async () => {
    const { headers, body } = await accept(`${PODS}/z`, `${PROTOBUF},application/json`)
    const { apiVersion, kind, raw } = openEnvelope(body)
    const status = decode('Status', raw)
    assert.deepEqual(
      [headers['content-type'], apiVersion, kind, status.code, status.reason, status.message],
      [PROTOBUF, 'v1', 'Status', 404, 'NotFound', 'pods "z" not found'],
    )
    assert.equal(parse((await accept(`${PODS}/z`, 'application/yaml')).body.toString()).reason, 'NotFound')
  })

  describe('watches', () => {
    const change = (name: string, value: string) =>
      face.api.mutate('Pod', 'default', name, '', (pod) => void (pod.metadata.annotations = { value }), {
        fieldManager: 'test',
      })

    it('come in protobuf, each frame behind its length', async () => {
      const message = await face.open('GET', `${PODS}?watch=1&fieldSelector=metadata.name%3Da`, {
        headers: { Accept: `${PROTOBUF};stream=watch,application/json;stream=watch` },
      })
      assert.equal(message.headers['content-type'], `${PROTOBUF};stream=watch`)
      const frames = protobufFrames(message)
      const first = (await frames.next()).value!
      await change('a', 'watched')
      const second = (await frames.next()).value!
      assert.deepEqual([first.type, second.type], ['ADDED', 'MODIFIED'])
      const { apiVersion, kind, raw } = openEnvelope(second.object)
      assert.deepEqual(
        [apiVersion, kind, decodeResource('Pod', raw).metadata.annotations],
        ['v1', 'Pod', { value: 'watched' }],
      )
      message.destroy()
    })

    it('come as tables, of which the first says what the columns are', async () => {
      const message = await face.open('GET', `${PODS}?watch=1&allowWatchBookmarks=1`, { headers: { Accept: TABLE } })
      const frames = jsonFrames(message)
      const told = [await frames.next(), await frames.next()].map(({ value }) => value!)
      assert.deepEqual(
        told.map(({ type, object }) => [type, object.kind, object.columnDefinitions.length, object.rows[0].cells[0]]),
        [
          ['ADDED', 'Table', 9, 'a'],
          ['ADDED', 'Table', 0, 'b'],
        ],
      )
      await face.clock.advance(60_000)
      const bookmark = (await frames.next()).value!
      assert.deepEqual([bookmark.type, bookmark.object.rows], ['BOOKMARK', []])
      assert.ok(Number(bookmark.object.metadata.resourceVersion) > 0)
      message.destroy()
    })

    it('come as metadata alone', async () => {
      const message = await face.open('GET', `${PODS}?watch=1`, { headers: { Accept: `application/json${METADATA}` } })
      const { type, object } = (await jsonFrames(message).next()).value!
      assert.deepEqual(
        [type, object.kind, Object.keys(object).sort(), object.metadata.name],
        ['ADDED', 'PartialObjectMetadata', ['apiVersion', 'kind', 'metadata'], 'a'],
      )
      message.destroy()
    })

    it('do not come in YAML, nor compressed', async () => {
      assert.equal((await accept(`${PODS}?watch=1`, 'application/yaml')).status, 406)
      const message = await face.open('GET', `${PODS}?watch=1`, {
        headers: { Accept: 'application/yaml,application/json', 'Accept-Encoding': 'gzip' },
      })
      assert.deepEqual(
        [message.headers['content-type'], message.headers['content-encoding']],
        ['application/json', undefined],
      )
      message.destroy()
    })
  })
})

/** A list's message: metadata is field 1, each of the items field 2. */
function readList(raw: Uint8Array): {
  metadata: { resourceVersion?: string; remainingItemCount?: number }
  items: Uint8Array[]
} {
  const reader = protobuf.Reader.create(raw)
  const items: Uint8Array[] = []
  let metadata = {}
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (tag === 0x0a) metadata = decode('ListMeta', reader.bytes())
    else if (tag === 0x12) items.push(reader.bytes())
    else assert.fail(`a list has no field with tag ${tag}`)
  }
  return { metadata, items }
}

async function* jsonFrames(
  message: AsyncIterable<Buffer>,
): AsyncGenerator<{ type: string; object: any }, void, undefined> {
  let rest = ''
  for await (const chunk of message) {
    const parts = (rest + chunk.toString()).split('\n')
    rest = parts.pop()!
    for (const part of parts) yield JSON.parse(part) as { type: string; object: unknown }
  }
}

async function* protobufFrames(
  message: AsyncIterable<Buffer>,
): AsyncGenerator<{ type: string; object: Uint8Array }, void, undefined> {
  let waiting = Buffer.alloc(0)
  for await (const chunk of message) {
    waiting = Buffer.concat([waiting, chunk])
    while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32BE()) {
      const reader = protobuf.Reader.create(waiting.subarray(4, 4 + waiting.readUInt32BE()))
      waiting = waiting.subarray(4 + waiting.readUInt32BE())
      assert.equal(reader.uint32(), 0x0a)
      const type = reader.string()
      assert.equal(reader.uint32(), 0x12)
      const extension = protobuf.Reader.create(reader.bytes())
      assert.equal(extension.uint32(), 0x0a)
      yield { type, object: extension.bytes() }
    }
  }
}
