/**
 * Manifests from where people keep them: files, directories, standard input, addresses. All are read before anything is
 * done with one.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { customKindOf, customKinds } from '../../schema/custom/definitions.ts'
import { applyDefaults } from '../../codec/defaults.ts'
import { withDeadline } from '../../base/deadline.ts'
import { GantryError } from '../../base/errors.ts'
import { definitionsIn, parseManifests, type ManifestDocument } from '../../codec/manifest.ts'
import { describeProblem } from '../../base/problem.ts'
import { resourceOf } from '../../schema/schema.ts'
import { parseLabelSelector } from '../../objects/selector.ts'
import type { CustomResourceDefinition, Kind } from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import { UsageError, throwFailures, LocatedFailure } from '../failures.ts'
import { kindWord } from '../kind-words.ts'
import { isUnknownKind, learnKinds } from '../custom-kinds.ts'
import type { Environment } from '../../terminal/environment.ts'

/** Flags of every command that takes manifests. */
export const manifestFlags = {
  filename: {
    type: 'list',
    short: 'f',
    commas: true,
    value: 'file',
    help: 'file, directory, http(s) address, or - for standard input; may be repeated',
    completes: 'file',
  },
  recursive: { type: 'boolean', short: 'R', help: 'directories with those in them' },
} as const

/** An object of a manifest with the place where it is to be. */
export interface Manifest {
  readonly document: ManifestDocument
  readonly kind: Kind
  /** Empty for kinds that belong to the cluster. */
  readonly namespace: string
  /** Empty if the server is to make one up (generateName). */
  readonly name: string
}

const MANIFEST_FILE = /\.(ya?ml|json)$/
const DOWNLOAD_MS = 30_000

/** Kinds that others need come first; the rest in the order of the files. */
const RANK: Partial<Record<Kind, number>> = {
  CustomResourceDefinition: 0,
  Namespace: 0,
  Node: 1,
  Secret: 2,
  ConfigMap: 2,
}
const LAST_RANK = 3

export function rankOf(kind: Kind): number {
  return RANK[kind] ?? LAST_RANK
}

/**
 * Every object of the sources, in the order they are to be written. Problems of all of them are told together. `given`
 * is the namespace of the command line, which manifests must not contradict; `fallback` is for those that name none.
 * `cluster`: who is asked for kinds that are not known here. An object that is named twice is there once.
 */
export async function readManifests(
  flags: { filename: readonly string[]; recursive: boolean },
  environment: Environment,
  namespace: { given: string | undefined; fallback: string },
  cluster?: () => Promise<ClusterClient>,
  { twins = 'equal' }: ReadOptions = {},
): Promise<Manifest[]> {
  if (flags.filename.length === 0) throw new UsageError('which manifests? Name them with -f FILE')
  const texts = (
    await Promise.all(flags.filename.map((source) => readSource(source, flags.recursive, environment)))
  ).flat()
  let { documents, failures } = parseAll(texts)
  if (failures.some(isUnknownKind)) {
    if (cluster !== undefined) await learnKinds(await cluster())
    learnFrom(texts.map(({ text }) => text))
    ;({ documents, failures } = parseAll(texts))
  }
  const placedAll = documents.map((document) => place(document, namespace.given, namespace.fallback, failures))
  const manifests = withoutTwins(placedAll, twins, failures)
  throwFailures(failures)
  if (manifests.length === 0)
    throw new GantryError(
      'InvalidArgument',
      `there are no objects in ${texts.map(({ name }) => name).join(', ') || flags.filename.join(', ')}`,
    )
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

/** How manifests are validated: strictly, always. */
export const validateFlag = {
  type: 'text',
  value: 'how',
  bare: 'strict',
  default: 'strict',
  help: 'strict or true; there is no other way: nothing is accepted and then ignored',
} as const

/** UsageError for what kubectl knows beside. */
export function requireValidation(how: string): void {
  if (!['strict', 'true'].includes(how))
    throw new UsageError(
      `--validate=${how}: Gantry always validates strictly`,
      'leave the flag out, and what is not known out of the manifest',
    )
}

function parseAll(texts: readonly SourceText[]): { documents: ManifestDocument[]; failures: GantryError[] } {
  const failures: GantryError[] = []
  const documents = texts.flatMap(({ name, text }) => {
    try {
      return parseManifests(text, name)
    } catch (thrown) {
      const error = GantryError.from(thrown)
      failures.push(new LocatedFailure(error.code, error.message, { details: error.details, cause: thrown }))
      return []
    }
  })
  return { documents, failures }
}

/** The kinds that manifests define themselves, as they will be once they are applied. */
function learnFrom(texts: readonly string[]): void {
  for (const definition of texts.flatMap(definitionsIn)) {
    const established: CustomResourceDefinition = applyDefaults({
      ...definition,
      status: { conditions: [{ type: 'Established', status: 'True' }] },
    })
    const kind = customKindOf(established)
    if (kind !== undefined) customKinds.set(kind)
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

export interface ReadOptions {
  /**
   * Of an object that is named twice: whether the two must be equal, which they must where their content counts, or
   * only its name counts.
   */
  readonly twins?: 'equal' | 'named'
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

interface SourceText {
  readonly name: string
  readonly text: string
}

async function readSource(source: string, recursive: boolean, environment: Environment): Promise<SourceText[]> {
  if (source === '-') return [{ name: 'stdin', text: await readInput(environment) }]
  if (/^https?:\/\//.test(source)) return [{ name: source, text: await download(source, environment) }]
  const file = path.resolve(environment.cwd, source)
  try {
    if (!(await stat(file)).isDirectory()) return [{ name: source, text: await readFile(file, 'utf8') }]
    const names = await filesIn(file, recursive)
    if (names.length === 0)
      throw new GantryError('InvalidArgument', `no .yaml, .yml or .json file in ${source}`, {
        details: [{ remedy: recursive ? '' : '-R looks into the directories in it too' }],
      })
    return await Promise.all(
      names.map(async (name) => ({
        name: path.join(source, name),
        text: await readFile(path.join(file, name), 'utf8'),
      })),
    )
  } catch (thrown) {
    if (thrown instanceof GantryError) throw thrown
    const missing = (thrown as NodeJS.ErrnoException).code === 'ENOENT'
    throw new GantryError(
      'InvalidArgument',
      missing ? `there is no file ${source}` : `cannot read ${source}: ${(thrown as Error).message}`,
      { cause: thrown },
    )
  }
}

async function filesIn(directory: string, recursive: boolean): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive })
  return entries
    .filter((entry) => !entry.isDirectory() && MANIFEST_FILE.test(entry.name))
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort()
}

export async function readInput({ stdin }: Environment): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

async function download(address: string, { signal, clock }: Environment): Promise<string> {
  return withDeadline(
    clock,
    DOWNLOAD_MS,
    signal,
    () => `${address} did not answer within ${DOWNLOAD_MS / 1000} s`,
    async (limited) => {
      try {
        const response = await fetch(address, { signal: limited })
        if (!response.ok)
          throw new GantryError('InvalidArgument', `${address} answered ${response.status} ${response.statusText}`)
        return await response.text()
      } catch (thrown) {
        if (thrown instanceof GantryError) throw thrown
        const cause = (thrown as Error).cause
        throw new GantryError(
          'InvalidArgument',
          `cannot read ${address}: ${cause instanceof Error ? cause.message : (thrown as Error).message}`,
          { cause: thrown },
        )
      }
    },
  )
}
