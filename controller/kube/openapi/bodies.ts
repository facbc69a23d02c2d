/** What operations send and receive, as references to definitions. */
import { schema } from '../../../proto/schema/schema.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { ServedResource, ServedSubresource } from '../contract.ts'
import { customDefinition, customRef } from './custom.ts'
import type { Body, Operation } from './operations.ts'
import type { Schemas } from './schemas.ts'

const JSON_TYPE = 'application/json'
const OBJECT_TYPES = [JSON_TYPE, 'application/yaml']
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'

const PATCH_TYPES = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json']
const STRATEGIC_TYPE = 'application/strategic-merge-patch+json'

/** The schema of a body, by reference. */
export function bodySchema(body: Body, schemas: Schemas): JsonObject {
  switch (body.is) {
    case 'object':
      return objectRef(body.of, schemas)
    case 'list':
      return listRef(body.of, schemas)
    case 'message':
      return schemas.ref(body.message)
    case 'patch':
      return schemas.add('io.k8s.apimachinery.pkg.apis.meta.v1.Patch', () => ({
        type: 'object',
        description: 'A change of an object; its Content-Type says of which of the kinds of patches.',
      }))
    case 'text':
      return { type: 'string' }
  }
}

/** The Content-Types of an operation's answer. */
export function answerTypes({ answer, action, custom }: Operation): string[] {
  if (answer.is === 'text') return action === 'connect' ? ['*/*'] : ['text/plain']
  const types = custom ? OBJECT_TYPES : [...OBJECT_TYPES, PROTOBUF_TYPE]
  return action === 'list'
    ? [...types, `${JSON_TYPE};stream=watch`, ...(custom ? [] : [`${PROTOBUF_TYPE};stream=watch`])]
    : types
}

/** The Content-Types of an operation's request. */
export function requestTypes({ action, custom }: Operation): string[] {
  if (action !== 'patch') return ['*/*']
  return custom ? PATCH_TYPES : [...PATCH_TYPES, STRATEGIC_TYPE]
}

function objectRef(of: ServedResource | ServedSubresource, schemas: Schemas): JsonObject {
  if (!('parent' in of)) return of.message === undefined ? customRef(of, schemas) : schemas.ref(of.message)
  const { parent, kind, group = parent.group, version = parent.version } = of
  if (kind === parent.kind && group === parent.group) return objectRef(parent, schemas)
  const message = Object.values(schema.messages).find(
    ({ resource }) => resource?.kind === kind && resource.group === group && resource.version === version,
  )
  return message === undefined ? { type: 'object' } : schemas.ref(message.name)
}

function listRef(of: ServedResource, schemas: Schemas): JsonObject {
  const item = objectRef(of, schemas)
  const name =
    of.message === undefined
      ? customDefinition({ ...of, kind: of.listKind })
      : `${schemas.nameOf(of.message).replace(/[^.]*$/, '')}${of.listKind}`
  return schemas.list(name, item, of.group, of.version, of.listKind)
}
