/**
 * A Scale: how many instances an object has, in the same form for every kind.
 * https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/scale-v1/
 */
import { customKinds, versionOfObject } from '../../proto/schema/custom/definitions.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { messageSchema } from '../../proto/schema/schema.ts'
import { podSelectorOf, selectsPods } from '../../proto/objects/pod-selection.ts'
import { formatLabelSelector } from '../../proto/objects/selector.ts'
import { fieldOf } from '../../proto/schema/shape.ts'
import type {
  AnyResource,
  CustomResourceSubresourceScale,
  JsonObject,
  JsonValue,
  Kind,
  LabelSelector,
} from '../../proto/gen/types.ts'

/** Where an object has what its scale says. */
export interface ScalePaths {
  readonly replicas: readonly string[]
  readonly statusReplicas: readonly string[]
  /** A label selector, labels, or a text that is a selector already; undefined if there is none. */
  readonly selector: readonly string[] | undefined
}

/** Of a kind of the schema that has `spec.replicas`, `status.replicas` and a selector; undefined for others. */
export function scalePaths(kind: Kind): ScalePaths | undefined {
  const paths = {
    replicas: ['spec', 'replicas'],
    statusReplicas: ['status', 'replicas'],
    selector: ['spec', 'selector'],
  }
  if (!messageSchema(kind).fields.some(({ name }) => name === 'spec')) return undefined
  return fieldOf(kind, paths.replicas) !== undefined &&
    fieldOf(kind, paths.statusReplicas) !== undefined &&
    selectsPods(kind)
    ? paths
    : undefined
}

/** As a definition gives them. */
export function customScalePaths({
  specReplicasPath,
  statusReplicasPath,
  labelSelectorPath,
}: CustomResourceSubresourceScale): ScalePaths {
  const path = (text: string): string[] => text.replace(/^\./, '').split('.')
  return {
    replicas: path(specReplicasPath),
    statusReplicas: path(statusReplicasPath),
    selector: labelSelectorPath === undefined || labelSelectorPath === '' ? undefined : path(labelSelectorPath),
  }
}

/** Of whatever kind an object is. */
export function scalePathsOf({ kind, apiVersion }: AnyResource): ScalePaths | undefined {
  const custom = customKinds.get(kind)
  if (custom === undefined) return scalePaths(kind)
  const { scale } = versionOfObject(custom, apiVersion)
  return scale === undefined ? undefined : customScalePaths(scale)
}

/** Its JSON. Internal for an object whose number is none. */
export function scaleOf(object: AnyResource, paths: ScalePaths): JsonObject & { apiVersion: string; kind: string } {
  const { name, namespace, uid, resourceVersion, creationTimestamp = null } = object.metadata
  const text = selectorText(object, paths)
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name, ...(namespace !== '' && { namespace }), uid, resourceVersion, creationTimestamp },
    spec: { replicas: count(object, paths.replicas) },
    status: { replicas: count(object, paths.statusReplicas), ...(text !== undefined && { selector: text }) },
  }
}

/** Undefined where nothing says it. */
function selectorText(object: AnyResource, { selector: path }: ScalePaths): string | undefined {
  if (path === undefined) return undefined
  const selector =
    customKinds.get(object.kind) === undefined
      ? podSelectorOf(object)
      : (valueAt(object, path) as LabelSelector | string | undefined)
  return typeof selector === 'object' ? formatLabelSelector(selector) : selector
}

function count(object: AnyResource, path: readonly string[]): number {
  const value = valueAt(object, path) ?? 0
  if (typeof value === 'number') return value
  throw new GantryError('Internal', `${path.join('.')} is not a number`)
}

function valueAt(object: object, path: readonly string[]): unknown {
  return path.reduce(
    (value: unknown, name) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, name)
        ? (value as Record<string, unknown>)[name]
        : undefined,
    object,
  )
}

/** An object that has the value at the path, and nothing beside it. */
export function nested(path: readonly string[], value: JsonValue): JsonObject {
  return path.reduceRight((inner: JsonValue, name): JsonValue => ({ [name]: inner }), value) as JsonObject
}
