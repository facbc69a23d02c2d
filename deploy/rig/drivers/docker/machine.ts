/** A machine that is a container, known by its record: what can be done to it. */
import { Readable } from 'node:stream'
import { extract } from 'tar-stream'
import { GantryError } from '../../../../proto/base/errors.ts'
import { delay, systemClock } from '../../../../proto/base/clock.ts'
import type { CommandOptions, CommandResult } from '../../../../proto/base/command.ts'
import type { JsonValue } from '../../../../proto/gen/types.ts'
import { buildTar } from '../../../image-builder.ts'
import type { Machine, MachineDisk, MachineRecord, MachineSpec, MachineState } from '../../contract.ts'
import { END_FROZEN, FREEZE, SHOW, THAW } from './cgroups.ts'
import { containerName, DISK_VOLUME, groupOf, handleOf, recordOf, type DiskSettings, type Handle } from './container.ts'
import { ContainerDisk, CUT_POWER, settingsFile } from './disk.ts'
import { engineError, hasStatus, type DockerClient } from '../../../docker-engine.ts'
import { endOn, runOn, startOn, terminalOn, type Target } from './exec.ts'

/** Milliseconds for a machine to be set up. */
const START_PATIENCE = 30_000
/** Milliseconds for the processes of a machine to end, or to stand still. */
const END_PATIENCE = 10_000
const LOOK = 5
/** Exit codes of a program that was killed: told, and not told any more. */
const ENDED_WITH_MACHINE = [128 + 9, 128]

type ApiContainer = Target['container']

export class ContainerMachine implements Machine {
  readonly spec: MachineSpec
  readonly address: string
  readonly disk: MachineDisk
  readonly #container: ApiContainer
  readonly #target: Target
  readonly #group: string
  readonly #record: (machine: MachineRecord) => Promise<void>
  #handle: Handle

  constructor(
    docker: DockerClient,
    rig: string,
    machine: MachineRecord,
    record: (machine: MachineRecord) => Promise<void>,
  ) {
    this.spec = machine.spec
    this.address = machine.address
    this.#handle = handleOf(machine)
    this.#container = docker.getContainer(this.#handle.container ?? containerName(rig, machine.spec.name))
    this.#target = { container: this.#container, machine: machine.spec.name }
    this.#group = groupOf(rig, machine.spec.name)
    this.#record = record
    this.disk = new ContainerDisk({
      machine: this,
      group: this.#group,
      isOff: async () => !(await this.#isOn()),
      requireOn: () => this.#requireOn(),
      remember: (change) => this.#settings(change),
    })
  }

  async #remember(change: Partial<Handle>): Promise<void> {
    this.#handle = { ...this.#handle, ...change }
    await this.#record(recordOf(this.spec, this.address, this.#handle))
  }

  async #settings(change: Partial<DiskSettings>): Promise<void> {
    await this.#remember(change)
    const archive = await buildTar({ settings: { content: settingsFile(this.#handle) } })
    try {
      await this.#container.putArchive(Readable.from([archive]), { path: DISK_VOLUME })
    } catch (thrown) {
      throw engineError(thrown, `changing the disk of machine ${this.spec.name}`)
    }
  }

  async #isOn(): Promise<boolean> {
    return isRunning(this.#container)
  }

  async state(): Promise<MachineState> {
    if (!(await this.#isOn())) return 'off'
    try {
      return (await this.#script(SHOW)).stdout.trim() as MachineState
    } catch (thrown) {
      if (GantryError.is(thrown, 'FailedPrecondition')) return 'off' // it ended meanwhile
      throw thrown
    }
  }

  run(command: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return runOn(this.#target, command, options)
  }

  #script(script: string): Promise<CommandResult> {
    return this.run(['sh', '-euc', script, this.#group], { timeout: END_PATIENCE })
  }

  startProgram(command: readonly string[]): Promise<JsonValue> {
    return startOn(this.#target, command, this.spec.log)
  }

  endProgram(program: JsonValue): Promise<void> {
    return endOn(this.#target, program as string)
  }

  terminal(command: readonly string[]): Promise<number> {
    return terminalOn(this.#target, command)
  }

  async readLog(most: number): Promise<string> {
    if (!(await this.#isOn())) return readTail(this.#container, this.spec.log, most)
    // With 1, it is not there yet.
    return (await this.run(['tail', '-c', String(most), this.spec.log], { allow: [0, 1] })).stdout
  }

  async freeze(): Promise<void> {
    await this.#requireOn()
    await this.#remember({ frozen: true })
    try {
      await this.#script(FREEZE)
    } catch (thrown) {
      await this.thaw()
      throw thrown
    }
  }

  async thaw(): Promise<void> {
    await this.#requireOn()
    await this.#script(THAW)
    await this.#remember({ frozen: false })
  }

  async #requireOn(): Promise<void> {
    if (!(await this.#isOn())) throw new GantryError('FailedPrecondition', `machine ${this.spec.name} is off`)
  }

  async kill(): Promise<void> {
    if ((await this.state()) === 'frozen') await endFrozen(this.#target, this.#group)
    await endContainer(this.#container)
  }

  async powerOff(): Promise<void> {
    // First the disk: nothing that ends after it can write any more.
    if (await this.#isOn()) await this.run(['perl', '-e', CUT_POWER, this.spec.stateDir])
    await this.kill()
  }

  async start(): Promise<void> {
    if (await this.#isOn()) return
    if (this.#handle.frozen === true) await this.#remember({ frozen: false })
    try {
      await startContainer(this.#container, this.spec)
    } catch (thrown) {
      throw engineError(thrown, `starting machine ${this.spec.name}`)
    }
  }

  /** Ends what would not end by itself when the container is removed: frozen processes. */
  async prepareRemoval(): Promise<void> {
    if (this.#handle.frozen === true && (await this.state()) === 'frozen') await endFrozen(this.#target, this.#group)
  }
}

/**
 * Ends a machine's processes, of which frozen ones would not end with the container. That ends with the last of them,
 * and takes this very script along.
 */
export async function endFrozen(target: Target, group: string): Promise<void> {
  try {
    await runOn(target, ['sh', '-euc', END_FROZEN, group], { timeout: END_PATIENCE, allow: [0, ...ENDED_WITH_MACHINE] })
  } catch (thrown) {
    if (!GantryError.is(thrown, 'FailedPrecondition')) throw thrown
  }
}

async function isRunning(container: ApiContainer): Promise<boolean> {
  try {
    return (await container.inspect()).State.Running
  } catch (thrown) {
    if (hasStatus(thrown, 404)) return false
    throw engineError(thrown, 'looking at a machine')
  }
}

/**
 * Starts a container; resolves when machine-boot has set it up. Internal, with what it said and the end of its log, if
 * it does not. Errors of the engine as they are.
 */
export async function startContainer(container: ApiContainer, spec: MachineSpec): Promise<void> {
  const output = (await container.attach({ stream: true, stdout: true, stderr: true })) as unknown as Readable
  let said = ''
  let started = false
  let late = false
  const timer = systemClock.after(START_PATIENCE, () => {
    late = true
    output.destroy()
  })
  try {
    await container.start()
    started = true
    // Frames of one stream each, with a header of eight bytes:
    // https://docs.docker.com/reference/api/engine/version/v1.45/#tag/Container/operation/ContainerAttach
    for await (const chunk of output as AsyncIterable<Buffer>) {
      said += chunk.subarray(8).toString()
      if (/^ready$/m.test(said)) return
    }
    throw new GantryError('Internal', said.trim() || 'it ended at once')
  } catch (thrown) {
    if (!started) throw thrown
    const message = late
      ? `it was not set up within ${START_PATIENCE} ms ${said.trim()}`
      : GantryError.from(thrown).message
    const log = (await readTail(container, spec.log, 4_000)).trim().split('\n').slice(-10).join('\n')
    throw new GantryError('Internal', `machine ${spec.name} did not start: ${message}${log === '' ? '' : `\n${log}`}`, {
      cause: thrown,
    })
  } finally {
    timer.cancel()
    output.destroy()
  }
}

/** Ends every process in it; resolves when they are gone. */
async function endContainer(container: ApiContainer): Promise<void> {
  try {
    await container.kill({ signal: 'KILL' })
  } catch (thrown) {
    if (hasStatus(thrown, 404, 409)) return
    throw engineError(thrown, 'ending a machine')
  }
  const deadline = systemClock.monotonic() + END_PATIENCE
  while (await isRunning(container)) {
    if (systemClock.monotonic() > deadline)
      throw new GantryError('DeadlineExceeded', `a machine does not end within ${END_PATIENCE} ms`)
    await delay(systemClock, LOOK)
  }
}

/** The end of a file of a container, whether it runs or not; '' if it is not there. */
async function readTail(container: ApiContainer, path: string, most: number): Promise<string> {
  let archive
  try {
    archive = (await container.getArchive({ path })) as Readable
  } catch (thrown) {
    if (hasStatus(thrown, 404)) return ''
    throw engineError(thrown, `reading ${path}`)
  }
  const files = extract()
  archive.on('error', (thrown) => files.destroy(thrown)).pipe(files)
  for await (const entry of files) {
    let tail = Buffer.alloc(0)
    for await (const chunk of entry as AsyncIterable<Buffer>) tail = Buffer.concat([tail, chunk]).subarray(-most)
    return tail.toString()
  }
  return ''
}
