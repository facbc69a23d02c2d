/** The volumes of pods on a node: made, kept up to date, bound into containers, and removed. */
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import { quantityValue } from '../../proto/base/quantity.ts'
import type { Container, EmptyDirVolumeSource, Pod, Volume, VolumeMount } from '../../proto/gen/types.ts'
import type { ConfigSource } from './config-source.ts'
import type { DownwardApiContext } from './downward-api.ts'
import { removeTree } from '../host/remove-tree.ts'
import type { Mount } from '../runtime/contract.ts'
import { isPopulated, writeAtomically } from './atomic-directory.ts'
import { diskUsage } from './disk-usage.ts'
import type { PodVolumes } from './contract.ts'
import { prepareHostPath } from './host-path.ts'
import { bind, isTmpfs, mountsUnder, mountTmpfs, unmountUnder } from '../host/mount-table.ts'
import type { PodFolders } from './pod-folders.ts'
import { projection } from './projection.ts'
import { openWithin, procPath } from './safe-path.ts'

/** Of a volume's mode: permissions, and setgid, by which new files belong to fsGroup. */
const SUBPATH_BITS = 0o2777

export class VolumeManager implements PodVolumes {
  readonly #folders: PodFolders

  constructor(folders: PodFolders) {
    this.#folders = folders
  }

  async start(known: ReadonlySet<string>): Promise<void> {
    const { memory, pods, logs } = this.#folders
    for (const folder of [memory, pods, logs]) await mkdir(folder, { recursive: true, mode: 0o700 })
    if (!(await isTmpfs(memory))) await mountTmpfs(memory, 'mode=0700')
    // Files in them may be open to everybody, for the sake of the container's user; on the node they are root's.
    for (const folder of [memory, pods, logs]) await chmod(folder, 0o700)
    const found = new Set([...(await readdir(memory)), ...(await readdir(pods))])
    for (const uid of found) if (!known.has(uid)) await this.remove(uid)
    for (const uid of await readdir(logs))
      if (!known.has(uid)) await rm(join(logs, uid), { recursive: true, force: true })
  }

  async prepare(pod: Pod, objects: ConfigSource, place: DownwardApiContext): Promise<void> {
    await Promise.all((pod.spec.volumes ?? []).map((volume) => this.#prepareVolume(pod, volume, objects, place)))
  }

  arePrepared(pod: Pod): boolean {
    return (pod.spec.volumes ?? []).every(({ name, hostPath, emptyDir }) => {
      if (hostPath !== undefined) return true
      if (emptyDir === undefined) return isPopulated(this.#folders.projected(pod, name))
      const path = this.#folders.emptyDir(pod, name)
      const found = statSync(path, { throwIfNoEntry: false })
      return found !== undefined && (emptyDir.medium !== 'Memory' || found.dev !== statSync(dirname(path)).dev)
    })
  }

  async mounts(pod: Pod, container: Container): Promise<Mount[]> {
    const { uid } = pod.metadata
    const wanted = container.volumeMounts ?? []
    if (wanted.some((mount) => hasSubPath(mount)))
      await unmountUnder(dirname(this.#folders.subPath(uid, container.name, 0)))
    return Promise.all(wanted.map((mount, index) => this.#mount(pod, container, mount, index)))
  }

  async oversized(
    pod: Pod,
  ): Promise<{ readonly name: string; readonly size: number; readonly limit: number } | undefined> {
    for (const { name, emptyDir } of pod.spec.volumes ?? []) {
      if (emptyDir?.sizeLimit === undefined || emptyDir.medium === 'Memory') continue
      const limit = quantityValue(emptyDir.sizeLimit)
      const size = await diskUsage(this.#folders.emptyDir(pod, name))
      if (size > limit) return { name, size, limit }
    }
    return undefined
  }

  async remove(uid: string): Promise<void> {
    for (const folder of [this.#folders.pod(uid), join(this.#folders.memory, uid)]) {
      await unmountUnder(folder)
      await removeTree(folder)
    }
  }

  async #prepareVolume(pod: Pod, volume: Volume, objects: ConfigSource, place: DownwardApiContext): Promise<void> {
    const { fsGroup } = pod.spec.securityContext
    if (volume.hostPath !== undefined) return prepareHostPath(volume.hostPath)
    if (volume.emptyDir !== undefined) return this.#prepareEmptyDir(pod, volume.name, volume.emptyDir, fsGroup)
    const files = projection(pod, volume, objects, place)
    if (files === undefined)
      throw new GantryError('Unsupported', `volume "${volume.name}" is of a kind that is not acted on yet`)
    mkdirSync(dirname(this.#folders.projected(pod, volume.name)), { recursive: true, mode: 0o711 })
    writeAtomically(this.#folders.projected(pod, volume.name), files, { gid: fsGroup })
  }

  /** It has its rights from when it is there: later on they are the pod's affair. */
  async #prepareEmptyDir(
    pod: Pod,
    name: string,
    { medium, sizeLimit }: EmptyDirVolumeSource,
    fsGroup: number | undefined,
  ): Promise<void> {
    const path = this.#folders.emptyDir(pod, name)
    const mode = fsGroup === undefined ? 0o777 : 0o2777
    if (medium === 'Memory') {
      await mkdir(path, { recursive: true, mode: 0o711 })
      if ((await mountsUnder(path)).includes(path)) return
      const options = [
        `mode=${mode.toString(8)}`,
        ...(fsGroup === undefined ? [] : [`gid=${fsGroup}`]),
        ...(sizeLimit === undefined ? [] : [`size=${quantityValue(sizeLimit)}`]),
      ]
      return mountTmpfs(path, options.join(','))
    }
    if (existsSync(path)) return
    // No volume's name has a dot.
    const unfinished = `${path}.new`
    await mkdir(unfinished, { recursive: true, mode: 0o711 })
    if (fsGroup !== undefined) await chown(unfinished, 0, fsGroup)
    await chmod(unfinished, mode)
    await rename(unfinished, path)
  }

  async #mount(pod: Pod, container: Container, mount: VolumeMount, index: number): Promise<Mount> {
    const volume = pod.spec.volumes?.find((other) => other.name === mount.name)
    if (volume === undefined)
      throw new GantryError(
        'InvalidArgument',
        `container "${container.name}" mounts volume "${mount.name}", which the pod does not have`,
      )
    const projected = volume.hostPath === undefined && volume.emptyDir === undefined
    const root =
      volume.hostPath?.path ??
      (projected ? this.#folders.projected(pod, volume.name) : this.#folders.emptyDir(pod, volume.name))
    const source = hasSubPath(mount) ? await this.#bindSubPath(pod, container, mount, index, root, projected) : root
    return {
      type: 'bind',
      source,
      destination: mount.mountPath,
      readOnly: projected || mount.readOnly === true,
      propagation: PROPAGATION[mount.mountPropagation ?? 'None'],
    }
  }

  /**
   * What is missing of the path is made as open as the volume itself, so that whoever may write to one may write to the
   * other.
   */
  async #bindSubPath(
    pod: Pod,
    container: Container,
    mount: VolumeMount,
    index: number,
    root: string,
    projected: boolean,
  ): Promise<string> {
    const found = await openWithin(
      root,
      mount.subPath!,
      projected
        ? { absoluteLinks: 'refuse' }
        : { absoluteLinks: 'refuse', create: (await stat(root)).mode & SUBPATH_BITS },
    )
    try {
      const target = this.#folders.subPath(pod.metadata.uid, container.name, index)
      await rm(target, { recursive: true, force: true })
      await mkdir(dirname(target), { recursive: true, mode: 0o711 })
      if ((await found.stat()).isDirectory()) await mkdir(target)
      else await writeFile(target, '')
      await bind(procPath(found), target)
      return target
    } finally {
      await found.close()
    }
  }
}

function hasSubPath(mount: VolumeMount): boolean {
  return mount.subPath !== undefined && mount.subPath !== ''
}

/** https://kubernetes.io/docs/concepts/storage/volumes/#mount-propagation */
const PROPAGATION = { None: 'private', HostToContainer: 'rslave', Bidirectional: 'rshared' } as const
