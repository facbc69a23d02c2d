/** What completion offers where a rig or a machine is meant. */
import { GantryError } from '../../proto/base/errors.ts'
import type { Candidate } from '../../proto/terminal/command.ts'
import { tokenize } from '../../proto/terminal/command-line.ts'
import { chooseRig, rigFlag } from './choice.ts'
import { listRigs, requireRig } from './rig-record.ts'

export async function rigs(): Promise<Candidate[]> {
  return (await listRigs()).map(({ name }) => ({ word: name, description: 'rig' }))
}

export async function machines(
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Candidate[]> {
  const tokens = tokenize(words, { rig: rigFlag })
  const at = tokens.findIndex(({ is, text }) => is === 'flag' && text === '--rig')
  try {
    const rig = await requireRig(await chooseRig(at < 0 ? undefined : tokens[at + 1]?.text, env))
    return rig.machines.map(({ spec, address }) => ({ word: spec.name, description: `${spec.role} ${address}` }))
  } catch (thrown) {
    if (GantryError.is(thrown, 'NotFound', 'FailedPrecondition')) return [] // no rig that they could be of
    throw thrown
  }
}
