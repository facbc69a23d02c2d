/**
 * Manifests from where people keep them: files, directories, standard input, addresses. All are read before anything is
 * done with one.
 */
import { isDeepStrictEqual } from 'node:util'
import { applyDefaults } from '../../codec/defaults.ts'
import { GantryError } from '../../base/errors.ts'
import { definitionsIn, parseManifests, type ManifestDocument } from '../../codec/manifest.ts'
import { describeProblem } from '../../base/problem.ts'
import type { KindRegistry, KnownKinds } from '../../schema/kind-registry.ts'
import { resourceOf } from '../../schema/schema.ts'
import { parseLabelSelector } from '../../objects/selector.ts'
import type { CustomResourceDefinition, Kind } from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import { UsageError, throwFailures, LocatedFailure } from '../failures.ts'
import { kindWord } from '../kind-words.ts'
import { isUnknownKind, learnKinds } from '../custom-kinds.ts'
import { LAST_ORDER } from '../kinds/kind-record.ts'
import { recordOf } from '../kinds/registry.ts'
import { readSources, type Reading, type SourceText } from './sources.ts'

/** An object of a manifest with the place where it is to be. */
export interface Manifest {
  readonly document: ManifestDocument
  readonly kind: Kind
  /** Empty for kinds that belong to the cluster. */
  readonly namespace: string
  /** Empty if the server is to make one up (generateName). */
  readonly name: string
}

/** Kinds that others need come first; the rest in the order of the files. */
export function rankOf(kind: Kind): number {
  return recordOf(kind).applyOrder ?? LAST_ORDER
}

export interface ReadOptions {
  /**
   * `given` is the namespace that the person named, which manifests must not contradict; `fallback` is for those that
   * name none.
   */
  readonly namespace: { readonly given: string | undefined; readonly fallback: string }
  /** The kinds that are known; what the manifests define themselves is added, and what the cluster is asked for. */
  readonly kinds: KindRegistry
  /** Who is asked for kinds that are not known: a client with the same registry. */
  readonly cluster?: () => Promise<ClusterClient>
  /**
   * Of an object that is named twice: whether the two must be equal, which they must where their content counts
   * (`equal`, the default), or only its name counts. It is there once.
   */
  readonly twins?: 'equal' | 'named'
}

/** Every object of files, directories, addresses or standard input ("-"); see `collectManifests`. */
export async function readManifests(
  sources: { readonly filename: readonly string[]; readonly recursive: boolean },
  reading: Reading,
  options: ReadOptions,
): Promise<Manifest[]> {
  if (sources.filename.length === 0) throw new UsageError('which manifests? Name them with -f FILE')
  return collectManifests(await readSources(sources.filename, sources.recursive, reading), options)
}

/**
 * Every object of the texts, in the order they are to be written. Problems of all of them are told together, each with
 * its place; InvalidArgument if there is no object.
 */
export async function collectManifests(
  texts: readonly SourceText[],
  { namespace, kinds, cluster, twins = 'equal' }: ReadOptions,
): Promise<Manifest[]> {
  let { documents, failures } = parseAll(texts, kinds)
  if (failures.some(isUnknownKind)) {
    if (cluster !== undefined) await learnKinds(await cluster())
    learnFrom(
      texts.map(({ text }) => text),
      kinds,
    )
    ;({ documents, failures } = parseAll(texts, kinds))
  }
  const placedAll = documents.map((document) => place(document, namespace.given, namespace.fallback, failures))
  const manifests = withoutTwins(placedAll, twins, failures)
  throwFailures(failures)
  if (manifests.length === 0)
    throw new GantryError('InvalidArgument', `there are no objects in ${texts.map(({ name }) => name).join(', ')}`)
  return manifests.sort((a, b) => rankOf(a.kind) - rankOf(b.kind))
}

/**
 * Those with these labels, as `-l` beside `-f` means it. FailedPrecondition if there are none: nothing done is not what
 * was asked for.
 */
export function selectManifests(manifests: readonly Manifest[], selector: string | undefined): readonly Manifest[] {
  if (selector === undefined) return manifests
  const matches = parseLabelSelector(selector)
  const chosen = manifests.filter(({ document }) => matches.matches(document.object.metadata.labels ?? {}))
  if (chosen.length === 0)
    throw new GantryError('FailedPrecondition', `no object of the manifests has the labels ${selector}`)
  return chosen
}

function parseAll(
  texts: readonly SourceText[],
  known: KnownKinds,
): { documents: ManifestDocument[]; failures: GantryError[] } {
  const failures: GantryError[] = []
  const documents = texts.flatMap(({ name, text }) => {
    try {
      return parseManifests(text, name, known)
    } catch (thrown) {
      const error = GantryError.from(thrown)
      failures.push(new LocatedFailure(error.code, error.message, { details: error.details, cause: thrown }))
      return []
    }
  })
  return { documents, failures }
}

/** The kinds that manifests define themselves, as they will be once they are applied. */
function learnFrom(texts: readonly string[], kinds: KindRegistry): void {
  for (const definition of texts.flatMap(definitionsIn)) {
    const established: CustomResourceDefinition = applyDefaults({
      ...definition,
      status: { conditions: [{ type: 'Established', status: 'True' }] },
    })
    const kind = kinds.kindOf(established)
    if (kind !== undefined) kinds.set(kind)
  }
}

function place(
  document: ManifestDocument,
  given: string | undefined,
  fallback: string,
  failures: GantryError[],
): Manifest {
  const { kind, object } = document
  const { name, namespace } = object.metadata
  if (!resourceOf(kind).namespaced) return { document, kind, namespace: '', name }
  if (given !== undefined && namespace !== '' && namespace !== given) {
    failures.push(
      placed(
        document,
        'metadata.namespace',
        `it is "${namespace}", but --namespace is "${given}" (leave out one of the two)`,
      ),
    )
  }
  return { document, kind, namespace: namespace === '' ? fallback : namespace, name }
}

/** Each object once. */
function withoutTwins(manifests: readonly Manifest[], twins: 'equal' | 'named', failures: GantryError[]): Manifest[] {
  const seen = new Map<string, ManifestDocument>()
  return manifests.filter(({ document, kind, namespace, name }) => {
    if (name === '') return true
    const key = `${kind}/${namespace}/${name}`
    const first = seen.get(key)
    if (first === undefined) return seen.set(key, document)
    if (twins === 'equal' && !isDeepStrictEqual(first.json, document.json)) {
      failures.push(
        placed(
          document,
          'metadata.name',
          `${kindWord(kind)}/${name} is already at ${placeOf(first, 'metadata.name')}, and the two differ (keep one)`,
        ),
      )
    }
    return false
  })
}

function placeOf(document: ManifestDocument, field: string): string {
  const { line, column } = document.at(field)
  return `${document.fileName}:${line}:${column}`
}

function placed(document: ManifestDocument, field: string, message: string): LocatedFailure {
  return new LocatedFailure('InvalidArgument', `${placeOf(document, field)}: ${field}: ${message}`)
}

/**
 * What the server says of an object, with the places of the fields in its manifest; what is not about the object stays
 * as it is.
 */
export function atManifest({ document, kind, name }: Manifest, thrown: unknown): GantryError {
  const error = GantryError.from(thrown)
  switch (error.code) {
    case 'Unavailable':
    case 'DeadlineExceeded':
    case 'Cancelled':
    case 'Internal':
    case 'Unauthenticated':
      return error
    case 'InvalidArgument':
    case 'NotFound':
    case 'AlreadyExists':
    case 'Forbidden':
    case 'ResourceExhausted':
    case 'FailedPrecondition':
    case 'Conflict':
    case 'Expired':
    case 'Unsupported':
      break
  }
  const details = error.details.filter((detail) => detail.field !== '' && detail.message !== '')
  const lines =
    details.length === 0
      ? [
          `${placeOf(document, '')}: ${kindWord(kind)}/${name}: ${error.message}${error.details.map(({ remedy }) => (remedy === '' ? '' : ` (${remedy})`)).join('')}`,
        ]
      : details.map((detail) => `${placeOf(document, detail.field)}: ${describeProblem(detail)}`)
  return new LocatedFailure(error.code, lines.join('\n'), { details: error.details, cause: error })
}
