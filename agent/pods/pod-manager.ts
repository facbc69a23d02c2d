/** The pods of a node: takes assignments, and adopts what lives when the agent starts. */
import { isDeepStrictEqual } from 'node:util'
import { GantryError } from '../../proto/base/errors.ts'
import { isDeleting } from '../../proto/objects/deletion.ts'
import type { ObjectRef, ObservedPod, Pod } from '../../proto/gen/types.ts'
import type { Attachment, NodeRanges } from '../network/contract.ts'
import type { ContainerRecord as RuntimeContainer } from '../runtime/contract.ts'
import type { AssignmentHandler } from '../session/contract.ts'
import type { PodRecord } from '../state/contract.ts'
import type { StreamTarget } from '../streams/target.ts'
import { checkAdmission } from './plan/admission.ts'
import type { PodDependencies } from './dependencies.ts'
import { PodTarget } from './pod-target.ts'
import { PodMachine } from './pod-machine.ts'
import { hasStarted } from './plan/lost-record.ts'
import { endedRecord, instanceIn, isTornDown, newRecord, runningStage } from './plan/pod-state.ts'
import { hasPendingResize, allocatedPod } from './plan/resize.ts'
import { isTerminal } from '../../proto/objects/pod.ts'
import { checkSysctls } from './plan/sysctls.ts'

export class PodManager implements AssignmentHandler {
  readonly #deps: PodDependencies
  /** By uid. */
  readonly #machines = new Map<string, PodMachine>()
  readonly #stop: (() => void)[] = []
  /** On record. */
  #ranges: NodeRanges | undefined

  constructor(deps: PodDependencies) {
    this.#deps = deps
  }

  /**
   * The node as it was left: records are read, the runtime is asked what exists, what nobody knows is removed,
   * everything else is carried on with. The runtime and the image store must have started.
   */
  async start(): Promise<void> {
    const { state, runtime, images, volumes, network, log } = this.#deps
    const { pods, node, damaged } = await state.load()
    for (const path of damaged) log.error({ path }, 'a pod record cannot be read and is set aside')
    const known = pods.filter((record) => record.stage.stage !== 'released' || record.assigned)
    for (const record of pods) if (!known.includes(record)) await state.remove(record.pod.metadata.uid)
    const existing = await runtime.list()
    const containers = new Map(existing.containers.map((container) => [container.id, container]))
    const sandboxes = new Set(existing.sandboxes.map((sandbox) => sandbox.id))
    await this.#removeUnknown(known, existing.containers, sandboxes)
    await volumes.start(new Set(known.map((record) => record.pod.metadata.uid)))
    this.#ranges = node?.ranges
    if (node !== undefined) await network.start(node.ranges, attachments(known))
    for (const record of known) this.#add(record).adopt(containers, sandboxes.has(record.pod.metadata.uid))
    // The runtime keeps ends that nobody has heard, and tells them to the first who listens: that is the manager, once
    // every pod has its machine.
    this.#stop.push(runtime.onExit((container) => this.#exited(container)))
    log.info(
      { pods: known.length, containers: containers.size, runtime: runtime.name, images: (await images.list()).length },
      'pods adopted',
    )
  }

  /** Containers live on. */
  async stop(): Promise<void> {
    for (const stop of this.#stop) stop()
    for (const machine of this.#machines.values()) machine.stop()
    await this.#deps.network.stop()
  }

  async welcome(ranges: NodeRanges): Promise<void> {
    // Not written again: with a full disk the node would be without the control plane.
    if (!isDeepStrictEqual(ranges, this.#ranges)) await this.#deps.state.putNode({ ranges })
    this.#ranges = ranges
    await this.#deps.network.start(ranges, attachments([...this.#machines.values()].map((machine) => machine.record)))
  }

  assign({ complete, set, removed, tokens }: Parameters<AssignmentHandler['assign']>[0]): void {
    const { objects } = this.#deps
    if (complete) objects.reset()
    for (const object of set) if (object.kind === 'ConfigMap' || object.kind === 'Secret') objects.set(object)
    for (const { kind, namespace, name } of removed)
      if (kind === 'ConfigMap' || kind === 'Secret') objects.remove(kind, namespace, name)
    for (const token of tokens) objects.setToken(token)
    const wanted = new Set<string>()
    for (const object of set) {
      if (object.kind !== 'Pod') continue
      wanted.add(object.metadata.uid)
      this.#assignPod(object)
    }
    for (const machine of [...this.#machines.values()]) {
      if (complete ? !wanted.has(machine.uid) : removed.some((ref) => names(ref, machine) && !wanted.has(machine.uid)))
        this.#unassign(machine)
      machine.objectsChanged()
    }
    this.#decideResizes()
  }

  endpointsDrained(podUids: readonly string[]): void {
    for (const uid of podUids) this.#machines.get(uid)?.endpointsDrained()
  }

  observations(): readonly ObservedPod[] {
    return [...this.#machines.values()].map((machine) => machine.observation())
  }

  /** The pod as streams see it (agent/streams). NotFound. */
  target(podUid: string): StreamTarget {
    return this.#targetOf(this.#find(podUid))
  }

  /** Every pod of the node. */
  targets(): readonly StreamTarget[] {
    return [...this.#machines.values()].map((machine) => this.#targetOf(machine))
  }

  #targetOf(machine: PodMachine): StreamTarget {
    return new PodTarget(machine, this.#deps.folders, () => this.#machines.has(machine.uid))
  }

  /** Digests of images that pods use, which must stay. */
  imagesInUse(): Set<string> {
    return new Set(
      [...this.#machines.values()].flatMap(({ state: { record, preparedContainers } }) => [
        ...(isTornDown(record)
          ? []
          : Object.values(record.containers).flatMap((container) => container.image?.digest ?? [])),
        ...[...preparedContainers.values()].map(({ image }) => image.digest),
      ]),
    )
  }

  /**
   * Ends the pods whose emptyDir volumes on disk have outgrown their size limits.
   * https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
   */
  async evictOversized(): Promise<void> {
    for (const machine of this.#machines.values()) {
      const { record } = machine
      if (isTornDown(record)) continue
      try {
        const found = await this.#deps.volumes.oversized(record.pod)
        if (found !== undefined)
          machine.evict(
            `emptyDir volume "${found.name}" holds ${found.size} bytes, more than its sizeLimit of ${found.limit}`,
          )
      } catch (error) {
        // What cannot be measured of one pod keeps no other from being measured.
        this.#deps.log.error({ pod: machine.uid, error }, 'volumes cannot be measured')
      }
    }
  }

  /** Containers that run, and the logs that they write to. */
  running(): { readonly id: string; readonly log: string }[] {
    return [...this.#machines.values()].flatMap((machine) =>
      Object.keys(machine.record.containers).flatMap((name) => {
        const instance = runningStage(machine.record, name)?.instance
        return instance === undefined
          ? []
          : [{ id: instance.id, log: this.#deps.folders.log(machine.uid, name, instance.attempt) }]
      }),
    )
  }

  #assignPod(pod: Pod): void {
    const { uid, namespace, name } = pod.metadata
    const machine = this.#machines.get(uid)
    if (machine !== undefined) return machine.update(pod)
    for (const other of this.#machines.values())
      if (names({ kind: 'Pod', namespace, name }, other)) this.#unassign(other)
    const added = this.#add(this.#recordOf(pod))
    added.save()
    added.replan()
  }

  /** A pod that the node is given, which it may find that it cannot take. */
  #recordOf(pod: Pod): PodRecord {
    const now = this.#deps.clock.now()
    const { phase, reason, message } = pod.status
    if (phase === 'Succeeded' || phase === 'Failed')
      return endedRecord(pod, now, { reason: reason ?? phase, message: message ?? '' })
    if (pod.spec.restartPolicy === 'Never' && hasStarted(pod))
      // Its record went with a power loss: what may run only once is not started again on a guess.
      return newRecord(pod, now, {
        reason: 'ContainerStatusUnknown',
        message: 'it had started, and the node has lost its record of it',
      })
    if (isDeleting(pod)) return newRecord(pod, now)
    const { allocatable, allowedUnsafeSysctls = [], reservedPorts = [] } = this.#deps.node
    const refusal =
      checkSysctls(pod, allowedUnsafeSysctls) ?? checkAdmission(pod, this.#admittedPods(), allocatable, reservedPorts)
    if (refusal !== undefined) this.#deps.events.record(pod, 'Warning', refusal.reason, refusal.message)
    return newRecord(pod, now, refusal)
  }

  /**
   * The pods that hold resources of the node, as granted. What has ended holds nothing any more, though it is not
   * cleared away yet: so the scheduler counts, too.
   */
  #admittedPods(but?: PodMachine): Pod[] {
    return [...this.#machines.values()]
      .filter((machine) => machine !== but && !isTornDown(machine.record) && !isTerminal(machine.record))
      .map(({ record }) => allocatedPod(record))
  }

  /**
   * Whoever waits for other resources is looked at again, those that wait longest first: what another pod held may be
   * free.
   */
  #decideResizes(): void {
    for (const machine of this.#machines.values())
      if (hasPendingResize(machine.record)) machine.decideResize(this.#admittedPods(machine))
  }

  #add(record: PodRecord): PodMachine {
    const machine = new PodMachine(this.#deps, record)
    this.#machines.set(machine.uid, machine)
    let holds = true
    machine.onChange(() => {
      const { record } = machine
      if (holds && (isTornDown(record) || isTerminal(record))) {
        holds = false
        this.#decideResizes()
      }
      if (record.stage.stage === 'released' && !record.assigned) this.#forget(machine)
    })
    return machine
  }

  #unassign(machine: PodMachine): void {
    machine.unassign()
    if (machine.record.stage.stage === 'released') this.#forget(machine)
  }

  #forget(machine: PodMachine): void {
    machine.stop()
    if (!this.#machines.delete(machine.uid)) return
    this.#deps.objects.removeTokens(machine.uid)
    this.#deps.group.spawn(async () => {
      try {
        await this.#deps.state.remove(machine.uid)
      } catch (error) {
        this.#deps.log.error({ pod: machine.uid, error }, 'pod record cannot be removed')
      }
    })
  }

  #find(uid: string): PodMachine {
    const machine = this.#machines.get(uid)
    if (machine === undefined)
      throw new GantryError('NotFound', `no pod with uid ${uid} on node ${this.#deps.node.name}`)
    return machine
  }

  #exited(container: RuntimeContainer): void {
    this.#machines.get(container.sandboxId)?.exited(container)
  }

  /** Leftovers of a stop in the middle of something. */
  async #removeUnknown(
    known: readonly PodRecord[],
    containers: readonly RuntimeContainer[],
    sandboxes: ReadonlySet<string>,
  ): Promise<void> {
    const { runtime, images, log } = this.#deps
    const wanted = new Set(
      known.flatMap((record) => [
        ...record.dead,
        ...Object.values(record.containers).flatMap(({ stage }) => instanceIn(stage)?.id ?? []),
      ]),
    )
    const withSandbox = new Set(
      known.filter((record) => record.sandbox !== undefined).map((record) => record.pod.metadata.uid),
    )
    for (const { id } of containers) {
      if (wanted.has(id)) continue
      log.warn({ container: id }, 'a container that no pod knows is removed')
      await runtime.removeContainer(id)
    }
    for (const id of sandboxes) if (!withSandbox.has(id)) await runtime.removeSandbox(id)
    for (const id of await images.listRootfs()) if (!wanted.has(id)) await images.removeRootfs(id)
  }
}

function names(ref: Pick<ObjectRef, 'kind' | 'namespace' | 'name'>, { record }: PodMachine): boolean {
  return ref.kind === 'Pod' && ref.namespace === record.pod.metadata.namespace && ref.name === record.pod.metadata.name
}

function attachments(records: readonly PodRecord[]): Map<string, Attachment> {
  return new Map(
    records.flatMap((record): [string, Attachment][] =>
      record.sandbox?.attachment === undefined ? [] : [[record.pod.metadata.uid, record.sandbox.attachment]],
    ),
  )
}
