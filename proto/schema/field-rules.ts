/**
 * What a field's options say about one value of it: used alike for JSON that comes in and for objects that are
 * validated.
 */
import { formatRule, type Flaw } from '../base/format.ts'
import { nearest } from '../base/nearest.ts'
import { fieldPath } from '../base/path.ts'
import { UNSUPPORTED_MESSAGE } from '../base/problem.ts'
import { messageSchema } from './schema.ts'
import type { FieldSchema } from './model.ts'

/**
 * True for the empty string in a field that need not be there: it means the same as leaving the field out, as in
 * Kubernetes.
 */
export function isBlank({ label, options }: FieldSchema, value: unknown): boolean {
  return value === '' && label === 'optional' && options.required !== true && options.format !== undefined
}

/** What is wrong with a scalar of the right type by its field's `enum` and `format`. */
export function valueFlaw(field: FieldSchema, value: string | number): Flaw | undefined {
  const { enum: allowed, format } = field.options
  if (allowed !== undefined && !allowed.includes(String(value))) {
    const meant = nearest(String(value), allowed)
    const names = allowed.filter((name) => name !== '').join(', ')
    return {
      message: 'is not one of the values allowed',
      remedy: `${meant === undefined || meant === '' ? 'use' : `did you mean ${meant}? Allowed:`} ${names}`,
      reason: 'FieldValueNotSupported',
    }
  }
  if (format === undefined || isBlank(field, value)) return undefined
  const flaw = formatRule(format)(value)
  return flaw !== undefined && value === '' && field.options.required === true
    ? { message: 'is required', remedy: flaw.remedy, reason: 'FieldValueRequired' }
    : flaw
}

/** The field of which a second item with the same key is told: the key itself, if it is one field. */
export function duplicateField(item: string, keys: readonly string[]): string {
  const [key] = keys
  return keys.length === 1 ? fieldPath(item, key!) : item
}

/** What is wrong with a map's key by its field's `keyFormat`. */
export function keyFlaw({ options: { keyFormat } }: FieldSchema, key: string): Flaw | undefined {
  return keyFormat === undefined ? undefined : formatRule(keyFormat)(key)
}

/** How a flaw of a key is told. */
export function keyMessage({ message, unsupported }: Flaw): string {
  return unsupported === true ? message : `the key ${message}`
}

/** True if a value asks an unsupported field for nothing: an empty list or map, or one of the option `inert`. */
export function isInert(field: FieldSchema, value: unknown): boolean {
  if (field.label !== 'optional') return typeof value === 'object' && value !== null && Object.keys(value).length === 0
  return field.options.inert?.includes(typeof value === 'object' ? JSON.stringify(value) : String(value)) === true
}

const PLAIN_REASON = 'not acted on yet'

export function unsupportedMessage(reason: string): string {
  return reason === PLAIN_REASON ? UNSUPPORTED_MESSAGE : `${UNSUPPORTED_MESSAGE}: ${reason}`
}

/** Messages of which exactly one field says what is meant: of such a field, leaving it out leaves nothing. */
const ONE_OF = ['VolumeSource', 'VolumeProjection', 'LifecycleHandler', 'HTTPRouteFilter', 'IngressBackend'] as const

/** Field that is not acted on → what is, in its place. */
let oneofAlternatives: ReadonlyMap<FieldSchema, readonly string[]> | undefined

function alternativesTo(field: FieldSchema): readonly string[] {
  oneofAlternatives ??= new Map(
    ONE_OF.flatMap((name) => {
      const fields = messageSchema(name).fields.filter(({ kind }) => kind === 'message')
      const served = fields.filter(({ options }) => options.unsupported === undefined).map((one) => one.name)
      return fields.filter(({ options }) => options.unsupported !== undefined).map((one) => [one, served] as const)
    }),
  )
  return oneofAlternatives.get(field) ?? []
}

export function unsupportedRemedy(field: FieldSchema): string {
  const others = alternativesTo(field)
  if (others.length > 0)
    return `use ${others.length === 1 ? others[0]! : `${others.slice(0, -1).join(', ')} or ${others.at(-1)!}`} instead`
  const allowed = (field.options.inert ?? []).filter((value) => value !== '' && !value.startsWith('{'))
  return allowed.length === 0 ? 'leave it out' : `leave it out, or write ${allowed.join(' or ')}`
}
