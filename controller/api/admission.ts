/**
 * What becomes of an object on its way in, whatever its kind: the control plane's own fields are set or kept, defaults
 * filled in, the whole validated. What is special about the kind is its strategy's part. Drafts are changed in place
 * and belong to whoever hands them in alone; stored objects stay as they are.
 */
import { customKinds } from '../../proto/schema/custom/definitions.ts'
import { applyDefaults } from '../../proto/codec/defaults.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { describeProblem, MAX_REPORTED_PROBLEMS } from '../../proto/base/problem.ts'
import { apiVersionOf, describeObject, resourceOf, schema } from '../../proto/schema/schema.ts'
import { sameJson } from '../../proto/base/json.ts'
import { formatTime } from '../../proto/base/time.ts'
import { validateNew, validateStatus, validateUpdate } from '../../proto/validation/validation.ts'
import { canonicalResource } from '../../proto/codec/canonical.ts'
import { decode, encode } from '../../proto/codec/wire.ts'
import { clone } from '../../proto/base/clone.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import type { AnyResource, ErrorDetail, Kind, ObjectMeta, Resources } from '../../proto/gen/types.ts'
import type { Author, Strategy } from '../kinds/strategy.ts'
import { VALUE_LIMIT } from '../store/contract.ts'
import type { Draft, WriteSubresource } from './contract.ts'
import { sectionMessage, hasGeneration, hasStatus, sameSpec, type ObjectSection } from '../objects/object-section.ts'
import { checkPreconditions, isUnconditional } from '../objects/preconditions.ts'

type SectionFields = { [H in ObjectSection]?: unknown }

/** A copy in which everything that is never undefined is there. */
export function fillZeroValues<K extends Kind>(draft: Draft<K> | Resources[K]): Resources[K] {
  if (draft.kind in schema.messages) return canonicalResource(draft as Resources[K])
  // Its bytes would not say in which version it is meant.
  const { apiVersion = apiVersionOf(resourceOf(draft.kind)), kind, metadata, ...content } = draft as Resources[K]
  return clone({
    apiVersion,
    kind,
    metadata: decode('ObjectMeta', encode('ObjectMeta', metadata)),
    ...content,
  }) as unknown as Resources[K]
}

/**
 * A draft, in place, as a new object that plugins see: with what the control plane sets, and with defaults; not
 * validated yet. Its name must be set.
 */
export function prepareForCreate<K extends Kind>(
  draft: Resources[K],
  strategy: Strategy<K>,
  uid: string,
  now: number,
): Resources[K] {
  const object = draft as AnyResource
  const {
    name,
    generateName,
    namespace,
    resourceVersion,
    labels,
    annotations,
    ownerReferences,
    finalizers,
    managedFields,
  } = object.metadata
  if (!isUnconditional(resourceVersion))
    throw invalid(object, [
      {
        field: 'metadata.resourceVersion',
        value: resourceVersion,
        message: 'resourceVersion should not be set on objects to be created',
        remedy: 'leave it out',
      },
    ])
  checkScope(object)
  const generation = hasGeneration(object.kind) ? 1 : undefined
  object.metadata = {
    name,
    generateName,
    namespace,
    uid,
    resourceVersion: '',
    generation,
    creationTimestamp: formatTime(now),
    labels,
    annotations,
    ownerReferences,
    finalizers,
    managedFields,
  }
  if (resourceOf(object.kind).statusAtCreation !== true) resetStatus(object)
  strategy.prepareForCreate?.(object as Resources[K], now)
  return applyDefaults(object) as Resources[K]
}

/** A draft, in place, as it is to be stored. InvalidArgument with every problem. */
export function finalizeCreate<K extends Kind>(draft: Resources[K], strategy: Strategy<K>): Resources[K] {
  strategy.canonicalize?.(draft)
  const flaws = [...validateNew(draft), ...validateStatus(draft)]
  const problems = flaws.length > 0 ? flaws : (strategy.validate?.(draft, undefined) ?? [])
  if (problems.length > 0) throw invalid(draft, problems)
  return draft
}

function checkScope(object: AnyResource): void {
  const { namespace } = object.metadata
  const { namespaced } = resourceOf(object.kind)
  if (namespaced === (namespace !== '')) return
  throw invalid(object, [
    namespaced
      ? {
          field: 'metadata.namespace',
          value: '',
          message: 'is missing',
          remedy: 'say in which namespace, such as default',
        }
      : {
          field: 'metadata.namespace',
          value: namespace,
          message: `is set, but a ${object.kind} is cluster-scoped`,
          remedy: 'leave it out',
        },
  ])
}

/** Nothing is observed of what is new. */
function resetStatus(object: AnyResource): void {
  if (!hasStatus(object)) return
  const message = sectionMessage(object.kind, 'status')
  if (message === undefined) delete (object as SectionFields).status
  else (object as SectionFields).status = decode(message, new Uint8Array())
}

/**
 * The wanted object, in place, as plugins see it: with its metadata and spec, and what an update does not change of the
 * stored one; not validated yet. Conflict for another uid; Forbidden for a new finalizer on what is being deleted.
 */
export function prepareForUpdate<K extends Kind>(
  wanted: Resources[K],
  stored: Resources[K],
  strategy: Strategy<K>,
  request: { readonly author: Author; readonly now: number },
): Resources[K] {
  const next = wanted as AnyResource
  const current = stored as AnyResource
  checkPreconditions(next.metadata, current)
  const kept = current.metadata
  next.metadata = {
    ...next.metadata,
    name: kept.name,
    generateName: kept.generateName,
    namespace: kept.namespace,
    selfLink: kept.selfLink,
    uid: kept.uid,
    resourceVersion: kept.resourceVersion,
    generation: kept.generation,
    creationTimestamp: kept.creationTimestamp,
    deletionTimestamp: kept.deletionTimestamp,
    deletionGracePeriodSeconds: kept.deletionGracePeriodSeconds,
  }
  if (hasStatus(next)) {
    if ('status' in current) (next as SectionFields).status = (current as SectionFields).status
    else delete (next as SectionFields).status
  }
  refuseNewFinalizers(next.metadata, current)
  strategy.prepareForUpdate?.(next as Resources[K], stored, request)
  return applyDefaults(next) as Resources[K]
}

/** Forbidden for a finalizer that is new on what is being deleted. */
function refuseNewFinalizers({ finalizers = [] }: ObjectMeta, stored: AnyResource): void {
  if (!isDeleting(stored)) return
  const known = new Set(stored.metadata.finalizers)
  const added = finalizers.filter((finalizer) => !known.has(finalizer))
  if (added.length === 0) return
  const details = added.map((value) => ({ field: 'metadata.finalizers', value, message: 'is new' }))
  throw new GantryError('Forbidden', `${describeObject(stored)} is being deleted: no finalizer can be added`, {
    details,
  })
}

/** A draft of an update, in place, as it is to be stored. InvalidArgument with every problem. */
export function finalizeUpdate<K extends Kind>(
  draft: Resources[K],
  stored: Resources[K],
  strategy: Strategy<K>,
  subresource: WriteSubresource = '',
): Resources[K] {
  const next = draft as AnyResource
  const current = stored as AnyResource
  const flaws = validateUpdate(next, current, subresource)
  const problems = flaws.length > 0 ? flaws : (strategy.validate?.(draft, stored) ?? [])
  if (problems.length > 0) throw invalid(next, problems)
  if (hasGeneration(next.kind) && !sameSpec(next, current))
    next.metadata.generation = (current.metadata.generation ?? 0) + 1
  return next as Resources[K]
}

/**
 * The stored object with another's status and what of its metadata goes with that, which differs by kind.
 * InvalidArgument if its kind has no status, or for a status that is not of the form that the schema says; Forbidden
 * for a new finalizer on what is being deleted.
 */
export function admitStatus<K extends Kind>(
  wanted: Resources[K],
  stored: Resources[K],
  strategy: Strategy<K>,
): Resources[K] {
  checkPreconditions(wanted.metadata, stored)
  if (!hasStatus(wanted))
    throw new GantryError('InvalidArgument', `a ${stored.kind} has no status`, { details: [{ field: 'status' }] })
  const metadata = statusMetadata(wanted, stored)
  const { status } = wanted as SectionFields
  const next = { ...stored, apiVersion: wanted.apiVersion, metadata, status }
  if (customKinds.get(stored.kind) === undefined) {
    const flaws = [
      ...(metadata === stored.metadata ? [] : validateUpdate(next, stored)),
      ...validateStatus(next, stored),
    ]
    if (flaws.length > 0) throw invalid(next, flaws)
    return next
  }
  next.status = clone(status)
  applyDefaults(next)
  const found = validateUpdate(next, stored)
  const problems = found.length > 0 ? found : (strategy.validate?.(next, stored) ?? [])
  if (problems.length > 0) throw invalid(next, problems)
  return next
}

/**
 * The stored metadata, the same one if nothing of it changes, with the fields that a write of the kind's status may
 * change.
 */
function statusMetadata({ metadata: wanted }: AnyResource, stored: AnyResource): ObjectMeta {
  const writable = resourceOf(stored.kind).statusMetadata ?? []
  const changed = (writable as readonly (keyof ObjectMeta)[]).filter(
    (name) => !sameJson(wanted[name] ?? {}, stored.metadata[name] ?? {}),
  )
  if (changed.length === 0) return stored.metadata
  const next = { ...stored.metadata, ...clone(Object.fromEntries(changed.map((name) => [name, wanted[name]]))) }
  refuseNewFinalizers(next, stored)
  return next
}

function invalid(object: AnyResource, problems: readonly ErrorDetail[]): GantryError {
  const told = problems.slice(0, MAX_REPORTED_PROBLEMS)
  const more = problems.length > MAX_REPORTED_PROBLEMS ? `; and ${problems.length - MAX_REPORTED_PROBLEMS} more` : ''
  return new GantryError(
    'InvalidArgument',
    `${describeObject(object)} is invalid: ${told.map(describeProblem).join('; ')}${more}`,
    { details: told },
  )
}

/** ResourceExhausted for an object that is too large to be stored. */
export function checkSize(object: AnyResource, bytes: Uint8Array): void {
  if (bytes.length <= VALUE_LIMIT) return
  throw new GantryError(
    'ResourceExhausted',
    `${describeObject(object)} takes ${bytes.length} bytes, the limit is ${VALUE_LIMIT}`,
    {
      details: [
        {
          value: String(bytes.length),
          message: `an object has at most ${VALUE_LIMIT} bytes`,
          remedy: 'divide it, or keep large content in an image or a volume',
        },
      ],
    },
  )
}
