/**
 * Whether a command line names kinds that are not known (yet). Apart from custom-kinds.ts, since every command asks.
 */
import { programKinds } from '../client/program-kinds.ts'
import type { Completes } from './command.ts'

/** Commands whose first operand is a kind. */
const WITH_KINDS: ReadonlySet<Completes> = new Set<Completes>(['kinds', 'kinds-and-names', 'workloads'])

/**
 * Whether operands name a kind that this process does not know. A lone word is a name to commands that have a kind in
 * mind already.
 */
export function namesUnknownKind(completes: Completes, args: readonly string[]): boolean {
  const [first] = args
  if (first === undefined || !WITH_KINDS.has(completes)) return false
  const pairs = args.filter((arg) => arg.includes('/'))
  const words =
    pairs.length > 0
      ? pairs.map((pair) => pair.split('/')[0]!)
      : completes === 'kinds'
        ? [first, first.split('.')[0]!]
        : first.split(',')
  return (
    words.every((word) => word !== 'all') && (completes === 'kinds' ? words.every(isUnknown) : words.some(isUnknown))
  )
}

function isUnknown(word: string): boolean {
  return programKinds.findWord(word) === undefined
}
