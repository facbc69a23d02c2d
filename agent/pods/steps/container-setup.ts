/** What the runtime is told of a container, once its files and mounts are made. */
import { GantryError } from '../../../proto/base/errors.ts'
import type { Container } from '../../../proto/gen/types.ts'
import type { ContainerSpec, Mount } from '../../runtime/contract.ts'
import { instanceOf, type PreparedContainer } from '../plan/pod-state.ts'
import { allocatedPod } from '../plan/resize.ts'
import { containerSpec } from './container-spec.ts'
import type { StepContext } from './contract.ts'
import { downwardApiContext } from './downward-api-context.ts'
import { environment, expandedSubPath } from './environment.ts'
import { podFileMounts, sandboxHostname } from './pod-files.ts'
import { serviceEnvironment } from './service-links.ts'

/** Thrown where what the pod says cannot be made a container of. */
export class ConfigurationError extends Error {
  override readonly cause: GantryError

  constructor(thrown: unknown) {
    const cause = GantryError.from(thrown)
    super(cause.message)
    this.name = 'ConfigurationError'
    this.cause = cause
  }
}

/** Makes the files and mounts of the container's next instance. ConfigurationError; ResourceExhausted. */
export async function specOf(
  container: Container,
  { id, image, rootfs }: PreparedContainer,
  attempt: number,
  context: StepContext,
): Promise<ContainerSpec> {
  const { deps, uid } = context
  const pod = allocatedPod(context.state.record)
  const message = deps.folders.terminationMessage(uid, container.name, attempt)
  const [volumeMounts, accounts] = await Promise.all([
    mountsOf(container, context),
    deps.accounts.read(image, rootfs),
    deps.disk.prepareInstance(uid, container.name, attempt),
  ])
  const own: Mount = { type: 'bind', source: message, destination: container.terminationMessagePath, readOnly: false }
  try {
    return containerSpec({
      pod,
      container,
      id,
      rootfs,
      processesOf: targetOf(container, context),
      image: image.config,
      accounts,
      objects: deps.objects,
      place: downwardApiContext(deps.node, context.state.record),
      links: serviceEnvironment(deps.services?.() ?? [], pod),
      hostname: sandboxHostname(pod, deps.network.domain) ?? deps.node.hostname,
      mounts: [
        ...podFileMounts(deps.folders, pod, container),
        ...volumeMounts,
        ...(container.terminationMessagePath === '' ? [] : [own]),
      ],
      logPath: deps.folders.log(uid, container.name, attempt),
      pidsLimit: deps.node.pidsLimit,
      memoryCapacity: deps.node.memoryCapacity,
      seccompFolder: deps.node.seccompFolder,
    })
  } catch (thrown) {
    throw new ConfigurationError(thrown)
  }
}

/** The instance whose processes a container that was added is to see: it ran when the start was planned. */
function targetOf({ name }: Container, { state: { record } }: StepContext): string | undefined {
  const target = record.pod.spec.ephemeralContainers?.find((added) => added.name === name)?.targetContainerName ?? ''
  return target === '' ? undefined : instanceOf(record, target)?.id
}

async function mountsOf(container: Container, context: StepContext): Promise<Mount[]> {
  try {
    return await context.deps.volumes.mounts(context.state.record.pod, withSubPaths(container, context))
  } catch (thrown) {
    throw new ConfigurationError(thrown)
  }
}

/**
 * The container with the places inside volumes that its environment tells. FailedPrecondition: what comes of it is no
 * such place.
 */
function withSubPaths(container: Container, { deps, state }: StepContext): Container {
  if (container.volumeMounts?.some(({ subPathExpr = '' }) => subPathExpr !== '') !== true) return container
  const pod = allocatedPod(state.record)
  const variables = environment(
    pod,
    container,
    deps.objects,
    downwardApiContext(deps.node, state.record),
    serviceEnvironment(deps.services?.() ?? [], pod),
  )
  return {
    ...container,
    volumeMounts: container.volumeMounts.map((mount) =>
      (mount.subPathExpr ?? '') === '' ? mount : { ...mount, subPath: expandedSubPath(mount.subPathExpr!, variables) },
    ),
  }
}
