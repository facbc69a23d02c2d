/**
 * The agent's records on a disk that is not flushed: what was written survives the agent; at a power loss every record
 * falls back to one of the last states that it had, or to half a line, which is as none.
 */
import type { NodeRecord, PodRecord, StateStore } from '../../../agent/state/contract.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Random } from '../../../proto/base/random.ts'
import type { Process } from './process.ts'
import { between, pick } from './world.ts'

/** States of a record that a power loss may bring back, and the share of records that it spoils. */
const HISTORY = 3
const DAMAGED_SHARE = 0.1

export class SimulatedDisk {
  readonly #random: Random
  readonly #records = new Map<string, (string | undefined)[]>()
  #node: NodeRecord | undefined
  /** Milliseconds that a write takes longer at most. */
  slowness = 0
  /** Nothing more can be written. */
  full = false

  constructor(random: Random) {
    this.#random = random
  }

  /** Uids of the pods that there are records of. */
  get pods(): string[] {
    return [...this.#records].flatMap(([uid, states]) => (states.at(-1) === undefined ? [] : [uid]))
  }

  /** Uids of pods whose records are there, and older than they were. */
  powerLost(): Set<string> {
    const fellBack = new Set<string>()
    for (const [uid, states] of this.#records) {
      const kept = this.#random.next() < DAMAGED_SHARE ? undefined : pick(this.#random, states)
      if (kept !== undefined && kept !== states.at(-1)) fellBack.add(uid)
      this.#records.set(uid, [kept])
    }
    return fellBack
  }

  /** As the agent's process has it. */
  state(process: Process): StateStore {
    /** Writes happen at once and in the order of the calls, as those of FileState; only the answer takes time. */
    const written = (write: () => void, needsRoom = true): Promise<void> => {
      if (this.full && needsRoom) return Promise.reject(new GantryError('ResourceExhausted', 'the disk is full'))
      if (process.alive) write()
      if (this.slowness === 0) return Promise.resolve()
      return new Promise((resolve) => process.clock.after(between(this.#random, 0, this.slowness), resolve))
    }
    return {
      load: () => Promise.resolve(this.#load()),
      put: (record) => written(() => this.#put(record.pod.metadata.uid, JSON.stringify(record))),
      remove: (uid) => written(() => this.#put(uid, undefined), false),
      putNode: (node) => written(() => void (this.#node = node)),
    }
  }

  #load(): Awaited<ReturnType<StateStore['load']>> {
    const pods = [...this.#records.values()].flatMap((states) => {
      const text = states.at(-1)
      return text === undefined ? [] : [JSON.parse(text) as PodRecord]
    })
    return { pods, node: this.#node, damaged: [] }
  }

  #put(uid: string, text: string | undefined): void {
    const states = this.#records.get(uid) ?? [undefined]
    states.push(text)
    this.#records.set(uid, states.slice(-HISTORY))
  }
}
