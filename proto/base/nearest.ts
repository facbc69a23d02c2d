/** The known name that a misspelt one is likely to mean. */

/**
 * The nearest of `known` by edit distance, if it is near enough to be meant: two letters in five may differ, case does
 * not count.
 */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase()
  let best: string | undefined
  let bestDistance = Infinity
  for (const candidate of known) {
    const limit = Math.min(bestDistance, 1 + Math.max(1, Math.floor(0.4 * Math.max(name.length, candidate.length))))
    const distance = editDistance(wanted, candidate.toLowerCase(), limit)
    if (distance < limit) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/**
 * Insertions, deletions, replacements and swaps of neighbours that turn one text into the other; `limit` if there are
 * that many or more.
 */
export function editDistance(a: string, b: string, limit = Infinity): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let twoBack: number[] = []
  let oneBack = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(oneBack[j]! + 1, row[j - 1]! + 1, oneBack[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, twoBack[j - 2]! + 1)
      row.push(cost)
    }
    if (Math.min(...row) >= limit) return limit
    ;[twoBack, oneBack] = [oneBack, row]
  }
  return Math.min(limit, oneBack[b.length]!)
}
