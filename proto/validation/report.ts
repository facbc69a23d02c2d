/** The details of a validation as they are collected. */
import type { ErrorDetail } from '../gen/types.ts'
import { fieldPath } from '../base/path.ts'
import { showValue, type CauseType } from '../base/problem.ts'

export class Report {
  readonly details: ErrorDetail[] = []

  /** A value that is not allowed: what is wrong with it and what is allowed. */
  wrong(field: string, value: unknown, message: string, remedy = '', reason?: CauseType): void {
    this.details.push({ field, value: showValue(value), message, remedy, ...(reason !== undefined && { reason }) })
  }

  missing(field: string, remedy = ''): void {
    this.details.push({ field, value: '', message: 'is required', remedy, reason: 'FieldValueRequired' })
  }

  /** None of the values that there may be; those are given as JSON texts. */
  unsupported(field: string, value: unknown, allowed: readonly string[]): void {
    this.details.push({
      field,
      value: showValue(value),
      message: `is not supported: supported values: ${allowed.join(', ')}`,
      remedy: '',
      reason: 'FieldValueNotSupported',
    })
  }

  /** The second of what may come only once. */
  duplicate(field: string, value: unknown): void {
    this.details.push({
      field,
      value: showValue(value),
      message: 'is a duplicate',
      remedy: 'keep one',
      reason: 'FieldValueDuplicate',
    })
  }

  /** More than there may be: a list's items. */
  tooMany(field: string, count: number, most: number, remedy: string): void {
    this.details.push({
      field,
      value: '',
      message: `are ${count}, at most ${most} are allowed`,
      remedy,
      reason: 'FieldValueTooMany',
    })
  }

  /** A field that keeps its value for as long as the object is there, in Kubernetes' words. */
  immutable(field: string, value: unknown, remedy: string): void {
    this.details.push({
      field,
      value: value === undefined ? '' : showValue(value),
      message: 'field is immutable',
      remedy,
      reason: 'FieldValueInvalid',
    })
  }

  /**
   * Something that may not be there, whatever its value; or, with another reason, what is wrong with something whose
   * value is not shown.
   */
  refused(field: string, message: string, remedy = 'leave it out', reason: CauseType = 'FieldValueForbidden'): void {
    this.details.push({ field, value: '', message, remedy, reason })
  }
}

/** Names that a remedy lists at most. */
const MOST_LISTED = 20

/** Names to choose from, divided by commas: the first of them, since an object may have thousands and as many flaws. */
export function listNames(names: Iterable<string>): string {
  const listed: string[] = []
  for (const name of names) {
    if (listed.push(name) <= MOST_LISTED) continue
    listed[MOST_LISTED] = '…'
    break
  }
  return listed.join(', ')
}

/** Why Kubernetes refuses a union of which nothing is given, or more than one; it differs between unions. */
export interface UnionReasons {
  readonly none?: CauseType
  readonly many?: CauseType
}

/**
 * Reports unless exactly one of the named fields is there; the one that is. A second one that is forbidden is told of
 * at its own place, as Kubernetes does; with another reason, it is the union that is wrong.
 */
export function exactlyOne<T extends object>(
  report: Report,
  path: string,
  choices: T,
  names: readonly (keyof T & string)[],
  { none = 'FieldValueRequired', many = 'FieldValueForbidden' }: UnionReasons = {},
): (keyof T & string) | undefined {
  const given = names.filter((name) => choices[name] !== undefined)
  if (given.length === 0) report.refused(path, 'is required', `give one of ${names.join(', ')}`, none)
  if (given.length > 1) {
    const at = many === 'FieldValueForbidden' ? fieldPath(path, given[1]!) : path
    report.refused(
      at,
      at === path
        ? `has ${given.join(' and ')}, only one is allowed`
        : `cannot stand beside ${given[0]}, only one is allowed`,
      'keep one',
      many,
    )
  }
  return given[0]
}
