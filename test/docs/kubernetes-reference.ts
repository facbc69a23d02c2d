/**
 * The part of docs/kubernetes.md that the server and the schema say themselves: which resources are served with which
 * verbs, and which fields are acted on or refused. Written by `npm run docs`; a test compares.
 */
import { messageSchema, schema, SPECIAL_MESSAGES } from '../../proto/schema/schema.ts'
import type { FieldSchema } from '../../proto/schema/model.ts'

/** Aggregated discovery, as far as it is shown. */
export interface DiscoveredGroup {
  readonly metadata: { readonly name?: string }
  readonly versions: readonly { readonly version: string; readonly resources: readonly DiscoveredResource[] }[]
}

export interface DiscoveredResource {
  readonly resource: string
  readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string }
  readonly scope: string
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly subresources?: readonly { readonly subresource: string; readonly verbs: readonly string[] }[]
}

export const BEGIN = '<!-- What follows is written by `npm run docs`. -->'

const EVERY_VERB = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

/** The document with its generated part made anew. */
export function withReference(document: string, groups: readonly DiscoveredGroup[]): string {
  const at = document.indexOf(BEGIN)
  if (at === -1)
    throw new Error(`the document does not say where its generated part begins: it wants the line ${BEGIN}`)
  return `${document.slice(0, at)}${BEGIN}\n\n${[...resourceTable(groups), '', ...fieldTables(groups)].join('\n')}\n`
}

function resourceTable(groups: readonly DiscoveredGroup[]): string[] {
  const rows = groups.flatMap(({ metadata, versions }) =>
    versions.flatMap(({ version, resources }) =>
      resources.map((resource) => resourceRow(metadata.name ?? '', version, resource)),
    ),
  )
  return [
    '## Resources',
    '',
    '"All" verbs are create, delete, deletecollection, get, list, patch, update and watch.',
    '',
    '| apiVersion | kind | resource | verbs | subresources |',
    '|---|---|---|---|---|',
    ...rows,
  ]
}

function resourceRow(
  group: string,
  version: string,
  { resource, responseKind, scope, verbs, shortNames = [], subresources = [] }: DiscoveredResource,
): string {
  const names = [resource, ...shortNames].join(', ')
  const all = EVERY_VERB.every((verb) => verbs.includes(verb))
  const below = subresources.map(({ subresource, verbs: own }) => `${subresource} (${own.join(', ')})`).join('; ')
  return `| ${group === '' ? '' : `${group}/`}${version} | ${responseKind.kind} | ${names}${scope === 'Cluster' ? ' (cluster-wide)' : ''} | ${all ? 'all' : verbs.join(', ')} | ${below} |`
}

/** A message and where a kind has it first. */
interface Part {
  readonly path: string
  readonly message: string
}

const TABLE = ['| part | acted on | refused |', '|---|---|---|']

function fieldTables(groups: readonly DiscoveredGroup[]): string[] {
  const told = new Map([['ObjectMeta', 'every kind']])
  const kinds = groups.flatMap(({ versions }) =>
    versions.flatMap(({ resources }) => resources.map(({ responseKind }) => responseKind)),
  )
  const sections = kinds.flatMap(({ group, version, kind }) => {
    const message = Object.values(schema.messages).find(
      ({ resource }) => resource?.group === group && resource.version === version && resource.kind === kind,
    )
    return message === undefined ? [] : kindSection(kind, message.name, told)
  })
  return [
    '## Fields',
    '',
    'Per kind and part: the fields that are acted on, and those that Kubernetes has and Gantry refuses, each with the reason. What the control plane itself writes (status, uid, …) is left out. A part that another kind has, too, is listed where it comes first.',
    '',
    '### Every kind',
    '',
    ...TABLE,
    partRow('`metadata`', 'ObjectMeta'),
    partRow('`metadata.ownerReferences[]`', 'OwnerReference'),
    '',
    ...sections,
  ]
}

function kindSection(kind: string, message: string, told: Map<string, string>): string[] {
  const rows: string[] = []
  const waiting: Part[] = [{ path: '', message }]
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    const { path, message: name } = part
    const known = told.get(name)
    if (known !== undefined) {
      // Within its own kind, and for what every kind has, it need not be said.
      if (known !== 'every kind' && !known.startsWith(`${kind} `)) rows.push(`| ${code(path)} | as ${known} | |`)
      continue
    }
    told.set(name, `${kind} ${path === '' ? '' : code(path)}`.trim())
    if (writable(name).length > 0) rows.push(partRow(path === '' ? '' : code(path), name))
    // What must be there is told before what is like it: containers before initContainers.
    const parts = actedOn(name)
      .filter(isStructure)
      .sort((a, b) => Number(b.options.required === true) - Number(a.options.required === true))
    waiting.push(
      ...parts.map((field) => ({
        path: [path, `${field.name}${field.label === 'optional' ? '' : field.label === 'map' ? '{}' : '[]'}`]
          .filter(Boolean)
          .join('.'),
        message: field.type,
      })),
    )
  }
  return [`### ${kind}`, '', ...TABLE, ...rows, '']
}

function partRow(where: string, message: string): string {
  return `| ${where} | ${actedOn(message)
    .map(({ name }) => name)
    .join(', ')} | ${refusals(writable(message).filter(({ options }) => options.unsupported !== undefined))} |`
}

function writable(message: string): FieldSchema[] {
  return fieldsOf(message).filter(({ options }) => options.readOnly !== true)
}

function actedOn(message: string): FieldSchema[] {
  return writable(message).filter(({ options }) => options.unsupported === undefined)
}

function refusals(fields: readonly FieldSchema[]): string {
  const byReason = new Map<string, string[]>()
  for (const {
    name,
    options: { unsupported = '', inert = [] },
  } of fields) {
    const accepted = inert.filter((value) => value !== '')
    const shown = accepted.length === 0 ? name : `${name} (but for ${accepted.map(code).join(', ')})`
    byReason.set(unsupported, [...(byReason.get(unsupported) ?? []), shown])
  }
  return [...byReason].map(([reason, names]) => `${names.join(', ')}: ${reason}`).join('; ')
}

function code(text: string): string {
  return `\`${text}\``
}

function fieldsOf(message: string): FieldSchema[] {
  return messageSchema(message).fields.flatMap((field) =>
    field.options.inline === true ? fieldsOf(field.type) : [field],
  )
}

function isStructure({ kind, type }: FieldSchema): boolean {
  return kind === 'message' && !SPECIAL_MESSAGES.has(type)
}
