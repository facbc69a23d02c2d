/** `gantry rig __complete -- word…`: called by `gantry __complete`. */
import { defineCommand, tokenize } from '../../../cli/command.ts'
import { completions, type Candidate } from '../../../cli/completions.ts'
import { globalFlags } from '../../../cli/target.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { listRigs, requireRig } from '../rig-record.ts'
import { commands } from './index.ts'

export default defineCommand({
  usage: '-- WORD…',
  summary: 'offer completions',
  examples: [],
  flags: { descriptions: { type: 'boolean', help: 'each with a tab and what it is' } },
  completes: 'none',
  async run({ flags, rest, environment }) {
    const own = (completes: 'rigs' | 'machines', words: readonly string[]): Promise<Candidate[]> =>
      completes === 'rigs' ? rigs() : machines(words, environment.env)
    environment.stdout.write(
      await completions(
        rest ?? [],
        environment,
        { commands, globalFlags: { config: globalFlags.config }, own },
        flags.descriptions,
      ),
    )
  },
})

async function rigs(): Promise<Candidate[]> {
  return (await listRigs()).map(({ name }) => ({ word: name, description: 'rig' }))
}

async function machines(
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
