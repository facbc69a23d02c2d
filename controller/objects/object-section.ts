/**
 * The parts of an object that are written apart: spec, with metadata and all else, and status. Of custom kinds their
 * definition says whether it is so.
 */
import { contentOf, contentText } from '../../proto/codec/custom.ts'
import { customKinds, versionOfObject } from '../../proto/schema/custom/definitions.ts'
import { messageSchema, resourceOf, schema } from '../../proto/schema/schema.ts'
import { encode } from '../../proto/codec/wire.ts'
import type { AnyResource, Kind, Messages } from '../../proto/gen/types.ts'

export type ObjectSection = 'spec' | 'status'
type SectionFields = { [H in ObjectSection]?: unknown }

/** The message that a kind's spec or status is; undefined if it has none, and for custom kinds. */
export function sectionMessage(kind: Kind, section: ObjectSection): keyof Messages | undefined {
  return kind in schema.messages
    ? (messageSchema(kind).fields.find(({ name }) => name === section)?.type as keyof Messages | undefined)
    : undefined
}

/** Whether its status is written apart from everything else. */
export function hasStatus({ kind, apiVersion }: Pick<AnyResource, 'kind' | 'apiVersion'>): boolean {
  const custom = customKinds.get(kind)
  return custom === undefined
    ? sectionMessage(kind, 'status') !== undefined
    : versionOfObject(custom, apiVersion).status
}

/** Whether changes of it are counted in metadata.generation. */
export function hasGeneration(kind: Kind): boolean {
  return (
    resourceOf(kind).generation ?? (customKinds.get(kind) !== undefined || sectionMessage(kind, 'spec') !== undefined)
  )
}

/** True if the two are the same but for metadata and status, as far as it is stored. */
export function sameSpec(a: AnyResource, b: AnyResource): boolean {
  if (customKinds.get(a.kind) !== undefined) return specText(a) === specText(b)
  const message = sectionMessage(a.kind, 'spec')
  if (message !== undefined)
    return (
      Buffer.compare(
        encode(message, (a as SectionFields).spec as never),
        encode(message, (b as SectionFields).spec as never),
      ) === 0
    )
  return resourceOf(a.kind).generation !== true || Buffer.compare(contentBytes(a), contentBytes(b)) === 0
}

function contentBytes(object: AnyResource): Uint8Array {
  return encode(object.kind, { ...object, metadata: undefined } as never)
}

function specText(object: AnyResource): string {
  const content = contentOf(object)
  if (hasStatus(object)) delete content.status
  return contentText(content)
}
