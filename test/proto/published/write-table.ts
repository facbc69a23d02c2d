/**
 * Writes kubernetes.txt, the facts that table.ts reads, from Kubernetes' published sources: names, numbers and types
 * out of the `.proto` files, and out of the Go types beside them which fields are pointers and which are left out of
 * JSON when they are empty.
 *
 *     npx tsx test/proto/published/write-table.ts DIR
 *
 * DIR holds k8s.io/api, k8s.io/apimachinery, k8s.io/apiextensions-apiserver and k8s.io/metrics of one release.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { TABLE_FILE } from './table.ts'

const VERSIONS = [
  'admission/v1',
  'admissionregistration/v1',
  'apps/v1',
  'authentication/v1',
  'authorization/v1',
  'autoscaling/v1',
  'autoscaling/v2',
  'batch/v1',
  'coordination/v1',
  'core/v1',
  'discovery/v1',
  'events/v1',
  'networking/v1',
  'policy/v1',
  'rbac/v1',
  'scheduling/v1',
  'storage/v1',
]
const PACKAGES = [
  ...VERSIONS.map((version) => `k8s.io/api/${version}`),
  'k8s.io/apimachinery/pkg/apis/meta/v1',
  'k8s.io/apimachinery/pkg/api/resource',
  'k8s.io/apimachinery/pkg/util/intstr',
  'k8s.io/apimachinery/pkg/runtime',
  'k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1',
  'k8s.io/metrics/pkg/apis/metrics/v1beta1',
]

interface GoField {
  readonly pointer: boolean
  readonly json: string
  readonly inline: boolean
  readonly omit: 'empty' | 'zero' | undefined
}

/** The fields of a folder's Go structs: by struct and number. */
function goFields(folder: string): Map<string, GoField> {
  const found = new Map<string, GoField>()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.go') && !/generated|_test\.go$/.test(name))) {
    let struct: string | undefined
    for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
      struct = /^type (\w+) struct \{/.exec(line)?.[1] ?? (line.startsWith('}') ? undefined : struct)
      const [, declaration = '', tags = ''] = /^\t(\w[^`]*?|\*\w[^`]*?)\s*`([^`]*)`/.exec(line) ?? []
      const number = /protobuf:"\w+,(\d+)/.exec(tags)?.[1]
      if (struct === undefined || number === undefined) continue
      const [json = '', ...flags] = (/json:"([^"]*)"/.exec(tags)?.[1] ?? '').split(',')
      const type = declaration.split(/\s+/).at(-1)!
      const omit = flags.includes('omitzero') ? 'zero' : flags.includes('omitempty') ? 'empty' : undefined
      found.set(`${struct}.${number}`, { pointer: type.startsWith('*'), json, inline: flags.includes('inline'), omit })
    }
  }
  return found
}

/** A message of the same package stands without its package. */
function typeOf(field: protobuf.Field): string {
  const { resolvedType, parent } = field
  const type = !(resolvedType instanceof protobuf.Type)
    ? field.type
    : resolvedType.parent === parent?.parent
      ? resolvedType.name
      : resolvedType.fullName.slice(1)
  return field instanceof protobuf.MapField ? `map<${type}>` : field.repeated ? `[]${type}` : type
}

function lineOf(field: protobuf.Field, go: GoField | undefined): string {
  const single = !field.repeated && !(field instanceof protobuf.MapField)
  // Go leaves out no empty structure unless its tag is omitzero.
  const structure = single && field.resolvedType instanceof protobuf.Type
  const alwaysWritten = go !== undefined && (go.omit === undefined || (go.omit === 'empty' && structure))
  const flags: string[] = []
  if (go?.inline === true) flags.push('inline')
  else if (go?.pointer === true) flags.push('pointer')
  else if (alwaysWritten) flags.push('written')
  if (go !== undefined && ![field.name, '', '-'].includes(go.json)) flags.push(`json=${go.json}`)
  return ['', field.id, field.name, typeOf(field), ...flags].join(' ')
}

const [root = ''] = process.argv.slice(2)
const parsed = new protobuf.Root()
parsed.resolvePath = (_origin, target) => join(root, target)
parsed.loadSync(
  PACKAGES.map((name) => `${name}/generated.proto`),
  { keepCase: true },
)
parsed.resolveAll()

const lines: string[] = []
for (const name of PACKAGES) {
  const go = goFields(join(root, name))
  const path = name.replaceAll('-', '_').split(/[/.]/)
  const namespace = parsed.lookup(path) as protobuf.Namespace
  for (const type of namespace.nestedArray) {
    if (!(type instanceof protobuf.Type)) continue
    lines.push(type.fullName.slice(1))
    for (const field of type.fieldsArray) lines.push(lineOf(field, go.get(`${type.name}.${field.id}`)))
  }
}
writeFileSync(TABLE_FILE, `${lines.join('\n')}\n`)
