/** What the suite of the rig drivers works with: a driver under test, and machines that it makes and removes. */
import assert from 'node:assert/strict'
import type { Driver, Machine, MachineRecord, MachineSpec, NetworkRecord } from '../../deploy/rig/contract.ts'
import { eventually } from '../eventually.ts'

/** On which the machines' program answers. */
export const PORT = 8080
export const GIBI = 2 ** 30

/**
 * The program of each machine: counts its starts on the machine's disk, answers with its host name on a port, and then
 * beats, in its run directory. Arguments: state directory, run directory.
 */
const PROGRAM = `echo start >> "$1/starts"; echo $$ > "$2/pid"; mkdir -p "$2/www"; hostname > "$2/www/name"
echo "hello from $(hostname)"
busybox httpd -p ${PORT} -h "$2/www"
while :; do echo >> "$2/beats"; sleep 0.02; done`

export function json<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

export interface DriverSubject {
  readonly driver: Driver
  /** A folder for machines' homes, as they see it, that nothing else uses. */
  readonly homes: string
  /**
   * Names of what is left on the host of rigs whose name begins so: processes, interfaces, groups, containers, files.
   */
  left(rig: string): Promise<string[]>
  /** Called last, when the rigs are removed. */
  cleanUp(): Promise<void>
}

/** Rigs are named after the process that tests, so that two of them may run at once. */
export function rigName(word: string): string {
  return `t${process.pid.toString(36)}${word}`
}

/** One rig of a test: machines by their records, which pass through JSON as in a rig's file. */
export class Bench {
  readonly rig: string
  readonly #subject: DriverSubject
  readonly #records = new Map<string, MachineRecord>()
  network: NetworkRecord | undefined

  constructor(subject: DriverSubject, rig: string) {
    this.#subject = subject
    this.rig = rig
  }

  get driver(): Driver {
    return this.#subject.driver
  }

  async createNetwork(): Promise<NetworkRecord> {
    await this.driver.createNetwork(this.rig, async (network) => void (this.network = json(network)))
    return this.network!
  }

  spec(number: number, change: Partial<MachineSpec> = {}): MachineSpec {
    const name = `n${number}`
    const home = `${this.#subject.homes}/${this.rig}/${name}`
    const [stateDir, runDir] = [`${home}/state`, `/run/gantry/${this.rig}/${name}`]
    return {
      name,
      role: 'node',
      index: 10 + number,
      program: { name: 'agent', command: ['/bin/sh', '-c', PROGRAM, 'program', stateDir, runDir] },
      stateDir,
      runDir,
      files: [
        { path: `${home}/etc/config`, content: `for ${name}\n` },
        { path: `${stateDir}/seed`, content: 'seed', mode: 0o644 },
        { path: `${runDir}/token`, content: 'token', mode: 0o640 },
      ],
      log: `${home}/log`,
      diskBytes: GIBI,
      ...change,
    }
  }

  /** `written` is called when the machine is written down. */
  async start(spec: MachineSpec, written: () => Promise<void> = async () => undefined): Promise<Machine> {
    await this.driver.startMachine(this.rig, this.network!, spec, async (record) => {
      await this.#keep(record)
      await written()
    })
    return this.machine(spec.name)
  }

  record(name: string): MachineRecord {
    return this.#records.get(name)!
  }

  /** As another process has it: by what is written down. */
  machine(name: string): Machine {
    return this.driver.machine(this.rig, this.network!, this.record(name), (record) => this.#keep(record))
  }

  async removeMachine(name: string): Promise<void> {
    await this.driver.removeMachine(this.rig, this.network!, this.record(name))
  }

  async #keep(record: MachineRecord): Promise<void> {
    this.#records.set(record.spec.name, json(record))
  }

  /** Also what is removed already, wholly or in part. */
  async remove(): Promise<void> {
    await Promise.all(
      [...this.#records.values()].map((record) => this.driver.removeMachine(this.rig, this.network!, record)),
    )
    await this.driver.removeNetwork(this.rig, this.network)
  }
}

/** Text of a file on a machine; '' if it is not there. */
export async function textOn(machine: Machine, path: string): Promise<string> {
  const { code, stdout } = await machine.run(['cat', path], { allow: [0, 1] })
  return code === 0 ? stdout : ''
}

export async function sizeOn(machine: Machine, path: string): Promise<number> {
  return Number((await machine.run(['sh', '-c', 'stat -c %s "$0" || echo 0', path])).stdout)
}

/** Resolves when the machine's program has started `times` times in all, and beats. */
export async function beating(machine: Machine, times: number): Promise<void> {
  const { stateDir, runDir } = machine.spec
  await eventually(async () => {
    assert.equal((await textOn(machine, `${stateDir}/starts`)).split('\n').length - 1, times)
    return (await sizeOn(machine, `${runDir}/beats`)) > 0
  })
}
