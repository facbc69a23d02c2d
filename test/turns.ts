/** Turns of the event loop. */

/**
 * Resolves when all has happened that follows without time passing and without anything from outside: a turn begins
 * only when no microtask is left, and turns are taken until nobody has asked for one more with setImmediate, as the
 * scheduler does before each of its batches, and group commit to gather.
 */
export async function turnsTaken(): Promise<void> {
  do await new Promise<void>((resolve) => setImmediate(resolve))
  while (process.getActiveResourcesInfo().includes('Immediate'))
}
