/**
 * The rules of one kind beyond its schema: what has to hold between fields, and what may change. Each kind's are in the
 * validation file of what it is about; kinds.ts has all of them by kind.
 */
import type { Kind, Resources } from '../gen/types.ts'
import type { Subresource } from '../merge/ownership.ts'
import type { Report } from './report.ts'

export interface KindRules<K extends Kind> {
  /** What holds between the fields of every object but for its status. */
  object?(report: Report, object: Resources[K]): void
  /** What a new object may not have yet. */
  creation?(report: Report, object: Resources[K]): void
  /** What may change from one state to the next, by way of a subresource if so. */
  update?(report: Report, next: Resources[K], previous: Resources[K], subresource: Subresource): void
  /** What holds between the fields of its status. */
  status?(report: Report, object: Resources[K]): void
}

/** Of a kind about which its schema says everything. */
export const noRules: KindRules<never> = {}
