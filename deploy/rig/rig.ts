/** A rig: several machines on this host that are a cluster, with faults on command. */
import { setMaxListeners } from 'node:events'
import { resolve } from 'node:path'
import { contextFilePath, loadCredentials, type Context, type Credentials } from '../../proto/client/context.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { systemRandom } from '../../proto/base/random.ts'
import { checkOptionsOf, DEFAULT_TIMEOUT_MS } from './wait-options.ts'
import { openCluster, rigContext } from './cluster-access.ts'
import { kubeconfigFile, ownContextFile } from './cluster-files.ts'
import type { Driver, MachineRecord } from './contract.ts'
import { pushDemoImages } from './demo.ts'
import { openDriver } from './drivers/index.ts'
import type { FaultRecord } from './faults/contract.ts'
import { FaultEngine, type BeginOptions } from './faults/fault-engine.ts'
import { faultTypes } from './faults/index.ts'
import { loadImage, type LoadedImage } from './images/load.ts'
import { REGISTRY, REGISTRY_PORT } from './layout.ts'
import { writeArchive, type ArchiveReport } from './logs/archive.ts'
import { sourcesOf } from './logs/sources.ts'
import { openMachine, openMachines, requireMachine } from './machines.ts'
import { createRig } from './rig-creation.ts'
import { checkName, checkOptions, RIG_OPTIONS, type OpenOptions, type RigOptions } from './options.ts'
import { removeRig, sweepRigs, type RemovedRig } from './removal.ts'
import { addNodes, removeNode, sweepJoining, type Resizing } from './resizing.ts'
import { isForeign, listRigs, requireRig, rigNames, type RigRecord } from './rig-record.ts'
import { RigHandle, type NodeRemoval, type RigHandleParts } from './rig-handle.ts'
import { RigMachine } from './rig-machine.ts'
import { rigFaultBackend } from './rig-fault-backend.ts'
import { summarizeRigs, type RigSummary } from './summary.ts'

/**
 * A rig that is up. Errors are GantryErrors; those of the cluster itself as the command line has them.
 *
 *     await using rig = await Rig.up({ nodes: 3 })
 *     await rig.apply('web.yaml')
 *     await rig.until('deployment/web', 'Ready')
 *     await rig.node('n2').kill()
 *     await rig.partition(['n1'], ['n3'], { for: 5_000 })
 */
export class Rig extends RigHandle {
  readonly driver: Driver
  readonly #context: Context
  readonly #engine: FaultEngine
  readonly #tell: Pick<Resizing, 'progress' | 'warn'>
  /** This object made the rig, and so its end is the rig's. */
  readonly #made: boolean
  #record: RigRecord

  private constructor(
    parts: RigHandleParts & {
      readonly driver: Driver
      readonly context: Context
      readonly tell: Pick<Resizing, 'progress' | 'warn'>
      readonly made: boolean
      readonly record: RigRecord
    },
  ) {
    super(parts)
    this.driver = parts.driver
    this.#context = parts.context
    this.#tell = parts.tell
    this.#made = parts.made
    this.#record = parts.record
    this.#engine = new FaultEngine(rigFaultBackend(parts.record.name, parts.driver), faultTypes)
  }

  /**
   * Makes a rig; it is there when all of its nodes are Ready. InvalidArgument for options that cannot be, AlreadyExists
   * for a name that is taken, FailedPrecondition, with each shortcoming and its remedy, for a host that cannot hold it,
   * DeadlineExceeded, with the last lines of the logs, for a cluster that does not come up. When it fails nothing of it
   * is left.
   */
  static async up(options: RigOptions = {}): Promise<Rig> {
    checkOptionsOf('Rig.up', options, RIG_OPTIONS)
    const {
      ephemeral = true,
      demo = true,
      context = false,
      contextFile = contextFilePath(process.env),
      timeout = DEFAULT_TIMEOUT_MS,
      progress = () => undefined,
      warn = warnProcess,
      signal = new AbortController().signal,
      fillRegistry,
    } = options
    const recorded = checkOptions(options)
    const name = options.name ?? (await freeName())
    checkName(name)
    const driver = await openDriver(options.driver ?? 'namespaces')
    await Rig.sweep(warn)
    const fill = async (registry: string, limited: AbortSignal): Promise<void> => {
      if (demo) await pushDemoImages(registry, limited)
      await fillRegistry?.(registry)
    }
    const record = await createRig({
      name,
      driver,
      options: recorded,
      ephemeral,
      timeout,
      progress,
      warn,
      signal,
      fill,
      context: context === false ? undefined : { file: contextFile, makeCurrent: context === 'current' },
    })
    try {
      return await Rig.#over(driver, record, true, { progress, warn })
    } catch (thrown) {
      await removeRig(name)
      throw thrown
    }
  }

  /**
   * A rig that is up, made by whichever process; `signal` ends what is under way, not the rig. NotFound if there is
   * none, FailedPrecondition for one that is half-made or another version's.
   */
  static async open(name: string, options: OpenOptions = {}): Promise<Rig> {
    checkOptionsOf('Rig.open', options, ['progress', 'warn', 'signal'])
    const { progress = () => undefined, warn = warnProcess, signal } = options
    const record = await requireRig(name)
    if (record.phase !== 'ready')
      throw new GantryError(
        'FailedPrecondition',
        `the rig "${name}" is not up: process ${record.maker.pid} is ${record.phase} it, or did not finish`,
        { details: [{ field: 'name', value: name, remedy: `wait for that, or \`gantry rig down ${name}\`` }] },
      )
    const rig = await Rig.#over(await openDriver(record.driver), record, false, { progress, warn })
    signal?.addEventListener('abort', () => rig.end.abort(signal.reason), { once: true })
    return rig
  }

  static async #over(
    driver: Driver,
    record: RigRecord,
    made: boolean,
    tell: Pick<Resizing, 'progress' | 'warn'>,
  ): Promise<Rig> {
    const end = new AbortController()
    setMaxListeners(0, end.signal) // one for each call under way
    const [client, context, registry] = await Promise.all([
      openCluster(record.name, end.signal),
      rigContext(record.name),
      driver.endpoint(requireMachine(record, REGISTRY), REGISTRY_PORT),
    ])
    return new Rig({ driver, registry, client, context, end, tell, made, record })
  }

  /** All rigs of this host. */
  static list(): Promise<RigSummary[]> {
    return summarizeRigs()
  }

  /**
   * Removes what nobody can want any more: ephemeral rigs whose owner has ended, half-made ones whose maker has, nodes
   * that a process was adding when it ended. `warn` is told of each, and of those that resist.
   */
  static async sweep(warn: (text: string) => void = warnProcess): Promise<RemovedRig[]> {
    const swept = await sweepRigs((name, error) =>
      warn(`the rig "${name}" is to be removed, and cannot be: ${error.message}`),
    )
    for (const { name, why } of swept) warn(`removed the rig "${name}": ${why}`)
    await Promise.all(
      (await listRigs()).map(async (rig) => {
        if (isForeign(rig)) return
        const nodes = await sweepJoining(rig, (error) =>
          warn(`nodes of the rig "${rig.name}" that were left half-added cannot be removed: ${error.message}`),
        )
        if (nodes.length > 0)
          warn(
            `removed ${nodes.join(', ')} from the rig "${rig.name}": the process that was adding ${nodes.length === 1 ? 'it' : 'them'} has ended`,
          )
      }),
    )
    return swept
  }

  get name(): string {
    return this.#record.name
  }

  /** What the rig consists of, as it was read last: by `up`, `open`, `refresh` and what changes its machines. */
  get record(): RigRecord {
    return this.#record
  }

  /** Reads the record again: another process may have changed it. */
  async refresh(): Promise<RigRecord> {
    return (this.#record = await requireRig(this.name))
  }

  /**
   * How others reach the cluster: `gantry --config FILE --context NAME`; controllers as host:port. The file goes with
   * the rig.
   */
  context(): { readonly name: string; readonly file: string; readonly server: readonly string[] } {
    return { name: this.#context.name, file: ownContextFile(this.name), server: this.#context.server }
  }

  protected get clusterContext(): Context {
    return this.#context
  }

  protected async credentials(): Promise<Credentials> {
    return (await loadCredentials(this.#context, ownContextFile(this.name)))!
  }

  protected async contextFile(): Promise<string> {
    return ownContextFile(this.name)
  }

  /** For $KUBECONFIG: a file that is there as long as the rig, and names the first of its controllers. */
  get kubeconfigFile(): string {
    return kubeconfigFile(this.name)
  }

  /** Controllers, nodes, registry. */
  get machines(): readonly RigMachine[] {
    return this.#record.machines.map((machine) => this.#wrap(machine))
  }

  /** NotFound, with the nearest name, if there is none. */
  machine(name: string): RigMachine {
    return this.#wrap(requireMachine(this.#record, name))
  }

  /** The controller with this number, from 1. */
  controller(number = 1): RigMachine {
    const controllers = this.machines.filter(({ role }) => role === 'controller')
    const found = controllers[number - 1]
    if (found === undefined)
      throw new GantryError(
        'NotFound',
        `the rig "${this.name}" has ${controllers.length} controller${controllers.length === 1 ? '' : 's'}, no number ${number}`,
        { details: [{ field: 'number', value: String(number) }] },
      )
    return found
  }

  #wrap(machine: MachineRecord): RigMachine {
    const { name, role } = machine.spec
    return new RigMachine(
      { name, role, address: machine.address },
      async () => {
        const record = await this.refresh()
        return openMachine(this.driver, record, requireMachine(record, name))
      },
      this,
    )
  }

  protected beginFault(
    kind: string,
    values: Readonly<Record<string, unknown>>,
    options: BeginOptions,
  ): Promise<FaultRecord> {
    return this.#engine.begin(kind, values, options)
  }

  /** Ends these faults, or all; those that were in force. NotFound for an id that there never was. */
  heal(...ids: string[]): Promise<FaultRecord[]> {
    return this.#engine.heal(ids.length === 0 ? undefined : ids)
  }

  /** In force, and the latest that have ended, in the order they began. */
  async faults(): Promise<FaultRecord[]> {
    return [...(await this.refresh()).faults]
  }

  /** Starts a machine that a fault keeps off; that ends the fault. No error if it runs. */
  startMachine(name: string): Promise<void> {
    return this.#engine.start(name)
  }

  /** Adds nodes with the lowest free numbers; they, once they are ready. */
  async addNode(count = 1): Promise<RigMachine[]> {
    const names = await addNodes(this.name, count, this.#resizing())
    await this.refresh()
    return names.map((name) => this.machine(name))
  }

  /** Empties a node politely, then takes it away with its machine. */
  async removeNode(name: string, removal: NodeRemoval = {}): Promise<void> {
    checkOptionsOf('removeNode', removal, ['now'])
    await removeNode(this.name, name, removal.now ?? false, this.#resizing())
    await this.refresh()
  }

  #resizing(): Resizing {
    return { driver: this.driver, cluster: this.client, signal: this.end.signal, ...this.#tell }
  }

  /**
   * Puts an image onto every node without a registry: an archive or OCI layout by its path, or an image of the Docker
   * engine here by its name. `name`: for one that its archive has no name for.
   */
  async load(image: string, options: { readonly name?: string | undefined } = {}): Promise<readonly LoadedImage[]> {
    checkOptionsOf('load', options, ['name'])
    const { name } = options
    const record = await this.refresh()
    const nodes = record.machines
      .filter(({ spec }) => spec.role === 'node')
      .map((machine) => openMachine(this.driver, record, machine))
    return loadImage(image, this.driver, nodes, {
      name,
      signal: this.end.signal,
      progress: (done, all) => this.#tell.progress(`${image} is on ${done} of ${all} nodes`),
    })
  }

  /** Writes one archive (.tar.gz) with all that a report of a fault needs; its path. */
  async logs(file: string): Promise<string> {
    return (await this.archive(file)).file
  }

  /** As `logs`; what is in it, and what could not be had. */
  async archive(file: string): Promise<ArchiveReport> {
    const record = await this.refresh()
    const items = sourcesOf({
      record,
      driver: this.driver,
      machines: openMachines(this.driver, record),
      client: this.client,
      clock: systemClock,
    })
    return writeArchive(resolve(file), this.name, items, { clock: systemClock, signal: this.end.signal })
  }

  /** Ends the rig: nothing of it stays. */
  async down(): Promise<void> {
    this.close()
    await removeRig(this.name)
  }

  /** Lets go of the rig, which goes on. */
  close(): void {
    this.letGo(`the rig "${this.name}" was let go of`)
  }

  /** `down` for the object that made the rig by `up`, `close` for others. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#made) await this.down()
    else this.close()
  }
}

function warnProcess(text: string): void {
  process.emitWarning(text, 'GantryRig')
}

/** "rig-k3x9qa", a name that no rig has. */
async function freeName(): Promise<string> {
  const taken = await rigNames()
  for (;;) {
    const name = `rig-${Math.floor(systemRandom.next() * 36 ** 6)
      .toString(36)
      .padStart(6, '0')}`
    if (!taken.includes(name)) return name
  }
}
