/**
 * Conditions in CEL under which a webhook or policy is asked.
 * https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchconditions
 */
import type { MatchCondition } from '../../../proto/gen/types.ts'
import type { Budget } from '../budget.ts'
import type { CelEnvironment } from '../program.ts'
import { Expression } from './expression.ts'

/** `failed`: none is false, and not all can be evaluated. */
export type MatchResult =
  | { readonly is: 'met' }
  | { readonly is: 'unmet' }
  | { readonly is: 'failed'; readonly message: string }

const MET: MatchResult = { is: 'met' }

export class MatchConditions {
  readonly #conditions: readonly { readonly name: string; readonly expression: Expression }[]

  constructor(conditions: readonly MatchCondition[], environment: CelEnvironment) {
    this.#conditions = conditions.map(({ name, expression }) => ({
      name,
      expression: new Expression(environment, expression, 'bool'),
    }))
  }

  match(values: () => Readonly<Record<string, unknown>>, budget: () => Budget): MatchResult {
    if (this.#conditions.length === 0) return MET
    const [known, limit] = [values(), budget()]
    const faults: string[] = []
    for (const { name, expression } of this.#conditions) {
      const result = expression.evaluate(known, limit)
      if (result.is === 'failed') faults.push(`match condition ${name}: ${result.message}`)
      else if (result.value !== true) return { is: 'unmet' }
    }
    return faults.length === 0 ? MET : { is: 'failed', message: faults.join(', ') }
  }
}
