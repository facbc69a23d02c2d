/**
 * The shortest scenario found that still fails in the same way: fewer actions, controllers and nodes. Everything that
 * is left out changes what chance does with the rest, so each try is a whole simulation.
 */
import type { Action, Scenario } from './actions.ts'

/** Tries at most. */
const TRIES = 400

/** `fails`: whether a scenario fails as the given one does. */
export async function shrink(
  scenario: Scenario,
  fails: (scenario: Scenario) => Promise<boolean>,
  limit = TRIES,
): Promise<Scenario> {
  let best = scenario
  let tries = 0
  const attempt = async (smaller: Scenario): Promise<boolean> => {
    if (tries++ >= limit || !(await fails(smaller))) return false
    best = smaller
    return true
  }
  // What comes in large parts goes in large parts first.
  for (let size = Math.ceil(best.actions.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let first = 0; first < best.actions.length;) {
      const actions = without(best.actions, first, size)
      if (!(await attempt({ ...best, actions }))) first += size
    }
  while (best.controllers > 1 && (await attempt({ ...best, controllers: 1 })));
  while (best.nodes > 1 && (await attempt({ ...best, nodes: best.nodes - 1 })));
  return best
}

function without(actions: readonly Action[], first: number, count: number): readonly Action[] {
  return [...actions.slice(0, first), ...actions.slice(first + count)]
}
