/** How a rig comes to be: network, certificates, machines, context; all of it or nothing. */
import { setMaxListeners } from 'node:events'
import { upsertContext } from '../../proto/client/context-changes.ts'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { INGRESS_NODE_LABEL } from '../../proto/objects/ingress/classes.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { formatTime } from '../../proto/base/time.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { identify, isAlive } from '../../proto/base/process.ts'
import { ClusterFiles } from './cluster-files.ts'
import { openCluster } from './cluster-access.ts'
import { startReaper } from './reaper.ts'
import type { Driver, MachineRecord, MachineSpec, NetworkRecord, Shortcoming } from './contract.ts'
import {
  certificateOf,
  controllerSlots,
  CONTROLLER_PORT,
  KUBE_PORT,
  machineSpec,
  nodeSlot,
  REGISTRY_PORT,
  REGISTRY_SLOT,
  type LayoutContext,
  type MachineSlot,
} from './layout.ts'
import { lastLines } from './log-lines.ts'
import { openMachine, withMachine } from './machines.ts'
import { awaitController, awaitNodes, NodesNotReady } from './readiness.ts'
import { removeRig } from './removal.ts'
import {
  claimRig,
  isForeign,
  RECORD_VERSION,
  requireRig,
  updateRig,
  type RecordedOptions,
  type RigRecord,
} from './rig-record.ts'

export interface CreateRigOptions {
  readonly name: string
  readonly driver: Driver
  readonly options: RecordedOptions
  readonly ephemeral: boolean
  /** The person's context file, if the context goes there too. */
  readonly context: { readonly file: string; readonly makeCurrent: boolean } | undefined
  /** Called with the registry's host:port as soon as its machine runs. */
  readonly fill: (registry: string, signal: AbortSignal) => Promise<void>
  readonly timeout: number
  readonly progress: (text: string) => void
  readonly warn: (text: string) => void
  readonly signal: AbortSignal
}

/** Bytes of a machine's log that are looked through for an error. */
const LOG_TAIL = 8192
const LOG_LINES = 8
/** Machines whose logs stand in one error. */
const LOGS = 3

/**
 * Makes a rig. AlreadyExists if there is one of its name; FailedPrecondition if this host cannot hold it, with each
 * shortcoming and its remedy. When it fails, or `signal` is aborted (Cancelled), what was made is removed.
 */
export async function createRig(making: CreateRigOptions): Promise<RigRecord> {
  const { name, driver, options, signal } = making
  judgeHost(
    name,
    await driver.check({ controllers: options.controllers, nodes: options.nodes, diskBytes: options.diskBytes }),
    making.warn,
  )
  if (signal.aborted) throw GantryError.from(signal.reason, 'Cancelled')
  const me = identify(process.pid)!
  const owner = making.ephemeral ? { owner: me } : {}
  await claimRig(
    {
      version: RECORD_VERSION,
      name,
      driver: driver.name,
      created: formatTime(systemClock.now()),
      phase: 'making',
      maker: me,
      ...owner,
      options,
      machines: [],
      faults: [],
    },
    (present) => {
      const { name: other } = present
      if (isForeign(present)) throw taken(other, 'made by another version of Gantry')
      if (present.phase === 'ready') throw taken(other, 'which is up')
      if (!isAlive(present.maker)) throw taken(other, `left half-made by process ${present.maker.pid}, which has ended`)
      throw taken(
        other,
        `which process ${present.maker.pid} is ${present.phase}`,
        'wait for that, or choose another name',
      )
    },
  )
  try {
    return await build(making)
  } catch (thrown) {
    throw await undone(name, signal.aborted ? GantryError.from(signal.reason, 'Cancelled') : GantryError.from(thrown))
  }
}

function taken(
  name: string,
  which: string,
  remedy = `choose another name, or end it with \`gantry rig down ${name}\``,
): GantryError {
  return new GantryError('AlreadyExists', `there is a rig "${name}" already, ${which}`, {
    details: [{ field: 'name', value: name, remedy }],
  })
}

/** Warnings are told; what forbids the rig is thrown, all of it at once. */
export function judgeHost(name: string, shortcomings: readonly Shortcoming[], warn: (text: string) => void): void {
  const words = ({ what, found, needed, remedy }: Shortcoming): string =>
    `${what}: ${found}, ${needed} needed; ${remedy}`
  for (const shortcoming of shortcomings.filter(({ severity }) => severity === 'warning')) warn(words(shortcoming))
  const fatal = shortcomings.filter(({ severity }) => severity === 'fatal')
  if (fatal.length === 0) return
  throw new GantryError(
    'FailedPrecondition',
    `this host cannot hold the rig "${name}":${fatal.map((shortcoming) => `\n  ${words(shortcoming)}`).join('')}`,
    {
      details: fatal.map((shortcoming) => ({
        field: shortcoming.what,
        value: shortcoming.found,
        message: `${shortcoming.needed} needed`,
        remedy: shortcoming.remedy,
      })),
    },
  )
}

/** Removes what was made; what to tell then. */
async function undone(name: string, error: GantryError): Promise<GantryError> {
  try {
    await removeRig(name)
    return error
  } catch (thrown) {
    return new GantryError(
      error.code,
      `${error.message}; and what was made of the rig could not be removed: ${(thrown as Error).message}`,
      {
        details: [...error.details, { field: 'name', value: name, remedy: `\`gantry rig down ${name}\` tries again` }],
        cause: error,
      },
    )
  }
}

async function build(making: CreateRigOptions): Promise<RigRecord> {
  const { name, driver, options, progress } = making
  progress('network')
  if (making.ephemeral) {
    const companion = await startReaper(name)
    await change(name, (rig) => ({ ...rig, companion }))
  }
  await driver.prepare?.(progress, making.signal)
  const files = await ClusterFiles.create(name)
  const network = await driver.createNetwork(
    name,
    async (claimed) => void (await change(name, (rig) => ({ ...rig, network: claimed }))),
  )
  const scene = layoutContextOf(driver, { name, options }, network, files)
  const controllers = controllerSlots(options.controllers)
  const nodes = Array.from({ length: options.nodes }, (_, at) => nodeSlot(at + 1))
  await together(making.signal, (signal) => {
    signal.throwIfAborted()
    progress(`${controllers.length + nodes.length + 1} machines`)
    const start = (slots: readonly MachineSlot[]): Promise<MachineRecord[]> =>
      startMachines({ driver, scene, network, files, slots, signal, change: (call) => change(name, call) })
    const started = [controllers, [REGISTRY_SLOT], nodes].map(start)
    const [first, registry] = started as [Promise<MachineRecord[]>, Promise<MachineRecord[]>]
    return [
      ...started,
      registry
        .then((machines) => driver.endpoint(machines[0]!, REGISTRY_PORT))
        .then((endpoint) => making.fill(endpoint, signal)),
      first
        .then((machines) => writeContexts(making, files, machines))
        .then(() =>
          awaitCluster(
            making,
            nodes.map((node) => node.name),
            signal,
          ),
        ),
    ]
  })
  return change(name, (rig) => ({ ...rig, phase: 'ready' }))
}

/** The record of a rig that is still being made. */
function change(name: string, call: (rig: RigRecord) => RigRecord): Promise<RigRecord> {
  return updateRig(name, (rig) => {
    if (rig.phase === 'making') return call(rig)
    throw new GantryError('Conflict', `the rig "${name}" is being removed meanwhile`)
  })
}

export function layoutContextOf(
  driver: Driver,
  { name, options }: Pick<RigRecord, 'name' | 'options'>,
  network: NetworkRecord,
  files: ClusterFiles,
): LayoutContext {
  return {
    rig: name,
    options,
    installation: driver.installation,
    authority: files.authority,
    hostOf: (slot) => driver.hostOf(network, slot.index, slot.name),
  }
}

/**
 * Runs tasks side by side; when one fails, the signal handed to them is aborted, all are waited for, and the first
 * failure is thrown.
 */
async function together(
  signal: AbortSignal,
  begin: (signal: AbortSignal) => readonly Promise<unknown>[],
): Promise<void> {
  const failure = new AbortController()
  const either = AbortSignal.any([signal, failure.signal])
  setMaxListeners(0, either)
  const ends = begin(either).map((task) =>
    task.catch((thrown: unknown) => {
      if (!failure.signal.aborted) failure.abort(GantryError.from(thrown))
    }),
  )
  await Promise.all(ends)
  either.throwIfAborted()
}

export interface Starting {
  readonly driver: Driver
  readonly scene: LayoutContext
  readonly network: NetworkRecord
  readonly files: ClusterFiles
  readonly slots: readonly MachineSlot[]
  readonly signal: AbortSignal
  /** Changes the rig's record. */
  readonly change: (call: (rig: RigRecord) => RigRecord) => Promise<RigRecord>
}

/** Starts the machines of these slots side by side; when it fails, none of them is still being started. */
export async function startMachines({
  driver,
  scene,
  network,
  files,
  slots,
  signal,
  change,
}: Starting): Promise<MachineRecord[]> {
  const starts = await Promise.allSettled(
    slots.map(async (slot) => {
      const request = certificateOf(slot, scene)
      const spec = machineSpec(scene, slot, request === undefined ? undefined : await files.issue(request))
      signal.throwIfAborted()
      return driver.startMachine(
        scene.rig,
        network,
        spec,
        async (machine) => void (await change((rig) => withMachine(rig, machine))),
      )
    }),
  )
  return starts.map((start) => {
    if (start.status === 'fulfilled') return start.value
    throw start.reason
  })
}

/** Into the rig's own context file, and the person's if it is wanted there. */
async function writeContexts(
  { name, driver, context: wanted }: CreateRigOptions,
  files: ClusterFiles,
  controllers: readonly MachineRecord[],
): Promise<void> {
  const endpoints = (port: number): Promise<string[]> =>
    Promise.all(controllers.map((controller) => driver.endpoint(controller, port)))
  const context = await files.writeContext(await endpoints(CONTROLLER_PORT), await endpoints(KUBE_PORT))
  if (wanted === undefined) return
  await change(name, (rig) => ({ ...rig, contextFile: wanted.file }))
  await upsertContext(wanted.file, context, { makeCurrent: wanted.makeCurrent })
}

/**
 * Until the nodes of these names are ready; what fails is told with the last lines of the logs of those machines that
 * hold it up.
 */
async function awaitCluster(
  { name, driver, timeout, progress }: CreateRigOptions,
  nodes: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const cluster = await openCluster(name, signal, 2_000)
  try {
    await awaitController(cluster, timeout, signal)
    await awaitNodes(cluster, nodes, timeout, signal, (ready) => progress(`${ready} of ${nodes.length} nodes ready`))
    await labelIngressNode(cluster, nodes)
  } catch (thrown) {
    if (signal.aborted) throw thrown
    throw await withLogs(driver, name, GantryError.from(thrown), (machine) =>
      thrown instanceof NodesNotReady ? thrown.nodes.includes(machine.name) : machine.role === 'controller',
    )
  } finally {
    cluster.close()
  }
}

/**
 * Makes the first node the rig's ingress node, as an administrator of a cluster would: Ingresses and Gateways are
 * served there.
 */
async function labelIngressNode(cluster: ClusterClient, [first]: readonly string[]): Promise<void> {
  if (first !== undefined)
    await cluster.patch('Node', '', first, 'MERGE', { metadata: { labels: { [INGRESS_NODE_LABEL]: 'true' } } })
}

/** The error, and the last lines of the logs of these machines. */
export async function withLogs(
  driver: Driver,
  rig: string,
  error: GantryError,
  concerned: (machine: MachineSpec) => boolean,
): Promise<GantryError> {
  const record = await requireRig(rig)
  const logs = await Promise.all(
    record.machines
      .filter(({ spec }) => concerned(spec))
      .slice(0, LOGS)
      .map(async (machine) => {
        const lines = lastLines(await openMachine(driver, record, machine).readLog(LOG_TAIL), LOG_LINES)
        return `\n${machine.spec.name}: ${lines.length === 0 ? 'its log is empty' : `the end of its log:\n${lines.map((line) => `  ${line}`).join('\n')}`}`
      }),
  )
  return new GantryError(error.code, `${error.message}${logs.join('')}`, { details: error.details, cause: error })
}
