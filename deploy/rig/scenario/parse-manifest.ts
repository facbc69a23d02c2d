/**
 * Objects to apply: manifests in files beside the scenario, or written in it. Checked as the server would check them,
 * each problem at its place.
 */
import { resolve } from 'node:path'
import { inspectJson } from '../../../proto/codec/codec.ts'
import { applyDefaults } from '../../../proto/codec/defaults.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { parseManifests } from '../../../proto/codec/manifest.ts'
import { SCHEMA_KINDS } from '../../../proto/schema/kind-registry.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { validate } from '../../../proto/validation/validation.ts'
import type { Position } from '../../../proto/codec/yaml.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import { readWord, type Scope } from './parse-probe.ts'
import type { Manifest } from './scenario.ts'
import type { YamlNode } from './yaml-node.ts'
import { replaceReferences } from './variables.ts'

/** Where files are: those that a scenario names stand relative to it. */
export interface Library {
  readonly directory: string
  /** The text of a file by its absolute path; throws what the file system does. */
  readonly read: (path: string) => string
  readonly exists: (path: string) => boolean
}

export const MANIFEST_FILE = /\.(ya?ml|json)$/

/** A file's name, an object, or a list of both. */
export function readManifests(slot: YamlNode, scope: Scope, library: Library): Manifest[] {
  const slots = slot.itemsOrSelf()
  if (slots.length === 0 && slot.isList) slot.refuse('is empty; name a file or write an object')
  return slots.flatMap((one) => (one.isMap ? readInline(one, scope) : readFile(one, scope, library)))
}

function readInline(slot: YamlNode, scope: Scope): Manifest[] {
  const json = slot.value as JsonObject
  const { yaml, name: file, problems } = slot.source
  const at = (path: string): string => (path === '' ? slot.path : `${slot.path}.${path}`)
  const refuse = (path: string, message: string, remedy: string, value: string, key: boolean): void =>
    problems.add(file, yaml.at(at(path), key), at(path), message, remedy, value)
  const named = slot.entries().find(([name]) => name === 'metadata')?.[1]
  const name = named?.isMap === true ? named.entries().find(([key]) => key === 'name')?.[1] : undefined
  if (name !== undefined) readWord(name, scope)
  return inspect(json, scope.namespace, refuse, (path) => yaml.written(at(path)))
}

function readFile(slot: YamlNode, scope: Scope, library: Library): Manifest[] {
  const path = slot.text()
  if (path === undefined) return []
  let text: string
  try {
    text = library.read(resolve(library.directory, path))
  } catch (thrown) {
    slot.refuse(
      (thrown as NodeJS.ErrnoException).code === 'ENOENT'
        ? `there is no file ${path} in ${library.directory}`
        : `cannot read ${path}: ${(thrown as Error).message}`,
    )
    return []
  }
  try {
    const documents = parseManifests(text, path, SCHEMA_KINDS)
    if (documents.length === 0) slot.refuse(`there are no objects in ${path}`)
    return documents.flatMap(({ json, at }) =>
      inspect(json, scope.namespace, (field, message, remedy, value) =>
        slot.source.problems.add(path, at(field), field, message, remedy, value),
      ),
    )
  } catch (thrown) {
    const error = GantryError.from(thrown)
    if (error.code === 'Internal') throw thrown
    addLines(slot, path, error)
    return []
  }
}

/** An error about a file has one line and one detail for each problem; the line begins with its place. */
function addLines(slot: YamlNode, path: string, { message, details }: GantryError): void {
  const places = message.split('\n').flatMap((line): Position[] => {
    const [, at, column] = /:(\d+):(\d+): /.exec(line.slice(path.length)) ?? []
    return at === undefined ? [] : [{ line: Number(at), column: Number(column) }]
  })
  details.forEach((detail, index) =>
    slot.source.problems.add(
      path,
      places[index] ?? { line: 1, column: 1 },
      detail.field,
      detail.message,
      detail.remedy,
      detail.value,
    ),
  )
}

type Refuse = (path: string, message: string, remedy: string, value: string, key: boolean) => void

function inspect(
  json: JsonObject,
  namespace: string,
  refuse: Refuse,
  written?: (path: string) => string | undefined,
): Manifest[] {
  const { object, problems } = inspectJson(undefined, withName(json), {
    dropReadOnly: true,
    kinds: SCHEMA_KINDS,
    ...(written === undefined ? {} : { sourceText: written }),
  })
  for (const { field, message, remedy, value, key } of problems) refuse(field, message, remedy, value, key)
  if (object === undefined || problems.length > 0) return []
  if (resourceOf(object.kind).namespaced && object.metadata.namespace === '') object.metadata.namespace = namespace
  const flaws = validate(applyDefaults(object))
  for (const { field, message, remedy, value } of flaws) refuse(field, message, remedy, value, false)
  if (object.metadata.name === '') refuse('metadata', 'needs "name": apply must know which object it is', '', '', true)
  if (flaws.length > 0 || object.metadata.name === '') return []
  const metadata = {
    ...(json.metadata as JsonObject),
    ...(object.metadata.namespace === '' ? {} : { namespace: object.metadata.namespace }),
  }
  return [{ kind: object.kind, json: { ...json, metadata } }]
}

/** A name that refers to what is remembered is checked with a digit in its place. */
function withName(json: JsonObject): JsonObject {
  const { metadata } = json
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata) || typeof metadata.name !== 'string')
    return json
  return { ...json, metadata: { ...metadata, name: replaceReferences(metadata.name, () => '0') } }
}
