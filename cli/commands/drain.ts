/** `gantry drain`: empties nodes for their maintenance. https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/ */
import { GantryError } from '../../proto/api/errors.ts'
import type { Pod } from '../../proto/gen/types.ts'
import { defineCommand } from '../command.ts'
import { dryRunFlag, dryRunNote, parseDryRun } from '../dry-run.ts'
import { EXIT, throwFailures } from '../failure.ts'
import { findNodes, requireNodes } from '../node-choice.ts'
import { mapSome } from '../plan.ts'
import { setUnschedulable } from './cordon.ts'
import { awaitGone } from './delete.ts'

interface Losses {
  readonly force: boolean
  readonly 'delete-emptydir-data': boolean
}

export default defineCommand({
  usage: '(NODE… | -l SELECTOR) [flags]',
  summary: 'empty nodes for their maintenance',
  description: 'Keeps new pods off the nodes, then deletes the pods there and waits until they are gone: what a workload owns starts on other nodes. '
    + 'Pods that nothing would start again, and data in emptyDir volumes, are lost only if you say so. `gantry uncordon` lets pods onto the nodes again.',
  examples: ['gantry drain n1', 'gantry drain n1 --force --delete-emptydir-data --grace-period=10'],
  flags: {
    selector: { type: 'text', short: 'l', value: 'selector', help: 'nodes with these labels' },
    'pod-selector': { type: 'text', value: 'selector', help: 'only pods with these labels' },
    force: { type: 'boolean', help: 'also pods that no workload owns: nothing starts them again' },
    'delete-emptydir-data': { type: 'boolean', help: 'also pods with emptyDir volumes: what is in them is lost' },
    'grace-period': { type: 'integer', value: 'seconds', default: -1, help: 'time to stop; negative: what each pod says' },
    timeout: { type: 'duration', default: 0, value: 'time', help: 'give up waiting after this time; 0: never' },
    'dry-run': dryRunFlag,
  },
  completes: 'nodes',
  async run({ flags, args, environment, target }) {
    requireNodes(args, flags.selector)
    const dryRun = parseDryRun(flags['dry-run'])
    const cluster = await target.cluster()
    const { nodes, failures } = await findNodes(cluster, args, flags.selector)
    for (const node of nodes) {
      const { name } = node.metadata
      const changed = await setUnschedulable(cluster, node, true, dryRun)
      environment.stdout.write(`node/${name} ${changed ? '' : 'already '}cordoned${dryRunNote(dryRun)}\n`)
      const { items } = await cluster.list('Pod', { namespace: '', fieldSelector: `spec.nodeName=${name}`, labelSelector: flags['pod-selector'] })
      const losses = items.flatMap((pod) => lossOf(pod, flags) ?? [])
      if (losses.length > 0) {
        failures.push(new GantryError('FailedPrecondition', `node/${name} is cordoned, not drained: ${losses.join('; ')}`))
        continue
      }
      const gone = await mapSome(items, async (pod): Promise<Pod[]> => {
        const { namespace, name: podName, uid } = pod.metadata
        try {
          if (dryRun !== 'client') await cluster.delete('Pod', namespace, podName, { uid, gracePeriodSeconds: graceOf(flags['grace-period']), dryRun: dryRun === 'server' })
        } catch (thrown) {
          // Gone meanwhile, or another of its name elsewhere.
          if (!GantryError.is(thrown, 'NotFound', 'Conflict')) throw thrown
          return []
        }
        environment.stdout.write(`pod/${podName} -n ${namespace} evicted${dryRunNote(dryRun)}\n`)
        return [pod]
      })
      if (dryRun === 'none') await awaitGone(cluster, environment, gone.flat(), flags.timeout)
      environment.stdout.write(`node/${name} drained${dryRunNote(dryRun)}\n`)
    }
    throwFailures(failures)
    return EXIT.ok
  },
})

/** Without force a node must confirm, which takes a moment. */
function graceOf(period: number): number | undefined {
  return period < 0 ? undefined : Math.max(1, period)
}

/** What would be lost with a pod, unless that was agreed to. */
function lossOf({ metadata: { namespace, name, ownerReferences }, spec, status }: Pod, { force, 'delete-emptydir-data': data }: Losses): string | undefined {
  if (status.phase === 'Succeeded' || status.phase === 'Failed') return undefined
  if (!force && ownerReferences?.some(({ controller }) => controller === true) !== true) return `pod ${namespace}/${name} is owned by no workload, and nothing starts it again (--force)`
  if (!data && spec.volumes?.some(({ emptyDir }) => emptyDir !== undefined) === true) return `pod ${namespace}/${name} has data in an emptyDir volume, which is lost (--delete-emptydir-data)`
  return undefined
}
