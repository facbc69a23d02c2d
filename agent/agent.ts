/** The agent put together: its parts by construction, its start and its end in order. */
import { KUBERNETES_VERSION } from '../proto/base/version.ts'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { quantityValue } from '../proto/base/quantity.ts'
import type { Connection } from '../proto/rpc/rpc.ts'
import type { Clock } from '../proto/base/clock.ts'
import type { Logger } from '../proto/base/logger.ts'
import { randomUuid, type Random } from '../proto/base/random.ts'
import { RunGroup } from '../proto/base/run-group.ts'
import { serveLocally } from './admin/local-server.ts'
import { acquireAgentLock } from './host/agent-lock.ts'
import type { AgentConfig } from './config.ts'
import type { ImageService } from './images/contract.ts'
import type { Run } from './host/launcher.ts'
import { NetworkSync } from './network/network-sync.ts'
import { ViewFile } from './network/view-file.ts'
import { TableWatch } from './network/table-watch.ts'
import type { Networking, NodeIdentity } from './networking.ts'
import { NodePages } from './metrics/node-pages.ts'
import { MachineCgroup } from './node/machine-cgroup.ts'
import { readMachine, type Machine } from './node/machine.ts'
import { nodeAddress, nodeAllocatable, nodeCapacity, nodeObject, type NodeSettings } from './node/node-object.ts'
import { NodeStatusWatcher } from './node/node-status-watcher.ts'
import { pressureConditions, readLevels, type ResourceLevels } from './node/pressure.ts'
import { reservedPorts } from './node/reserved-ports.ts'
import { AssignedObjects } from './pods/assigned-objects.ts'
import { Housekeeping } from './pods/housekeeping.ts'
import { ImageUserCache } from './pods/steps/image-user-cache.ts'
import { NodeNetwork } from './pods/node-network.ts'
import { EventRecorder } from './pods/status/pod-events.ts'
import { PodManager } from './pods/pod-manager.ts'
import { FilePodDisk } from './pods/steps/pod-disk.ts'
import { NodeHandlerRunner } from './pods/health/node-handler-runner.ts'
import type { RuntimeDriver } from './runtime/contract.ts'
import { Cgroups } from './runtime/oci/cgroups.ts'
import { Outbox } from './session/outbox.ts'
import { Session } from './session/session.ts'
import type { StateStore } from './state/contract.ts'
import { NetworkChecks } from './streams/netcheck/network-checks.ts'
import { PodNodeStreams } from './streams/node-streams.ts'
import { UsageMeter } from './streams/usage-meter.ts'
import { PodDialer } from './streams/pod-dialer.ts'
import { isTmpfs, mountTmpfs } from './host/mount-table.ts'
import { PodFolders } from './volumes/pod-folders.ts'
import { VolumeManager } from './volumes/volume-manager.ts'

export interface AgentParts {
  readonly config: AgentConfig
  readonly version: string
  readonly runtime: RuntimeDriver
  readonly images: ImageService
  readonly networking: (node: NodeIdentity) => Networking
  /** Starts programs. */
  readonly run: Run
  readonly state: StateStore
  readonly connect: (address: string) => Connection
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/**
 * Runs until the signal is aborted; containers live on. Rejects when the machine cannot do it (FailedPrecondition names
 * what is missing).
 */
export async function runAgent(parts: AgentParts, signal: AbortSignal): Promise<void> {
  const { config, version, runtime, images, state, clock, random, log } = parts
  // Secrets, logs and what pods write stand below: nobody but root has any business there, containers reach their part
  // through mounts.
  for (const directory of [config.stateDir, config.runDir]) await mkdir(directory, { recursive: true, mode: 0o700 })
  // What stands there is written for each container and lives no longer than the machine's boot: no disk is to be
  // waited for.
  if (!(await isTmpfs(config.runDir))) await mountTmpfs(config.runDir, 'mode=0700')
  acquireAgentLock(config.runDir)
  const viewDirectory = join(config.runDir, 'view')
  await mkdir(viewDirectory, { recursive: true, mode: 0o700 })
  const group =
    config.machineCgroup === undefined
      ? undefined
      : new MachineCgroup(await Cgroups.detect(clock), config.machineCgroup)
  const readOwn = async (): Promise<Machine> => {
    const host = await readMachine(config.stateDir)
    return group === undefined ? host : group.machine(host)
  }
  const readOwnLevels = async (): Promise<ResourceLevels> => {
    const host = await readLevels(config.stateDir)
    return group === undefined ? host : group.levels(host)
  }
  const machine = await readOwn()
  const settings: NodeSettings = {
    ...config,
    name: config.name ?? machine.hostname.toLowerCase(),
    address: config.address,
  }
  const capacity = nodeCapacity(machine, settings)
  const address = nodeAddress(machine, settings)
  const outbox = new Outbox()
  const events = new EventRecorder(settings.name, clock, random, (event) => outbox.event(event))
  const networking = parts.networking({
    name: settings.name,
    address,
    warn(about, reason, message) {
      const object = network.view.objects(about.kind).get(`${about.namespace}/${about.name}`)
      if (object !== undefined) events.recordOf(object, 'Warning', reason, message)
    },
  })
  const network = new NetworkSync({
    kept: new ViewFile(viewDirectory, log.child({ component: 'network' })),
    parts: networking.parts,
    applied: (revision) => outbox.networkApplied(revision),
    clock,
    random,
    logger: log.child({ component: 'network' }),
  })
  const tables = new TableWatch({
    run: parts.run,
    clock,
    logger: log.child({ component: 'network' }),
    owners: [
      ...network.tableOwners,
      { name: 'pod network', tables: () => networking.network.tables?.() ?? [], restore: undefined },
    ],
  })
  const folders = new PodFolders(config.stateDir, config.runDir, runtime.podFiles?.bind(runtime))
  const rotation = { size: quantityValue(config.logs.maxSize), files: config.logs.maxFiles }
  const steps = new RunGroup()
  await Promise.all([runtime.start(), images.start()])
  const versions = { agent: KUBERNETES_VERSION, runtime: `${runtime.name}://${runtime.version ?? ''}` }
  const watch = new NodeStatusWatcher({
    read: async () => {
      const [now, levels, present] = await Promise.all([readOwn(), readOwnLevels(), images.list()])
      return nodeObject(now, settings, versions, {
        conditions: pressureConditions(levels, clock.now()),
        images: present,
      })
    },
    report: (status) => outbox.nodeStatusChanged(status),
    clock,
    log: log.child({ component: 'node' }),
  })
  const pods = new PodManager({
    clock,
    random,
    runtime,
    images,
    state,
    folders,
    actions: new NodeHandlerRunner({ runtime, version }),
    log: log.child({ component: 'pods' }),
    group: steps,
    network: new NodeNetwork(networking.network, networking.guard, networking.segments),
    volumes: new VolumeManager(folders),
    disk: new FilePodDisk(folders),
    objects: new AssignedObjects(),
    services: () => network.view.objects('Service').values(),
    accounts: new ImageUserCache(),
    events,
    reports: outbox,
    node: {
      name: settings.name,
      hostname: machine.hostname,
      address,
      get allocatable() {
        return watch.latest?.status.allocatable ?? nodeAllocatable(capacity, settings)
      },
      memoryCapacity: quantityValue(capacity.memory!),
      pidsLimit: config.podPidsLimit,
      // Classes are told to ingress nodes, and to no others.
      get reservedPorts() {
        return reservedPorts(config, network.view.objects('IngressClass').size > 0)
      },
      seccompFolder: join(config.stateDir, 'seccomp'),
      allowedUnsafeSysctls: config.allowedUnsafeSysctls,
    },
    origin: { runtime: runtime.name, hostAddress: address },
  })
  await network.load()
  await pods.start()
  // Not before the guard knows the addresses of the pods that live on: the control plane may never have heard of them.
  network.start()
  const dialer = new PodDialer({
    directory: join(config.runDir, 'doors'),
    clock,
    log: log.child({ component: 'streams' }),
  })
  const streams = new PodNodeStreams({
    find: (uid) => pods.target(uid),
    dialer,
    runtime,
    clock,
    group: steps,
    pages: new NodePages({
      node: settings.name,
      version: versions.agent,
      targets: () => pods.targets(),
      runtime,
      clock,
      stateDir: config.stateDir,
      machine: readOwn,
      use: group && (() => group.use()),
    }),
    usage: new UsageMeter({ targets: () => pods.targets(), runtime, clock, machine: group && (() => group.use()) }),
    checks: new NetworkChecks({
      network: networking.network,
      nodeAddress: address,
      tables,
      run: parts.run,
      group: steps,
      clock,
      random,
      log: log.child({ component: 'streams' }),
    }),
  })
  const session = new Session({
    controllers: config.controllers,
    connect: parts.connect,
    workload: pods,
    streams,
    network,
    outbox,
    node: () => watch.nodeForHello(),
    agentId: randomUuid(random),
    version,
    clock,
    random,
    log: log.child({ component: 'session' }),
  })
  const housekeeping = new Housekeeping({
    pods,
    images,
    runtime,
    clock,
    rotation,
    log: log.child({ component: 'housekeeping' }),
  })
  const tasks = new RunGroup(signal)
  tasks.add((stop) => session.run(stop))
  tasks.add((stop) => housekeeping.run(stop))
  tasks.add((stop) => tables.watch(stop))
  tasks.add((stop) => watch.run(stop))
  tasks.add((stop) => serveLocally(config.runDir, images, stop))
  log.info({ node: settings.name, address, runtime: runtime.name, stateDir: config.stateDir }, 'agent started')
  try {
    await tasks.wait()
  } finally {
    dialer.stop()
    await Promise.all([pods.stop(), network.stop()])
    await steps.wait()
    await Promise.all([runtime.stop(), images.stop()])
    log.info('agent stopped; containers live on')
  }
}
