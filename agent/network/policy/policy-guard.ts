/** Keeps pods to their NetworkPolicies (see README.md). */
import { Semaphore } from '../../../proto/base/semaphore.ts'
import { ConditionVariable } from '../../../proto/base/condition-variable.ts'
import type { Run } from '../../host/launcher.ts'
import type { NetworkChange, NetworkReconciler, NetworkView, PodGuard } from '../contract.ts'
import { nodeCommands, type NodeCommands } from '../node-commands.ts'
import { changeScripts, TABLE } from './change-script.ts'
import { RetainedPolicies } from './retained-policies.ts'
import { EMPTY_POLICY_TABLE, policyTable, SetElements, type PolicyTable } from './ruleset.ts'

export interface PolicyGuardParts {
  readonly run: Run
  /** Path of the network namespace that forwards pods' packets; the agent's own if undefined. */
  readonly netns?: string
}

export class PolicyGuard implements NetworkReconciler, PodGuard {
  readonly name = 'policy'
  /** What a pod is no longer allowed to send need not be waited for before it ends. */
  readonly confirmsRevision = false
  readonly #node: NodeCommands
  readonly #turn = new Semaphore(1)
  readonly #podAddresses = new Map<string, readonly string[]>()
  readonly #elements = new SetElements()
  readonly #retained = new RetainedPolicies()
  /** What is in the kernel; undefined when that is not known. */
  #table: PolicyTable | undefined
  #view: NetworkView | undefined
  /** For the first view. */
  readonly #waiting = new ConditionVariable()

  constructor({ run, netns }: PolicyGuardParts) {
    this.#node = nodeCommands(run, netns)
  }

  async apply(view: NetworkView, { complete, keys }: NetworkChange): Promise<void> {
    if (!complete && ![...keys].some((key) => /^(GuardedPod|PolicyRules|AddressSet)\//.test(key))) return
    this.#view = view
    this.#waiting.broadcast()
    await this.#turn.run(() => this.#program(complete))
  }

  adopt(given: ReadonlyMap<string, readonly string[]>): void {
    for (const [uid, addresses] of given) this.#podAddresses.set(uid, addresses)
  }

  async protect(uid: string, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    this.#podAddresses.set(uid, addresses)
    if (this.#view === undefined) await this.#waiting.wait(signal)
    // The view is live: what was told before the pod is in it, although `apply` may not have been called for it yet.
    await this.#turn.run(() => this.#program(false), signal)
  }

  forget(uid: string): void {
    this.#podAddresses.delete(uid)
  }

  tables(): readonly string[] {
    return this.#table === undefined || this.#table === EMPTY_POLICY_TABLE ? [] : [TABLE]
  }

  /** What is in the kernel stays: pods live on. */
  stop(): Promise<void> {
    return Promise.resolve()
  }

  /** Brings the kernel to what the view, which is there, says now. After a failure what is there is not known. */
  async #program(complete: boolean): Promise<void> {
    const after = policyTable(
      this.#retained.mergedWith(this.#view!, this.#podAddresses),
      this.#podAddresses,
      this.#elements,
    )
    const scripts = changeScripts(complete ? undefined : this.#table, after)
    if (scripts.length > 0) this.#table = undefined
    for (const script of scripts) await this.#node.nft(script)
    this.#table = after
  }
}
