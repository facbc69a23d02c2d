/** `gantry cordon` and `gantry uncordon`: whether new pods may be placed on nodes. */
import type { Node } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand, type Command } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun, type DryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { findNodes, requireNodes } from '../node-choice.ts'
import { throwFailures } from '../../proto/client/failures.ts'

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
      requireNodes(args, flags.selector)
      const dryRun = parseDryRun(flags['dry-run'])
      const cluster = await target.cluster()
      const { nodes, failures } = await findNodes(cluster, args, flags.selector)
      for (const node of nodes) {
        const changed = await setUnschedulable(cluster, node, unschedulable, dryRun)
        environment.stdout.write(
          `node/${node.metadata.name} ${changed ? '' : 'already '}${verb}ed${dryRunNote(dryRun)}\n`,
        )
      }
      throwFailures(failures)
      return EXIT.ok
    },
  })
}

/** False if it is so already. */
export async function setUnschedulable(
  cluster: ClusterClient,
  { metadata: { name }, spec }: Node,
  unschedulable: boolean,
  dryRun: DryRun,
): Promise<boolean> {
  if ((spec.unschedulable ?? false) === unschedulable) return false
  if (dryRun !== 'client')
    await cluster.patch(
      'Node',
      '',
      name,
      'MERGE',
      { spec: { unschedulable: unschedulable || null } },
      { dryRun: dryRun === 'server' },
    )
  return true
}

export const cordon = cordoner(true)
export const uncordon = cordoner(false)
