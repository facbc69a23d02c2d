/**
 * The holder of a shared process namespace: a process namespace lives as long as its first process, so one is started
 * that belongs to no container of the pod. It reaps what is orphaned, and ends when it is killed.
 */
import { copyFile, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from '../../../proto/base/command.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { ContainerSpec, Resources } from '../contract.ts'

const COMMAND = ['/busybox', 'sh', '-c', 'while :; do /busybox sleep 2147483647; done']

export const NO_LIMITS: Resources = { cpuShares: 0, cpuQuotaMicros: 0, memoryLimit: 0, pidsLimit: 0 }

/** The id of the container that holds a sandbox's processes. */
export function holderId(sandboxId: string): string {
  return `${sandboxId}.processes`
}

/** That container, as it is made. */
export function holderSpec(sandboxId: string, rootfs: string, logPath: string): ContainerSpec {
  return {
    id: holderId(sandboxId),
    sandboxId,
    rootfs,
    args: COMMAND,
    env: [],
    cwd: '/',
    user: { uid: 0, gid: 0, additionalGids: [] },
    mounts: [],
    resources: NO_LIMITS,
    oomScoreAdj: 0,
    privileged: false,
    readOnlyRootfs: true,
    allowPrivilegeEscalation: false,
    capabilities: { add: [], drop: ['ALL'] },
    seccomp: { type: 'RuntimeDefault' },
    unmaskedProc: false,
    tty: false,
    stdin: false,
    logPath,
  }
}

/** A directory with nothing but a static busybox, made once for each start of the agent. */
export class HolderRootfs {
  readonly #directory: string
  #made: Promise<string> | undefined

  /** `programDir`: on a file system that lets programs be executed. */
  constructor(programDir: string) {
    this.#directory = join(programDir, 'holder-rootfs')
  }

  /** Its path; FailedPrecondition without busybox, and the next call tries again. */
  path(): Promise<string> {
    this.#made ??= this.#make().catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  async #make(): Promise<string> {
    const source = (await run('sh', ['-c', 'command -v busybox'], { allow: [0, 1, 127] })).stdout.trim()
    if (source === '')
      throw new GantryError('FailedPrecondition', 'shareProcessNamespace needs busybox', {
        details: [
          { field: 'shareProcessNamespace', remedy: 'install busybox-static (Debian: apt-get install busybox-static)' },
        ],
      })
    await mkdir(this.#directory, { recursive: true, mode: 0o755 })
    const program = join(this.#directory, 'busybox')
    await copyFile(source, `${program}.new`)
    await rename(`${program}.new`, program)
    return this.#directory
  }
}
