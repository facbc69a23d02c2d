/**
 * Files that people write: YAML or JSON with any number of objects, read as a whole or refused as a whole, every
 * problem with its place. Apart from codec.ts, because the YAML parser is only loaded where files are read.
 */
import type { AnyResource, CustomResourceDefinition, JsonObject, JsonValue, Kind } from '../gen/types.ts'
import { inspectJson } from './codec.ts'
import type { GantryError } from '../base/errors.ts'
import { entryPath } from '../base/path.ts'
import { describeProblem, problem, problemError, type Problem } from '../base/problem.ts'
import { readYaml, type Position, type YamlDocument } from './yaml.ts'
import { SCHEMA_KINDS, type KnownKinds } from '../schema/kind-registry.ts'

export type { Position } from './yaml.ts'

/** One object of a file. */
export interface ManifestDocument {
  readonly fileName: string
  readonly kind: Kind
  /** As it is written, nothing added and nothing dropped: what `apply` sends and owns. */
  readonly json: JsonObject
  /** Decoded, without defaults. */
  readonly object: AnyResource
  /** Where a field stands, or, if it is not there, the deepest part of its path that is. */
  at(path: string): Position
}

interface Placed {
  readonly problem: Problem
  readonly position: Position
}

/** Objects in a List, so deep at most: lists do not hold lists in practice. */
const LIST_DEPTH = 4

/**
 * The objects of a file's text, in order, of kinds of the schema or of those given; a List stands for its items, empty
 * documents for nothing. One error with all problems, a line `FILE:LINE:COLUMN: path: message` and a detail for each:
 * Unsupported if all it asks beyond what Gantry does, else InvalidArgument.
 */
export function parseManifests(text: string, fileName: string, kinds: KnownKinds = SCHEMA_KINDS): ManifestDocument[] {
  const documents: ManifestDocument[] = []
  const problems: Placed[] = []
  for (const yaml of readYaml(text)) {
    for (const { path, message, remedy, position } of yaml.faults)
      problems.push({ problem: problem(path, message, { remedy }), position })
    if (yaml.faults.length === 0) readValue(yaml, yaml.value, '', 0, { fileName, documents, problems, kinds })
  }
  if (problems.length > 0) throw manifestError(fileName, problems)
  return documents
}

/** The CustomResourceDefinitions of a text that are well formed, whatever else is wrong with it. */
export function definitionsIn(text: string): CustomResourceDefinition[] {
  return readYaml(text)
    .flatMap(({ faults, value }) => (faults.length > 0 ? [] : objectsOf(value, 0)))
    .flatMap((value) => {
      if (value.kind !== 'CustomResourceDefinition') return []
      const { object, problems } = inspectJson(undefined, value)
      return object?.kind === 'CustomResourceDefinition' && problems.length === 0 ? [object] : []
    })
}

function objectsOf(value: JsonValue, depth: number): JsonObject[] {
  if (isList(value) && depth < LIST_DEPTH)
    return ((value.items ?? []) as JsonValue[]).flatMap((item) => objectsOf(item, depth + 1))
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? [value] : []
}

interface Reading {
  readonly fileName: string
  readonly documents: ManifestDocument[]
  readonly problems: Placed[]
  readonly kinds: KnownKinds
}

function readValue(yaml: YamlDocument, value: JsonValue, base: string, depth: number, into: Reading): void {
  if (isList(value) && depth < LIST_DEPTH) {
    const items = (value.items ?? []) as JsonValue[]
    items.forEach((item, index) =>
      readValue(yaml, item, entryPath(base === '' ? 'items' : `${base}.items`, index), depth + 1, into),
    )
    return
  }
  const place = (path: string): string => (base === '' ? path : path === '' ? base : `${base}.${path}`)
  const { object, problems } = inspectJson(undefined, value, {
    sourceText: (path) => yaml.written(place(path)),
    kinds: into.kinds,
  })
  into.problems.push(...problems.map((item) => ({ problem: item, position: yaml.at(place(item.field), item.key) })))
  if (object === undefined || problems.length > 0) return
  into.documents.push({
    fileName: into.fileName,
    kind: object.kind,
    json: value as JsonObject,
    object,
    at: (path) => yaml.at(place(path)),
  })
}

/** `kind: List`, or the list of one kind (`PodList`) that the API answers with. */
function isList(value: JsonValue): value is JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return (
    typeof value.kind === 'string' &&
    value.kind.endsWith('List') &&
    (value.items === undefined || Array.isArray(value.items))
  )
}

function manifestError(fileName: string, placed: Placed[]): GantryError {
  placed.sort((a, b) => a.position.line - b.position.line || a.position.column - b.position.column)
  const lines = placed.map(
    ({ problem: item, position }) => `${fileName}:${position.line}:${position.column}: ${describeProblem(item)}`,
  )
  return problemError(
    placed.map((item) => item.problem),
    lines,
  )
}
