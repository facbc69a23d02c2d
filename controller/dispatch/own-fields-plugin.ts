/**
 * Fields that the control plane keeps for itself in objects that others may write: which session of a node counts, the
 * ranges that it is to have, and what a Network was given. Whoever could write them could speak for a node, or put pods
 * into another tenant's network.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { describeObject } from '../../proto/schema/schema.ts'
import { sameJson } from '../../proto/base/json.ts'
import type { AnyResource, ErrorDetail, Network, NetworkStatus } from '../../proto/gen/types.ts'
import type { AdmissionAttributes, AdmissionRequestInfo, AdmissionPlugin } from '../api/contract.ts'
import { RANGE_ANNOTATION } from './node-range-allocator.ts'
import { CONTROLLER_ANNOTATION, SESSION_ANNOTATION } from '../nodehealth/node-session.ts'

const ANNOTATIONS = [SESSION_ANNOTATION, CONTROLLER_ANNOTATION, RANGE_ANNOTATION] as const
const ALLOCATED = ['cidrs', 'vni', 'blocks'] as const satisfies readonly (keyof NetworkStatus)[]

export class OwnFieldsPlugin implements AdmissionPlugin {
  readonly name = 'ControlPlaneFields'

  /** The control plane's own writes have no user, and pass. */
  handles({ operation, kind, subresource }: AdmissionRequestInfo): boolean {
    if (kind === 'Node') return operation === 'CREATE' || operation === 'UPDATE'
    return kind === 'Network' && operation === 'UPDATE' && subresource === 'status'
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
  validate({ object, oldObject }: AdmissionAttributes): void {
    if (object === undefined) return
    const details = object.kind === 'Network' ? ofNetwork(object, oldObject as Network) : ofNode(object, oldObject)
    if (details.length === 0) return
    const fields = details.map(({ field }) => field).join(', ')
    throw new GantryError(
      'Forbidden',
      `${describeObject(object)}: ${fields} can only be written by the control plane itself`,
      { details },
    )
  }
}

function ofNode({ metadata }: AnyResource, before: AnyResource | undefined): ErrorDetail[] {
  return ANNOTATIONS.filter((name) => metadata.annotations?.[name] !== before?.metadata.annotations?.[name]).map(
    (name) => detail(`metadata.annotations[${name}]`, metadata.annotations?.[name] ?? ''),
  )
}

function ofNetwork({ status }: Network, { status: before }: Network): ErrorDetail[] {
  return ALLOCATED.filter((name) => !sameJson(status[name] ?? null, before[name] ?? null)).map((name) =>
    detail(`status.${name}`, ''),
  )
}

function detail(field: string, value: string): ErrorDetail {
  return { field, value, message: "is the control plane's own", remedy: 'leave it as it is' }
}
