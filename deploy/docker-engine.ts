/**
 * The Docker engine, found as testcontainers finds it: DOCKER_HOST, ~/.testcontainers.properties, the usual sockets.
 */
import type { getContainerRuntimeClient } from 'testcontainers'
import { GantryError } from '../proto/base/errors.ts'

type RuntimeClient = Awaited<ReturnType<typeof getContainerRuntimeClient>>
/** The engine's API: https://docs.docker.com/reference/api/engine/ */
export type DockerClient = RuntimeClient['container']['dockerode']

export interface Engine {
  readonly docker: DockerClient
  /** The host at which published ports are reached. */
  readonly host: string
  /**
   * Containers' own addresses are reached from here: the engine runs on this very kernel, not in a virtual machine or
   * on another host.
   */
  readonly isLocal: boolean
}

/** FailedPrecondition, with the remedy, without testcontainers or an engine that answers. */
export async function openEngine(): Promise<Engine> {
  const { getContainerRuntimeClient } = await load()
  let client: RuntimeClient
  try {
    client = await getContainerRuntimeClient()
  } catch (cause) {
    throw new GantryError('FailedPrecondition', 'no Docker engine answers', {
      cause,
      details: [
        {
          field: 'DOCKER_HOST',
          value: process.env.DOCKER_HOST ?? '',
          remedy: 'start one (Debian: apt-get install docker.io), or set DOCKER_HOST to one that runs',
        },
      ],
    })
  }
  const { host, operatingSystem } = client.info.containerRuntime
  return {
    docker: client.container.dockerode,
    host,
    isLocal:
      process.platform === 'linux' &&
      !operatingSystem.includes('Docker Desktop') &&
      !/^(tcp|https?|ssh):/.test(process.env.DOCKER_HOST ?? ''),
  }
}

async function load(): Promise<typeof import('testcontainers')> {
  try {
    return await import('testcontainers')
  } catch (cause) {
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause
    throw new GantryError('FailedPrecondition', 'the driver "docker" needs the package testcontainers', {
      cause,
      details: [{ field: 'testcontainers', remedy: 'npm install testcontainers' }],
    })
  }
}

/** The engine refused a request with one of these HTTP statuses. */
export function hasStatus(thrown: unknown, ...statuses: number[]): boolean {
  return thrown instanceof Error && statuses.includes((thrown as Error & { statusCode?: number }).statusCode ?? 0)
}

/** What the engine refused, as Gantry's error; anything else with the code that `GantryError.from` finds. */
export function engineError(thrown: unknown, doing: string): GantryError {
  if (thrown instanceof GantryError) return thrown
  const { json, statusCode, syscall, message } = thrown as NodeJS.ErrnoException & {
    json?: { message?: string }
    statusCode?: number
  }
  if (syscall === 'connect')
    return new GantryError('Unavailable', `${doing}: the Docker engine does not answer: ${message}`, { cause: thrown })
  const code =
    statusCode === 404
      ? 'NotFound'
      : statusCode === 409
        ? 'FailedPrecondition'
        : statusCode === 400
          ? 'InvalidArgument'
          : GantryError.from(thrown).code
  return new GantryError(code, `${doing}: ${json?.message ?? message}`, { cause: thrown })
}
