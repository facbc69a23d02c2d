/**
 * `gantry taint`: what keeps pods off nodes unless they put up with it.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { Taint } from '../../proto/gen/types.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { findNodes, requireNodes } from '../node-choice.ts'
import { UsageError, throwFailures } from '../../proto/client/failures.ts'

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const

type Change =
  | { readonly is: 'set'; readonly taint: Taint }
  /** Without an effect: of every effect. */
  | { readonly is: 'remove'; readonly key: string; readonly effect: string | undefined }

export default defineCommand({
  usage: 'nodes (NODE… | -l SELECTOR | --all) KEY[=VALUE]:EFFECT… KEY[:EFFECT]-… [flags]',
  summary: 'keep pods off nodes unless they tolerate it',
  description:
    'Sets and removes taints. NoSchedule keeps new pods off a node, PreferNoSchedule if there is another, NoExecute also ends those that are there.',
  examples: [
    'gantry taint nodes n1 disk=slow:NoSchedule',
    'gantry taint nodes n1 disk:NoSchedule-',
    'gantry taint nodes --all disk-',
  ],
  flags: {
    selector: { type: 'text', short: 'l', value: 'selector', help: 'nodes with these labels' },
    all: { type: 'boolean', help: 'every node' },
    overwrite: { type: 'boolean', help: 'change the values of taints that are there' },
    'dry-run': dryRunFlag,
  },
  completes: 'nodes',
  async run({ flags, args, environment, target }) {
    const isChange = (text: string): boolean => /[:=]|-$/.test(text)
    const changes = args.filter(isChange).map(parseChange)
    const [word, ...rest] = args.filter((text) => !isChange(text))
    const names = word === undefined || /^(nodes?|no)$/.test(word) ? rest : [word, ...rest]
    if (changes.length === 0)
      throw new UsageError('which taint? Say KEY=VALUE:EFFECT to set one, KEY:EFFECT- to take one away')
    const selector = flags.all ? (flags.selector ?? '') : flags.selector
    requireNodes(names, selector)
    const dryRun = parseDryRun(flags['dry-run'])
    const cluster = await target.cluster()
    const { nodes, failures } = await findNodes(cluster, names, selector)
    for (const {
      metadata: { name, resourceVersion },
      spec,
    } of nodes) {
      try {
        const taints = changes.reduce(
          (before, change) => changed(before, change, flags.overwrite, name),
          spec.taints ?? [],
        )
        if (dryRun !== 'client')
          await cluster.patch(
            'Node',
            '',
            name,
            'MERGE',
            {
              metadata: { resourceVersion },
              spec: { taints: taints.length === 0 ? null : taints.map((taint) => ({ ...taint })) },
            },
            { dryRun: dryRun === 'server' },
          )
        environment.stdout.write(
          `node/${name} ${changes.every(({ is }) => is === 'remove') ? 'untainted' : 'tainted'}${dryRunNote(dryRun)}\n`,
        )
      } catch (thrown) {
        failures.push(GantryError.from(thrown))
      }
    }
    throwFailures(failures)
    return EXIT.ok
  },
})

function parseChange(text: string): Change {
  const removal = /^([^=:]+)(?::(\w+))?-$/.exec(text)
  if (removal !== null)
    return { is: 'remove', key: removal[1]!, effect: removal[2] === undefined ? undefined : effectOf(removal[2], text) }
  const [, key, value = '', effect] = /^([^=:]+)(?:=([^:]*))?:(\w+)$/.exec(text) ?? []
  if (key === undefined || effect === undefined)
    throw new UsageError(`"${text}" is no taint`, 'say KEY=VALUE:EFFECT, such as disk=slow:NoSchedule')
  return { is: 'set', taint: { key, ...(value !== '' && { value }), effect: effectOf(effect, text) } }
}

function effectOf(effect: string, text: string): (typeof EFFECTS)[number] {
  const known = EFFECTS.find((other) => other === effect)
  if (known === undefined) throw new UsageError(`"${text}": there is no effect ${effect}`, `use ${EFFECTS.join(', ')}`)
  return known
}

/**
 * NotFound for a taint to be removed that is not there; FailedPrecondition for one that is there with another value.
 */
function changed(taints: readonly Taint[], change: Change, overwrite: boolean, node: string): Taint[] {
  const key = change.is === 'set' ? change.taint.key : change.key
  const effect = change.is === 'set' ? change.taint.effect : change.effect
  const others = taints.filter((taint) => taint.key !== key || (effect !== undefined && taint.effect !== effect))
  if (change.is === 'remove') {
    if (others.length === taints.length)
      throw new GantryError('NotFound', `node/${node} has no taint ${key}${effect === undefined ? '' : `:${effect}`}`)
    return others
  }
  const before = taints.find((taint) => !others.includes(taint))
  if (before !== undefined && !overwrite)
    throw new GantryError(
      'FailedPrecondition',
      `node/${node} has taint ${key}=${before.value ?? ''}:${before.effect} already`,
      { details: [{ remedy: '--overwrite changes it' }] },
    )
  return [...others, change.taint]
}
