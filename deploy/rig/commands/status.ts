/** `gantry rig status`: a rig's machines, and the faults in force. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { ageSince, formatAge } from '../../../proto/objects/columns/age.ts'
import { formatTable } from '../../../proto/terminal/output/table.ts'
import { formatYaml } from '../../../proto/base/yaml-text.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import { chooseRig, rigFlag } from '../choice.ts'
import { openDriver } from '../drivers/index.ts'
import { isInForce } from '../faults/fault-engine.ts'
import { requireRig } from '../rig-record.ts'
import { rigStatus, type MachineStatus, type RigStatus } from '../status.ts'
import { UsageError } from '../../../proto/client/failures.ts'

export default defineCommand({
  usage: '[NAME] [flags]',
  summary: "tell about a rig's machines, and the faults in force",
  description: "Tells about a rig's machines, their programs and memory, and the faults in force and past.",
  examples: ['gantry rig status', 'gantry rig status lab -o yaml'],
  flags: {
    rig: rigFlag,
    output: { type: 'text', short: 'o', value: 'form', choices: ['json', 'yaml'], help: 'json or yaml' },
  },
  completes: 'rigs',
  async run({ flags, args, environment }) {
    if (args.length > 1)
      throw new UsageError(`"${args[1]}" is not expected here`, '`gantry rig list` tells of all rigs')
    const { stdout, clock, signal } = environment
    const rig = await requireRig(await chooseRig(args[0] ?? flags.rig, environment.env))
    const status = await rigStatus(rig, await openDriver(rig.driver), signal)
    switch (flags.output) {
      case 'json':
        stdout.write(`${JSON.stringify(status, undefined, 4)}\n`)
        break
      case 'yaml':
        stdout.write(formatYaml(JSON.parse(JSON.stringify(status)) as JsonValue))
        break
      case undefined:
      default:
        stdout.write(page(status, clock.now()))
    }
    return EXIT.ok
  },
})

function page(status: RigStatus, now: number): string {
  const { name, driver, state, created, owner, context, registry, machines, problem } = status
  const facts = [
    [
      'Rig:',
      `${name}, ${state} (driver ${driver}, made ${ageSince(created, now)} ago${owner === undefined ? '' : `, ends with process ${owner}`})`,
    ],
    ['Context:', `${context.name} in ${context.file}, ${context.server.join(', ')}`],
    ['Registry:', registry],
    ...(problem === undefined ? [] : [['Cluster:', `does not answer: ${problem}`]]),
  ]
  const table = [['MACHINE', 'ROLE', 'ADDRESS', 'STATE', 'NODE', 'MEMORY', 'PROGRAMS'], ...machines.map(machineRow)]
  return `${formatTable(facts)}\n${formatTable(table)}\n${faultPage(status, now)}`
}

function machineRow({ name, role, address, state, node, programs, memoryBytes }: MachineStatus): string[] {
  const running = programs.map(
    (program) => `${program.name} (pid ${program.pid}, ${formatAge(program.upSeconds * 1000)})`,
  )
  return [
    name,
    role,
    address,
    state,
    node ?? '-',
    memoryBytes === undefined ? '-' : `${Math.round(memoryBytes / 2 ** 20)}Mi`,
    running.join(', ') || '-',
  ]
}

function faultPage({ faults }: RigStatus, now: number): string {
  const inForce = faults.filter(isInForce)
  const past = faults.filter((fault) => !isInForce(fault))
  const time = (text: string): string => text.slice(11, 19)
  const text = ({ description, note, problem }: RigStatus['faults'][number]): string =>
    `${description}${note === undefined ? '' : `; ${note}`}${problem === undefined ? '' : `; cannot be ended: ${problem}`}`
  const lines =
    inForce.length === 0
      ? 'No fault is in force.\n'
      : formatTable([
          ['FAULT', 'KIND', 'SINCE', 'UNTIL', 'WHAT'],
          ...inForce.map((fault) => [
            fault.id,
            fault.kind,
            `${time(fault.begun)} (${ageSince(fault.begun, now)})`,
            fault.until === undefined ? 'healed' : time(fault.until),
            text(fault),
          ]),
        ])
  if (past.length === 0) return lines
  return `${lines}\n${formatTable([['PAST', 'KIND', 'BEGUN', 'ENDED', 'WHAT'], ...past.map((fault) => [fault.id, fault.kind, time(fault.begun), time(fault.ended!), text(fault)])])}`
}
