/**
 * A few tiny machines on the namespaces driver, a bystander on each, and the fault engine over them: a rig without a
 * cluster.
 */
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { identify } from '../../proto/base/process.ts'
import type { Machine, MachineSpec } from '../../deploy/rig/contract.ts'
import { NamespacesDriver } from '../../deploy/rig/drivers/namespaces/driver.ts'
import type { FaultRecord } from '../../deploy/rig/faults/contract.ts'
import { FaultEngine } from '../../deploy/rig/faults/fault-engine.ts'
import { faultTypes } from '../../deploy/rig/faults/index.ts'
import { openMachines, requireMachine, withMachine } from '../../deploy/rig/machines.ts'
import { removeRig } from '../../deploy/rig/removal.ts'
import { claimRig, RECORD_VERSION, requireRig, updateRig } from '../../deploy/rig/rig-record.ts'
import { rigFaultBackend } from '../../deploy/rig/rig-fault-backend.ts'
import { eventually } from '../eventually.ts'

const CONTROL = 7999
const DISK = 2 ** 30
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code)
/** What each machine keeps running: it says every 20 ms that it lives. */
const HEARTBEAT = 'while :; do echo beat >> "$0/heartbeat"; sleep 0.02; done'
/** Keeps a program called etcd running, which says that it lives once it has done so for a while. */
const SUPERVISOR = `while :; do perl -e '$0 = "etcd"; for (;;) { select undef, undef, undef, 0.4; open my $beats, ">>", "$ARGV[0]/heartbeat"; print $beats "beat\\n"; close $beats }' "$0"; done`

export class RigLab {
  readonly rig: string
  readonly driver: NamespacesDriver
  readonly engine: FaultEngine

  private constructor(rig: string, driver: NamespacesDriver) {
    this.rig = rig
    this.driver = driver
    this.engine = new FaultEngine(rigFaultBackend(rig, driver), faultTypes)
  }

  /**
   * Nodes n1, n2, …, and perhaps a controller with a stand-in for etcd. It ends with this process, whatever ends that.
   */
  static async make(rig: string, nodes: number, { controller = false } = {}): Promise<RigLab> {
    const me = identify(process.pid)!
    const created = new Date(systemClock.now()).toISOString()
    const lab = new RigLab(rig, await NamespacesDriver.open())
    const options = { controllers: 0, nodes, diskBytes: DISK }
    await claimRig(
      {
        version: RECORD_VERSION,
        name: rig,
        driver: 'namespaces',
        created,
        phase: 'ready',
        maker: me,
        owner: me,
        options,
        machines: [],
        faults: [],
      },
      () => {
        throw new GantryError('AlreadyExists', `the rig "${rig}" is there`)
      },
    )
    try {
      await lab.driver.createNetwork(
        rig,
        async (network) => void (await updateRig(rig, (record) => ({ ...record, network }))),
      )
      const starts = Array.from({ length: nodes }, (_, place) =>
        lab.#start(`n${place + 1}`, 11 + place, 'agent', HEARTBEAT),
      )
      if (controller) starts.push(lab.#start('controller', 2, 'controller', SUPERVISOR))
      await Promise.all(starts)
      await Promise.all((await lab.machines()).map(({ spec }) => lab.stand(spec.name)))
      return lab
    } catch (thrown) {
      await lab.remove()
      throw thrown
    }
  }

  async #start(name: string, index: number, program: 'agent' | 'controller', script: string): Promise<void> {
    const home = `/var/lib/gantry/rigs/${this.rig}/${name}`
    const stateDir = `${home}/state`
    const spec: MachineSpec = {
      name,
      role: program === 'agent' ? 'node' : program,
      index,
      program: { name: program, command: ['env', 'LAB=1', '/bin/sh', '-c', script, stateDir] },
      files: [],
      stateDir,
      runDir: `/run/gantry/${this.rig}/${name}`,
      log: `${home}/log`,
      diskBytes: DISK,
    }
    const { network } = await requireRig(this.rig)
    await this.driver.startMachine(
      this.rig,
      network!,
      spec,
      async (machine) => void (await updateRig(this.rig, (record) => withMachine(record, machine))),
    )
  }

  async machines(): Promise<Machine[]> {
    return openMachines(this.driver, await requireRig(this.rig))
  }

  async machine(name: string): Promise<Machine> {
    return (await this.machines()).find(({ spec }) => spec.name === name)!
  }

  /** Runs a program on a machine; its exit code and what it printed. */
  async run(name: string, command: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return (await this.machine(name)).run(command, { allow: ANY_CODE })
  }

  /** Faults as the record has them. */
  async faults(): Promise<readonly FaultRecord[]> {
    return (await requireRig(this.rig)).faults
  }

  /** Changes the record, as another process may have left it. */
  async changeFault(id: string, change: Partial<FaultRecord>): Promise<void> {
    await updateRig(this.rig, (record) => ({
      ...record,
      faults: record.faults.map((fault) => (fault.id === id ? { ...fault, ...change } : fault)),
    }))
  }

  /** Puts a bystander on a machine, again after it was started again. */
  async stand(name: string): Promise<void> {
    await (await this.machine(name)).startProgram([process.execPath, `${import.meta.dirname}/rig-bystander.mjs`])
    await eventually(() => this.#tell(name, 'heard'))
  }

  /** Lines that the machine's program has written: it grows while it runs. */
  async beats(name: string): Promise<number> {
    const machine = await this.machine(name)
    return Number((await machine.run(['sh', '-c', 'wc -l < "$0/heartbeat"', machine.spec.stateDir])).stdout)
  }

  /** Datagrams from one machine to another: how many were answered, how many arrived, and what the sender was told. */
  async ask(
    from: string,
    to: string,
    { port = 7000, count = 3 } = {},
  ): Promise<{ answered: number; arrived: number; failures: string[] }> {
    const before = await this.#heard(from, to)
    const { answered, failures } = (await this.#tell(from, 'ask', {
      to: (await this.machine(to)).address,
      port,
      count,
    })) as { answered: number; failures: string[] }
    return { answered, failures, arrived: (await this.#heard(from, to)) - before }
  }

  async #heard(from: string, by: string): Promise<number> {
    return ((await this.#tell(by, 'heard')) as Record<string, number>)[(await this.machine(from)).address] ?? 0
  }

  /** Opens a connection between machines: "open", with its number, "silence", or the error. */
  async open(from: string, to: string, port = 7000): Promise<{ outcome: string; id: number }> {
    return (await this.#tell(from, 'open', { to: (await this.machine(to)).address, port })) as {
      outcome: string
      id: number
    }
  }

  /** Writes on a connection of a machine: "answer", "silence" or "closed". */
  async say(from: string, id: number): Promise<string> {
    return ((await this.#tell(from, 'say', { id })) as { outcome: string }).outcome
  }

  /** Bytes a second of a stream from one machine to another. */
  async pour(from: string, to: string, bytes: number): Promise<number> {
    return (
      (bytes /
        ((await this.#tell(from, 'pour', { to: (await this.machine(to)).address, bytes })) as { millis: number })
          .millis) *
      1000
    )
  }

  async #tell(name: string, verb: string, query: Readonly<Record<string, string | number>> = {}): Promise<unknown> {
    const words = new URLSearchParams(
      Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]),
    )
    const answer = await fetch(`http://${(await this.machine(name)).address}:${CONTROL}/${verb}?${words}`, {
      signal: AbortSignal.timeout(20_000),
    })
    if (!answer.ok) throw new Error(await answer.text())
    return answer.json()
  }

  /** As `gantry rig node remove --now`. */
  async removeMachine(name: string): Promise<void> {
    const rig = await requireRig(this.rig)
    await this.driver.removeMachine(this.rig, rig.network!, requireMachine(rig, name))
    await updateRig(this.rig, (record) => ({
      ...record,
      machines: record.machines.filter(({ spec }) => spec.name !== name),
    }))
  }

  async remove(): Promise<void> {
    await removeRig(this.rig)
  }
}
