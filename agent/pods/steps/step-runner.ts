/** Carries out the steps of a pod's plan. Each may be repeated: what is done already is not done again. */
import { createHash } from 'node:crypto'
import { allContainers } from '../../../proto/objects/containers.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container, TimelineStep } from '../../../proto/gen/types.ts'
import type { Attachment } from '../../network/contract.ts'
import type { ContainerRecord as RuntimeContainer } from '../../runtime/contract.ts'
import type { Instance, PodRecord, Termination } from '../../state/contract.ts'
import { attachRequest, podAddresses } from './attach-request.ts'
import { ContainerStart } from './container-start.ts'
import { podResolver } from '../../dns/node-link.ts'
import type { PodDependencies } from '../dependencies.ts'
import { downwardApiContext } from './downward-api-context.ts'
import { Hooks } from './hooks.ts'
import type { PodStep } from '../plan/pod-plan.ts'
import { imageChanged, nextAttempt, peekContainer, type PreparedContainer } from '../plan/pod-state.ts'
import { sandboxHostname } from './pod-files.ts'
import { pullCredentials } from './pull-credentials.ts'
import { containerResources, podResources } from './cgroup-resources.ts'
import { hasPendingRestart, allocatedPod, actuatedPod, maxResources, containersToResize } from '../plan/resize.ts'
import { RootFilesystemError } from '../plan/step-failure.ts'
import { sysctlName } from '../plan/sysctls.ts'
import { lostTermination } from './termination.ts'

/** The pod whose steps they are. */
export interface StepHost {
  readonly deps: PodDependencies
  readonly record: PodRecord
  readonly uid: string
  readonly provisions: Map<string, PreparedContainer>
  readonly configVersion: string | undefined
  volumesVersion: string | undefined
  /** The agent ends: what is cut short is carried on with by the next one. */
  readonly stopped: boolean
  persist(): Promise<void>
  /** Writes the record without anybody waiting for it. */
  save(): void
  /** Writes down what is about to be done with an instance; where that fails, the record is as before. */
  persistIntent(instance: Instance, intent: Pick<Instance, 'kill' | 'postStart'>): Promise<void>
  event(type: 'Normal' | 'Warning', reason: string, message: string, container?: string): void
  markTimeline(step: TimelineStep['step']): void
  exited(container: RuntimeContainer): void
  recordTermination(container: string, termination: Termination): void
  discardInstance(container: string): void
  /** Ends a container that failed its probe or its hook. */
  killUnhealthy(container: Container, instance: Instance, what: string): void
  /** Cuts a hook of the container short that is under way. */
  abortHooks(container: string): void
  fail(reason: string, message: string): void
}

export class StepRunner {
  readonly #host: StepHost
  readonly #start: ContainerStart
  readonly #hooks: Hooks

  constructor(host: StepHost) {
    this.#host = host
    this.#start = new ContainerStart(host)
    this.#hooks = new Hooks(host)
  }

  run(step: PodStep, signal: AbortSignal): Promise<void> {
    switch (step.step) {
      case 'volumes':
        return this.#volumes(signal)
      case 'sandbox':
        return this.#sandbox(signal)
      case 'resize':
        return this.#resize()
      case 'pull':
        return this.#pull(this.#container(step.container), signal)
      case 'start':
        return this.#start.run(this.#container(step.container), signal)
      case 'postStart':
        return this.#hooks.postStart(step.container, signal)
      case 'preStop':
        return this.#hooks.preStop(step.container, signal)
      case 'kill':
        return this.#kill(step)
      case 'remove':
        return this.#remove(step.id)
      case 'fail':
        return this.#fail(step)
      case 'teardown':
        return this.#teardown()
      case 'release':
        return this.#release()
    }
  }

  #container(name: string): Container {
    return allContainers(this.#host.record.pod).find((container) => container.name === name)!
  }

  async #volumes(signal: AbortSignal): Promise<void> {
    const { deps, record } = this.#host
    const version = this.#host.configVersion
    await deps.volumes.prepare(record.pod, deps.objects, downwardApiContext(deps.node, record))
    if (!signal.aborted) this.#host.volumesVersion = version
  }

  async #sandbox(signal: AbortSignal): Promise<void> {
    const { deps, record, uid } = this.#host
    const { pod } = record
    const { spec } = pod
    const attachment: Attachment | undefined =
      spec.hostNetwork === true ? undefined : await deps.network.attach(uid, signal, attachRequest(pod))
    const addresses = attachment === undefined ? [deps.node.address] : podAddresses(attachment)
    const {
      podCidrs,
      cluster: { domain },
    } = await deps.network.ranges(signal)
    const dns = { domain, resolver: podResolver({ podCidrs }, addresses) }
    await deps.runtime.createSandbox({
      id: uid,
      hostname: sandboxHostname(pod, domain) ?? deps.node.hostname,
      network: attachment,
      hostPid: spec.hostPID === true,
      hostIpc: spec.hostIPC === true,
      shareProcessNamespace: spec.shareProcessNamespace === true,
      sysctls: Object.fromEntries(
        (spec.securityContext.sysctls ?? []).map(({ name, value }) => [sysctlName(name), value]),
      ),
      resources: podResources(allocatedPod(record), deps.node.pidsLimit),
    })
    deps.disk.writeEtc(pod, { nodeHostname: deps.node.hostname, addresses, dns })
    record.sandbox = { attachment }
    record.tornDown = false
    this.#host.markTimeline('sandbox')
    // Written with the first container at the latest; until then nothing hangs on it that another sandbox would not do
    // for.
    this.#host.save()
  }

  /** The pod has room for what was and for what will be, until its last container has what it may use now. */
  async #resize(): Promise<void> {
    const {
      deps: {
        runtime,
        node: { pidsLimit },
      },
      record,
      uid,
    } = this.#host
    const wanted = podResources(allocatedPod(record), pidsLimit)
    await runtime.updateSandbox(uid, maxResources(podResources(actuatedPod(record), pidsLimit), wanted))
    for (const container of containersToResize(record)) {
      const known = record.containers[container.name]!
      const { instance } = known
      await runtime.updateContainer(instance!.id, containerResources(container, pidsLimit))
      if (known.instance === instance) known.resources = container.resources
    }
    if (hasPendingRestart(record)) record.resizing = 'restarting'
    else {
      await runtime.updateSandbox(uid, wanted)
      record.resizing = undefined
      this.#host.event('Normal', 'ResizeCompleted', 'the containers have the resources that the pod asks for')
    }
    await this.#host.persist()
  }

  async #pull(container: Container, signal: AbortSignal): Promise<void> {
    const { deps, record, provisions, uid } = this.#host
    const reference = container.image ?? ''
    const policy = container.imagePullPolicy ?? 'IfNotPresent'
    const begun = deps.clock.monotonic()
    let pulled = false
    const image = await deps.images.ensure(reference, {
      policy,
      credentials: pullCredentials(record.pod, deps.objects),
      signal,
      progress: () => {
        if (!pulled) this.#host.event('Normal', 'Pulling', `pulling image "${reference}"`, container.name)
        pulled = true
      },
    })
    if (signal.aborted) return
    const took = Math.round(deps.clock.monotonic() - begun)
    this.#host.event(
      'Normal',
      'Pulled',
      pulled
        ? `pulled image "${reference}" in ${took} ms, ${image.size} bytes`
        : `image "${reference}" is on the node already`,
      container.name,
    )
    const id = createHash('sha256')
      .update(`${uid}/${container.name}/${nextAttempt(peekContainer(record, container.name))}/${deps.random.next()}`)
      .digest('hex')
      .slice(0, 32)
    let rootfs: string
    try {
      rootfs = (await deps.images.mountRootfs(id, image)).path
    } catch (thrown) {
      record.dead.push(id)
      throw new RootFilesystemError(GantryError.from(thrown))
    }
    if (signal.aborted) {
      record.dead.push(id)
      return
    }
    provisions.set(container.name, { id, image, rootfs })
    if (
      record.pod.spec.containers.every(
        ({ name }) => provisions.has(name) || record.containers[name]?.image !== undefined,
      )
    )
      this.#host.markTimeline('image')
  }

  async #kill(step: Extract<PodStep, { step: 'kill' }>): Promise<void> {
    const { deps, record } = this.#host
    const instance = record.containers[step.container]?.instance
    if (instance === undefined) return
    const before = instance.kill
    // What its hook has put on record since the plan was made stays.
    await this.#host.persistIntent(instance, { kill: { ...step.kill, preStop: before?.preStop } })
    if (before === undefined) {
      const why =
        step.kill.reason === 'changed'
          ? imageChanged(this.#container(step.container), peekContainer(record, step.container))
            ? 'its image changed'
            : 'its resources changed'
          : (record.failed?.message ?? 'the pod is being deleted')
      this.#host.event('Normal', 'Killing', `stopping container ${step.container}: ${why}`, step.container)
    }
    if (step.silent || step.kill.sent === 'NOTHING') return
    this.#host.abortHooks(step.container)
    const polite = instance.stopSignal === '' ? 'SIGTERM' : instance.stopSignal
    try {
      await deps.runtime.killContainer(instance.id, step.kill.sent === 'KILL' ? 'SIGKILL' : polite)
    } catch (thrown) {
      if (!GantryError.is(thrown, 'NotFound') || instance !== record.containers[step.container]?.instance) {
        // What was not sent is sent again.
        instance.kill = before
        throw thrown
      }
      // Somebody else removed it: there is no end to wait for.
      this.#host.recordTermination(step.container, lostTermination(instance, deps.clock.now()))
      await this.#host.persist()
    }
  }

  async #remove(id: string): Promise<void> {
    const { deps, record } = this.#host
    await deps.runtime.removeContainer(id)
    await deps.images.removeRootfs(id)
    record.dead = record.dead.filter((other) => other !== id)
    await this.#host.persist()
  }

  async #fail({ reason, message }: Extract<PodStep, { step: 'fail' }>): Promise<void> {
    this.#host.fail(reason, message)
    this.#host.event('Warning', reason, message)
    await this.#host.persist()
  }

  async #teardown(): Promise<void> {
    const { deps, record, uid } = this.#host
    await deps.runtime.removeSandbox(uid)
    await Promise.all([deps.network.detach(uid), deps.volumes.remove(uid)])
    record.sandbox = undefined
    record.tornDown = true
    this.#host.volumesVersion = undefined
    await this.#host.persist()
  }

  async #release(): Promise<void> {
    const { deps, record, uid } = this.#host
    await deps.disk.removeLogs(uid)
    record.released = true
    await this.#host.persist()
  }
}
