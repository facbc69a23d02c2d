/**
 * What protobuf bytes hold that the schema does not know. Decoding drops it, as protobuf and Kubernetes want; over
 * gRPC, where both sides are of Gantry, nothing is accepted and then ignored. The scan is separate, so that the store's
 * bytes and those of Kubernetes' clients do without it.
 * https://protobuf.dev/programming-guides/encoding/
 */
import protobuf from 'protobufjs/minimal.js'
import { entryPath, fieldPath } from '../base/path.ts'
import { problem, type Problem } from '../base/problem.ts'
import { messageSchema } from '../schema/schema.ts'
import type { FieldSchema } from '../schema/model.ts'

type Reader = protobuf.Reader

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
const WIRE_TYPES: Readonly<Record<string, number>> = { string: BYTES, bytes: BYTES, double: FIXED64, float: FIXED32 }
const WIRE_NAMES: Readonly<Record<number, string>> = {
  [VARINT]: 'varint',
  [FIXED64]: '64 bits',
  [BYTES]: 'length-delimited',
  3: 'group',
  4: 'end of a group',
  [FIXED32]: '32 bits',
}

/**
 * Every field of a number, or with a wire type, that its message does not have. Throws RangeError for bytes that are
 * cut off.
 */
export function unknownFields(message: string, bytes: Uint8Array): Problem[] {
  const reader = protobuf.Reader.create(bytes)
  const problems: Problem[] = []
  scan(reader, reader.len, message, '', problems)
  return problems
}

function wireTypeOf({ kind, type }: FieldSchema): number {
  switch (kind) {
    case 'message':
      return BYTES
    case 'enum':
      return VARINT
    case 'scalar':
      return WIRE_TYPES[type] ?? VARINT
  }
}

function scan(reader: Reader, end: number, message: string, path: string, problems: Problem[]): void {
  if (end > reader.len) throw new RangeError(`${message} is cut off`)
  const fields = byNumber(message)
  const counts = new Map<string, number>()
  while (reader.pos < end) {
    const tag = reader.uint32()
    const wireType = tag & 7
    const field = fields.get(tag >>> 3)
    if (field === undefined) {
      problems.push(
        problem(path, `${message} has no field number ${tag >>> 3}`, {
          key: true,
          remedy: 'leave it out: nothing would come of it',
        }),
      )
      reader.skipType(wireType)
      continue
    }
    const index = counts.get(field.name) ?? 0
    counts.set(field.name, index + 1)
    // An inlined message stands in its parent.
    const at = field.options.inline === true ? path : fieldPath(path, field.name)
    if (field.label === 'map' && wireType === BYTES) scanEntry(reader, field, at, problems)
    else scanValue(reader, wireType, field, field.label === 'repeated' ? entryPath(at, index) : at, problems)
  }
}

function scanEntry(reader: Reader, field: FieldSchema, path: string, problems: Problem[]): void {
  const end = reader.uint32() + reader.pos
  let key = ''
  while (reader.pos < end) {
    const tag = reader.uint32()
    if (tag === ((1 << 3) | BYTES)) key = reader.string()
    else if (tag >>> 3 === 2) scanValue(reader, tag & 7, field, entryPath(path, key), problems)
    else {
      problems.push(
        problem(path, `an entry of a map has no field number ${tag >>> 3} of this form`, {
          key: true,
          remedy: 'leave it out: nothing would come of it',
        }),
      )
      reader.skipType(tag & 7)
    }
  }
}

function scanValue(reader: Reader, wireType: number, field: FieldSchema, path: string, problems: Problem[]): void {
  const expected = wireTypeOf(field)
  const packed = field.label === 'repeated' && expected !== BYTES && wireType === BYTES
  if (wireType !== expected && !packed)
    problems.push(
      problem(
        path,
        `field number ${field.number} is written as ${WIRE_NAMES[wireType] ?? wireType}, not as ${WIRE_NAMES[expected]}`,
      ),
    )
  if (wireType === expected && field.kind === 'message')
    scan(reader, reader.uint32() + reader.pos, field.type, path, problems)
  else reader.skipType(wireType)
}

const numbers = new Map<string, Map<number, FieldSchema>>()

function byNumber(message: string): ReadonlyMap<number, FieldSchema> {
  let fields = numbers.get(message)
  if (fields === undefined)
    numbers.set(message, (fields = new Map(messageSchema(message).fields.map((field) => [field.number, field]))))
  return fields
}
