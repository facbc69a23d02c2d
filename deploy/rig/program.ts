/** `gantry rig`: the rig's verbs as a program of the command line. */
import { globalFlags } from '../../proto/terminal/target.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { runProgram } from '../../proto/terminal/program.ts'
import { commands } from './commands/index.ts'
import { Rig } from './rig.ts'
import type { Program } from '../../proto/terminal/command.ts'

/** What people type who know kind, k3d or docker compose. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  create: '`gantry rig up NAME` makes a rig',
  delete: '`gantry rig down NAME` ends one',
  exec: '`gantry rig shell MACHINE -- COMMAND` runs a command on a machine, `gantry exec POD -- COMMAND` in a pod',
  ps: '`gantry rig list` lists rigs, `gantry rig status` tells about one',
  start: '`gantry rig heal` starts machines that a fault keeps off; `gantry rig up NAME` makes a rig',
}

const RIG: Program = {
  name: 'gantry rig',
  says: 'gantry rig makes clusters of several machines on this one host, and breaks them on command.',
  commands,
  globalFlags: { config: globalFlags.config },
  unsupportedCommands: async () => ELSEWHERE,
  async candidates(completes, words, { env }) {
    const { machines, rigs } = await import('./candidates.ts')
    return completes === 'rigs' ? rigs() : machines(words, env)
  },
}

/** Runs one command line (without node and script) to its end, once what dead processes left is gone. Never rejects. */
export async function runRigProgram(argv: readonly string[], environment: Environment): Promise<number> {
  if (argv.length > 0 && !argv.some((word) => word === '-h' || word === '--help' || word === 'help')) {
    const warn = (text: string): void => void environment.stderr.write(`${text}\n`)
    try {
      await Rig.sweep(warn)
    } catch (thrown) {
      warn(`warning: what ended processes left could not be removed: ${(thrown as Error).message}`)
    }
  }
  return runProgram(argv, environment, RIG)
}
