/** What is wrong at one place of an object, while problems are still being collected. */
import type { ErrorDetail } from '../gen/types.ts'
import { GantryError } from './errors.ts'

/** Said of what Kubernetes has and Gantry refuses rather than ignores. */
export const UNSUPPORTED_MESSAGE = 'Kubernetes has it, Gantry does not act on it yet'

/**
 * Why a value is refused, as the causes of a Status say it.
 * https://pkg.go.dev/k8s.io/apimachinery/pkg/util/validation/field#ErrorType
 */
export type CauseType =
  | 'FieldValueInvalid'
  | 'FieldValueTypeInvalid'
  | 'FieldValueRequired'
  | 'FieldValueNotSupported'
  | 'FieldValueDuplicate'
  | 'FieldValueNotFound'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'

export interface Problem extends ErrorDetail {
  /** True if the key itself is wrong (an unknown field), not its value. */
  readonly key: boolean
  /** True if it is refused only because Gantry does not act on it. */
  readonly unsupported: boolean
  /**
   * True for what is only too much, so that a reader who is not strict can pass over it: an unknown field, a key that
   * comes twice. Its message names the fault: "unknown field".
   */
  readonly unknownOrDuplicate?: boolean
  /** True for an unknown field of a configuration that is applied: Kubernetes has words of its own for that. */
  readonly undeclared?: boolean
}

/** What was read is not what it must be. */
export class DecodingError extends GantryError {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[], lines: readonly string[]) {
    const code = problems.every((item) => item.unsupported) ? 'Unsupported' : 'InvalidArgument'
    super(code, lines.join('\n'), {
      details: problems.map(({ field, value, message, remedy, reason }) => ({
        field,
        value,
        message,
        remedy,
        ...(reason !== undefined && { reason }),
      })),
    })
    this.problems = problems
  }
}

/** True for a problem that only a strict reader has. */
export function isStrictOnly({ unknownOrDuplicate: surplus, unsupported }: Problem): boolean {
  return surplus === true || unsupported
}

/** A problem that only a strict reader has, as Kubernetes tells it: `unknown field "spec.foo"`. */
export function describeWarning(item: Problem): string {
  return `${factOf(item)}${item.unknownOrDuplicate === true && item.remedy !== '' ? ` (${item.remedy})` : ''}`
}

/**
 * All problems that only a strict reader has, in one line in which Kubernetes' words stand unbroken: what would mend
 * them comes after all of them.
 */
export function strictDecodingMessage(problems: readonly Problem[]): string {
  const hints = problems.map(hintOf).filter((hint) => hint !== undefined)
  return `strict decoding error: ${problems.map(factOf).join(', ')}${hints.length === 0 ? '' : ` (${hints.join('; ')})`}`
}

/** What follows the facts about a field: how it would be right, or, of what is applied, Kubernetes' phrase. */
function hintOf({ field, unknownOrDuplicate: surplus, undeclared, remedy }: Problem): string | undefined {
  if (surplus !== true) return undefined
  if (undeclared === true) return `.${field}: field not declared in schema${remedy === '' ? '' : `, ${remedy}`}`
  return remedy === '' ? undefined : `${field}: ${remedy}`
}

function factOf(item: Problem): string {
  return item.unknownOrDuplicate === true ? `${item.message} ${JSON.stringify(item.field)}` : describeProblem(item)
}

export function problem(field: string, message: string, more: Partial<Problem> = {}): Problem {
  return { field, message, value: '', remedy: '', key: false, unsupported: false, ...more }
}

/** "spec.replicas: "three" is not a whole number (write it as in replicas: 3)" */
export function describeProblem({ field, value, message, remedy }: ErrorDetail): string {
  return `${field === '' ? '' : `${field}: `}${value === '' ? '' : `${value} `}${message}${remedy === '' ? '' : ` (${remedy})`}`
}

/** Problems that one error tells of. A text of some megabytes can hold a hundred thousand. */
export const MAX_REPORTED_PROBLEMS = 100

/**
 * One error of all problems, of which it tells the first ones: Unsupported if that is all that is wrong with the input,
 * else InvalidArgument.
 */
export function problemError(problems: readonly Problem[], lines?: readonly string[]): DecodingError {
  const told = firstOf(problems)
  const more = problems.length - MAX_REPORTED_PROBLEMS
  const said = lines === undefined ? told.map(describeProblem) : lines.slice(0, MAX_REPORTED_PROBLEMS)
  return new DecodingError(told, more > 0 ? [...said, `and ${more} more`] : said)
}

/** The problems that are told of: the first ones, and one at least of those that no reader passes over. */
function firstOf(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length <= MAX_REPORTED_PROBLEMS) return problems
  const told = problems.slice(0, MAX_REPORTED_PROBLEMS)
  const serious = told.every(isStrictOnly) ? problems.find((item) => !isStrictOnly(item)) : undefined
  return serious === undefined ? told : [serious, ...told.slice(1)]
}

const MAX_SHOWN_CHARS = 60

/** A value as a message shows it: JSON, cut when it is long. */
export function showValue(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value)
  return shown.length <= MAX_SHOWN_CHARS ? shown : `${shown.slice(0, MAX_SHOWN_CHARS - 1)}…`
}
