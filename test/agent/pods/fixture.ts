/** A node of fakes around real Pods: state, volumes and log files are real, in a temporary directory. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AssignedObjects } from '../../../agent/pods/assigned-objects.ts'
import type { NodeFacts } from '../../../agent/pods/dependencies.ts'
import { ImageUserCache } from '../../../agent/pods/steps/image-user-cache.ts'
import { NodeNetwork } from '../../../agent/pods/node-network.ts'
import { EventRecorder } from '../../../agent/pods/status/pod-events.ts'
import { PodManager } from '../../../agent/pods/pod-manager.ts'
import { FilePodDisk } from '../../../agent/pods/steps/pod-disk.ts'
import type { ContainerSpec } from '../../../agent/runtime/contract.ts'
import { FakeMachine, FakeRuntime, type FakeBehaviour } from '../../../agent/runtime/fake.ts'
import { MemoryState } from '../../../agent/state/memory.ts'
import { execIn } from '../../../agent/streams/exec.ts'
import { containerLog } from '../../../agent/streams/logs/container-log.ts'
import { unmountUnder } from '../../../agent/host/mount-table.ts'
import { PodFolders } from '../../../agent/volumes/pod-folders.ts'
import { VolumeManager } from '../../../agent/volumes/volume-manager.ts'
import { FakeClock } from '../../../proto/base/clock.ts'
import { silentLogger } from '../../../proto/base/logger.ts'
import { seededRandom } from '../../../proto/base/random.ts'
import { RunGroup } from '../../../proto/base/run-group.ts'
import type {
  AnyResource,
  ExecInput,
  ExecOutput,
  ExecStart,
  LogsRequest,
  ObjectRef,
  Pod,
  PodStatus,
} from '../../../proto/gen/types.ts'
import { FakeActions, FakeImages, FakeNetwork, RecordedReports, until } from '../fakes.ts'

const NODE: NodeFacts = {
  name: 'n1',
  hostname: 'n1',
  address: '192.0.2.1',
  allocatable: { cpu: '4', memory: '8Gi', pods: '10' },
  memoryCapacity: 8 * 2 ** 30,
  pidsLimit: 4096,
  seccompFolder: '/seccomp',
}

export class NodeFixture {
  readonly clock = new FakeClock()
  readonly machine = new FakeMachine(this.clock)
  readonly state = new MemoryState()
  readonly network = new FakeNetwork()
  readonly reports = new RecordedReports()
  readonly specs: ContainerSpec[] = []
  readonly actions = new FakeActions()
  behaviour: (spec: ContainerSpec) => FakeBehaviour = () => ({})
  images!: FakeImages
  pods!: PodManager
  runtime!: FakeRuntime
  directory!: string
  #group!: RunGroup

  async start(): Promise<void> {
    this.directory ??= await mkdtemp(join(tmpdir(), 'gantry-pods-'))
    this.images ??= new FakeImages(join(this.directory, 'images'))
    const folders = this.folders
    this.#group = new RunGroup()
    this.runtime = new FakeRuntime(
      this.clock,
      (spec) => {
        this.specs.push(spec)
        return this.behaviour(spec)
      },
      this.machine,
    )
    const random = seededRandom(1)
    await this.runtime.start()
    this.pods = new PodManager({
      clock: this.clock,
      random,
      log: silentLogger,
      group: this.#group,
      runtime: this.runtime,
      actions: this.actions,
      images: this.images,
      folders,
      state: this.state,
      network: new NodeNetwork(this.network),
      volumes: new VolumeManager(folders),
      disk: new FilePodDisk(folders),
      objects: new AssignedObjects(),
      accounts: new ImageUserCache(),
      reports: this.reports,
      node: NODE,
      events: new EventRecorder('n1', this.clock, random, (event) => this.reports.event(event)),
      origin: { runtime: 'crun', hostAddress: NODE.address },
    })
    await this.pods.start()
  }

  get folders(): PodFolders {
    return new PodFolders(join(this.directory, 'state'), join(this.directory, 'run'))
  }

  welcome(): Promise<void> {
    return this.pods.welcome({
      podCidrs: ['10.1.0.0/24'],
      cluster: { podCidrs: ['10.1.0.0/16'], serviceCidrs: ['10.96.0.0/16'], domain: 'cluster.local' },
    })
  }

  exec(
    podUid: string,
    start: ExecStart,
    inputs: AsyncIterable<ExecInput>,
    signal: AbortSignal,
  ): AsyncGenerator<ExecOutput> {
    const { runtime } = this
    return execIn({ target: this.pods.target(podUid), runtime, group: this.#group }, start, inputs, signal)
  }

  logs(podUid: string, request: LogsRequest, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    return containerLog(this.pods.target(podUid), request, this.clock, signal)
  }

  /** The agent ends; the machine goes on. */
  async stop(): Promise<void> {
    await this.pods.stop()
    await this.#group.wait()
    await this.runtime.stop()
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async remove(): Promise<void> {
    await this.stop()
    await unmountUnder(this.directory)
    await rm(this.directory, { recursive: true, force: true })
  }

  assign(set: readonly AnyResource[], removed: readonly ObjectRef[] = []): void {
    this.pods.assign({ complete: false, set, removed, tokens: [] })
  }

  assignAll(...set: AnyResource[]): void {
    this.pods.assign({ complete: true, set, removed: [], tokens: [] })
  }

  unassign(pod: Pod): void {
    this.assign([], [{ apiVersion: 'v1', kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name }])
  }

  status(name: string): PodStatus {
    return this.reports.latest(name)?.status ?? {}
  }

  async phase(name: string, phase: PodStatus['phase']): Promise<PodStatus> {
    await until(`${name} is ${phase}`, () => this.status(name).phase === phase)
    return this.status(name)
  }

  /** The first container's state has this reason (waiting or terminated). */
  async reason(name: string, reason: string): Promise<PodStatus> {
    await until(`${name} shows ${reason}`, () => {
      const state = this.status(name).containerStatuses?.[0]?.state
      return (state?.waiting?.reason ?? state?.terminated?.reason) === reason
    })
    return this.status(name)
  }
}
