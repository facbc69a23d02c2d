/**
 * Whether an object of a custom kind is as it must be: what every object is, and what the schema of its version says.
 * Its rules in CEL are the controller's (controller/cel/custom).
 */
import type { AnyResource, JsonObject } from '../../gen/types.ts'
import { validateFields } from '../schema.ts'
import type { Report } from '../report.ts'
import { contentOf } from '../../codec/custom.ts'
import { versionOfObject, type CustomKind } from '../../schema/custom/definitions.ts'
import { validateSchema } from './validation.ts'

export function validateCustom(
  report: Report,
  kind: CustomKind,
  object: AnyResource,
  previous: AnyResource | undefined,
): void {
  validateFields(report, 'ObjectMeta', object.metadata as unknown as Record<string, unknown>, 'metadata')
  validateSchema(
    report,
    versionOfObject(kind, object.apiVersion).schema,
    asWritten(kind, object),
    previous === undefined ? undefined : asWritten(kind, { ...previous, apiVersion: object.apiVersion } as AnyResource),
    '',
  )
}

/** With apiVersion, kind and metadata as clients have them: a schema may ask something of them, too. */
export function asWritten(kind: CustomKind, object: AnyResource): JsonObject {
  const { name, generateName } = object.metadata
  return {
    apiVersion: object.apiVersion,
    kind: kind.resource.kind,
    metadata: { ...(name !== '' && { name }), ...(generateName !== undefined && { generateName }) },
    ...contentOf(object),
  }
}
