/** OpenAPI 3: a document for each group and version. https://spec.openapis.org/oas/v3.0.0 */
import { VERSION } from '../../../proto/base/version.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { ApiVersion } from '../discovery/groups.ts'
import { answerTypes, bodySchema, requestTypes } from './bodies.ts'
import { pathsOf, type Operation } from './operations.ts'
import type { Parameter } from './parameters.ts'
import { Schemas, type Sources } from './schemas.ts'

export const INFO: JsonObject = { title: 'Gantry', version: VERSION }

export const SECURITY: JsonObject = {
  BearerToken: { type: 'apiKey', name: 'authorization', in: 'header', description: 'A bearer token.' },
}

/** The document of one group and version. */
export function documentV3(group: string, version: ApiVersion, sources: Sources): JsonObject {
  const schemas = new Schemas(sources)
  const paths: JsonObject = {}
  for (const { path, parameters, operations } of pathsOf(group, version)) {
    paths[path] = {
      ...Object.fromEntries(operations.map((operation) => [operation.method, operationV3(operation, schemas)])),
      parameters: parameters.map(parameterV3),
    }
  }
  return {
    openapi: '3.0.0',
    info: INFO,
    paths,
    components: { schemas: schemas.all(), securitySchemes: SECURITY },
    security: [{ BearerToken: [] }],
  }
}

function operationV3(operation: Operation, schemas: Schemas): JsonObject {
  const { description, operationId, tag, action, kind, parameters, request, answer, codes } = operation
  const content = (types: readonly string[], body: Operation['answer']): JsonObject => {
    const schema = bodySchema(body, schemas)
    return Object.fromEntries(types.map((type) => [type, { schema }]))
  }
  const good = { description: 'OK', content: content(answerTypes(operation), answer) }
  return {
    description,
    operationId,
    tags: [tag],
    ...(parameters.length > 0 && { parameters: parameters.map(parameterV3) }),
    ...(request !== undefined && {
      requestBody: {
        content: content(requestTypes(operation), request),
        ...(action !== 'delete' && action !== 'deletecollection' && { required: true }),
      },
    }),
    responses: {
      ...Object.fromEntries(codes.map((code) => [String(code), good])),
      401: { description: 'Unauthorized' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kind,
  }
}

function parameterV3({ name, in: place, description, type }: Parameter): JsonObject {
  return {
    name,
    in: place,
    description,
    ...(place === 'path' && { required: true }),
    schema: { type, ...(place === 'query' && { uniqueItems: true }) },
  }
}
