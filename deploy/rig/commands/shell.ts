/** `gantry rig shell`: a person on a machine. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { openDriver } from '../drivers/index.ts'
import { openMachine, requireMachine } from '../machines.ts'
import { requireRig } from '../rig-record.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export default defineCommand({
  usage: 'MACHINE [-- COMMAND] [flags]',
  summary: 'a shell on a machine, or one command there',
  description:
    'Runs a shell, or a command, on a machine as its root, with this terminal. Ends with the exit code of the command.',
  examples: ['gantry rig shell n1', 'gantry rig shell controller -- ss -tlnp', 'gantry rig shell n2 --rig lab'],
  flags: { rig: rigFlag },
  completes: 'machines',
  async run({ flags, args, rest, environment }) {
    const [machine, unexpected] = args
    if (machine === undefined) throw new UsageError('on which machine?', '`gantry rig status` lists them')
    if (unexpected !== undefined)
      throw new UsageError(`"${unexpected}" is not expected here`, 'the command to run stands after "--"')
    const rig = await requireRig(await chooseRig(flags.rig, environment.env))
    const opened = openMachine(await openDriver(rig.driver), rig, requireMachine(rig, machine))
    const colour = (environment.env.NO_COLOR ?? '') === '' && environment.stdout.isTTY === true
    return opened.terminal(rest ?? login(prompt(rig.name, machine, colour)))
  },
})

/** `#` belongs to root; $PWD is read anew for each line. */
function prompt(rig: string, machine: string, colour: boolean): string {
  const where = `${machine}.${rig}`
  return `${colour ? `\\[\\e[1;36m\\]${where}\\[\\e[0m\\]` : where}:\\w# `
}

/** bash where the machine has it, else sh, which knows no escapes. */
function login(ps1: string): string[] {
  const script =
    'cd "${HOME:-/}" || cd /; if command -v bash >/dev/null; then PS1="$1" exec bash --noprofile --norc -i; else PS1="$2" exec sh -i; fi'
  const plain = ps1.replaceAll(/\\\[.*?\\\]/g, '').replace('\\w', '$PWD')
  return ['sh', '-c', script, 'sh', ps1, plain]
}
