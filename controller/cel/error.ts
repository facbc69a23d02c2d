/** What is wrong with an expression, or went wrong in its evaluation. */
import { GantryError } from '../../proto/base/errors.ts'

/** In an expression, both counted from 1. */
export interface SourcePosition {
  readonly line: number
  readonly column: number
}

export type CelFault =
  /** It is no expression, or its functions and types do not fit. */
  | 'compilation'
  /** A key that is not there, a division by zero, … */
  | 'evaluation'
  /** It used up its budget. */
  | 'cost'

export class CelError extends GantryError {
  readonly fault: CelFault
  readonly position: SourcePosition | undefined

  constructor(message: string, fault: CelFault, place?: SourcePosition, cause?: unknown) {
    super('InvalidArgument', place === undefined ? message : `line ${place.line}, column ${place.column}: ${message}`, {
      cause,
    })
    this.fault = fault
    this.position = place
  }
}

/** The library's error, with its place. */
export function celError(thrown: unknown, fault: CelFault, expression: string): CelError {
  if (thrown instanceof CelError) return thrown
  const { summary, message, range } = thrown as { summary?: string; message?: string; range?: { start: number } }
  const text = (summary ?? message ?? String(thrown)).split('\n')[0]!
  return new CelError(text, fault, range === undefined ? undefined : positionAt(expression, range.start), thrown)
}

function positionAt(expression: string, offset: number): SourcePosition {
  const before = expression.slice(0, offset).split('\n')
  return { line: before.length, column: before.at(-1)!.length + 1 }
}
