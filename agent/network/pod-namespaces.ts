/**
 * Pods' network namespaces on disk: each a directory `netns/<id>` with the pin `net` in it (those made ahead:
 * `netns/ready-<first address>`). Giving one to a pod is one rename of the directory, which the mount inside follows;
 * its interface on the node's side is named by the first address. So there is nothing else to record.
 */
import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs'
import { mkdir, readFile, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CLONE_NEWNET, MS_BIND, NOT_MOUNTED, type SystemCaller } from '../host/system-calls.ts'
import { ignoreRouters, podLinkCommands, type PodLink } from './commands.ts'
import { ipCalls } from './netlink/ip-calls.ts'

export interface PodNamespacesOptions {
  /** They are pinned in its directory `netns`. */
  readonly stateDir: string
  readonly calls: SystemCaller
  /** Path of the network namespace that is the node's; the agent's own if undefined. */
  readonly nodeNetns: string | undefined
  /** Paths at which something is mounted (default: as this process sees them). */
  readonly mountPoints?: (() => Promise<readonly string[]>) | undefined
}

/** No pod's id begins so. */
export const READY_PREFIX = 'ready-'
const PIN = 'net'

export class PodNamespaces {
  readonly #options: PodNamespacesOptions
  /** With symbolic links resolved, as the kernel lists mounts. */
  #root = ''

  constructor(options: PodNamespacesOptions) {
    this.#options = options
  }

  /** The pins of those that are there. */
  async start(): Promise<ReadonlySet<string>> {
    const root = join(this.#options.stateDir, 'netns')
    await mkdir(root, { recursive: true, mode: 0o700 })
    this.#root = await realpath(root)
    return this.#mounted()
  }

  /** The directory of a pod's. */
  path(id: string): string {
    return join(this.#root, id)
  }

  /** The directory of one that is made ahead. */
  pooledPath(addresses: readonly string[]): string {
    return join(this.#root, `${READY_PREFIX}${addresses[0]!}`)
  }

  /** Makes one ahead, with its pair to the node. What a failure leaves is in its directory. */
  async make(addresses: readonly string[], links: PodLink['addresses'], mtu: number): Promise<void> {
    const { calls, nodeNetns = `/proc/${process.pid}/ns/net` } = this.#options
    const directory = this.pooledPath(addresses)
    mkdirSync(directory, { recursive: true, mode: 0o711 })
    const pin = join(directory, PIN)
    closeSync(openSync(pin, 'a'))
    await calls.make([
      { call: 'unshare', flags: CLONE_NEWNET },
      { call: 'mount', source: '/proc/self/ns/net', target: pin, type: 'none', flags: MS_BIND, options: '' },
      ...ignoreRouters('default'),
      ...ipCalls(podLinkCommands({ addresses: links, mtu, nodeNetns })),
    ])
  }

  /** From now on it is the pod's. Its pin. */
  assign(addresses: readonly string[], id: string): string {
    renameSync(this.pooledPath(addresses), this.path(id))
    return join(this.path(id), PIN)
  }

  /** Those of these directories that are there end with the last process in them. */
  async unmount(directories: readonly string[]): Promise<void> {
    const results = await this.#options.calls.makeEach(
      directories.map((directory) => ({ call: 'umount', target: join(directory, PIN), flags: 0 })),
    )
    for (const { errno, error } of results) if (error !== undefined && !NOT_MOUNTED.includes(errno!)) throw error
  }

  /** A directory that nothing is mounted in. */
  async remove(directory: string): Promise<void> {
    await rm(directory, { recursive: true, force: true })
  }

  /** Everything but what these pins stand in. */
  async removeLeftovers(living: ReadonlySet<string>): Promise<void> {
    const directories = (await readdir(this.#root))
      .map((name) => join(this.#root, name))
      .filter((directory) => !living.has(join(directory, PIN)))
    await this.unmount(directories)
    for (const directory of directories) await this.remove(directory)
  }

  /** None is left. */
  async removeAll(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true })
  }

  async #mounted(): Promise<ReadonlySet<string>> {
    const points = await (this.#options.mountPoints ?? mountPoints)()
    return new Set(points.filter((point) => point.startsWith(`${this.#root}/`)))
  }
}

async function mountPoints(): Promise<readonly string[]> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '')
}
