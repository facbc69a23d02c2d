/**
 * An error as Kubernetes' clients read it: a Status with the reason word that they switch on, and a cause for each
 * field.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
 */
import { encodeFields } from '../../proto/codec/codec.ts'
import { GantryError, type ErrorCode } from '../../proto/base/errors.ts'
import { DecodingError, describeProblem, strictDecodingMessage, isStrictOnly } from '../../proto/base/problem.ts'
import type { ErrorDetail, JsonObject } from '../../proto/gen/types.ts'
import { AdmissionRefusal } from '../api/admission-refusal.ts'
import { retryAfterTooMany } from '../requests/fairness/too-many-requests.ts'
import type { Target } from './contract.ts'

/** HTTP status and reason of each code. */
const REASONS: Readonly<Record<ErrorCode, readonly [code: number, reason: string]>> = {
  InvalidArgument: [422, 'Invalid'],
  Unsupported: [422, 'Invalid'],
  DeadlineExceeded: [504, 'Timeout'],
  NotFound: [404, 'NotFound'],
  AlreadyExists: [409, 'AlreadyExists'],
  Forbidden: [403, 'Forbidden'],
  ResourceExhausted: [413, 'RequestEntityTooLarge'],
  FailedPrecondition: [422, 'Invalid'],
  Conflict: [409, 'Conflict'],
  Expired: [410, 'Expired'],
  Internal: [500, 'InternalError'],
  Unavailable: [503, 'ServiceUnavailable'],
  Unauthenticated: [401, 'Unauthorized'],
  Cancelled: [499, 'Cancelled'],
}

/** Seconds after which a client may try again. */
const RETRY_AFTER = 1

export interface HttpStatus {
  readonly code: number
  readonly retryAfter: number | undefined
  readonly body: JsonObject & { apiVersion: string; kind: string }
}

/** An error that only HTTP has: another code and reason than its GantryError's own. */
export class HttpError extends GantryError {
  readonly status: number
  readonly reason: string

  constructor(status: number, reason: string, message: string, code: ErrorCode = 'InvalidArgument', cause?: unknown) {
    super(code, message, { cause })
    this.status = status
    this.reason = reason
  }
}

/** `target`: what the request was about, where that is known; `name`: of the object that it carried, for a creation. */
export function statusOf(thrown: unknown, target?: Target, name = target?.name ?? ''): HttpStatus {
  const error = GantryError.from(thrown)
  if (error instanceof AdmissionRefusal) return refused(error)
  const [code, reason] = codeAndReason(error)
  const retryAfter = retryAfterOf(error, code)
  const subject = target === undefined ? undefined : subjectOf(error, target, name)
  const causes = causesOf(error)
  const details: JsonObject = {
    ...(subject !== undefined && {
      ...(subject.name !== '' && { name: subject.name }),
      ...(subject.group !== '' && { group: subject.group }),
      kind: reason === 'Invalid' ? subject.kind : subject.plural,
    }),
    ...(causes.length > 0 && { causes }),
    ...(retryAfter !== undefined && { retryAfterSeconds: retryAfter }),
  }
  return {
    code,
    retryAfter,
    body: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: restOf(error),
      status: 'Failure',
      message: target !== undefined && isUnreadable(error) ? unreadable(error, target) : messageOf(error, subject),
      reason,
      ...(Object.keys(details).length > 0 && { details }),
      code,
    },
  }
}

function codeAndReason(error: GantryError): readonly [code: number, reason: string] {
  if (error instanceof HttpError) return [error.status, error.reason]
  if (retryAfterTooMany(error) !== undefined) return TOO_MANY_REQUESTS
  return isUnreadable(error) ? UNREADABLE : REASONS[error.code]
}

/** Seconds; undefined where trying again is not what helps. */
function retryAfterOf(error: GantryError, code: number): number | undefined {
  if (error instanceof HttpError) return undefined
  return retryAfterTooMany(error) ?? (code === 503 || code === 504 ? RETRY_AFTER : undefined)
}

function causesOf(error: GantryError): JsonObject[] {
  // When to try again has a place of its own in a Status.
  if (retryAfterTooMany(error) !== undefined) return []
  return error.details.filter(({ field, message }) => field !== '' || message !== '').map(causeOf)
}

/**
 * Where a list that cannot be continued consistently can go on all the same.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
 */
function restOf({ code, details: [first] }: GantryError): JsonObject {
  return code === 'Expired' && first?.field === 'continue' ? { continue: first.value } : {}
}

/** As who refused it says it. */
function refused({ status: { code, reason, message, details } }: AdmissionRefusal): HttpStatus {
  const retryAfter =
    details?.retryAfterSeconds === undefined || details.retryAfterSeconds <= 0 ? undefined : details.retryAfterSeconds
  return {
    code,
    retryAfter,
    body: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason !== '' && { reason }),
      ...(details !== undefined && { details: encodeFields('StatusDetails', details) }),
      code,
    },
  }
}

const UNREADABLE = [400, 'BadRequest'] as const
const TOO_MANY_REQUESTS = [429, 'TooManyRequests'] as const

/** What was sent is no object of its kind at all, or has only too much in it: not a matter of its values. */
function isUnreadable(error: GantryError): error is DecodingError {
  return (
    error instanceof DecodingError &&
    (error.problems.every(isStrictOnly) || error.problems.some(({ reason }) => reason === 'FieldValueTypeInvalid'))
  )
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation */
function unreadable({ problems }: DecodingError, { resource }: Target): string {
  const wrong = problems.filter((problem) => !isStrictOnly(problem)).map(describeProblem)
  const faults = wrong.length > 0 ? wrong.join(', ') : strictDecodingMessage(problems)
  return `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: ${faults}`
}

/** The object that an error is about. */
interface Subject {
  readonly group: string
  readonly kind: string
  readonly plural: string
  readonly name: string
}

/** That of the request, or the namespace that it was to be in. */
function subjectOf(
  { code, details: [first] }: GantryError,
  { resource: { group, kind, plural } }: Target,
  name: string,
): Subject {
  if (code === 'NotFound' && first?.field === 'metadata.namespace')
    return { group: '', kind: 'Namespace', plural: 'namespaces', name: first.value }
  return { group, kind, plural, name: name !== '' || first?.field !== 'metadata.name' ? name : first.value }
}

/** In Kubernetes' sentences: there are scripts that read them. */
function messageOf(error: GantryError, subject: Subject | undefined): string {
  const { code, message, details } = error
  if (subject === undefined || error instanceof HttpError) return message
  const qualified = (word: string): string =>
    `${word}${subject.group === '' ? '' : `.${subject.group}`} "${subject.name}"`
  const [first] = details
  switch (code) {
    case 'NotFound':
      return first?.field === 'metadata.name' || first?.field === 'metadata.namespace'
        ? `${qualified(subject.plural)} not found`
        : message
    case 'AlreadyExists':
      return `${qualified(subject.plural)} already exists`
    case 'Conflict':
      return first?.reason === 'FieldManagerConflict'
        ? applyConflict(details)
        : `Operation cannot be fulfilled on ${qualified(subject.plural)}: ${conflictReason(message, first)}`
    case 'InvalidArgument':
    case 'Unsupported':
    case 'FailedPrecondition':
      return `${qualified(subject.kind)} is invalid: ${faultsOf(message, details)}`
    case 'Cancelled':
    case 'DeadlineExceeded':
    case 'Expired':
    case 'Forbidden':
    case 'Internal':
    case 'ResourceExhausted':
    case 'Unauthenticated':
    case 'Unavailable':
      return message
  }
}

function conflictReason(message: string, first: ErrorDetail | undefined): string {
  return first?.field === 'metadata.resourceVersion'
    ? 'the object has been modified; please apply your changes to the latest version and try again'
    : message
}

/** https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts */
function applyConflict(details: readonly ErrorDetail[]): string {
  const fields = details.map(({ field, message }) => `.${field} is ${message}`)
  return `Apply failed with ${details.length} conflict${details.length === 1 ? '' : 's'}: ${fields.join('; ')}`
}

function faultsOf(message: string, details: readonly ErrorDetail[]): string {
  const faults = details.filter(({ field }) => field !== '').map((detail) => `${detail.field}: ${faultOf(detail)}`)
  if (faults.length === 0) return message
  return faults.length === 1 ? faults[0]! : `[${faults.join(', ')}]`
}

/** What stands before the value, or in its place. */
const LABELS: Readonly<Record<string, string>> = {
  FieldValueInvalid: 'Invalid value',
  FieldValueTypeInvalid: 'Invalid value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueNotFound: 'Not found',
  FieldValueRequired: 'Required value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
}
const WITHOUT_VALUE: ReadonlySet<string> = new Set([
  'FieldValueRequired',
  'FieldValueForbidden',
  'FieldValueTooLong',
  'FieldValueTooMany',
])

/** "Invalid value: "x": is not a name (write it in lower case)" */
function faultOf({ value, message, remedy, reason = 'FieldValueInvalid' }: ErrorDetail): string {
  const label = LABELS[reason] === undefined ? [] : [LABELS[reason]]
  const parts = [
    ...label,
    ...(value === '' || WITHOUT_VALUE.has(reason) ? [] : [value]),
    ...(message === '' ? [] : [message]),
  ]
  return `${parts.join(': ')}${remedy === '' ? '' : ` (${remedy})`}`
}

function causeOf(detail: ErrorDetail): JsonObject {
  const { field, reason = 'FieldValueInvalid' } = detail
  return {
    reason,
    message: faultOf(detail),
    ...(field !== '' && { field: reason === 'FieldManagerConflict' ? `.${field}` : field }),
  }
}
