/**
 * What Kubernetes publishes of its protobuf messages, as facts: kubernetes.txt, written by write-table.ts out of the
 * sources of release 1.34. A line without indentation names a message. Each line below it is a field: number, name,
 * type, and flags. `pointer`: Go tells absence from the zero value. `written`: JSON has it even if it is empty.
 * `inline`: in JSON its fields stand in the parent. `json=NAME`: its name in JSON, if that is another.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'

export const TABLE_FILE = join(import.meta.dirname, 'kubernetes.txt')

export interface PublishedField {
  readonly number: number
  readonly name: string
  /** The name in JSON. */
  readonly json: string
  readonly label: 'optional' | 'repeated' | 'map'
  /** A scalar of protobuf, or a message's whole name. */
  readonly type: string
  readonly pointer: boolean
  readonly written: boolean
  readonly inline: boolean
}

function parseField(line: string, parent: string): PublishedField {
  const [number = '', name = '', shape = '', ...flags] = line.trim().split(' ')
  const label = shape.startsWith('[]') ? 'repeated' : shape.startsWith('map<') ? 'map' : 'optional'
  const short = /\w[\w.]*(?=>?$)/.exec(shape)![0]
  const type = /^[A-Z]\w*$/.test(short) ? `${parent.slice(0, parent.lastIndexOf('.'))}.${short}` : short
  return {
    number: Number(number),
    name,
    json: flags.find((flag) => flag.startsWith('json='))?.slice('json='.length) ?? name,
    label,
    type,
    pointer: flags.includes('pointer'),
    written: flags.includes('written'),
    inline: flags.includes('inline'),
  }
}

/** Every message by its whole name, such as "k8s.io.api.core.v1.Pod". */
export function readTable(): ReadonlyMap<string, readonly PublishedField[]> {
  const table = new Map<string, PublishedField[]>()
  let name = ''
  for (const line of readFileSync(TABLE_FILE, 'utf8').trimEnd().split('\n')) {
    if (line.startsWith(' ')) table.get(name)!.push(parseField(line, name))
    else table.set((name = line), [])
  }
  return table
}

/** The same as protobuf's own descriptors: the oracle that reads and writes bytes as Kubernetes' clients do. */
export function publishedRoot(table = readTable()): protobuf.Root {
  const root = new protobuf.Root()
  for (const [name, fields] of table) {
    const at = name.lastIndexOf('.')
    const type = new protobuf.Type(name.slice(at + 1))
    for (const { number, name: field, label, type: of } of fields) {
      const whole = of.includes('.') ? `.${of}` : of
      type.add(
        label === 'map'
          ? new protobuf.MapField(field, number, 'string', whole)
          : new protobuf.Field(field, number, whole, label),
      )
    }
    root.define(name.slice(0, at)).add(type)
  }
  root.resolveAll()
  return root
}
