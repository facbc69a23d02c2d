/**
 * Whether a command line names kinds that are not known (yet). Apart from custom-kinds.ts, since every command asks.
 */
import type { KnownKinds } from '../schema/kind-registry.ts'
import type { Completes } from './command.ts'

/** Commands whose first operand is a kind. */
const WITH_KINDS: ReadonlySet<Completes> = new Set<Completes>(['kinds', 'kinds-and-names', 'workloads'])

/**
 * Whether operands name a kind that is not known. A lone word is a name to commands that have a kind in
 * mind already.
 */
export function namesUnknownKind(completes: Completes, args: readonly string[], known: KnownKinds): boolean {
  const [first] = args
  if (first === undefined || !WITH_KINDS.has(completes)) return false
  const pairs = args.filter((arg) => arg.includes('/'))
  const words =
    pairs.length > 0
      ? pairs.map((pair) => pair.split('/')[0]!)
      : completes === 'kinds'
        ? [first, first.split('.')[0]!]
        : first.split(',')
  const isUnknown = (word: string): boolean => known.findWord(word) === undefined
  return (
    words.every((word) => word !== 'all') && (completes === 'kinds' ? words.every(isUnknown) : words.some(isUnknown))
  )
}
