/** What is wrong at one place of an object, while problems are still being collected. */
import type { ErrorDetail } from '../gen/types.ts'
import { GantryError } from './errors.ts'

/** Said of what Kubernetes has and Gantry refuses rather than ignores. */
export const NOT_YET = 'Kubernetes has it, Gantry does not act on it yet'

export interface Problem extends ErrorDetail {
  /** True if the key itself is wrong (an unknown field), not its value. */
  readonly key: boolean
  /** True if it is refused only because Gantry does not act on it. */
  readonly unsupported: boolean
}

export function problem(field: string, message: string, more: Partial<Problem> = {}): Problem {
  return { field, message, value: '', remedy: '', key: false, unsupported: false, ...more }
}

/** "spec.replicas: "three" is not a whole number (write it as in replicas: 3)" */
export function describeProblem({ field, value, message, remedy }: ErrorDetail): string {
  return `${field === '' ? '' : `${field}: `}${value === '' ? '' : `${value} `}${message}${remedy === '' ? '' : ` (${remedy})`}`
}

/** One error of all problems: Unsupported if that is all that is wrong with the input, else InvalidArgument. */
export function problemError(problems: readonly Problem[], lines: readonly string[] = problems.map(describeProblem)): GantryError {
  const code = problems.every((item) => item.unsupported) ? 'Unsupported' : 'InvalidArgument'
  const details = problems.map(({ field, value, message, remedy }): ErrorDetail => ({ field, value, message, remedy }))
  return new GantryError(code, lines.join('\n'), { details })
}

const SHOWN = 60

/** A value as a message shows it: JSON, cut when it is long. */
export function showValue(value: unknown): string {
  const shown = JSON.stringify(value) ?? String(value)
  return shown.length <= SHOWN ? shown : `${shown.slice(0, SHOWN - 1)}…`
}
