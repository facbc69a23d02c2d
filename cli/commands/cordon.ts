/** `gantry cordon` and `gantry uncordon`: whether new pods may be placed on nodes. */
import { GantryError } from '../../proto/api/errors.ts'
import type { Node } from '../../proto/gen/types.ts'
import { defineCommand, UsageError, type Command } from '../command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT, throwFailures } from '../failure.ts'
import { parseNames } from '../operands.ts'

function cordoner(unschedulable: boolean): Command {
  const verb = unschedulable ? 'cordon' : 'uncordon'
  return defineCommand({
    usage: '(NODE… | -l SELECTOR) [flags]',
    summary: unschedulable ? 'keep new pods off nodes' : 'let new pods onto nodes again',
    examples: [`gantry ${verb} n1`],
    flags: {
      selector: { type: 'text', short: 'l', value: 'selector', help: 'nodes with these labels' },
      'dry-run': dryRunFlag,
    },
    completes: 'nodes',
    async run({ flags, args, environment, target }) {
      if ((args.length === 0) === (flags.selector === undefined)) throw new UsageError(args.length === 0 ? 'which node? Name it, or select with -l' : 'give names or a selector, not both')
      const dryRun = parseDryRun(flags['dry-run'])
      const cluster = await target.cluster()
      const found = flags.selector === undefined ? await Promise.allSettled(parseNames(args, ['Node']).map(({ name }) => cluster.get('Node', '', name))) : undefined
      const nodes = found === undefined
        ? (await cluster.list('Node', { namespace: '', labelSelector: flags.selector })).items
        : found.flatMap((answer): Node[] => (answer.status === 'fulfilled' ? [answer.value] : []))
      const failures = (found ?? []).flatMap((answer) => (answer.status === 'rejected' ? [GantryError.from(answer.reason)] : []))
      for (const { metadata: { name }, spec } of nodes) {
        const already = (spec.unschedulable ?? false) === unschedulable
        if (!already && dryRun !== 'client') {
          await cluster.patch('Node', '', name, 'MERGE', { spec: { unschedulable: unschedulable || null } }, { dryRun: dryRun === 'server' })
        }
        environment.stdout.write(`node/${name} ${already ? 'already ' : ''}${verb}ed${dryRunNote(dryRun)}\n`)
      }
      throwFailures(failures)
      return EXIT.ok
    },
  })
}

export const cordon = cordoner(true)
export const uncordon = cordoner(false)
