/** Failures that whoever shows them tells apart from others: by what they are, never by their text. */
import { GantryError } from '../base/errors.ts'
import type { Kind } from '../gen/types.ts'
import { resourceOf } from '../schema/schema.ts'
import { pluralWord } from './kind-words.ts'

/** The words that a person typed are wrong, whatever the cluster is like: exit code 2 of a command line. */
export class UsageError extends GantryError {
  constructor(message: string, remedy = '') {
    super('InvalidArgument', message, { details: [{ remedy }] })
  }
}

export function notFound(kind: Kind, namespace: string, name: string, cause?: unknown): GantryError {
  const { plural, namespaced } = resourceOf(kind)
  const where = namespaced ? ` in namespace ${namespace}` : ''
  return new GantryError('NotFound', `${pluralWord(kind)} "${name}" not found${where}`, {
    details: [{ field: 'name', value: name, remedy: `\`gantry get ${plural}${namespaced ? ' -A' : ''}\` lists all` }],
    cause,
  })
}

/** Several failures of one command: each is told, the worst decides the exit code. */
export class Failures extends GantryError {
  readonly all: readonly GantryError[]

  constructor(all: readonly GantryError[]) {
    super(all[0]!.code, all.map((error) => error.message).join('\n'), { cause: all[0] })
    this.all = all
  }
}

/** A failure whose message already begins with its place, FILE:LINE:COLUMN, on every line. */
export class LocatedFailure extends GantryError {}

/** Throws one failure as it is, several together, none not at all. */
export function throwFailures(failures: readonly GantryError[]): void {
  if (failures.length === 1) throw failures[0]!
  if (failures.length > 1) throw new Failures(failures)
}
