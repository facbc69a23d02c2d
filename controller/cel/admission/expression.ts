/**
 * An expression of a configuration that is in force. It was right when it was stored; one that is not any more fails
 * whenever it is evaluated, and disturbs nothing else.
 */
import type { Budget } from '../budget.ts'
import { CelError } from '../error.ts'
import type { CelEnvironment, Program } from '../program.ts'

export type Result =
  | { readonly is: 'value'; readonly value: unknown }
  | { readonly is: 'failed'; readonly message: string }

export class Expression {
  readonly text: string
  readonly #program: Program | CelError

  constructor(environment: CelEnvironment, text: string, returns?: string) {
    this.text = text.trim()
    this.#program = compiled(environment, text, returns)
  }

  evaluate(values: Readonly<Record<string, unknown>>, budget: Budget): Result {
    try {
      return { is: 'value', value: this.value(values, budget) }
    } catch (thrown) {
      if (!(thrown instanceof CelError)) throw thrown
      return { is: 'failed', message: `expression '${this.text}' resulted in error: ${thrown.message}` }
    }
  }

  /** CelError. */
  value(values: Readonly<Record<string, unknown>>, budget: Budget): unknown {
    if (this.#program instanceof CelError) throw this.#program
    return this.#program.evaluate(values, budget)
  }
}

/** The program, or what is wrong with the expression. */
export function compiled(environment: CelEnvironment, text: string, returns?: string): Program | CelError {
  try {
    return environment.compile(text, returns)
  } catch (thrown) {
    if (thrown instanceof CelError) return thrown
    throw thrown
  }
}
