/** `gantry rig list`: the rigs of this host. */
import { defineCommand } from '../../../proto/terminal/command.ts'
import { EXIT } from '../../../proto/terminal/failure.ts'
import { ageSince } from '../../../proto/objects/columns/age.ts'
import { formatTable } from '../../../proto/terminal/output/table.ts'
import { formatYaml } from '../../../proto/base/yaml-text.ts'
import type { JsonValue } from '../../../proto/gen/types.ts'
import { Rig } from '../rig.ts'
import type { RigSummary } from '../summary.ts'

export default defineCommand({
  usage: '[flags]',
  summary: 'list the rigs of this host',
  description: 'Lists the rigs of this host.',
  examples: ['gantry rig list', 'gantry rig list -o json'],
  flags: {
    output: { type: 'text', short: 'o', value: 'form', choices: ['json', 'yaml', 'name'], help: 'json, yaml or name' },
    'no-headers': { type: 'boolean', help: 'rows only' },
  },
  completes: 'none',
  async run({ flags, environment }) {
    const { stdout, stderr, clock } = environment
    const rigs = await Rig.list()
    const shown = rigs.map((rig) =>
      Object.fromEntries(Object.entries(rig).filter(([, value]) => value !== undefined)),
    ) as JsonValue
    switch (flags.output) {
      case 'json':
        stdout.write(`${JSON.stringify(shown, undefined, 4)}\n`)
        break
      case 'yaml':
        stdout.write(formatYaml(shown))
        break
      case 'name':
        stdout.write(rigs.map(({ name }) => `${name}\n`).join(''))
        break
      case undefined:
      default:
        if (rigs.length === 0) stderr.write('There is no rig; `gantry rig up` makes one.\n')
        else
          stdout.write(
            formatTable([
              ...(flags['no-headers'] ? [] : [['NAME', 'DRIVER', 'CONTROLLERS', 'NODES', 'STATE', 'AGE', 'OWNER']]),
              ...rigs.map((rig) => row(rig, clock.now())),
            ]),
          )
    }
    return EXIT.ok
  },
})

function row({ name, driver, controllers, nodes, state, created, owner }: RigSummary, now: number): string[] {
  return [
    name,
    driver ?? '-',
    String(controllers),
    String(nodes),
    state,
    ageSince(created, now),
    owner === undefined ? '-' : `process ${owner}`,
  ]
}
