/** What must hold after every step. */
import type { Fact, Facts } from '../facts.ts'

/**
 * Looks at one fact after the other, in the order in which they came. Undefined: all is well; else a sentence that says
 * what does not hold. Made anew for each simulation: it may remember.
 */
export type Check = (fact: Fact, facts: Facts) => string | undefined

export interface Invariant {
  readonly name: string
  readonly make: () => Check
}
