/**
 * Gantry's messages beside those that Kubernetes publishes: every pair that is reached from a served kind or from what
 * all requests and answers use.
 */
import { messageSchema, schema, SPECIAL_MESSAGES } from '../../../proto/schema/schema.ts'
import type { FieldSchema } from '../../../proto/schema/model.ts'
import type { PublishedField, readTable } from './table.ts'

type Table = ReturnType<typeof readTable>

export interface Pair {
  /** The message's name in proto/gantry/v1. */
  readonly ours: string
  /** Its whole name in Kubernetes. */
  readonly theirs: string
}

export interface FieldPair {
  readonly pair: Pair
  readonly ours: FieldSchema | undefined
  readonly theirs: PublishedField
}

const PACKAGES: Readonly<Record<string, string>> = {
  '': 'k8s.io.api.core',
  'apiextensions.k8s.io': 'k8s.io.apiextensions_apiserver.pkg.apis.apiextensions',
  'metrics.k8s.io': 'k8s.io.metrics.pkg.apis.metrics',
}
/** Groups whose kinds Kubernetes itself does not have. */
const FOREIGN: ReadonlySet<string> = new Set(['gantry.dev', 'gateway.networking.k8s.io'])
const META = ['DeleteOptions', 'ListMeta', 'Status']
/** What stands in place of a message that Gantry does not act on: it has no fields of its own. */
export const OPAQUE = 'Unsupported'

/** The served kinds that Kubernetes has, too. */
export const kinds: readonly Pair[] = Object.values(schema.messages).flatMap(({ name, resource }) => {
  if (resource === undefined || FOREIGN.has(resource.group)) return []
  const group = PACKAGES[resource.group] ?? `k8s.io.api.${resource.group.split('.', 1)[0]!}`
  return [{ ours: name, theirs: `${group}.${resource.version}.${resource.kind}` }]
})

export const roots: readonly Pair[] = [
  ...kinds,
  ...META.map((name) => ({ ours: name, theirs: `k8s.io.apimachinery.pkg.apis.meta.v1.${name}` })),
]

/** Every field of Kubernetes' messages with Gantry's of the same number, each message once. */
export function fieldPairs(table: Table): FieldPair[] {
  const seen = new Set<string>()
  const found: FieldPair[] = []
  const waiting = [...roots]
  for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
    const key = `${pair.ours} ${pair.theirs}`
    if (seen.has(key) || pair.ours === OPAQUE) continue
    seen.add(key)
    for (const theirs of fieldsOf(table, pair)) {
      const ours = messageSchema(pair.ours).fields.find(({ number }) => number === theirs.number)
      found.push({ pair, ours, theirs })
      if (ours?.kind === 'message' && theirs.type.includes('.')) waiting.push({ ours: ours.type, theirs: theirs.type })
    }
  }
  return found
}

export function fieldsOf(table: Table, { ours, theirs }: Pair): readonly PublishedField[] {
  const fields = table.get(theirs)
  if (fields === undefined) throw new Error(`kubernetes.txt has no ${theirs}, which ${ours} stands for`)
  return fields
}

/** True for a field that is one message of several fields also in memory. */
export function isStructure({ kind, type, label }: FieldSchema): boolean {
  return kind === 'message' && label === 'optional' && !SPECIAL_MESSAGES.has(type)
}
