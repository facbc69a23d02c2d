/** Creates and starts a container's next instance. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { ContainerSpec, Mount } from '../../runtime/contract.ts'
import type { ContainerRecord, Instance } from '../../state/contract.ts'
import { containerSpec } from './container-spec.ts'
import { environment, expandedSubPath } from './environment.ts'
import { downwardApiContext } from './downward-api-context.ts'
import { containerRecord, nextAttempt, type PreparedContainer } from '../plan/pod-state.ts'
import { podFileMounts, sandboxHostname } from './pod-files.ts'
import { allocatedPod, allocatedResourcesOf } from '../plan/resize.ts'
import { serviceEnvironment } from './service-links.ts'
import { ConfigurationError } from '../plan/step-failure.ts'
import type { StepHost } from './step-runner.ts'
import { startFailureCode, startTermination } from './termination.ts'

export class ContainerStart {
  readonly #host: StepHost

  constructor(host: StepHost) {
    this.#host = host
  }

  /**
   * ConfigurationError: what the pod says cannot be made a container of. A command that cannot be run, and a start that
   * the runtime refuses, are no errors here but ends of the instance; any other error leaves no instance.
   */
  async run(container: Container, signal: AbortSignal): Promise<void> {
    const { record, provisions } = this.#host
    const { name } = container
    const provision = provisions.get(name)!
    const known = containerRecord(record, name)
    const attempt = nextAttempt(known)
    const granted = { ...container, resources: allocatedResourcesOf(record, container) }
    const spec = await this.#prepare(granted, provision, attempt)
    if (signal.aborted) {
      // Whatever stopped the pod meanwhile left this provision to the start under way.
      provisions.delete(name)
      record.dead.push(provision.id)
      return
    }
    const instance = begin(known, provision, attempt, container)
    known.resources = granted.resources
    provisions.delete(name)
    try {
      await this.#host.persist()
    } catch (thrown) {
      this.#host.discardInstance(name)
      throw thrown
    }
    if (!(await this.#create(container, instance, spec))) return
    await this.#startCreated(container, instance)
  }

  async #prepare(
    container: Container,
    { id, image, rootfs }: PreparedContainer,
    attempt: number,
  ): Promise<ContainerSpec> {
    const { deps, record, uid } = this.#host
    const pod = allocatedPod(record)
    const message = deps.folders.terminationMessage(uid, container.name, attempt)
    const logPath = deps.folders.log(uid, container.name, attempt)
    const [volumeMounts, accounts] = await Promise.all([
      this.#mounts(container),
      deps.accounts.read(image, rootfs),
      deps.disk.prepareInstance(uid, container.name, attempt),
    ])
    const own: Mount = { type: 'bind', source: message, destination: container.terminationMessagePath, readOnly: false }
    return configured(() =>
      containerSpec({
        pod,
        container,
        id,
        rootfs,
        processesOf: this.#target(container),
        image: image.config,
        accounts,
        objects: deps.objects,
        place: downwardApiContext(deps.node, record),
        links: serviceEnvironment(deps.services?.() ?? [], pod),
        hostname: sandboxHostname(pod, deps.network.domain) ?? deps.node.hostname,
        mounts: [
          ...podFileMounts(deps.folders, pod, container),
          ...volumeMounts,
          ...(container.terminationMessagePath === '' ? [] : [own]),
        ],
        logPath,
        pidsLimit: deps.node.pidsLimit,
        memoryCapacity: deps.node.memoryCapacity,
        seccompFolder: deps.node.seccompFolder,
      }),
    )
  }

  /** The instance whose processes a container that was added is to see: it ran when the start was planned. */
  #target({ name }: Container): string | undefined {
    const { record } = this.#host
    const target = record.pod.spec.ephemeralContainers?.find((added) => added.name === name)?.targetContainerName ?? ''
    return target === '' ? undefined : record.containers[target]?.instance?.id
  }

  async #mounts(container: Container): Promise<Mount[]> {
    const { deps, record } = this.#host
    try {
      return await deps.volumes.mounts(record.pod, this.#withSubPaths(container))
    } catch (thrown) {
      throw new ConfigurationError(GantryError.from(thrown))
    }
  }

  /**
   * The container with the places inside volumes that its environment tells. FailedPrecondition: what comes of it is no
   * such place.
   */
  #withSubPaths(container: Container): Container {
    const { deps, record } = this.#host
    if (container.volumeMounts?.some(({ subPathExpr = '' }) => subPathExpr !== '') !== true) return container
    const pod = allocatedPod(record)
    const variables = environment(
      pod,
      container,
      deps.objects,
      downwardApiContext(deps.node, record),
      serviceEnvironment(deps.services?.() ?? [], pod),
    )
    return {
      ...container,
      volumeMounts: container.volumeMounts.map((mount) =>
        (mount.subPathExpr ?? '') === ''
          ? mount
          : { ...mount, subPath: expandedSubPath(mount.subPathExpr!, variables) },
      ),
    }
  }

  /** False: it is at an end already. */
  async #create(container: Container, instance: Instance, spec: ContainerSpec): Promise<boolean> {
    const { deps, record } = this.#host
    const { name } = container
    try {
      await deps.runtime.createContainer(spec)
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (startFailureCode(error) === undefined) {
        this.#host.discardInstance(name)
        await this.#host.persist()
        throw error
      }
      await this.#failed(container, instance, error)
      return false
    }
    instance.state = { state: 'created' }
    this.#host.event('Normal', 'Created', `created container ${name}`, name)
    if (record.pod.spec.containers.every((other) => exists(record.containers[other.name])))
      this.#host.markTimeline('created')
    return true
  }

  async #startCreated(container: Container, instance: Instance): Promise<void> {
    const { deps, record } = this.#host
    const { name } = container
    try {
      const state = await deps.runtime.startContainer(instance.id)
      // An end that was told while the start was under way stands.
      if (state.state === 'exited') this.#host.exited({ id: instance.id, sandboxId: this.#host.uid, state })
      else if (instance.state.state === 'created') instance.state = state
    } catch (thrown) {
      await this.#failed(container, instance, GantryError.from(thrown))
      return
    }
    this.#host.event('Normal', 'Started', `started container ${name}`, name)
    if (record.pod.spec.containers.every((other) => exists(record.containers[other.name], true)))
      this.#host.markTimeline('started')
    // The runtime knows that it runs, and the next start of the agent asks it.
    this.#host.save()
  }

  async #failed(container: Container, instance: Instance, error: GantryError): Promise<void> {
    this.#host.event('Warning', 'Failed', `container ${container.name} cannot start: ${error.message}`, container.name)
    this.#host.recordTermination(container.name, startTermination(instance, error, this.#host.deps.clock.now()))
    await this.#host.persist()
  }
}

/** From here on the record says that the instance is about to be. */
function begin(
  known: ContainerRecord,
  { id, image }: PreparedContainer,
  attempt: number,
  container: Container,
): Instance {
  if (known.ended !== undefined) known.last = known.ended
  known.ended = undefined
  known.attempt = attempt
  known.image = { name: container.image ?? '', reference: image.reference, digest: image.digest }
  known.instance = {
    id,
    attempt,
    state: { state: 'creating' },
    stopSignal: container.lifecycle?.stopSignal ?? image.config.stopSignal,
  }
  return known.instance
}

function exists(known: ContainerRecord | undefined, started = false): boolean {
  const state = known?.instance?.state.state
  return (
    known?.ended !== undefined ||
    known?.last !== undefined ||
    (state !== undefined && state !== 'creating' && (!started || state !== 'created'))
  )
}

function configured<T>(assemble: () => T): T {
  try {
    return assemble()
  } catch (thrown) {
    throw new ConfigurationError(GantryError.from(thrown))
  }
}
