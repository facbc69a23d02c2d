/**
 * Gives every pod without a node one. It runs on the leader: each term begins with an empty cache and queue, filled by
 * the informer. From a change that the informer tells to the bind's write there is no timer: what is ready at the end
 * of a turn of the program is placed on the cache, and its binds are begun, in one turn, so that they share commits.
 */
import { GantryError } from '../../proto/base/errors.ts'
import type { WhyResponse } from '../../proto/gen/types.ts'
import type { Term } from '../store/contract.ts'
import { allPlugins } from './plugins/all.ts'
import { SchedulingTerm } from './scheduling-term.ts'
import { SchedulingDiagnostics } from './scheduling-diagnostics.ts'
import type { SchedulerOptions } from './scheduling-term.ts'

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #verdicts = new SchedulingDiagnostics()

  constructor(options: SchedulerOptions) {
    this.#options = options
  }

  /** Schedules until the signal is aborted; resolves when the writes under way have ended. */
  async run(term: Term, signal: AbortSignal): Promise<void> {
    await new SchedulingTerm({ plugins: allPlugins, ...this.#options, term, verdicts: this.#verdicts }).run(signal)
  }

  /** Why a pod is where it is, or nowhere, as found when it was last looked at here: the leader knows. NotFound. */
  why(namespace: string, name: string): WhyResponse {
    const pod = this.#options.informer.lister('Pod').get(namespace, name)
    if (pod === undefined) throw new GantryError('NotFound', `there is no pod ${name} in namespace ${namespace}`)
    return this.#verdicts.why(pod.metadata.uid, pod.spec.nodeName ?? '')
  }
}
