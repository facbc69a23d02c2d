import { isObject } from '../../../proto/base/json.ts'
import {
  any,
  double,
  each,
  flag,
  inner,
  integer,
  message,
  named,
  nowhere,
  only,
  text,
  type Field,
  type Message,
} from './gnostic.ts'

const schema: Message = message(
  {
    nullable: flag(1),
    readOnly: flag(3),
    writeOnly: flag(4),
    externalDocs: inner(6, () => message({ description: text(1), url: text(2) }, 3)),
    example: any(7),
    deprecated: flag(8),
    title: text(9),
    multipleOf: double(10),
    maximum: double(11),
    exclusiveMaximum: flag(12),
    minimum: double(13),
    exclusiveMinimum: flag(14),
    maxLength: integer(15),
    minLength: integer(16),
    pattern: text(17),
    maxItems: integer(18),
    minItems: integer(19),
    uniqueItems: flag(20),
    maxProperties: integer(21),
    minProperties: integer(22),
    required: each(text(23)),
    enum: each(any(24)),
    type: text(25),
    allOf: several(26),
    oneOf: several(27),
    anyOf: several(28),
    not: inner(29, () => schema),
    items: inner(30, () => only(each(inner(1, () => schemaOrReference)))),
    properties: inner(31, () => schemas),
    additionalProperties: inner(32, () => schemaOrFlag),
    default: fallback(33),
    description: text(34),
    format: text(35),
    $schema: nowhere,
  },
  36,
)
const reference: Message = message({ $ref: text(1), summary: text(2), description: text(3) })
const schemaOrReference: Message = (writer, value) =>
  (isObject(value) && value.$ref !== undefined ? inner(2, () => reference) : inner(1, () => schema))(writer, value)
const schemas: Message = only(named(1, (number) => inner(number, () => schemaOrReference)))
const schemaOrFlag: Message = (writer, value) =>
  (isObject(value) ? inner(1, () => schemaOrReference) : flag(2))(writer, value)

function several(number: number): Field {
  return each(inner(number, () => schemaOrReference))
}

/**
 * A default is a number, a truth value or a text there; others, such as {}, have no form and are left out, as
 * Kubernetes leaves them out.
 */
function fallback(number: number): Field {
  return (writer, value) => {
    const form =
      typeof value === 'number'
        ? double(1)
        : typeof value === 'boolean'
          ? flag(2)
          : typeof value === 'string'
            ? text(3)
            : undefined
    if (form !== undefined) inner(number, () => form)(writer, value)
  }
}

const parameter: Message = message(
  { name: text(1), in: text(2), description: text(3), required: flag(4), schema: inner(10, () => schemaOrReference) },
  14,
)
const parameters = (number: number): Field => each(inner(number, () => inner(1, () => parameter)))
const content: Message = only(
  named(1, (number) => inner(number, () => message({ schema: inner(1, () => schemaOrReference) }, 5))),
)
const requestBody: Message = message({ description: text(1), content: inner(2, () => content), required: flag(3) }, 4)
const response: Message = message({ description: text(1), content: inner(3, () => content) }, 5)
const responses: Message = only(named(2, (number) => inner(number, () => inner(1, () => response))))

const operation: Message = message(
  {
    tags: each(text(1)),
    summary: text(2),
    description: text(3),
    operationId: text(5),
    parameters: parameters(6),
    requestBody: inner(7, () => inner(1, () => requestBody)),
    responses: inner(8, () => responses),
    deprecated: flag(10),
  },
  13,
)
const method = (number: number): Field => inner(number, () => operation)
const path: Message = message(
  {
    get: method(4),
    put: method(5),
    post: method(6),
    delete: method(7),
    options: method(8),
    head: method(9),
    patch: method(10),
    parameters: parameters(13),
  },
  14,
)

const securityScheme: Message = message({ type: text(1), description: text(2), name: text(3), in: text(4) }, 9)
const components: Message = message(
  {
    schemas: inner(1, () => schemas),
    securitySchemes: inner(7, () => only(named(1, (number) => inner(number, () => inner(1, () => securityScheme))))),
  },
  10,
)

export const documentWireV3: Message = message(
  {
    openapi: text(1),
    info: inner(2, () => message({ title: text(1), description: text(2), version: text(6) }, 7)),
    paths: inner(4, () => only(named(1, (number) => inner(number, () => path)))),
    components: inner(5, () => components),
    security: each(inner(6, () => only(named(1, (number) => inner(number, () => only(each(text(1)))))))),
  },
  9,
)
