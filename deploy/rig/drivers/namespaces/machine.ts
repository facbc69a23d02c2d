/** A machine made of namespaces, known by its record: what can be done to it. */
import { GantryError } from '../../../../proto/base/errors.ts'
import type { CommandOptions, CommandResult } from '../../../../proto/base/command.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'
import { isAlive, type ProcessIdentity } from '../../../../proto/base/process.ts'
import type { JsonValue } from '../../../../proto/gen/types.ts'
import type { Machine, MachineDisk, MachineRecord, MachineSpec, MachineState } from '../../contract.ts'
import { boot, type Boot } from './boot.ts'
import type { CgroupTree } from './cgroup-tree.ts'
import { awaitUnmounted, cutPower, liftThrottle, LoopDisk } from './disk.ts'
import { endSidecar, runOn, signalIfThere, startSidecar, terminalOn, type Sidecar } from './enter.ts'
import { awaitUnplugged } from './host-network.ts'
import { readTail } from './log-tail.ts'
import { handleOf, recordOf, type Handle, type MachinePaths } from './machine-paths.ts'

/** Milliseconds for the processes of a machine to end. */
const END_PATIENCE = 10_000
/** Of these, those that its init has before everything else of the machine is ended too. */
const INIT_PATIENCE = 2_000

/**
 * Ends everything on a machine, frozen or not; resolves when its processes, its disk's mount, its cable and its cgroup
 * are gone.
 */
export async function endMachine(
  tree: CgroupTree,
  { group, image, cable }: MachinePaths,
  handle: Handle,
): Promise<void> {
  const { holder, init, ownDisk } = handle
  const processes = [init, holder]
  if (tree.diesFrozen) await endInit(init)
  await killGroup(tree, group) // with what lives in other namespaces, or was another machine of this name
  for (const identity of processes) if (isAlive(identity)) signalIfThere(identity.pid, 'SIGKILL')
  if (!tree.diesFrozen) await tree.thaw(group)
  const deadline = systemClock.monotonic() + END_PATIENCE
  while (processes.some(isAlive)) {
    if (systemClock.monotonic() > deadline)
      throw new GantryError('DeadlineExceeded', `${group} (pid ${init.pid}) does not end`)
    await delay(systemClock, 2)
  }
  await Promise.all([ownDisk ? awaitUnmounted(image) : undefined, awaitUnplugged(cable), tree.remove(group)])
  await liftThrottle(tree, group, handle)
}

/**
 * With a machine's init all in its process namespace end, but the kernel lets it end only when each of them has been
 * waited for by its parent. What was started from outside has one outside, which does so at once as long as it is not
 * killed as well: then it would be up to the host's init, and there are some that take seconds.
 */
async function endInit(init: ProcessIdentity): Promise<void> {
  const deadline = systemClock.monotonic() + INIT_PATIENCE
  if (isAlive(init)) signalIfThere(init.pid, 'SIGKILL')
  while (isAlive(init) && systemClock.monotonic() < deadline) await delay(systemClock, 2)
}

async function killGroup(tree: CgroupTree, group: string): Promise<number> {
  const pids = await tree.processes(group)
  for (const pid of pids) signalIfThere(pid, 'SIGKILL')
  return pids.length
}

/** Ends every process in a rig's group: machines whose record is lost. */
export async function endGroup(tree: CgroupTree, group: string): Promise<void> {
  const deadline = systemClock.monotonic() + END_PATIENCE
  while ((await killGroup(tree, group)) > 0) {
    if (!tree.diesFrozen) await tree.thawBelow(group)
    if (systemClock.monotonic() > deadline)
      throw new GantryError('DeadlineExceeded', `processes in ${group} do not end`)
    await delay(systemClock, 5)
  }
}

/** What a machine is made of and with. */
export interface NamespaceMachineParts extends Omit<Boot, 'record'> {
  readonly record: (machine: MachineRecord) => Promise<void>
}

export class NamespaceMachine implements Machine {
  readonly spec: MachineSpec
  readonly address: string
  readonly disk: MachineDisk | undefined
  readonly #making: NamespaceMachineParts
  #handle: Handle

  constructor(making: NamespaceMachineParts, record: MachineRecord) {
    this.spec = making.spec
    this.address = making.address
    this.#making = making
    this.#handle = handleOf(record)
    const {
      place: { group },
      tree,
    } = making
    this.disk = this.#handle.ownDisk
      ? new LoopDisk({ machine: this, group, tree, pid: () => this.#pid, remember: (change) => this.#remember(change) })
      : undefined
  }

  /** The init's, on the host; undefined while the machine is off. */
  get #pid(): number | undefined {
    return isAlive(this.#handle.init) ? this.#handle.init.pid : undefined
  }

  #running(): number {
    const pid = this.#pid
    if (pid === undefined) throw new GantryError('FailedPrecondition', `machine ${this.spec.name} is off`)
    return pid
  }

  async #remember(change: Partial<Handle>): Promise<void> {
    this.#handle = { ...this.#handle, ...change }
    await this.#making.record(recordOf(this.spec, this.address, this.#handle))
  }

  async state(): Promise<MachineState> {
    if (this.#pid === undefined) return 'off'
    return (await this.#making.tree.isFrozen(this.#making.place.group)) ? 'frozen' : 'running'
  }

  async run(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runOn(this.spec.name, this.#running(), named(command), options)
  }

  async startProgram(command: readonly string[]): Promise<JsonValue> {
    const {
      tree,
      place: { group },
    } = this.#making
    return { ...(await startSidecar(tree, group, this.#running(), named(command), this.spec.log)) }
  }

  async endProgram(program: JsonValue): Promise<void> {
    await endSidecar(this.#making.tree, program as unknown as Sidecar)
  }

  async terminal(command: readonly string[]): Promise<number> {
    return terminalOn(this.#running(), named(command))
  }

  readLog(most: number): Promise<string> {
    return readTail(this.spec.log, most)
  }

  async freeze(): Promise<void> {
    this.#running()
    await this.#making.tree.freeze(this.#making.place.group)
  }

  async thaw(): Promise<void> {
    this.#running()
    await this.#making.tree.thaw(this.#making.place.group)
  }

  async kill(): Promise<void> {
    await endMachine(this.#making.tree, this.#making.place, this.#handle)
  }

  async powerOff(): Promise<void> {
    if (!this.#handle.ownDisk)
      throw new GantryError(
        'FailedPrecondition',
        `machine ${this.spec.name} has no disk of its own, whose unwritten pages could be lost`,
      )
    // First the disk: nothing that ends after it can write any more.
    await cutPower(this.#handle.init, this.#making.place.image, this.spec.stateDir)
    await this.kill()
  }

  async start(): Promise<void> {
    if (this.#pid !== undefined) return
    await this.kill() // what a machine that ended by itself has left
    const { ownDisk, full, readOnly, throttle } = this.#handle
    await boot({ ...this.#making, record: (handle) => this.#remember(handle) }, { ownDisk, full, readOnly, throttle })
  }
}

/** InvalidArgument for a command without words. */
function named(command: readonly string[]): readonly [string, ...string[]] {
  const [program, ...args] = command
  if (program === undefined) throw new GantryError('InvalidArgument', 'a command has at least one word')
  return [program, ...args]
}
