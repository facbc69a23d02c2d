/** Which rig a command is about. */
import { GantryError } from '../../proto/base/errors.ts'
import { rigNames } from './rig-record.ts'

export const DEFAULT_RIG = 'default'

/** The flag of every command that works on a rig that is there. */
export const rigFlag = {
  type: 'text',
  value: 'name',
  help: `rig to work on (default $GANTRY_RIG, else "${DEFAULT_RIG}", else the only one)`,
  completes: 'rig',
} as const

/**
 * The name given, else $GANTRY_RIG, else "default" if there is such a rig, else the only one that there is. NotFound if
 * that leaves none, or several.
 */
export async function chooseRig(
  given: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const named = given ?? (env.GANTRY_RIG === '' ? undefined : env.GANTRY_RIG)
  if (named !== undefined) return named
  const names = await rigNames()
  if (names.includes(DEFAULT_RIG)) return DEFAULT_RIG
  if (names.length === 1) return names[0]!
  throw names.length === 0
    ? new GantryError('NotFound', 'there is no rig', {
        details: [{ field: 'rig', remedy: '`gantry rig up` makes one' }],
      })
    : new GantryError('NotFound', `there is no rig "${DEFAULT_RIG}", but ${names.join(', ')}`, {
        details: [{ field: 'rig', remedy: 'choose one with --rig' }],
      })
}
