import { isObject } from '../../../proto/base/json.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import type { ApiGroup } from '../discovery/groups.ts'
import { answerTypes, bodySchema, requestTypes } from './bodies.ts'
import { toV2 } from './dialect.ts'
import { pathsOf, type Operation } from './operations.ts'
import type { Parameter } from './parameters.ts'
import { Schemas, type Sources } from './schemas.ts'
import { INFO, SECURITY } from './v3.ts'

/** Gives way to others between groups. */
export async function documentV2(
  groups: readonly ApiGroup[],
  sources: Sources,
  pause: () => Promise<void>,
): Promise<JsonObject> {
  const schemas = new Schemas(sources)
  const paths: JsonObject = {}
  for (const { name, versions } of groups) {
    for (const version of versions) {
      for (const { path, parameters, operations } of pathsOf(name, version)) {
        paths[path] = {
          ...Object.fromEntries(operations.map((operation) => [operation.method, operationV2(operation, schemas)])),
          parameters: parameters.map(parameterV2),
        }
      }
      await pause()
    }
  }
  const definitions = Object.fromEntries(
    Object.entries(schemas.all()).map(([name, schema]) => [name, isObject(schema) ? toV2(schema) : schema]),
  )
  return {
    swagger: '2.0',
    info: INFO,
    paths,
    definitions,
    securityDefinitions: SECURITY,
    security: [{ BearerToken: [] }],
  }
}

function operationV2(operation: Operation, schemas: Schemas): JsonObject {
  const { description, operationId, tag, action, kind, parameters, request, answer, codes } = operation
  const optional = action === 'delete' || action === 'deletecollection'
  const body: JsonObject[] =
    request === undefined
      ? []
      : [{ name: 'body', in: 'body', ...(!optional && { required: true }), schema: toV2(bodySchema(request, schemas)) }]
  const good = { description: 'OK', schema: toV2(bodySchema(answer, schemas)) }
  return {
    description,
    operationId,
    tags: [tag],
    consumes: requestTypes(operation),
    produces: answerTypes(operation),
    schemes: ['https'],
    ...(body.length + parameters.length > 0 && { parameters: [...body, ...parameters.map(parameterV2)] }),
    responses: {
      ...Object.fromEntries(codes.map((code) => [String(code), good])),
      401: { description: 'Unauthorized' },
    },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kind,
  }
}

function parameterV2({ name, in: place, description, type }: Parameter): JsonObject {
  return {
    name,
    in: place,
    description,
    ...(place === 'path' && { required: true }),
    type,
    ...(place === 'query' && { uniqueItems: true }),
  }
}
