/**
 * `gantry drain`: empties nodes for their maintenance.
 * https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
 */
import { formatAge } from '../../proto/objects/columns/age.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { parseTime } from '../../proto/base/time.ts'
import { delay } from '../../proto/base/clock.ts'
import type { Pod } from '../../proto/gen/types.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { defineCommand } from '../../proto/terminal/command.ts'
import { dryRunFlag, dryRunNote, parseDryRun, type DryRun } from '../dry-run.ts'
import type { Environment } from '../../proto/terminal/environment.ts'
import { EXIT } from '../../proto/terminal/failure.ts'
import { findNodes, requireNodes } from '../node-choice.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { throwFailures } from '../../proto/client/failures.ts'
import { withDeadline } from '../../proto/base/deadline.ts'
import { isTerminal } from '../../proto/objects/pod.ts'
import { controllerOf } from '../../proto/objects/owners.ts'
import { setUnschedulable } from './cordon.ts'
import { waitUntilGone } from '../waiting.ts'

/** Milliseconds until a pod that may not go now is asked again, as kubectl has it. */
const ASK_AGAIN = 5_000

interface Losses {
  readonly force: boolean
  readonly 'delete-emptydir-data': boolean
}

export default defineCommand({
  usage: '(NODE… | -l SELECTOR) [flags]',
  summary: 'empty nodes for their maintenance',
  description:
    'Keeps new pods off the nodes, then evicts the pods there and waits until they are gone: what a workload owns starts on other nodes. ' +
    'Pods that nothing would start again, and data in emptyDir volumes, are lost only if you say so. `gantry uncordon` lets pods onto the nodes again.',
  examples: ['gantry drain n1', 'gantry drain n1 --force --delete-emptydir-data --grace-period=10'],
  flags: {
    selector: { type: 'text', short: 'l', value: 'selector', help: 'nodes with these labels' },
    'pod-selector': { type: 'text', value: 'selector', help: 'only pods with these labels' },
    force: { type: 'boolean', help: 'also pods that no workload owns: nothing starts them again' },
    'delete-emptydir-data': { type: 'boolean', help: 'also pods with emptyDir volumes: what is in them is lost' },
    'grace-period': {
      type: 'integer',
      value: 'seconds',
      default: -1,
      help: 'time to stop; negative: what each pod says',
    },
    timeout: { type: 'duration', default: 0, value: 'time', help: 'give up waiting after this time; 0: never' },
    'ignore-daemonsets': {
      type: 'boolean',
      help: 'leave pods of DaemonSets where they are; there are no DaemonSets yet, so that it changes nothing',
    },
    'disable-eviction': {
      type: 'boolean',
      help: 'delete pods instead of evicting them, whatever a disruption budget says',
    },
    'skip-wait-for-delete-timeout': {
      type: 'integer',
      value: 'seconds',
      default: 0,
      help: 'do not wait for pods that have been going for longer; 0: wait for all',
    },
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
      const { items } = await cluster.list('Pod', {
        namespace: '',
        fieldSelector: `spec.nodeName=${name}`,
        labelSelector: flags['pod-selector'],
      })
      const losses = items.flatMap((pod) => lossOf(pod, flags) ?? [])
      if (losses.length > 0) {
        failures.push(
          new GantryError('FailedPrecondition', `node/${name} is cordoned, not drained: ${losses.join('; ')}`),
        )
        continue
      }
      const begun = environment.clock.monotonic()
      const gone = await new Eviction(cluster, environment, {
        dryRun,
        eviction: !flags['disable-eviction'],
        gracePeriodSeconds: graceOf(flags['grace-period']),
      }).all(items, flags.timeout)
      const left = flags.timeout === 0 ? 0 : Math.max(1, flags.timeout - (environment.clock.monotonic() - begun))
      const patience = flags['skip-wait-for-delete-timeout'] * 1_000
      const awaited = gone.filter(
        ({ metadata: { deletionTimestamp } }) =>
          patience === 0 ||
          deletionTimestamp === undefined ||
          environment.clock.now() - parseTime(deletionTimestamp) <= patience,
      )
      if (dryRun === 'none') await waitUntilGone(cluster, environment, awaited, left)
      environment.stdout.write(`node/${name} drained${dryRunNote(dryRun)}\n`)
    }
    throwFailures(failures)
    return EXIT.ok
  },
})

interface EvictionOptions {
  readonly dryRun: DryRun
  /** False: they are deleted, and nobody is asked whether they may go. */
  readonly eviction: boolean
  readonly gracePeriodSeconds: number | undefined
}

class Eviction {
  readonly #cluster: ClusterClient
  readonly #environment: Environment
  readonly #options: EvictionOptions

  constructor(cluster: ClusterClient, environment: Environment, options: EvictionOptions) {
    this.#cluster = cluster
    this.#environment = environment
    this.#options = options
  }

  /**
   * Asks all of them to leave, those that may not go now again and again: the pods that are going. DeadlineExceeded
   * after `timeout` milliseconds, if it is not 0, names who may not.
   */
  async all(pods: readonly Pod[], timeout: number): Promise<Pod[]> {
    const { clock, signal, stderr } = this.#environment
    const going: Pod[] = []
    let refused: string[] = []
    await withDeadline(
      clock,
      timeout > 0 ? timeout : undefined,
      signal,
      () => `not evicted after ${formatAge(timeout)}: ${refused.join('; ')}`,
      async (limited) => {
        for (let left = pods; ;) {
          const answers = await mapConcurrently(left, async (pod) => ({ pod, answer: await this.#ask(pod) }))
          going.push(...answers.flatMap(({ pod, answer }) => (answer === 'goes' ? [pod] : [])))
          const stay = answers.flatMap(({ pod, answer }) => (typeof answer === 'object' ? [{ pod, answer }] : []))
          if (stay.length === 0) return
          refused = stay.map(
            ({
              pod: {
                metadata: { namespace, name },
              },
              answer: { message },
            }) => `pod/${name} -n ${namespace}: ${message}`,
          )
          for (const line of refused)
            stderr.write(`cannot be evicted yet, is asked again in ${ASK_AGAIN / 1_000}s: ${line}\n`)
          left = stay.map(({ pod }) => pod)
          await delay(clock, ASK_AGAIN, limited)
        }
      },
    )
    return going
  }

  /** Whether it goes, is gone (also if another of its name is elsewhere), or why it may not go now. */
  async #ask({ metadata: { namespace, name, uid } }: Pod): Promise<'goes' | 'gone' | GantryError> {
    const { dryRun, eviction, gracePeriodSeconds } = this.#options
    try {
      if (dryRun !== 'client')
        await this.#cluster.delete('Pod', namespace, name, {
          uid,
          eviction,
          gracePeriodSeconds,
          dryRun: dryRun === 'server',
        })
    } catch (thrown) {
      if (GantryError.is(thrown, 'ResourceExhausted') && dryRun === 'none') return thrown
      if (!GantryError.is(thrown, 'NotFound', 'Conflict')) throw thrown
      return 'gone'
    }
    this.#environment.stdout.write(
      `pod/${name} -n ${namespace} ${eviction ? 'evicted' : 'deleted'}${dryRunNote(dryRun)}\n`,
    )
    return 'goes'
  }
}

/** Without force a node must confirm, which takes a moment. */
function graceOf(period: number): number | undefined {
  return period < 0 ? undefined : Math.max(1, period)
}

/** What would be lost with a pod, unless that was agreed to. */
function lossOf(pod: Pod, { force, 'delete-emptydir-data': data }: Losses): string | undefined {
  const { namespace, name } = pod.metadata
  if (isTerminal(pod)) return undefined
  if (!force && controllerOf(pod) === undefined)
    return `pod ${namespace}/${name} is owned by no workload, and nothing starts it again (--force)`
  if (!data && pod.spec.volumes?.some(({ emptyDir }) => emptyDir !== undefined) === true)
    return `pod ${namespace}/${name} has data in an emptyDir volume, which is lost (--delete-emptydir-data)`
  return undefined
}
