/** Nodes of a running rig come and go. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterClient } from '../../proto/client/cluster.ts'
import { awaitGone } from '../../proto/client/gone-wait.ts'
import { mapConcurrently } from '../../proto/client/manifests/apply-plan.ts'
import { systemClock } from '../../proto/base/clock.ts'
import { GantryError } from '../../proto/base/errors.ts'
import { identify, isAlive } from '../../proto/base/process.ts'
import { ClusterFiles } from './cluster-files.ts'
import { openCluster } from './cluster-access.ts'
import type { Driver } from './contract.ts'
import { openDriver } from './drivers/index.ts'
import { freeNodeNumbers, MAX_NODES, nodeSlot } from './layout.ts'
import { judgeHost, layoutContextOf, startMachines, withLogs } from './rig-creation.ts'
import { requireMachine } from './machines.ts'
import { awaitNodes, NodesNotReady } from './readiness.ts'
import { requireRig, rigDirectory, updateRig, type RigRecord } from './rig-record.ts'

/** Milliseconds for new nodes to be ready, and for the pods of one that goes to end. */
const RESIZE_TIMEOUT_MS = 60_000
/** Milliseconds for a controller to forget a node. */
const UNREGISTER_PATIENCE = 5_000

export interface Resizing {
  readonly driver: Driver
  readonly cluster: ClusterClient
  readonly signal: AbortSignal
  readonly progress: (text: string) => void
  readonly warn: (text: string) => void
}

/**
 * Adds nodes with the lowest free numbers; their names, once they are ready. Those that do not come up are removed
 * again.
 */
export async function addNodes(
  name: string,
  count: number,
  { driver, cluster, signal, progress, warn }: Resizing,
): Promise<string[]> {
  if (!driver.capabilities.resize)
    throw new GantryError('FailedPrecondition', `the driver "${driver.name}" cannot add machines to a rig`)
  const rig = await requireRig(name)
  if (!Number.isInteger(count) || count < 1)
    throw new GantryError('InvalidArgument', `the count of nodes must be a whole number from 1, not ${count}`, {
      details: [{ field: 'count', value: String(count) }],
    })
  judgeHost(name, await driver.check({ controllers: 0, nodes: count, diskBytes: rig.options.diskBytes }), warn)
  const slots = (await claimNumbers(name, count)).map(nodeSlot)
  const names = slots.map((slot) => slot.name)
  try {
    progress(`starting ${names.join(', ')}`)
    const files = await ClusterFiles.open(name)
    await startMachines({
      driver,
      scene: layoutContextOf(driver, rig, rig.network!, files),
      network: rig.network!,
      files,
      slots,
      signal,
      change: (call) => change(name, call),
    })
    await awaitNodes(cluster, names, RESIZE_TIMEOUT_MS, signal, (ready) => progress(`${ready} of ${count} nodes ready`))
  } catch (thrown) {
    const error = signal.aborted
      ? GantryError.from(signal.reason, 'Cancelled')
      : thrown instanceof NodesNotReady
        ? await withLogs(driver, name, thrown, (machine) => thrown.nodes.includes(machine.name))
        : GantryError.from(thrown)
    await forgetNodes(name, driver, names)
    throw error
  }
  await letGo(name, names)
  return names
}

/** The names are nodes now, or free again. */
async function letGo(name: string, names: readonly string[]): Promise<void> {
  await updateRig(name, (latest) => ({
    ...latest,
    joining: (latest.joining ?? []).filter((one) => !names.includes(one.name)),
  }))
}

/**
 * Removes nodes that did not come to be, as far as they came: machines, and Node objects. Then their names are free.
 */
async function forgetNodes(name: string, driver: Driver, names: readonly string[]): Promise<void> {
  const { machines, network } = await requireRig(name)
  const theirs = machines.filter(({ spec }) => names.includes(spec.name))
  await Promise.all(theirs.map((machine) => driver.removeMachine(name, network!, machine)))
  await unregister(
    name,
    theirs.map(({ spec }) => spec.name),
  )
  await Promise.all(names.map((node) => forgetMachine(name, node)))
  await letGo(name, names)
}

/** Deletes Node objects, whatever has been aborted. */
async function unregister(name: string, nodes: readonly string[]): Promise<void> {
  const cluster = await openCluster(name, new AbortController().signal, UNREGISTER_PATIENCE)
  try {
    for (const node of nodes) await ignoreMissing(cluster.delete('Node', '', node))
  } finally {
    cluster.close()
  }
}

/**
 * Removes the nodes of a rig that a process was adding when it ended; what cannot be removed now is told to `failed`.
 */
export async function sweepJoining(rig: RigRecord, failed: (error: GantryError) => void): Promise<string[]> {
  const names = (rig.joining ?? []).filter(({ by }) => !isAlive(by)).map((one) => one.name)
  if (rig.phase !== 'ready' || names.length === 0) return []
  try {
    await forgetNodes(rig.name, await openDriver(rig.driver), names)
    return names
  } catch (thrown) {
    failed(GantryError.from(thrown))
    return []
  }
}

/**
 * The lowest numbers that no node has, and that no process is giving to one; ours until they are let go of. Those of a
 * process that has ended are taken, too, until its half-added nodes are removed.
 */
export async function claimNumbers(name: string, count: number): Promise<number[]> {
  const by = identify(process.pid)!
  let numbers: number[] = []
  await change(name, (rig) => {
    const joining = rig.joining ?? []
    const taken = [...rig.machines.map(({ spec }) => spec.name), ...joining.map((one) => one.name)]
    numbers = freeNodeNumbers(taken, count)
    if (numbers.length < count)
      throw new GantryError(
        'ResourceExhausted',
        `the rig "${name}" has room for ${numbers.length} more node${numbers.length === 1 ? '' : 's'}, not ${count}: its network is a /24, of which ${MAX_NODES} addresses are for nodes`,
      )
    return { ...rig, joining: [...joining, ...numbers.map((number) => ({ name: nodeSlot(number).name, by }))] }
  })
  return numbers
}

/** The record of a rig that is up. */
function change(name: string, call: (rig: RigRecord) => RigRecord): Promise<RigRecord> {
  return updateRig(name, (rig) => {
    if (rig.phase === 'ready') return call(rig)
    throw new GantryError('FailedPrecondition', `the rig "${name}" is not up: it is in the phase "${rig.phase}"`, {
      details: [{ field: 'phase', value: rig.phase, remedy: '`gantry rig list` tells more' }],
    })
  })
}

/**
 * Takes a node away: no new pods on it, its pods deleted with their grace, then its object and its machine. With `now`
 * the machine goes first and at once, as if it had burnt; its object goes after it. DeadlineExceeded, naming the pods,
 * if they do not end in a minute; the node then stays, cordoned.
 */
export async function removeNode(
  name: string,
  node: string,
  now: boolean,
  { driver, cluster, signal, progress }: Resizing,
): Promise<void> {
  const machine = requireMachine(await requireRig(name), node)
  if (machine.spec.role !== 'node')
    throw new GantryError('InvalidArgument', `"${node}" is a ${machine.spec.role}, not a node`, {
      details: [{ field: 'node', value: node, remedy: 'only nodes can be removed' }],
    })
  if (!driver.capabilities.resize)
    throw new GantryError('FailedPrecondition', `the driver "${driver.name}" cannot take machines from a rig`)
  const drop = async (): Promise<void> => driver.removeMachine(name, (await requireRig(name)).network!, machine)
  if (now) await drop()
  else await empty(cluster, node, signal, progress)
  await ignoreMissing(cluster.delete('Node', '', node))
  if (!now) await drop()
  // Last: broken off before, it can be done again.
  await forgetMachine(name, node)
}

async function empty(
  cluster: ClusterClient,
  node: string,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<void> {
  if ((await cluster.find('Node', '', node)) === undefined) return
  await cluster.patch('Node', '', node, 'MERGE', { spec: { unschedulable: true } })
  const { items } = await cluster.list('Pod', { namespace: '', fieldSelector: `spec.nodeName=${node}` })
  if (items.length === 0) return
  progress(`ending ${items.length} pod${items.length === 1 ? '' : 's'} on ${node}`)
  const ending = await mapConcurrently(items, async ({ metadata }) =>
    ignoreMissing(cluster.delete('Pod', metadata.namespace, metadata.name, { uid: metadata.uid })),
  )
  const gone = ending.filter((pod) => pod !== undefined)
  await awaitGone(cluster, gone, { clock: systemClock, signal, timeout: RESIZE_TIMEOUT_MS })
}

async function ignoreMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (thrown) {
    if (GantryError.is(thrown, 'NotFound')) return undefined
    throw thrown
  }
}

async function forgetMachine(name: string, machine: string): Promise<void> {
  await rm(join(rigDirectory(name), machine), { recursive: true, force: true })
  await updateRig(name, (rig) => ({ ...rig, machines: rig.machines.filter(({ spec }) => spec.name !== machine) }))
}
