/**
 * What applying manifests will do, worked out by the server without writing: every object is tried before the first is
 * written, so that one that is refused keeps all from being applied.
 */
import { inspectJson } from '../../codec/codec.ts'
import { applyDefaults } from '../../codec/defaults.ts'
import { GantryError } from '../../base/errors.ts'
import { problemError, problem } from '../../base/problem.ts'
import { kindsWith } from '../kinds/registry.ts'
import { validate } from '../../validation/validation.ts'
import type { AnyResource, ApplyResponseOutcome, JsonObject, Kind } from '../../gen/types.ts'
import type { ClusterClient } from '../cluster.ts'
import { awaitEstablished, isUnknownKind, kindDefinedBy, learnKinds } from '../custom-kinds.ts'
import { throwFailures } from '../failures.ts'
import { atManifest, rankOf, type Manifest } from './manifests.ts'

/** Objects that belong together carry this label with the set's name; only it decides what `--prune` may remove. */
const SET_LABEL = 'gantry.dev/set'

export interface Step {
  readonly manifest: Manifest
  /** What is sent. */
  readonly configuration: JsonObject
  readonly outcome: ApplyResponseOutcome
  /** As it would be; undefined if its namespace does not exist before the plan is carried out. */
  readonly object: AnyResource | undefined
  /** The object that is deleted first, because it cannot become what is asked for. */
  readonly replaces?: AnyResource
}

type Trial = Pick<Step, 'outcome' | 'object' | 'replaces'>

/** Objects tried at the same time. */
const AT_ONCE = 50

export interface PlanOptions {
  readonly fieldManager: string
  readonly force: boolean
  /** Name of the set that the objects are put into. */
  readonly set: string | undefined
  /**
   * What cannot be changed as asked is made again; this deletes it and waits until it is gone. Undefined: it is
   * refused.
   */
  readonly remove?: (object: AnyResource) => Promise<void>
}

/** Tries every manifest; throws all refusals together, each with its place. */
export async function planApply(
  cluster: ClusterClient,
  manifests: readonly Manifest[],
  options: PlanOptions,
): Promise<Step[]> {
  const made = new Set(manifests.filter(({ kind }) => kind === 'Namespace').map(({ name }) => name))
  const defined = new Set(
    manifests.flatMap(({ kind, name }) =>
      kind === 'CustomResourceDefinition' ? (kindDefinedBy(name, cluster.kinds) ?? []) : [],
    ),
  )
  const failures: GantryError[] = []
  const steps = await mapConcurrently(manifests, async (manifest): Promise<Step[]> => {
    const configuration = configurationOf(manifest, options.set)
    try {
      if (manifest.name === '') throw nameless()
      return [
        { manifest, configuration, ...(await tryApply(cluster, manifest, configuration, options, { made, defined })) },
      ]
    } catch (thrown) {
      const failure = atManifest(manifest, thrown)
      if (failure.code === 'Unavailable' || failure.code === 'Cancelled' || failure.code === 'DeadlineExceeded')
        throw failure
      failures.push(failure)
      return []
    }
  })
  throwFailures(failures)
  return steps.flat()
}

function nameless(): GantryError {
  const message = 'is required: apply must know which object it is'
  return new GantryError('InvalidArgument', message, {
    details: [{ field: 'metadata.name', message, remedy: '`gantry create` makes names up from generateName' }],
  })
}

async function tryApply(
  cluster: ClusterClient,
  { kind, namespace, name }: Manifest,
  configuration: JsonObject,
  options: PlanOptions,
  { made, defined }: { made: ReadonlySet<string>; defined: ReadonlySet<Kind> },
): Promise<Trial> {
  try {
    return await cluster.apply(kind, namespace, name, configuration, {
      dryRun: true,
      force: options.force,
      fieldManager: options.fieldManager,
    })
  } catch (thrown) {
    const comes =
      (GantryError.is(thrown, 'NotFound') && made.has(namespace)) || (isUnknownKind(thrown) && defined.has(kind))
    if (!comes) {
      const replaces =
        options.remove === undefined || !GantryError.is(thrown, 'InvalidArgument', 'FailedPrecondition', 'Conflict')
          ? undefined
          : await cluster.find(kind, namespace, name)
      if (replaces === undefined) throw thrown
      // What is wrong in itself would be no better as a new object.
      if (!isFaultless(kind, configuration)) throw thrown
      return { outcome: 'CONFIGURED', object: undefined, replaces: replaces as AnyResource }
    }
    checkHere(kind, configuration)
    return { outcome: 'CREATED', object: undefined }
  }
}

function isFaultless(kind: Kind, configuration: JsonObject): boolean {
  try {
    checkHere(kind, configuration)
    return true
  } catch (thrown) {
    if (GantryError.is(thrown, 'InvalidArgument')) return false
    throw thrown
  }
}

/** Deletes an object and makes it again. If the new one is refused, the old one is made again, as kubectl does. */
async function replace(
  cluster: ClusterClient,
  replaced: AnyResource,
  remove: (object: AnyResource) => Promise<void>,
  make: () => ReturnType<ClusterClient['apply']>,
): ReturnType<ClusterClient['apply']> {
  await remove(replaced)
  try {
    return { ...(await make()), outcome: 'CONFIGURED' }
  } catch (thrown) {
    const {
      uid: _uid,
      resourceVersion: _version,
      generation: _generation,
      creationTimestamp: _created,
      managedFields: _fields,
      ...metadata
    } = replaced.metadata
    await cluster.create({ ...replaced, metadata: { ...metadata, uid: '', resourceVersion: '' } } as AnyResource)
    throw thrown
  }
}

/**
 * The server's own rules, for an object that the server cannot try because its namespace, or its kind, is made by the
 * same plan.
 */
export function checkHere(kind: Kind, configuration: JsonObject): void {
  const { object, problems } = inspectJson(kind, configuration, { dropReadOnly: true })
  if (problems.length > 0 || object === undefined) throw problemError(problems)
  const faults = validate(applyDefaults(object))
  if (faults.length > 0)
    throw problemError(faults.map(({ field, message, value, remedy }) => problem(field, message, { value, remedy })))
}

/** What the manifest says, with the namespace it goes to and the label of its set. */
function configurationOf({ document, namespace }: Manifest, set: string | undefined): JsonObject {
  const metadata = { ...(document.json.metadata as JsonObject | undefined) }
  if (namespace !== '') metadata.namespace = namespace
  if (set !== undefined) metadata.labels = { ...(metadata.labels as JsonObject | undefined), [SET_LABEL]: set }
  return { ...document.json, metadata }
}

/** Objects of the set that no manifest names any more, those that depend on others first. */
export async function planPrune(
  cluster: ClusterClient,
  set: string,
  manifests: readonly Manifest[],
): Promise<AnyResource[]> {
  const kept = new Set(manifests.map(({ kind, namespace, name }) => `${kind}/${namespace}/${name}`))
  await learnKinds(cluster)
  const kinds = kindsWith(({ machinery }) => machinery !== true, cluster.kinds)
  const lists = await Promise.all(
    kinds.map((kind) => cluster.list(kind, { namespace: '', labelSelector: `${SET_LABEL}=${set}` })),
  )
  return lists
    .flatMap((list): AnyResource[] => list.items)
    .filter(({ kind, metadata }) => !kept.has(`${kind}/${metadata.namespace}/${metadata.name}`))
    .sort((a, b) => rankOf(b.kind) - rankOf(a.kind))
}

/** Writes rank by rank, those of one rank at once; calls `done` in the order of the manifests. */
export async function executePlan(
  cluster: ClusterClient,
  steps: readonly Step[],
  options: PlanOptions,
  done: (step: Step, object: AnyResource, outcome: ApplyResponseOutcome) => void,
): Promise<void> {
  const ranks = [...new Set(steps.map(({ manifest }) => rankOf(manifest.kind)))]
  for (const rank of ranks) {
    const failures: GantryError[] = []
    const some = steps.filter(({ manifest }) => rankOf(manifest.kind) === rank)
    const answers = await mapConcurrently(
      some,
      async ({ manifest: { kind, namespace, name }, configuration, replaces }) => {
        const make = (): ReturnType<ClusterClient['apply']> =>
          cluster.apply(kind, namespace, name, configuration, {
            force: options.force,
            fieldManager: options.fieldManager,
          })
        const [answer] = await Promise.allSettled([
          replaces === undefined ? make() : replace(cluster, replaces, options.remove!, make),
        ])
        return answer
      },
    )
    answers.forEach((answer, index) => {
      const step = some[index]!
      if (answer.status === 'fulfilled') done(step, answer.value.object, answer.value.outcome)
      else failures.push(atManifest(step.manifest, answer.reason))
    })
    throwFailures(failures)
    // Objects of their kinds come with the ranks behind.
    const definitions = some
      .filter(({ manifest: { kind } }) => kind === 'CustomResourceDefinition')
      .map(({ manifest: { name } }) => name)
    if (definitions.length > 0 && steps.some(({ manifest }) => rankOf(manifest.kind) > rank))
      await awaitEstablished(cluster, definitions)
  }
}

/** As Promise.all over a map, but only so many at once. */
export async function mapConcurrently<T, R>(items: readonly T[], call: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += AT_ONCE)
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(call))))
  return results
}
