import assert from 'node:assert/strict'
import { parseJson, readObject, readOptions, readTyped, readYamlBody } from '../../../controller/kube/body.ts'
import type { KubeRequest } from '../../../controller/kube/contract.ts'
import { envelopeHead, openEnvelope, varint } from '../../../controller/kube/envelope.ts'
import { DEPTH_LIMIT, faultOf } from '../../../controller/kube/json-scan.ts'
import { parseYaml } from '../../../controller/kube/yaml/parse.ts'
import { HttpError } from '../../../controller/kube/status.ts'
import { decodeJson } from '../../../proto/codec/codec.ts'
import { messageSchema } from '../../../proto/schema/schema.ts'
import { encode, encodeResource } from '../../../proto/codec/wire.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
/** Number of the field of a JSON schema that holds another. */
const NOT = messageSchema('JSONSchemaProps').fields.find(({ name }) => name === 'not')!.number

function request(body: string | Uint8Array, type?: string, headers: Record<string, string> = {}): KubeRequest {
  return {
    headers: { ...(type !== undefined && { 'content-type': type }), ...headers },
    body: () => Promise.resolve(Buffer.from(body)),
    parseYaml: async (text: string) => parseYaml(text),
  } as unknown as KubeRequest
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(thrown instanceof HttpError, String(thrown))
  return `${thrown.status} ${thrown.message}`
}

const CONFIG = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' }, data: { b: 'c' } }

/** The same object in protobuf, with its envelope. */
function enveloped(raw = encodeResource(decodeJson('ConfigMap', CONFIG))): Buffer {
  return Buffer.concat([envelopeHead('v1', 'ConfigMap', raw.length), raw])
}

describe('Kubernetes face: bodies', () => {
  it('reads one object from JSON, YAML and protobuf', async () => {
    const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\ndata:\n  b: c\n'
    for (const [body, type] of [
      [JSON.stringify(CONFIG), undefined],
      [JSON.stringify(CONFIG), 'application/json; charset=utf-8'],
      [yaml, 'application/yaml'],
      [enveloped(), PROTOBUF],
    ] as const) {
      const about = request(body, type)
      assert.deepEqual(await readObject(about, 'ConfigMap'), { value: CONFIG, problems: [] }, type)
      assert.equal(about.objectName, 'a')
    }
  })

  it('takes an absent body for options, not for an object', async () => {
    assert.equal(await readOptions(request(''), 'DeleteOptions'), undefined)
    assert.match(await refusal(readObject(request(''), 'ConfigMap')), /^400 the request has no body/)
  })

  it('says what it takes', async () => {
    assert.equal(
      await refusal(readObject(request('{}', 'text/plain'), 'ConfigMap')),
      `415 the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${PROTOBUF}`,
    )
    assert.match(
      await refusal(readObject(request(enveloped(), PROTOBUF), undefined)),
      /^415 .*: application\/json, application\/yaml$/,
    )
    assert.match(
      await refusal(readObject(request('{}', undefined, { 'content-encoding': 'gzip' }), 'ConfigMap')),
      /^415 the body is encoded as gzip/,
    )
    assert.match(await refusal(readTyped(request('{}', 'application/json'), ['application/merge-patch+json'])), /^415 /)
  })

  it('says where JSON is malformed', async () => {
    for (const [text, place] of [
      ['{"a":1,\n}', 'line 2, column 1'],
      ['{"a":tru}', 'line 1, column 6'],
      ['{"a":1', 'line 1, column 7'],
      ['[1 2]', 'line 1, column 4'],
      ['{"a" 1}', 'line 1, column 6'],
      ['{"a":"x\ny"}', 'line 1, column 6'],
      ['{} {}', 'line 1, column 4'],
      ['{]', 'line 1, column 2'],
      ['{"a":01}', 'line 1, column 7'],
      ['{"a":"\\q"}', 'line 1, column 6'],
      ['  ', 'line 1, column 3'],
      ['[1,]', 'line 1, column 4'],
    ] as const)
      assert.equal(
        await refusal((async () => parseJson(Buffer.from(text)))()),
        `400 the body is not JSON at ${place}`,
        text,
      )
  })

  it('finds the fault of every text that is no JSON', () => {
    const text = JSON.stringify({ a: [1, -2.5e3, true, null, 'x"\\y', { b: {} }], c: [] })
    for (let cut = 0; cut < text.length; cut++) assert.equal(faultOf(text.slice(0, cut)) <= cut, true)
    for (let at = 0; at < text.length; at++) {
      const spoilt = `${text.slice(0, at)}!${text.slice(at)}`
      try {
        JSON.parse(spoilt)
      } catch {
        assert.equal(faultOf(spoilt) <= at, true, spoilt)
      }
    }
  })

  it('refuses what is no object, no UTF-8, no message', async () => {
    assert.match(await refusal(readObject(request('[]'), 'ConfigMap')), /^400 the body is not an object/)
    assert.match(
      await refusal(readObject(request(Buffer.of(0x7b, 0xff, 0x7d)), 'ConfigMap')),
      /^400 the body is not UTF-8/,
    )
    assert.match(await refusal(readObject(request('k8s', PROTOBUF), 'ConfigMap')), /^400 .*do not begin with/)
    const whole = enveloped()
    for (let cut = 4; cut < whole.length; cut++) {
      const cutOff = await readObject(request(whole.subarray(0, cut), PROTOBUF), 'ConfigMap').then(
        (read) => read.value.metadata === undefined || read.value.data === undefined,
        () => true,
      )
      assert.equal(cutOff, true, `cut at ${cut}`)
    }
  })

  it('bears any depth at small cost', async () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ]) {
      const text = `${open!.repeat(500_000)}1${close!.repeat(500_000)}`
      assert.match(
        await refusal((async () => parseJson(Buffer.from(text)))()),
        new RegExp(`^400 the body is nested more than ${DEPTH_LIMIT} levels deep`),
      )
      assert.match(
        await refusal((async () => parseJson(Buffer.from(open!.repeat(500_000))))()),
        /^400 the body is nested/,
      )
    }
    const allowed = `${'['.repeat(DEPTH_LIMIT)}${']'.repeat(DEPTH_LIMIT)}`
    assert.deepEqual(parseJson(Buffer.from(allowed)).problems, [])
    assert.match(await refusal((async () => parseYaml('['.repeat(100_000)))()), /^400 the body is nested too deep/)
    assert.match(
      await refusal((async () => parseYaml('['.repeat(1_000)))()),
      /^400 the body is not YAML at line 1, column \d+: nested/,
    )
    // A schema that is the opposite of a schema that is the opposite of a schema …
    const heads: Buffer[] = []
    for (let level = 0, size = 0; level < 50_000; level++, size += heads.at(-1)!.length)
      heads.push(Buffer.concat([varint((NOT << 3) | 2), varint(size)]))
    const raw = Buffer.concat(heads.reverse())
    assert.match(
      await refusal(
        readObject(
          request(Buffer.concat([envelopeHead('v1', 'JSONSchemaProps', raw.length), raw]), PROTOBUF),
          'JSONSchemaProps',
        ),
      ),
      /^400 the body's \d+ bytes are not a protobuf message/,
    )
  })

  it('names keys that come twice', () => {
    assert.deepEqual(
      parseJson(
        Buffer.from('{"spec":{"a":1,"c":[{"b":1,"\\u0062":2}],"a":{"x":"\\"a\\":"}},"a":{"a":"a"}}'),
      ).problems.map(({ field, message, unknownOrDuplicate: surplus }) => [field, message, surplus]),
      [
        ['spec.c[0].b', 'duplicate field', true],
        ['spec.a', 'duplicate field', true],
      ],
    )
    const yaml = parseYaml('a: 1\nb: 2\na: 3\n')
    assert.deepEqual(
      [yaml.value, yaml.problems.map(({ field, message }) => [field, message])],
      [{ a: 1, b: 2 }, [['a', 'duplicate field']]],
    )
  })

  it('drops fields of protobuf that the schema does not have, at any depth and in any form', async () => {
    const known = encodeResource(decodeJson('ConfigMap', CONFIG))
    const ofItsOwn = [
      [0x88, 0x3f, 1], // a number
      [0x89, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8], // 64 bits
      [0x8a, 0x3f, 1, 0x61], // bytes
      [0x8b, 0x3f, 0x08, 1, 0x13, 0x14, 0x8c, 0x3f], // a group in which there is another group
      [0x8d, 0x3f, 1, 2, 3, 4], // 32 bits
    ]
    for (const surplus of ofItsOwn) {
      const nested = Buffer.of((1 << 3) | 2, surplus.length, ...surplus) // in metadata, which comes in two pieces
      // The surplus stands in an entry of data.
      const entry = Buffer.of((2 << 3) | 2, 6 + surplus.length, 0x0a, 1, 0x78, 0x12, 1, 0x79, ...surplus)
      for (const [raw, data] of [
        [[known, ...surplus], { b: 'c' }],
        [[known, ...nested], { b: 'c' }],
        [[known, ...entry], { b: 'c', x: 'y' }],
      ] as const) {
        const { value, problems } = await readObject(
          request(
            enveloped(Buffer.concat(raw.map((part) => (typeof part === 'number' ? Buffer.of(part) : part)))),
            PROTOBUF,
          ),
          'ConfigMap',
        )
        assert.deepEqual({ value, problems }, { value: { ...CONFIG, data }, problems: [] })
      }
    }
    // The envelope, too: what stands in Unknown behind the object.
    const { value } = await readObject(
      request(Buffer.concat([enveloped(), Buffer.of(...ofItsOwn[3]!)]), PROTOBUF),
      'ConfigMap',
    )
    assert.deepEqual(value, CONFIG)
  })

  it('refuses protobuf in which a known field is of another form, and what is cut off', async () => {
    const known = encodeResource(decodeJson('ConfigMap', CONFIG))
    const broken: [string, number[]][] = [
      ['metadata as a number', [0x08, 1]],
      ['metadata.name as a number', [0x0a, 2, 0x08, 1]],
      ['an entry of data as a number', [0x10, 1]],
      ['a key of data as a number', [0x12, 2, 0x08, 1]],
      ['metadata beyond the end', [0x0a, 9, 0x0a, 1, 0x61]],
      ['a name beyond the end of metadata', [0x0a, 2, 0x0a, 3, 0x61, 0x61, 0x61]],
      ['an entry beyond its end', [0x12, 2, 0x0a, 3, 0x61, 0x61, 0x61]],
      ['the end of a group that did not begin', [0x8c, 0x3f]],
      ['half a group', [0x8b, 0x3f, 0x08, 1]],
    ]
    for (const [what, bytes] of broken) {
      assert.match(
        await refusal(
          readObject(request(enveloped(Buffer.concat([known, Buffer.from(bytes)])), PROTOBUF), 'ConfigMap'),
        ),
        /^400 the body's \d+ bytes are not a protobuf message ConfigMap/,
        what,
      )
    }
  })

  it('takes one YAML document, and says where it is wrong', async () => {
    assert.match(await refusal((async () => parseYaml('a: 1\n---\nb: 2\n'))()), /^400 the body holds 2 documents/)
    assert.match(
      await refusal((async () => parseYaml('a: 1\n b: [\n'))()),
      /^400 the body is not YAML at line \d, column \d/,
    )
  })

  it('reads JSON that is said to be YAML as JSON, and no long YAML', async () => {
    const long = JSON.stringify({ data: { a: 'x'.repeat(1_000_000) } })
    const unread = { parseYaml: () => Promise.reject(new Error('this is JSON')) }
    for (const text of [long, ` \n${long}`, `[${long}]`])
      assert.deepEqual((await readYamlBody(unread, Buffer.from(text))).value, JSON.parse(text))
    assert.deepEqual(parseYaml('{a: b}').value, { a: 'b' })
    assert.match(
      await refusal((async () => parseYaml(`a: "${'x'.repeat(600_000)}"`))()),
      /^413 the body is YAML of more than 524288 bytes/,
    )
    assert.match(
      await refusal((async () => parseJson(Buffer.from(`{"a": "${'x'.repeat(600_000)}", b}`)))()),
      /^400 the body is not JSON: /,
    )
  })

  it('opens the envelope of other writers', () => {
    const raw = encode('DeleteOptions', { gracePeriodSeconds: 3 })
    const unknown = Buffer.concat([
      Buffer.from('k8s\0'),
      Buffer.of(0x12, raw.length),
      raw,
      Buffer.of(0x0a, 4, 0x0a, 2, 0x76, 0x31),
      Buffer.of(0x1a, 0, 0x22, 0),
    ])
    assert.deepEqual(openEnvelope(unknown), { apiVersion: 'v1', kind: '', raw })
  })
})
