import assert from 'node:assert/strict'
import protobuf from 'protobufjs/minimal.js'
import { describeProblem } from '../../../proto/base/problem.ts'
import { unknownFields } from '../../../proto/codec/unknown-fields.ts'
import { encode, withResourceVersion } from '../../../proto/codec/wire.ts'

const pod = {
  metadata: {
    name: 'web',
    namespace: 'default',
    labels: { app: 'web' },
    managedFields: [{ manager: 'm', time: '2026-01-01T00:00:00Z', fieldsV1: { 'f:spec': {} } }],
    creationTimestamp: '2026-01-01T00:00:00Z',
  },
  spec: {
    terminationGracePeriodSeconds: 5,
    containers: [
      {
        name: 'c',
        image: 'busybox',
        resources: { limits: { cpu: '100m' } },
        ports: [{ containerPort: 80 }],
        readinessProbe: { httpGet: { port: 'http', path: '/' } },
      },
    ],
    volumes: [{ name: 'v', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }],
  },
  status: { phase: 'Running', timeline: [{ step: 'accepted', time: '2026-01-01T00:00:00.000001Z' }] },
}

/** A field of bytes around others. */
const within = (number: number, bytes: Uint8Array): Uint8Array =>
  protobuf.Writer.create()
    .uint32((number << 3) | 2)
    .bytes(bytes)
    .finish()
const varint = (number: number, value: number): Uint8Array =>
  protobuf.Writer.create()
    .uint32(number << 3)
    .uint32(value)
    .finish()
const METADATA = 1
const SPEC = 2
const CONTAINERS = 2

describe('unknown fields', () => {
  const found = (bytes: Uint8Array): string[] => unknownFields('Pod', bytes).map(describeProblem)

  it('finds none in what Gantry writes', () => {
    assert.deepEqual(found(encode('Pod', pod as never)), [])
    assert.deepEqual(found(withResourceVersion(encode('Pod', pod as never), '17')), [])
    assert.deepEqual(found(new Uint8Array()), [])
  })

  it('names message, number and place', () => {
    const remedy = ' (leave it out: nothing would come of it)'
    assert.deepEqual(found(varint(900, 1)), [`Pod has no field number 900${remedy}`])
    const container = within(CONTAINERS, Buffer.concat([within(1, Buffer.from('c')), within(777, Buffer.from('x'))]))
    const fine = within(CONTAINERS, within(1, Buffer.from('d')))
    assert.deepEqual(found(within(SPEC, Buffer.concat([fine, container]))), [
      `spec.containers[1]: Container has no field number 777${remedy}`,
    ])
    // metadata.labels (11), an entry with a third field.
    const entry = Buffer.concat([within(1, Buffer.from('app')), within(2, Buffer.from('web')), varint(3, 1)])
    assert.deepEqual(found(within(METADATA, within(11, entry))), [
      `metadata.labels: an entry of a map has no field number 3 of this form${remedy}`,
    ])
    assert.equal(found(Buffer.concat([varint(900, 1), varint(901, 1)])).length, 2)
  })

  it('finds a known number of another wire type', () => {
    assert.deepEqual(found(within(METADATA, varint(1, 5))), [
      'metadata.name: field number 1 is written as varint, not as length-delimited',
    ])
    assert.deepEqual(found(varint(SPEC, 5)), ['spec: field number 2 is written as varint, not as length-delimited'])
  })

  it('throws for bytes that are cut off', () => {
    const bytes = encode('Pod', pod as never)
    for (const length of [1, 2, 10, bytes.length - 1])
      assert.throws(() => unknownFields('Pod', bytes.subarray(0, length)), RangeError, String(length))
  })
})
