/** The details of a validation as they are collected. */
import type { ErrorDetail } from '../../gen/types.ts'
import { showValue, type FaultReason } from '../problem.ts'

export class Report {
  readonly details: ErrorDetail[] = []

  /** A value that is not allowed: what is wrong with it and what is allowed. */
  wrong(field: string, value: unknown, message: string, remedy = '', reason?: FaultReason): void {
    this.details.push({ field, value: showValue(value), message, remedy, ...reason !== undefined && { reason } })
  }

  missing(field: string, remedy = ''): void {
    this.details.push({ field, value: '', message: 'is required', remedy, reason: 'FieldValueRequired' })
  }

  /** None of the values that there may be; those are given as JSON texts. */
  unsupported(field: string, value: unknown, allowed: readonly string[]): void {
    this.details.push({ field, value: showValue(value), message: `is not supported: supported values: ${allowed.join(', ')}`, remedy: '', reason: 'FieldValueNotSupported' })
  }

  /** The second of what may come only once. */
  duplicate(field: string, value: unknown): void {
    this.details.push({ field, value: showValue(value), message: 'is a duplicate', remedy: 'keep one', reason: 'FieldValueDuplicate' })
  }

  /** Something that may not be there, whatever its value; or, with another reason, what is wrong with something whose value is not shown. */
  refused(field: string, message: string, remedy = 'leave it out', reason: FaultReason = 'FieldValueForbidden'): void {
    this.details.push({ field, value: '', message, remedy, reason })
  }
}

/** Reports unless exactly one of the named fields is there; the one that is. */
export function exactlyOne<T extends object>(report: Report, path: string, choices: T, names: readonly (keyof T & string)[]): (keyof T & string) | undefined {
  const given = names.filter((name) => choices[name] !== undefined)
  if (given.length === 0) report.missing(path, `give one of ${names.join(', ')}`)
  if (given.length > 1) report.refused(path, `has ${given.join(' and ')}, only one is allowed`, 'keep one')
  return given[0]
}
