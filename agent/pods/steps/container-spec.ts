/** What the runtime is told of a container: a pure function of the pod, the image and the place where it runs. */
import type { Container, Pod } from '../../../proto/gen/types.ts'
import type { ImageConfig } from '../../images/contract.ts'
import type { ContainerSpec, Mount } from '../../runtime/contract.ts'
import type { ConfigSource } from '../../volumes/config-source.ts'
import { environment, expand } from './environment.ts'
import type { DownwardApiContext } from '../../volumes/downward-api.ts'
import { containerResources, oomScoreAdj } from './cgroup-resources.ts'
import { resolveUser, type AccountFiles } from './user.ts'

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface ContainerContext {
  readonly pod: Pod
  readonly container: Container
  readonly id: string
  readonly image: ImageConfig
  readonly rootfs: string
  readonly accounts: AccountFiles
  readonly objects: ConfigSource
  readonly place: DownwardApiContext
  /** Variables that name Services. */
  readonly links?: ReadonlyMap<string, string>
  readonly hostname: string
  /** The runtime's id of the container whose processes it is to see. */
  readonly processesOf?: string | undefined
  /** Volumes and the pod's own files, ready to be bound. */
  readonly mounts: readonly Mount[]
  readonly logPath: string
  readonly pidsLimit: number
  /** Bytes of the node. */
  readonly memoryCapacity: number
  /** Folder of Localhost seccomp profiles. */
  readonly seccompFolder: string
}

/**
 * Errors: NotFound (a reference that may appear), FailedPrecondition (user), InvalidArgument (nothing to run, a bad
 * field reference).
 */
export function containerSpec(context: ContainerContext): ContainerSpec {
  const { pod, container, image } = context
  const asked = environment(pod, container, context.objects, context.place, context.links)
  const security = container.securityContext ?? {}
  const privileged = security.privileged === true
  return {
    id: context.id,
    sandboxId: pod.metadata.uid,
    ...(context.processesOf !== undefined && { pidNamespaceOf: context.processesOf }),
    rootfs: context.rootfs,
    args: commandLine(container, image, asked),
    env: environmentLines(context, asked),
    cwd: container.workingDir ?? (image.workingDir === '' ? '/' : image.workingDir),
    user: resolveUser(pod, container, image.user, context.accounts),
    mounts: context.mounts,
    resources: containerResources(container, context.pidsLimit),
    oomScoreAdj: oomScoreAdj(pod, container, context.memoryCapacity),
    privileged,
    readOnlyRootfs: security.readOnlyRootFilesystem === true,
    allowPrivilegeEscalation: privileged || security.allowPrivilegeEscalation !== false,
    capabilities: {
      add: (security.capabilities?.add ?? []).map(capability),
      drop: (security.capabilities?.drop ?? []).map(capability),
    },
    seccomp: seccomp(context, privileged),
    unmaskedProc: security.procMount === 'Unmasked',
    tty: container.tty === true,
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    logPath: context.logPath,
  }
}

/**
 * https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/: command replaces both,
 * args replaces the image's cmd.
 */
export function commandLine(
  container: Container,
  image: Pick<ImageConfig, 'entrypoint' | 'cmd'>,
  variables: ReadonlyMap<string, string>,
): string[] {
  const command = container.command ?? []
  const args = container.args ?? []
  const asked = [...command, ...args].map((text) => expand(text, variables))
  if (command.length > 0) return asked
  return [...image.entrypoint, ...(args.length > 0 ? asked : image.cmd)]
}

function environmentLines(
  { image, hostname, container }: ContainerContext,
  asked: ReadonlyMap<string, string>,
): string[] {
  const all = new Map<string, string>([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', hostname],
  ])
  if (container.tty === true) all.set('TERM', 'xterm')
  for (const line of image.env) {
    const equals = line.indexOf('=')
    if (equals > 0) all.set(line.slice(0, equals), line.slice(equals + 1))
  }
  for (const [name, value] of asked) all.set(name, value)
  return [...all].map(([name, value]) => `${name}=${value}`)
}

function capability(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '')
}

/** A container's own profile, else the pod's; without any the runtime's default, and none for a privileged one. */
function seccomp({ pod, container, seccompFolder }: ContainerContext, privileged: boolean): ContainerSpec['seccomp'] {
  const profile = container.securityContext?.seccompProfile ?? pod.spec.securityContext.seccompProfile
  if (profile === undefined) return { type: privileged ? 'Unconfined' : 'RuntimeDefault' }
  return profile.type === 'Localhost'
    ? { type: 'Localhost', path: `${seccompFolder}/${profile.localhostProfile ?? ''}` }
    : { type: profile.type }
}
