/** What the query of a request says: parameters as values, and errors as Kubernetes tells them. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { ErrorDetail } from '../../../proto/gen/types.ts'
import { HttpError } from '../status.ts'

/** A whole number; undefined where the query does not say. BadRequest. */
export function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name) ?? ''
  if (text === '') return undefined
  if (!/^-?\d{1,15}$/.test(text))
    throw new HttpError(400, 'BadRequest', `${name} is ${JSON.stringify(text)}: a whole number is needed`)
  return Number(text)
}

/**
 * Options that contradict each other or have a value that there is not: 422, with the field. `options`: ListOptions,
 * CreateOptions, …
 */
export function invalidOptions(
  options: string,
  {
    field,
    value = '',
    message,
    reason = 'FieldValueInvalid',
  }: Partial<ErrorDetail> & { field: string; message: string },
): GantryError {
  const shown = value === '' ? '' : `${JSON.stringify(value)}: `
  return new HttpError(
    422,
    'Invalid',
    `${options}.meta.k8s.io "" is invalid: ${field}: ${LABELS[reason] ?? 'Invalid value'}: ${shown}${message}`,
  )
}

const LABELS: Readonly<Record<string, string>> = {
  FieldValueRequired: 'Required value',
  FieldValueForbidden: 'Forbidden',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueTooLong: 'Too long',
}

/** What a parameter cannot be is the request's fault, not an object's: InvalidArgument becomes BadRequest. */
export function parameter<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    if (!GantryError.is(thrown, 'InvalidArgument') || thrown instanceof HttpError) throw thrown
    throw new HttpError(400, 'BadRequest', thrown.message, 'InvalidArgument', thrown)
  }
}
