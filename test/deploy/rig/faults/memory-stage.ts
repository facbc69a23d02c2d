/**
 * A rig in memory: machines that only have a state, and a record that is kept as text, so that what is not JSON does
 * not survive.
 */
import { GantryError } from '../../../../proto/base/errors.ts'
import { FakeClock } from '../../../../proto/base/clock.ts'
import { Semaphore } from '../../../../proto/base/semaphore.ts'
import type { Capabilities, Driver, Machine, MachineSpec, MachineState, Role } from '../../../../deploy/rig/contract.ts'
import type { FaultRecord } from '../../../../deploy/rig/faults/contract.ts'
import type { FaultBackend } from '../../../../deploy/rig/faults/fault-engine.ts'

export class MemoryMachine implements Pick<
  Machine,
  'spec' | 'address' | 'state' | 'freeze' | 'thaw' | 'kill' | 'powerOff' | 'start'
> {
  readonly spec: MachineSpec
  readonly address: string
  current: MachineState = 'running'
  /** What was done to it, in order. */
  readonly done: string[] = []
  /** The next of these that is called fails. */
  fails: string | undefined

  constructor(name: string, role: Role, index: number) {
    this.address = `10.87.0.${index}`
    this.spec = {
      name,
      role,
      index,
      program: { name: role === 'node' ? 'agent' : role, command: ['sleep'] },
      files: [],
      stateDir: '/s',
      runDir: '/r',
      log: '/l',
      diskBytes: 1,
    }
  }

  async state(): Promise<MachineState> {
    return this.current
  }

  freeze = (): Promise<void> => this.#do('freeze', 'frozen')
  thaw = (): Promise<void> => this.#do('thaw', 'running')
  kill = (): Promise<void> => this.#do('kill', 'off')
  powerOff = (): Promise<void> => this.#do('powerOff', 'off')
  start = (): Promise<void> => this.#do('start', 'running')

  async #do(verb: string, state: MachineState): Promise<void> {
    if (this.fails === verb) throw new GantryError('Unavailable', `${verb} of ${this.spec.name} fails`)
    this.done.push(verb)
    this.current = state
  }
}

export class MemoryStage implements FaultBackend {
  readonly rig = 'test'
  readonly clock = new FakeClock()
  readonly driver: Driver
  readonly own: MemoryMachine[]
  /** Timers that run: the fault's id and how long. */
  readonly timers = new Map<number, { readonly id: string; readonly millis: number }>()
  #record = '[]'
  #nextTimer = 1
  readonly #turns = new Semaphore(1)

  constructor(nodes = 3, capabilities: Partial<Capabilities> = {}) {
    const all = { ownDisk: true, powerLoss: true, netem: false, resize: true, freeze: true, ...capabilities }
    this.driver = { name: 'namespaces', capabilities: all } as Driver
    this.own = [new MemoryMachine('controller', 'controller', 2), new MemoryMachine('registry', 'registry', 3)]
    for (let number = 1; number <= nodes; number++) this.own.push(new MemoryMachine(`n${number}`, 'node', 10 + number))
  }

  machine(name: string): MemoryMachine {
    return this.own.find(({ spec }) => spec.name === name)!
  }

  async machines(): Promise<readonly Machine[]> {
    return this.own as unknown as Machine[]
  }

  async faults(): Promise<readonly FaultRecord[]> {
    return JSON.parse(this.#record) as FaultRecord[]
  }

  async update(change: (faults: readonly FaultRecord[]) => readonly FaultRecord[]): Promise<void> {
    this.#record = JSON.stringify(change(await this.faults()))
  }

  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work)
  }

  async setTimer(id: string, millis: number): Promise<{ pid: number; startTime: number; bootId: string }> {
    const pid = this.#nextTimer++
    this.timers.set(pid, { id, millis })
    return { pid, startTime: 0, bootId: '' }
  }

  async endTimer({ pid }: { readonly pid: number }): Promise<void> {
    this.timers.delete(pid)
  }
}
