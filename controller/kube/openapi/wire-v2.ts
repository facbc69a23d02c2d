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
    $ref: text(1),
    format: text(2),
    title: text(3),
    description: text(4),
    default: any(5),
    multipleOf: double(6),
    maximum: double(7),
    exclusiveMaximum: flag(8),
    minimum: double(9),
    exclusiveMinimum: flag(10),
    maxLength: integer(11),
    minLength: integer(12),
    pattern: text(13),
    maxItems: integer(14),
    minItems: integer(15),
    uniqueItems: flag(16),
    maxProperties: integer(17),
    minProperties: integer(18),
    required: each(text(19)),
    enum: each(any(20)),
    additionalProperties: inner(21, () => schemaOrFlag),
    type: inner(22, () => only(each(text(1)))),
    items: inner(23, () => only(each(inner(1, () => schema)))),
    allOf: each(inner(24, () => schema)),
    properties: inner(25, () => schemas),
    readOnly: flag(27),
    externalDocs: inner(29, () => externalDocs),
    example: any(30),
    $schema: nowhere,
  },
  31,
)
const schemas: Message = only(named(1, (number) => inner(number, () => schema)))
const schemaOrFlag: Message = (writer, value) => (isObject(value) ? inner(1, () => schema) : flag(2))(writer, value)
const externalDocs: Message = message({ description: text(1), url: text(2) }, 3)

const body: Message = message(
  { description: text(1), name: text(2), in: text(3), required: flag(4), schema: inner(5, () => schema) },
  6,
)
const queryParameter: Message = message(
  {
    required: flag(1),
    in: text(2),
    description: text(3),
    name: text(4),
    type: text(6),
    format: text(7),
    uniqueItems: flag(20),
  },
  23,
)
const pathParameter: Message = message(
  {
    required: flag(1),
    in: text(2),
    description: text(3),
    name: text(4),
    type: text(5),
    format: text(6),
    uniqueItems: flag(19),
  },
  22,
)

/** A parameter is of one of three forms, by where it is. */
const parameter: Message = (writer, value) => {
  const place = isObject(value) ? value.in : undefined
  const form: Field =
    place === 'body'
      ? inner(1, () => body)
      : inner(2, () => (place === 'path' ? inner(4, () => pathParameter) : inner(3, () => queryParameter)))
  inner(1, () => form)(writer, value)
}
const parameters = (number: number): Field => each(inner(number, () => parameter))

const response: Message = message({ description: text(1), schema: inner(2, () => inner(1, () => schema)) }, 5)
const responses: Message = only(named(1, (number) => inner(number, () => inner(1, () => response))))

const operation: Message = message(
  {
    tags: each(text(1)),
    summary: text(2),
    description: text(3),
    operationId: text(5),
    produces: each(text(6)),
    consumes: each(text(7)),
    parameters: parameters(8),
    responses: inner(9, () => responses),
    schemes: each(text(10)),
    deprecated: flag(11),
  },
  13,
)
const method = (number: number): Field => inner(number, () => operation)
const path: Message = message(
  {
    get: method(2),
    put: method(3),
    post: method(4),
    delete: method(5),
    options: method(6),
    head: method(7),
    patch: method(8),
    parameters: parameters(9),
  },
  10,
)

const apiKey: Message = message({ type: text(1), name: text(2), in: text(3), description: text(4) }, 5)
const securityDefinitions: Message = only(named(1, (number) => inner(number, () => inner(2, () => apiKey))))
const securityRequirement: Message = only(named(1, (number) => inner(number, () => only(each(text(1))))))

export const documentWireV2: Message = message(
  {
    swagger: text(1),
    info: inner(2, () => message({ title: text(1), version: text(2), description: text(3) }, 7)),
    paths: inner(8, () => only(named(2, (number) => inner(number, () => path)))),
    definitions: inner(9, () => schemas),
    security: each(inner(12, () => securityRequirement)),
    securityDefinitions: inner(13, () => securityDefinitions),
  },
  16,
)
