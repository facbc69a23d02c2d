/** `gantry api-resources`: the kinds that there are. */
import { GantryError } from '../../proto/base/errors.ts'
import { apiVersionOf } from '../../proto/schema/schema.ts'
import { learnKinds } from '../../proto/client/custom-kinds.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { UsageError } from '../../proto/client/failures.ts'

export default defineCommand({
  usage: '[flags]',
  summary: 'list the kinds',
  examples: ['gantry api-resources', 'gantry api-resources --namespaced=false -o name'],
  flags: {
    namespaced: { type: 'boolean', help: 'only kinds that are in namespaces (=false: only those that are not)' },
    'api-group': { type: 'text', value: 'group', help: 'only kinds of this group' },
    'no-headers': { type: 'boolean', help: 'rows only' },
    output: { type: 'text', short: 'o', value: 'form', choices: ['name'], help: 'name: plurals only' },
  },
  completes: 'none',
  async run({ flags, given, args, environment, target }) {
    if (args.length > 0) throw new UsageError(`"${args[0]}" is not expected here`)
    const group = flags['api-group']
    try {
      await learnKinds(await target.cluster())
    } catch (thrown) {
      environment.stderr.write(
        `without the kinds that definitions of the cluster define: ${GantryError.from(thrown).message}\n`,
      )
    }
    const shown = environment.kinds
      .resources()
      .filter(
        (resource) =>
          (!given.has('namespaced') || resource.namespaced === flags.namespaced) &&
          (group === undefined || resource.group === group),
      )
      .sort((a, b) => (`${a.group} ${a.plural}` < `${b.group} ${b.plural}` ? -1 : 1))
    if (flags.output === 'name') {
      environment.stdout.write(
        shown.map(({ plural, group: own }) => `${plural}${own === '' ? '' : `.${own}`}\n`).join(''),
      )
      return
    }
    const rows = shown.map((resource) => [
      resource.plural,
      resource.shortNames.join(','),
      apiVersionOf(resource),
      String(resource.namespaced),
      resource.kind,
    ])
    environment.stdout.write(
      formatTable([
        ...(flags['no-headers'] ? [] : [['NAME', 'SHORTNAMES', 'APIVERSION', 'NAMESPACED', 'KIND']]),
        ...rows,
      ]),
    )
  },
})
