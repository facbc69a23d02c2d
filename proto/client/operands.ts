/**
 * Which objects the operands of a command name: `pods`, `pods,deploy`, `all`, `pod web`, `pod a b`, `pod/web
 * deploy/api`.
 */
import { servedAlternative, unservedKind } from '../schema/kinds.ts'
import { nearest } from '../base/nearest.ts'
import { UNSUPPORTED_MESSAGE } from '../base/problem.ts'
import type { KnownKinds } from '../schema/kind-registry.ts'
import type { Kind } from '../gen/types.ts'
import { kindsWith, recordOf } from './kinds/registry.ts'
import { UsageError } from './failures.ts'

export interface NamedObject {
  readonly kind: Kind
  readonly name: string
}

export type Operands =
  | { readonly are: 'kinds'; readonly kinds: readonly Kind[] }
  | { readonly are: 'names'; readonly names: readonly NamedObject[] }

/** What "all" stands for: what runs, not what configures it. */
function kindsInAll(known: KnownKinds): readonly Kind[] {
  const place = (kind: Kind): number => recordOf(kind).inAll!
  return kindsWith(({ inAll }) => inAll !== undefined, known).sort((a, b) => place(a) - place(b))
}

/** The kind that a word names; UsageError with the nearest name if none. */
export function kindOf(word: string, known: KnownKinds): Kind {
  const found = known.findWord(word)
  if (found !== undefined) return known.ofResource(found)
  const elsewhere = unservedKind(word)
  if (elsewhere !== undefined)
    throw new UsageError(
      `${elsewhere}: ${UNSUPPORTED_MESSAGE}`,
      servedAlternative(elsewhere) ?? '`gantry api-resources` lists the kinds that it has',
    )
  const meant = nearest(
    word,
    known.resources().flatMap((resource) => [resource.plural, resource.kind.toLowerCase(), ...resource.shortNames]),
  )
  throw new UsageError(
    `no kind is called "${word}"${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
    meant === undefined ? '`gantry api-resources` lists the kinds' : '',
  )
}

export function parseOperands(args: readonly string[], known: KnownKinds): Operands {
  const [first, ...names] = args
  if (first === undefined)
    throw new UsageError('which objects? Say TYPE, TYPE NAME or TYPE/NAME', '`gantry api-resources` lists the types')
  if (args.some((arg) => arg.includes('/'))) return { are: 'names', names: args.map((arg) => parsePair(arg, known)) }
  const kinds = first.split(',').flatMap((word) => (word === 'all' ? kindsInAll(known) : [kindOf(word, known)]))
  if (names.length === 0) return { are: 'kinds', kinds: [...new Set(kinds)] }
  return { are: 'names', names: kinds.flatMap((kind) => names.map((name) => ({ kind, name }))) }
}

function parsePair(text: string, known: KnownKinds): NamedObject {
  const [word, name, ...more] = text.split('/')
  if (word === undefined || word === '' || name === undefined || name === '' || more.length > 0) {
    throw new UsageError(
      `"${text}" is not TYPE/NAME; a line has either TYPE/NAME operands only or TYPE followed by names`,
    )
  }
  return { kind: kindOf(word, known), name }
}

/**
 * Operands that must name objects of some kinds, such as what can be scaled; a lone name is of the first kind. None for
 * none.
 */
export function parseNames(args: readonly string[], kinds: readonly Kind[], known: KnownKinds): NamedObject[] {
  const first = args[0]
  if (first === undefined) return []
  const bare =
    !args.some((arg) => arg.includes('/')) && (args.length === 1 || known.findWord(first.split(',')[0]!) === undefined)
  const operands: Operands = bare
    ? { are: 'names', names: args.map((name) => ({ kind: kinds[0]!, name })) }
    : parseOperands(args, known)
  if (operands.are === 'kinds') throw new UsageError(`a name is missing after "${first}"`)
  const wrong = operands.names.find(({ kind }) => !kinds.includes(kind))
  if (wrong !== undefined)
    throw new UsageError(
      `${wrong.kind} ${wrong.name}: this works on ${new Intl.ListFormat('en-GB').format(kinds.map((kind) => `${kind}s`))} only`,
    )
  return [...operands.names]
}
