/**
 * Fields that the control plane keeps for itself in objects that others may write: which session of a node counts, the
 * ranges that it is to have, and of each status what the schema's option `writer` says, such as what a Network was
 * given. Whoever could write them could speak for a node, or put pods into another tenant's network.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject, resources } from '../../proto/schema/schema.ts'
import { sameJson } from '../../proto/base/json.ts'
import { fieldsOfWriter } from '../../proto/schema/status-writers.ts'
import type { AnyResource, ErrorDetail, JsonValue, Kind } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../api/contract.ts'
import { sectionMessage } from '../objects/object-section.ts'
import { RANGE_ANNOTATION } from './node-range-allocator.ts'
import { CONTROLLER_ANNOTATION, SESSION_ANNOTATION } from '../nodehealth/node-session.ts'

const ANNOTATIONS = [SESSION_ANNOTATION, CONTROLLER_ANNOTATION, RANGE_ANNOTATION] as const
/** By kind, of those that have any. */
const STATUS_FIELDS: ReadonlyMap<Kind, readonly string[]> = new Map(
  resources.flatMap((resource) => {
    const kind = resource.kind as Kind
    const status = sectionMessage(kind, 'status')
    const fields = status === undefined ? [] : fieldsOfWriter(status, 'controlPlane')
    return fields.length === 0 ? [] : [[kind, fields]]
  }),
)

export class OwnFieldsPlugin implements AdmissionPlugin {
  readonly name = 'ControlPlaneFields'

  /** The control plane's own writes have no user, and pass. */
  handles({ operation, kind, subresource }: AdmissionRequestInfo): boolean {
    if (kind === 'Node') return operation === 'CREATE' || operation === 'UPDATE'
    return operation === 'UPDATE' && subresource === 'status' && STATUS_FIELDS.has(kind)
  }

  /** A manifest need not have the annotations: who replaces the object with it leaves them as they are. */
  mutate({ object, oldObject }: AdmissionAttributes): void {
    if (object?.kind !== 'Node' || oldObject === undefined) return
    for (const name of ANNOTATIONS) {
      const stored = oldObject.metadata.annotations?.[name]
      if (stored !== undefined && object.metadata.annotations?.[name] === undefined)
        object.metadata.annotations = { ...object.metadata.annotations, [name]: stored }
    }
  }

  /** Forbidden. */
  validate({ object, oldObject, subresource }: AdmissionAttributes): void {
    if (object === undefined) return
    const details = [
      ...(object.kind === 'Node' ? changedAnnotations(object, oldObject) : []),
      ...(subresource === 'status' ? changedStatus(object, oldObject) : []),
    ]
    if (details.length === 0) return
    const fields = details.map(({ field }) => field).join(', ')
    throw new GantryError(
      'Forbidden',
      `${describeObject(object)}: ${fields} can only be written by the control plane itself`,
      { details },
    )
  }
}

function changedAnnotations({ metadata }: AnyResource, before: AnyResource | undefined): ErrorDetail[] {
  return ANNOTATIONS.filter((name) => metadata.annotations?.[name] !== before?.metadata.annotations?.[name]).map(
    (name) => detail(`metadata.annotations[${name}]`, metadata.annotations?.[name] ?? ''),
  )
}

function changedStatus(object: AnyResource, oldObject: AnyResource | undefined): ErrorDetail[] {
  const [now, before] = [statusOf(object), statusOf(oldObject)]
  return (STATUS_FIELDS.get(object.kind) ?? [])
    .filter((name) => !sameJson(now[name] ?? null, before[name] ?? null))
    .map((name) => detail(`status.${name}`, ''))
}

function statusOf(object: AnyResource | undefined): Readonly<Record<string, JsonValue | undefined>> {
  return (object as { readonly status?: Readonly<Record<string, JsonValue>> } | undefined)?.status ?? {}
}

function detail(field: string, value: string): ErrorDetail {
  return { field, value, message: "is the control plane's own", remedy: 'leave it as it is' }
}
