/**
 * Field ownership: who wrote which field, kept in metadata.managedFields, and apply, which merges by it.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/
 *
 * An owner is an entry and not a name: what a manager updated (`scale`, `edit`) is another's to its own apply, which
 * may share it but not change it unasked; unless it is asked to take that always, as for Gantry's own command line.
 */
import type { JsonObject, JsonValue, Kind, ManagedFieldsEntry } from '../gen/types.ts'
import { dropConflictingDefaults } from './conflicting-defaults.ts'
import { customKinds, versionOfObject } from '../schema/custom/definitions.ts'
import { GantryError } from '../base/errors.ts'
import { FieldSet, formatSteps, malformedStep } from './field-set.ts'
import { differenceOf, fieldsOf, mergeFields, removeFields } from './merge.ts'
import { apiVersionOf, resourceOf } from '../schema/schema.ts'
import { shapeOf } from '../schema/shape.ts'
import { isObject, own, sameJson } from '../base/json.ts'
import { formatTime } from '../base/time.ts'

/** What the server alone decides, so that nobody owns it. */
const UNOWNED_METADATA: ReadonlySet<string> = new Set([
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'selfLink',
  'managedFields',
])

/** Owns what was there before anybody's fields were kept, as in Kubernetes. */
const BEFORE_FIRST_APPLY = 'before-first-apply'

/** By way of what a write came: all but status write the same section as ''. */
export type Subresource = '' | 'status' | 'scale' | 'ephemeralcontainers' | 'resize' | 'finalize'

export interface ApplyRequest {
  readonly kind: Kind
  /** As stored; undefined if there is no such object yet. */
  readonly live: JsonObject | undefined
  /** As decoded, quantities in canonical form, without defaults: what it names is wanted. */
  readonly configuration: JsonObject
  readonly manager: string
  /** Take fields that others own. */
  readonly force: boolean
  /** What the manager itself updated is its apply's, too: taken without force, and owned by the apply alone. */
  readonly takesOwnUpdates?: boolean
  /**
   * What the manager applied on its own side the last time, canonical as the configuration: fields that are still as it
   * left them are taken without force.
   */
  readonly lastApplied?: JsonObject | undefined
  /** Milliseconds since 1970. */
  readonly now: number
  /** Which section is applied: '' is all but status. */
  readonly subresource?: Subresource
}

interface Owner {
  readonly entry: ManagedFieldsEntry
  readonly fields: FieldSet
}

/**
 * The live object with the configuration's fields made true and owned by the manager, without the fields that the
 * manager named before and now does not, unless others own them too. `changed` false: the result is the live object,
 * nothing is to be written. Conflict names every field that another entry owns with another value, unless `force`;
 * InvalidArgument names an item that comes twice.
 */
export function applyConfiguration({
  kind,
  live: stored,
  configuration,
  manager,
  force,
  takesOwnUpdates = false,
  lastApplied,
  now,
  subresource = '',
}: ApplyRequest): { object: JsonObject; changed: boolean } {
  const shape = shapeOf(kind)
  const apiVersion = versionIn(kind, configuration)
  // In the version of the configuration: custom kinds have several, which differ in nothing else.
  const live = stored === undefined ? undefined : { ...stored, apiVersion }
  const named = ownable(kind, configuration, subresource)
  const wanted = fieldsOf(shape, named)
  const owners = live === undefined ? [] : ownersBeforeApply(kind, live, subresource, now)
  const owned = owners.reduce((all, { fields }) => all.union(fields), FieldSet.EMPTY)
  const merged = mergeFields(
    shape,
    live === undefined
      ? identity(kind, configuration)
      : customKinds.get(kind) === undefined
        ? dropConflictingDefaults(live, named, owned)
        : live,
    named,
  ) as JsonObject
  const { changed: written } = differenceOf(shape, live, merged)

  const mine = owners.find(({ entry }) => isEntry(entry, { manager, operation: 'Apply', subresource }))
  const others = owners.filter((owner) => owner !== mine)
  const isOwn = ({ entry }: Owner): boolean => takesOwnUpdates && entry.manager === manager
  let conflicts = force
    ? []
    : conflictsOf(
        others.filter((owner) => !isOwn(owner)),
        written,
      )
  if (conflicts.length > 0 && live !== undefined && lastApplied !== undefined)
    conflicts = conflictsOf(conflicts, written.difference(unchangedFields(kind, lastApplied, live)))
  if (conflicts.length > 0) throw conflictError(conflicts)

  const left = others.map((owner) => ({
    ...owner,
    fields: owner.fields.difference(isOwn(owner) ? wanted.withAncestors() : written),
  }))
  const keep = left.reduce((all, { fields }) => all.union(fields), wanted)
  const object = removeFields(shape, merged, mine?.fields ?? FieldSet.EMPTY, keep) as JsonObject

  const same =
    live !== undefined &&
    sameJson(withoutOwners(live), withoutOwners(object)) &&
    mine !== undefined &&
    sameJson(mine.fields.toFields(), wanted.toFields())
  const entry = {
    manager,
    operation: 'Apply' as const,
    apiVersion,
    time: same ? mine.entry.time : formatTime(now),
    ...(subresource !== '' && { subresource }),
  }
  const result = withOwners(object, replaceOwner(left, owners.indexOf(mine!), { entry, fields: wanted }))
  return { object: result, changed: !sameJson(live, result) }
}

export interface Update {
  readonly kind: Kind
  /** As stored; undefined for a creation. */
  readonly previous: JsonObject | undefined
  readonly next: JsonObject
  readonly manager: string
  /** Milliseconds since 1970. */
  readonly now: number
  /** Which section was written: '' is all but status. */
  readonly subresource?: Subresource
}

/**
 * metadata.managedFields of `next` after a plain write: fields that it changed now belong to its manager alone, fields
 * that are gone to nobody.
 */
export function updateManagedFields({
  kind,
  previous,
  next,
  manager,
  now,
  subresource = '',
}: Update): ManagedFieldsEntry[] {
  const { changed, removed } = differenceOf(
    shapeOf(kind),
    previous === undefined ? {} : ownable(kind, previous, subresource),
    ownable(kind, next, subresource),
  )
  const owners = ownersOf(previous)
  if (changed.isEmpty && removed.isEmpty) return owners.map(({ entry }) => entry)
  const apiVersion = versionIn(kind, next)
  const mine = owners.findIndex(({ entry }) =>
    isEntry(entry, { manager, operation: 'Update', apiVersion, subresource }),
  )
  const left = owners.map(({ entry, fields }, index) => ({
    entry,
    fields: index === mine ? fields.without(removed) : fields.without(removed).difference(changed),
  }))
  if (changed.isEmpty) return entriesOf(left)
  const entry = updateEntry(manager, apiVersion, subresource, now)
  const before = left[mine]?.fields ?? FieldSet.EMPTY
  return entriesOf(
    replaceOwner(
      left.filter((_, index) => index !== mine),
      mine,
      { entry, fields: before.union(changed) },
    ),
  )
}

/**
 * The owners that an update begins with: what the writer sends, unless that is nothing. A single empty entry means that
 * nobody owns anything.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields
 * InvalidArgument for fields that are none.
 */
export function claimedOwners(
  sent: ManagedFieldsEntry[] | undefined,
  stored: ManagedFieldsEntry[] | undefined,
): ManagedFieldsEntry[] | undefined {
  if (sent === undefined || sent.length === 0 || sameJson(sent, stored)) return stored
  if (sent.length === 1 && Object.values(sent[0]!).every((value) => value === undefined)) return undefined
  sent.forEach(({ fieldsType = 'FieldsV1', fieldsV1 = {}, operation }, index) => {
    const field = `metadata.managedFields[${index}]`
    if (operation === undefined)
      throw new GantryError('InvalidArgument', `${field} does not say by which operation`, {
        details: [{ field: `${field}.operation`, message: 'is required', remedy: 'Apply or Update' }],
      })
    const wrong = fieldsType !== 'FieldsV1' ? fieldsType : malformedStep(fieldsV1)
    if (wrong !== undefined)
      throw new GantryError('InvalidArgument', `${field} is not of the form FieldsV1: ${wrong}`, {
        details: [{ field: `${field}.fieldsV1`, value: wrong, message: 'is not of the form FieldsV1' }],
      })
  })
  return sent
}

/** The part of an object that a write of this section can own. */
function ownable(kind: Kind, object: JsonObject, subresource: Subresource): JsonObject {
  const { apiVersion: _apiVersion, kind: _kind, metadata, ...rest } = object
  if (subresource === 'status') {
    const { statusMetadata = [] } = resourceOf(kind)
    const written = Object.entries(isObject(metadata) ? metadata : {}).filter(([name]) => statusMetadata.includes(name))
    return { ...(written.length > 0 && { metadata: Object.fromEntries(written) }), status: own(object, 'status') ?? {} }
  }
  const custom = customKinds.get(kind)
  if (custom === undefined || versionOfObject(custom, versionIn(kind, object)).status) delete rest.status
  if (!isObject(metadata)) return rest
  return {
    metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => !UNOWNED_METADATA.has(name))),
    ...rest,
  }
}

/** The version that an object says it is of. */
function versionIn(kind: Kind, object: JsonObject): string {
  const apiVersion = own(object, 'apiVersion')
  return typeof apiVersion === 'string' ? apiVersion : apiVersionOf(resourceOf(kind))
}

/** What a new object begins with. */
function identity(kind: Kind, configuration: JsonObject): JsonObject {
  const { name = '', namespace = '' } = (own(configuration, 'metadata') ?? {}) as JsonObject
  return { apiVersion: versionIn(kind, configuration), kind: resourceOf(kind).kind, metadata: { name, namespace } }
}

function ownersOf(object: JsonObject | undefined): Owner[] {
  const metadata = object?.metadata as { managedFields?: ManagedFieldsEntry[] } | undefined
  return (metadata?.managedFields ?? []).map((entry) => ({ entry, fields: FieldSet.fromFields(entry.fieldsV1 ?? {}) }))
}

/** Those whom an apply meets: of an object whose owners nobody kept, or somebody cleared, all is one owner's. */
function ownersBeforeApply(kind: Kind, live: JsonObject, subresource: Subresource, now: number): Owner[] {
  const owners = ownersOf(live)
  if (owners.length > 0) return owners
  const fields = differenceOf(shapeOf(kind), {}, ownable(kind, live, subresource)).changed
  return fields.isEmpty
    ? []
    : [{ entry: updateEntry(BEFORE_FIRST_APPLY, versionIn(kind, live), subresource, now), fields }]
}

function updateEntry(manager: string, apiVersion: string, subresource: Subresource, now: number): ManagedFieldsEntry {
  return { manager, operation: 'Update', apiVersion, time: formatTime(now), ...(subresource !== '' && { subresource }) }
}

/** An apply is the same one in whatever version, an update is of its version. */
type Identity = { readonly manager: string; readonly subresource: Subresource } & (
  | { readonly operation: 'Apply' }
  | { readonly operation: 'Update'; readonly apiVersion: string }
)

function isEntry(entry: ManagedFieldsEntry, identity: Identity): boolean {
  if (
    entry.manager !== identity.manager ||
    entry.operation !== identity.operation ||
    (entry.subresource ?? '') !== identity.subresource
  )
    return false
  return identity.operation === 'Apply' || entry.apiVersion === identity.apiVersion
}

/** The owners of fields that are written with another value, each with those alone. */
function conflictsOf(owners: readonly Owner[], written: FieldSet): Owner[] {
  return owners
    .map(({ entry, fields }) => ({ entry, fields: fields.intersection(written) }))
    .filter(({ fields }) => !fields.isEmpty)
}

/** The fields of what was applied that the live object has with the same values. */
function unchangedFields(kind: Kind, applied: JsonObject, live: JsonObject): FieldSet {
  const shape = shapeOf(kind)
  const { changed, removed } = differenceOf(shape, ownable(kind, applied, ''), ownable(kind, live, ''))
  return fieldsOf(shape, ownable(kind, applied, ''))
    .difference(changed)
    .without(removed)
}

/** Others in their order, with one at the place it had before (−1: at the end). */
function replaceOwner(others: readonly Owner[], place: number, owner: Owner): Owner[] {
  return others.toSpliced(place === -1 ? others.length : place, 0, owner)
}

function entriesOf(owners: readonly Owner[]): ManagedFieldsEntry[] {
  return owners
    .filter(({ fields }) => !fields.isEmpty)
    .map(({ entry, fields }) => ({ ...entry, fieldsType: 'FieldsV1', fieldsV1: fields.toFields() }))
}

function withoutOwners(object: JsonObject): JsonObject {
  const { managedFields: _managedFields, ...metadata } = (object.metadata ?? {}) as JsonObject
  return { ...object, metadata }
}

function withOwners(object: JsonObject, owners: readonly Owner[]): JsonObject {
  const entries = entriesOf(owners)
  const bare = withoutOwners(object)
  return entries.length === 0
    ? bare
    : { ...bare, metadata: { ...(bare.metadata as JsonObject), managedFields: entries as unknown as JsonValue } }
}

function conflictError(conflicts: readonly Owner[]): GantryError {
  const owners = new Map<string, string[]>()
  for (const { entry, fields } of conflicts) {
    const [part, since] = [
      entry.subresource === undefined ? '' : ` of ${entry.subresource}`,
      entry.time === undefined ? '' : ` since ${entry.time}`,
    ]
    const label = `"${entry.manager ?? ''}" (${entry.operation ?? 'Update'}${part}${since})`
    for (const steps of fields.paths()) {
      const field = formatSteps(steps)
      owners.set(field, [...(owners.get(field) ?? []), label])
    }
  }
  const details = [...owners].map(([field, labels]) => ({
    field,
    message: `owned by ${labels.join(' and ')}`,
    remedy: '--force takes it; or leave it out of the manifest',
    reason: 'FieldManagerConflict',
  }))
  const [first] = details
  const more = details.length === 1 ? '' : ` and ${details.length - 1} more`
  return new GantryError('Conflict', `field ${first!.field} is ${first!.message}${more}`, { details })
}
