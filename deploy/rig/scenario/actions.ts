/** What single steps do, apart from those that hold others: to the cluster, to the machines, and with faults. */
import { GantryError } from '../../../proto/base/errors.ts'
import { resourceOf } from '../../../proto/schema/schema.ts'
import { delay, type Clock } from '../../../proto/base/clock.ts'
import type { JsonObject } from '../../../proto/gen/types.ts'
import { withDeadline } from '../../../proto/base/deadline.ts'
import { fillSelection } from './filling.ts'
import type { ConditionResult } from './condition-evaluation.ts'
import { listObjects, viewObjects } from './object-view.ts'
import { Observer } from './observer.ts'
import { nameOf } from './probe.ts'
import { StepFailedError } from './result.ts'
import type { Action, Condition, FaultAction, Manifest, ObjectSelection } from './scenario.ts'
import type { ScenarioFault, ScenarioRig } from './scenario-rig.ts'
import { Variables } from './variables.ts'
import { formatSeconds } from './seconds.ts'
import { linked, untilAborted } from './signals.ts'

/** Milliseconds between looks for who leads. */
const LEADER_MS = 100

export interface StepContext {
  /** Aborted when the step is not to go on. */
  readonly signal: AbortSignal
  /** Of the innermost repetition; 0 outside. */
  readonly round: number
}

interface BegunFault {
  readonly action: FaultAction
  readonly fault: ScenarioFault
}

export interface ActionsOptions {
  readonly rig: ScenarioRig
  readonly clock: Clock
  readonly namespace: string
  /** Of the whole run. */
  readonly signal: AbortSignal
}

export class Actions {
  readonly observer: Observer
  readonly #rig: ScenarioRig
  readonly #clock: Clock
  readonly #namespace: string
  readonly #variables: Variables
  /** In the order they began. */
  #faults: BegunFault[] = []
  readonly #applied = new Map<string, ObjectSelection>()

  constructor({ rig, clock, namespace, signal }: ActionsOptions) {
    this.#rig = rig
    this.#clock = clock
    this.#namespace = namespace
    this.#variables = new Variables((name) => {
      switch (name) {
        case 'rig':
          return Promise.resolve(rig.name)
        case 'registry':
          return Promise.resolve(rig.registry)
        case 'leader':
          return this.#leader(signal)
        case 'leaderAddress':
          return this.#addresses(signal, true)
        case 'followerAddresses':
          return this.#addresses(signal, false)
      }
    })
    this.observer = new Observer({ rig, clock, namespace, variables: this.#variables })
  }

  /** Makes the scenario's namespace if it is not there; it then counts as applied. */
  async makeNamespace(signal: AbortSignal): Promise<void> {
    if (this.#namespace === 'default') return
    const selection: ObjectSelection = {
      kind: 'Namespace',
      name: this.#namespace,
      namespace: '',
      selector: undefined,
      fields: undefined,
    }
    if ((await untilAborted(listObjects(this.#rig.client, selection), signal)).length > 0) return
    await this.#apply(
      [{ kind: 'Namespace', json: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: this.#namespace } } }],
      signal,
      0,
    )
  }

  /** Does it; what is worth telling about how. `within`: milliseconds that a look may take. */
  async carryOut(
    action: Exclude<Action, { is: 'until' | 'always' | 'parallel' | 'repeat' }>,
    within: number,
    { signal, round }: StepContext,
  ): Promise<string | undefined> {
    switch (action.is) {
      case 'apply':
        return this.#apply(action.objects, signal, round)
      case 'delete':
        return this.#delete(await fillSelection(action.objects, this.#variables, round), action.grace, signal)
      case 'patch': {
        const name = await this.#variables.fill(action.name, round)
        await untilAborted(
          this.#rig.client.patch(
            action.kind,
            resourceOf(action.kind).namespaced ? this.#namespace : '',
            name,
            'STRATEGIC',
            action.patch,
          ),
          signal,
        )
        return undefined
      }
      case 'scale': {
        for (const { workload, replicas } of action.workloads)
          await this.#gantry(['scale', workload, '--replicas', String(replicas)], signal)
        return undefined
      }
      case 'rollout': {
        await this.#gantry(['rollout', action.verb, await this.#variables.fill(action.workload, round)], signal)
        return undefined
      }
      case 'check':
        return this.#hold(action.conditions, within, signal, round)
      case 'run':
        return this.#hold([action.condition], within, signal, round)
      case 'remember': {
        for (const { name, probe } of action.values) await this.observer.remember(name, probe, round, within, signal)
        return undefined
      }
      case 'pause': {
        await delay(this.#clock, action.millis, signal)
        return undefined
      }
      case 'fault':
        return (await this.begin(action, round)).note
      case 'heal':
        return this.#heal(action.which)
      case 'start': {
        await this.#rig.machine(await this.#variables.fill(action.machine, round)).start()
        return undefined
      }
    }
  }

  /** Waits until all hold at the same time; Unmet with what was seen last. */
  async until(conditions: readonly Condition[], within: number, { signal, round }: StepContext): Promise<void> {
    let last: ConditionResult | undefined
    const met = new AbortController()
    const expected = labelsOf(conditions)
    try {
      await withDeadline(
        this.#clock,
        within,
        signal,
        () => '',
        (limited) =>
          this.observer.watch(conditions, { round, dense: false, signal: linked(limited, met.signal) }, (verdict) => {
            last = verdict
            if (verdict.holds) met.abort(new GantryError('Cancelled', 'it holds'))
          }),
      )
      signal.throwIfAborted()
      if (met.signal.aborted) return
    } catch (thrown) {
      if (signal.aborted || !GantryError.is(thrown, 'DeadlineExceeded')) throw thrown
    }
    throw new StepFailedError({
      message: `not within ${formatSeconds(within)}: ${expected}`,
      expected,
      seen: last?.seen ?? 'nothing yet',
    })
  }

  /** Begins a fault that is healed at the end of the scenario, if not before. */
  async begin(action: FaultAction, round: number): Promise<ScenarioFault> {
    const given = Object.fromEntries(
      await Promise.all(
        Object.entries(action.given).map(async ([name, value]) => [name, await this.#fillValue(value, round)] as const),
      ),
    )
    const fault = await this.#rig.fault(
      action.type.kind,
      given,
      action.forMillis === undefined ? {} : { for: action.forMillis },
    )
    this.#faults.push({ action, fault })
    return fault
  }

  async #fillValue(value: unknown, round: number): Promise<unknown> {
    if (typeof value === 'string') return this.#variables.fill(value, round)
    return Array.isArray(value) ? Promise.all(value.map((item) => this.#fillValue(item, round))) : value
  }

  async end(fault: ScenarioFault): Promise<void> {
    await fault.heal()
    this.#faults = this.#faults.filter((begun) => begun.fault !== fault)
  }

  /** Ends what was begun, the latest first; those that resist, by what they are and why. */
  async healAll(): Promise<string[]> {
    const problems: string[] = []
    for (const { fault } of [...this.#faults].reverse()) {
      try {
        await this.end(fault)
      } catch (thrown) {
        problems.push(`${fault.description}: cannot be healed: ${(thrown as Error).message}`)
      }
    }
    return problems
  }

  /** Deletes the objects that were applied, and waits until they are gone. */
  async removeApplied(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#applied.values()].map((selection) => this.#delete(selection, 0, signal)))
  }

  async #heal(which: string | undefined): Promise<undefined> {
    const chosen = this.#faults.filter(
      ({ action }) => which === undefined || action.name === which || action.type.kind === which,
    )
    for (const { fault } of chosen.reverse()) await this.end(fault)
  }

  async #apply(manifests: readonly Manifest[], signal: AbortSignal, round: number): Promise<undefined> {
    const objects = await Promise.all(
      manifests.map(async ({ kind, json }) => {
        const metadata = json.metadata as JsonObject
        const name = await this.#variables.fill(metadata.name as string, round)
        const namespace = (metadata.namespace as string | undefined) ?? ''
        return {
          selection: { kind, name, namespace, selector: undefined, fields: undefined },
          json: { ...json, metadata: { ...metadata, name } },
        }
      }),
    )
    for (const { selection } of objects)
      this.#applied.set(`${selection.kind}/${selection.namespace}/${selection.name}`, selection)
    await untilAborted(this.#rig.apply(objects.map(({ json }) => json)), signal)
    return undefined
  }

  /** Objects that are not there are no error. */
  async #delete(selection: ObjectSelection, grace: number | undefined, signal: AbortSignal): Promise<undefined> {
    const { client } = this.#rig
    const doomed = await untilAborted(listObjects(client, selection), signal)
    await Promise.all(
      doomed.map(async ({ kind, metadata }) => {
        try {
          await client.delete(kind, metadata.namespace, metadata.name, {
            uid: metadata.uid,
            ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
          })
        } catch (thrown) {
          if (!GantryError.is(thrown, 'NotFound')) throw thrown
        }
      }),
    )
    const uids = new Set(doomed.map(({ metadata }) => metadata.uid))
    let left: string[] = doomed.map(nameOf)
    let trouble = ''
    for await (const objects of viewObjects(
      client,
      this.#clock,
      selection,
      signal,
      ({ message }) => (trouble = `; ${message}`),
    )) {
      trouble = ''
      left = objects.filter(({ metadata }) => uids.has(metadata.uid)).map(nameOf)
      if (left.length === 0) return undefined
    }
    throw GantryError.is(signal.reason, 'DeadlineExceeded')
      ? new StepFailedError({ message: `not gone in time: ${left.join(', ')}${trouble}` })
      : signal.reason
  }

  async #hold(
    conditions: readonly Condition[],
    within: number,
    signal: AbortSignal,
    round: number,
  ): Promise<undefined> {
    const verdict = await this.observer.once(conditions, round, within, signal)
    if (verdict.holds) return undefined
    throw new StepFailedError({
      message: `it is not so: ${labelsOf(conditions)}`,
      expected: labelsOf(conditions),
      seen: verdict.seen,
    })
  }

  async #gantry(words: readonly string[], signal: AbortSignal): Promise<void> {
    const { code, stderr } = await untilAborted(this.#rig.gantry(['-n', this.#namespace, ...words]), signal)
    if (code !== 0)
      throw new StepFailedError({ message: `\`gantry ${words.join(' ')}\` ended with ${code}: ${stderr.trim()}` })
  }

  /** Waits while there is none. */
  async #leader(signal: AbortSignal): Promise<string> {
    for (;;) {
      const { leader } = await untilAborted(this.#rig.client.version(), signal)
      if (leader !== '') return leader
      await delay(this.#clock, LEADER_MS, signal)
    }
  }

  /** Of the controller that leads, or of the others. */
  async #addresses(signal: AbortSignal, leads: boolean): Promise<string> {
    const leader = await this.#leader(signal)
    const controllers = this.#rig.machines.filter(({ role }) => role === 'controller')
    return this.#rig
      .context()
      .server.filter((_, index) => (controllers[index]?.name === leader) === leads)
      .join(',')
  }
}

export function labelsOf(conditions: readonly Condition[]): string {
  return conditions.map(({ label }) => label).join('; ')
}
