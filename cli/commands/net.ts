/** `gantry net check`: proves the cluster's network from inside. */
import { GantryError } from '../../proto/base/errors.ts'
import type { NetCheckResult } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { formatTable } from '../../proto/terminal/output/table.ts'
import { escapeControls } from '../../proto/terminal/output/escape-controls.ts'

const check = defineCommand({
  usage: '[flags]',
  summary: 'prove the network from inside',
  description:
    'Makes a throw-away pod network on every node and lets them try each other over TCP, UDP and with packets of full size; and from each node the Service default/kubernetes by its address and by its name, the way out, and the way from the node into its own pods. Says what is broken, where, and where to look. Takes at most 10 seconds; nothing of it stays. Exit code 1 if anything is broken.',
  examples: [
    'gantry net check',
    'gantry net check --node n2 -o wide',
    'gantry net check --outward 203.0.113.9:443 --name registry.example.com',
    'gantry net check -o json',
  ],
  flags: {
    node: { type: 'list', commas: true, value: 'name', help: 'only what this node sends or receives; may be repeated' },
    outward: {
      type: 'text',
      value: 'address:port',
      help: "what pods are to reach outside over TCP (default: the node's first router)",
    },
    name: { type: 'text', value: 'name', help: 'a name outside the cluster that pods are to resolve' },
    output: {
      type: 'text',
      short: 'o',
      value: 'form',
      choices: ['wide', 'json'],
      help: 'wide: everything that was tried; json',
    },
  },
  completes: 'none',
  async run({ flags, environment, target }) {
    const cluster = await target.cluster()
    const results: NetCheckResult[] = []
    for await (const result of cluster.netCheck({
      nodes: flags.node,
      outward: flags.outward ?? '',
      name: flags.name ?? '',
    }))
      results.push(result)
    if (results.length === 0) throw new GantryError('FailedPrecondition', 'there is no node to check')
    const { stdout } = environment
    if (flags.output === 'json')
      stdout.write(`${JSON.stringify({ ok: results.every(({ ok }) => ok), results }, undefined, 2)}\n`)
    else stdout.write(flags.output === 'wide' ? everything(results) : summary(results))
    return results.every(({ ok }) => ok) ? EXIT.ok : EXIT.refused
  },
})

export default defineCommand({
  usage: 'COMMAND',
  summary: 'look into the network',
  examples: ['gantry net check'],
  flags: {},
  completes: 'none',
  subcommands: { check },
})

function everything(results: readonly NetCheckResult[]): string {
  return formatTable([
    ['CHECK', 'NODE', 'TARGET', 'RESULT', 'TIME', 'SAYS'],
    ...results.map((result) => [
      result.check,
      result.node,
      result.target,
      verdict(result),
      result.skipped || !result.ok ? '-' : `${result.millis.toFixed(1)} ms`,
      escapeControls(result.message),
    ]),
  ])
}

function summary(results: readonly NetCheckResult[]): string {
  const checks = [...new Set(results.map((result) => result.check))]
  const rows = checks.map((name) => {
    const of = results.filter((result) => result.check === name)
    const well = of.filter(({ ok, skipped }) => ok && !skipped)
    const broken = of.filter(({ ok }) => !ok).length
    const slowest = Math.max(0, ...well.map(({ millis }) => millis))
    return [
      name,
      broken > 0 ? `${broken} of ${of.length} broken` : well.length === 0 ? 'skipped' : `ok (${well.length})`,
      well.length === 0 ? '-' : `${slowest.toFixed(1)} ms`,
    ]
  })
  const broken = results.filter(({ ok }) => !ok)
  const said = [
    ...broken.map(({ message }) => message),
    ...results.filter(({ skipped }) => skipped).map((result) => `${result.check} skipped: ${result.message}`),
  ]
  return `${formatTable([['CHECK', 'RESULT', 'SLOWEST'], ...rows])}${said.length === 0 ? '' : `\n${said.map((text) => `${escapeControls(text)}\n`).join('')}`}`
}

function verdict({ ok, skipped }: NetCheckResult): string {
  return skipped ? 'skipped' : ok ? 'ok' : 'broken'
}
