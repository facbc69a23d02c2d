/** Code that reads and writes messages in protobuf's wire format. https://protobuf.dev/programming-guides/encoding/ */
import type { FieldSchema, MessageSchema, Schema } from '../schema/model.ts'
import { access, firstOf, isSpecial, keyText, Layout, messageOf, zeroOf, zeroValue } from './layout.ts'
import { indent, moduleCode } from './module.ts'
import { makeCode, SHAPE_FUNCTION, shapeNames, shapesCode } from './shapes.ts'

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5
/** Special messages in whose bytes JSON stands. */
const JSON_MESSAGES: ReadonlySet<string> = new Set(['FieldsV1', 'JSON'])

export function wireCode(schema: Schema): string {
  const messages = Object.values(schema.messages)
  const layouts = messages.map(({ name }) => new Layout(schema, name))
  const plain = messages.filter(({ value }) => value === undefined).map(({ name }) => name)
  const special = messages.filter(({ value }) => value !== undefined).map(({ name }) => name)
  const merged = mergedMessages(schema)
  const readers = layouts.map((layout) => readerCode(layout, merged))
  const enums = Object.values(schema.enums).map(({ name, values }) => {
    const names = Object.fromEntries(Object.entries(values).map(([key, value]) => [value, key]))
    return `const ${name}Numbers: any = ${JSON.stringify(values)}\nconst ${name}Names: any = ${JSON.stringify(names)}`
  })
  return moduleCode({
    head: [
      "import { type ByteReader, exact } from '../codec/byte-reader.ts'",
      "import { type ByteWriter, sortedKeys } from '../codec/byte-writer.ts'",
      `import { ${special.flatMap((name) => [`fieldsOf${name}`, `valueOf${name}`]).join(', ')} } from '../codec/special-forms.ts'\n`,
      '/** Reads a message up to `end`, adding to `into`; `named`: with its apiVersion and kind. */',
      'type Read = (r: ByteReader, end: number, into?: any, named?: boolean) => any',
      '/** Writes a message, from its end to its beginning. */',
      'type Write = (w: ByteWriter, o: any) => void',
      SHAPE_FUNCTION,
    ],
    lookups: [
      {
        name: 'wireReader',
        doc: 'What reads a message.',
        type: 'Read',
        cases: plain.map((name) => [name, `read${name}`]),
      },
      {
        name: 'wireWriter',
        doc: 'What writes a message.',
        type: 'Write',
        cases: plain.map((name) => [name, `write${name}`]),
      },
    ],
    // Where objects are read, they are made.
    list: { name: 'shapes', doc: 'What makes the objects of messages.', parts: shapeNames(schema) },
    body: [...shapesCode(schema), ...enums, ...readers, ...layouts.map(writerCode)],
  })
}

function wireTypeOf({ kind, type }: FieldSchema): number {
  if (kind === 'message' || type === 'string' || type === 'bytes') return BYTES
  return type === 'double' ? FIXED64 : type === 'float' ? FIXED32 : VARINT
}

// Reading

function readerCode(layout: Layout, merged: ReadonlySet<string>): string {
  const { message, name } = layout
  const special = message.value !== undefined
  const names = layout.properties
    .map((property) => `${keyText(property.name)}: ${layout.local(property.name)}`)
    .join(', ')
  const locals = layout.properties.map((property) => `${layout.local(property.name)}: any`)
  const lines = locals.length === 0 ? [] : [`let ${locals.join(', ')}`]
  const parameters = ['r: ByteReader', 'end: number']
  if (!special && (merged.has(name) || layout.header !== undefined)) parameters.push('o?: any')
  if (merged.has(name) && locals.length > 0) lines.push(`if (o !== undefined) ({ ${names} } = o)`)
  lines.push(...loopCode(layout, message, 'end', 0))
  if (special) {
    lines.push(`return { ${names} }`)
    return `function read${name}(${parameters.join(', ')}): any {\n${indent(lines).join('\n')}\n}\n`
  }
  const header = layout.header
  if (header !== undefined) parameters.push('named?: boolean')
  const made = makeCode(
    layout,
    ({ name: property, field, zero }) => {
      const local = layout.local(property)
      const value = field?.label === 'repeated' ? exactCode(local, merged.has(name)) : local
      return zero === undefined ? value : `${value} ?? ${zero}`
    },
    header && [
      `named === true ? ${JSON.stringify(header.apiVersion)} : undefined`,
      `named === true ? ${JSON.stringify(header.kind)} : undefined`,
    ],
  )
  lines.push(`return ${made}`)
  return `function read${name}(${parameters.join(', ')}): any {\n${indent(lines).join('\n')}\n}\n`
}

/** What is added to a list that was there before stays there: a copy for each piece would take quadratic time. */
function exactCode(list: string, isMerged: boolean): string {
  return isMerged ? `(o === undefined ? exact(${list}) : ${list})` : `exact(${list})`
}

/** Messages that are the value of a field of which protobuf merges what comes twice. */
function mergedMessages(schema: Schema): Set<string> {
  return new Set(
    Object.values(schema.messages).flatMap(({ fields }) =>
      fields
        .filter((field) => field.kind === 'message' && field.label === 'optional' && field.oneof === undefined)
        .filter((field) => !isSpecial(schema, field))
        .map(({ type }) => type),
    ),
  )
}

/** Reads the fields of a message into variables; those of an inlined message into those of its parent. */
function loopCode(layout: Layout, message: MessageSchema, end: string, depth: number): string[] {
  const tag = `tag${depth === 0 ? '' : String(depth)}`
  const name = JSON.stringify(message.name)
  const cases = message.fields.flatMap((field) => fieldReader(layout, message, field, depth))
  const other = `r.other(${tag}, ${name})`
  return [
    `while (r.at < ${end}) {`,
    `  const ${tag} = r.uint32()`,
    ...indent(
      cases.length === 0 ? [other] : [`switch (${tag}) {`, ...indent([...cases, 'default:', `  ${other}`]), '}'],
    ),
    '}',
    `if (r.at !== ${end}) r.cutOff(${name})`,
  ]
}

/** The cases of a field, by the tags that it may have. */
function fieldReader(layout: Layout, message: MessageSchema, field: FieldSchema, depth: number): string[] {
  const { schema } = layout
  const { name, label, options, oneof, number } = field
  const json = JSON_MESSAGES.has(message.name)
  const wireType = label === 'map' ? BYTES : wireTypeOf(field)
  const branch = (lines: readonly string[], type = wireType): string[] => [
    `case ${tagOf(number, type)}:`,
    ...indent([...lines, 'break']),
  ]
  if (options.inline === true) {
    const inlined = messageOf(schema, field.type)
    const end = `end${depth + 1}`
    const fills = inlined.fields.flatMap((inner) => {
      const zero = zeroOf(schema, inner)
      return zero === undefined ? [] : [`${layout.local(inner.name)} ??= ${zero}`]
    })
    return branch([
      '{',
      ...indent([`const ${end} = r.end()`, ...loopCode(layout, inlined, end, depth + 1), ...fills]),
      '}',
    ])
  }
  if (oneof !== undefined)
    return branch([
      `${layout.local(oneof)} = { case: ${JSON.stringify(name)}, value: ${valueReader(schema, field, json)} }`,
    ])
  const local = layout.local(name)
  if (label === 'map') {
    if (field.type === 'string') return branch([`r.stringEntry(${local} ??= {})`])
    const zero = zeroValue(schema, field)
    return branch([
      `r.entry(${local} ??= {}, ${wireTypeOf(field)}, (r) => ${valueReader(schema, field, json)}, () => ${zero})`,
    ])
  }
  if (label === 'repeated') {
    const value = valueReader(schema, field, json)
    const one = branch([`if (${local} === undefined) ${local} = [${value}]`, `else ${local}.push(${value})`])
    if (wireType === BYTES) return one
    const packed = [`${local} ??= []`, `for (const last = r.end(); r.at < last; ) ${local}.push(${value})`]
    return [...one, ...branch(packed, BYTES)]
  }
  return branch([`${local} = ${valueReader(schema, field, json, local)}`])
}

function valueReader(schema: Schema, field: FieldSchema, json: boolean, previous?: string): string {
  const { kind, type, options } = field
  if (kind === 'enum') return `${type}Names[r.int32()] ?? ${JSON.stringify(firstOf(schema, type))}`
  if (isSpecial(schema, field)) return `valueOf${type}(read${type}(r, r.end()))`
  if (kind === 'message') return `read${type}(r, r.end()${previous === undefined ? '' : `, ${previous}`})`
  if (type === 'bytes') return json ? 'r.json()' : options.base64 === true ? 'r.base64()' : 'r.bytes()'
  return `r.${type}()`
}

// Writing, from the end to the beginning

function writerCode(layout: Layout): string {
  const lines = fieldsWriter(layout, layout.message, 0)
  const needsValue = lines.some((line) => /\bv\b/.test(line))
  if (needsValue) lines.unshift('let v: any')
  return `function write${layout.name}(w: ByteWriter, o: any): void {\n${indent(lines).join('\n')}\n}\n`
}

function fieldsWriter(layout: Layout, message: MessageSchema, depth: number): string[] {
  return message.fields.toReversed().flatMap((field) => fieldWriter(layout, field, depth))
}

function tagOf(number: number, wireType: number): number {
  const tag = number * 8 + wireType
  // ByteWriter.tag writes no more than two bytes.
  if (tag >= 2 ** 14) throw new Error(`the number ${number} is too large for a tag of two bytes`)
  return tag
}

function fieldWriter(layout: Layout, field: FieldSchema, depth: number): string[] {
  const { schema, message } = layout
  const { name, label, options, oneof, number, kind, type } = field
  const json = JSON_MESSAGES.has(message.name)
  const tag = tagOf(number, label === 'map' ? BYTES : wireTypeOf(field))
  if (options.inline === true)
    return [
      '{',
      `  const size${depth} = w.size`,
      ...indent(fieldsWriter(layout, messageOf(schema, type), depth + 1)),
      `  w.close(size${depth}, ${tag})`,
      '}',
    ]
  const value = access('o', name)
  if (oneof !== undefined)
    return [
      `if ((v = ${access('o', oneof)}) !== undefined && v.case === ${JSON.stringify(name)}) ${valueWriter(schema, field, 'v.value', tag, json)}`,
    ]
  if (label === 'map') {
    if (kind === 'scalar' && type === 'string') return [`if ((v = ${value}) != null) w.stringMap(v, ${tag})`]
    return [
      `if ((v = ${value}) != null) {`,
      '  const keys = sortedKeys(v)',
      '  for (let i = keys.length - 1; i >= 0; i--) {',
      '    const { size } = w',
      `    ${valueWriter(schema, field, 'v[keys[i]!]', tagOf(2, wireTypeOf(field)), json)}`,
      `    w.string(keys[i]!, ${tagOf(1, BYTES)})`,
      `    w.close(size, ${tag})`,
      '  }',
      '}',
    ]
  }
  if (label === 'repeated')
    return [
      `if ((v = ${value}) != null) for (let i = v.length - 1; i >= 0; i--) ${valueWriter(schema, field, 'v[i]', tag, json)}`,
    ]
  const skipsZero =
    ((field.implicit && kind !== 'message') || options.always === true) && kind !== 'message' && type !== 'bytes'
  const notZero = skipsZero ? ` && v !== ${zeroValue(schema, field)}` : ''
  // A null is a value in JSON.
  const isThere = json ? '!== undefined' : '!= null'
  return [`if ((v = ${value}) ${isThere}${notZero}) ${valueWriter(schema, field, 'v', tag, json)}`]
}

/** A statement that writes a value and the tag before it. */
function valueWriter(schema: Schema, field: FieldSchema, value: string, tag: number, json: boolean): string {
  const { kind, type, options } = field
  if (kind === 'enum') return `w.int32(${type}Numbers[${value}] ?? 0, ${tag})`
  if (kind === 'message') {
    const written = isSpecial(schema, field) ? `fieldsOf${type}(${value})` : value
    return `{ const n = w.size; write${type}(w, ${written}); w.close(n, ${tag}) }`
  }
  if (type === 'bytes') {
    const writer = json ? 'json' : options.base64 === true ? 'base64' : 'bytes'
    return `w.${writer}(${value}, ${tag})`
  }
  return `w.${type === 'uint64' ? 'int64' : type}(${value}, ${tag})`
}
