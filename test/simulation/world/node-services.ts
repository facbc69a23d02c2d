/** What a node's pods are given by others than the runtime: images, network, volumes, files. In memory, and in time. */
import type { Image, ImageConfig, ImageService } from '../../../agent/images/contract.ts'
import type { Attachment, PodNetwork, NodeRanges } from '../../../agent/network/contract.ts'
import type { HandlerRunner } from '../../../agent/pods/health/contract.ts'
import type { PodDisk } from '../../../agent/pods/steps/pod-disk.ts'
import type { PodVolumes } from '../../../agent/volumes/contract.ts'
import { projection } from '../../../agent/volumes/projection.ts'
import { delay } from '../../../proto/base/clock.ts'
import { GantryError } from '../../../proto/base/errors.ts'
import type { Machine } from './machine.ts'
import type { Process } from './process.ts'
import { operate } from './runtime.ts'
import { between } from './world.ts'

const IMAGE_CONFIG: ImageConfig = {
  env: [],
  entrypoint: [],
  cmd: ['/bin/app'],
  workingDir: '',
  user: '',
  stopSignal: '',
  volumes: [],
  labels: {},
}
/** Milliseconds that a pull takes. */
const PULL = { least: 5, most: 400 }

export function simulatedImages(machine: Machine, process: Process): ImageService {
  const { random } = machine
  const image = (reference: string): Image => ({
    reference: `docker.io/library/${reference}:latest`,
    digest: `sha256:${Buffer.from(reference).toString('hex')}`,
    id: `sha256:${reference}`,
    size: 1,
    config: IMAGE_CONFIG,
  })
  return {
    start: () => Promise.resolve(),
    stop: () => Promise.resolve(),
    async ensure(reference, { signal, progress }) {
      if (machine.images.has(reference)) return image(reference)
      progress?.({ reference, layers: 1, layersDone: 0, bytes: 1, bytesDone: 0 })
      await delay(process.clock, between(random, PULL.least, PULL.most), signal)
      if (machine.registryAway) throw new GantryError('Unavailable', 'the registry does not answer')
      if (reference.startsWith('missing')) throw new GantryError('NotFound', `there is no image ${reference}`)
      machine.images.add(reference)
      return image(reference)
    },
    load: () => Promise.resolve([]),
    find: (reference) => Promise.resolve(machine.images.has(reference) ? image(reference) : undefined),
    list: () => Promise.resolve([...machine.images].map(image)),
    mountRootfs: (key) =>
      operate(machine, process, `mountRootfs ${key}`, () => {
        machine.rootfs.add(key)
        return Promise.resolve({ path: `/rootfs/${key}` })
      }),
    removeRootfs: (key) =>
      operate(machine, process, `removeRootfs ${key}`, () => {
        machine.rootfs.delete(key)
        return Promise.resolve()
      }),
    listRootfs: () => Promise.resolve([...machine.rootfs]),
    collect: () => Promise.resolve([]),
  }
}

export function simulatedNetwork(machine: Machine, process: Process): PodNetwork {
  let given: NodeRanges | undefined
  const free = (): string => {
    const prefix = given!.podCidrs[0]!.replace(/\.\d+\/\d+$/, '')
    const taken = new Set([...machine.attached.values()].map(({ address }) => address))
    for (let last = 2; last < 255; last++) if (!taken.has(`${prefix}.${last}`)) return `${prefix}.${last}`
    throw new GantryError('ResourceExhausted', 'no address is free')
  }
  return {
    start: (ranges, known) =>
      operate(machine, process, 'network start', () => {
        given = ranges
        for (const uid of machine.attached.keys()) if (!known.has(uid)) machine.attached.delete(uid)
        // Interfaces are gone with the power, addresses are not.
        for (const [uid, attachment] of known) machine.attached.set(uid, attachment)
        return Promise.resolve()
      }),
    attach: (id) =>
      operate(machine, process, `attach ${id}`, () => {
        const address = machine.attached.get(id)?.address ?? free()
        const attachment: Attachment = { netns: `/netns/${id}`, address, addresses: [address] }
        machine.attached.set(id, attachment)
        return Promise.resolve(attachment)
      }),
    detach: (id) =>
      operate(machine, process, `detach ${id}`, () => {
        machine.attached.delete(id)
        return Promise.resolve()
      }),
    stop: () => Promise.resolve(),
  }
}

export function simulatedVolumes(machine: Machine, process: Process): PodVolumes {
  const place = (uid: string, volume: string): string => `${uid}/${volume}`
  const remove = (uid: string): void => {
    for (const key of machine.projected.keys()) if (key.startsWith(`${uid}/`)) machine.projected.delete(key)
    for (const key of machine.emptyDirs) if (key.startsWith(`${uid}/`)) machine.emptyDirs.delete(key)
  }
  return {
    start(known) {
      for (const key of [...machine.projected.keys(), ...machine.emptyDirs, ...machine.logs]) {
        const uid = key.split('/')[0]!
        if (!known.has(uid)) {
          remove(uid)
          machine.logs.delete(uid)
        }
      }
      return Promise.resolve()
    },
    prepare: (pod, objects, own) =>
      operate(machine, process, `volumes ${pod.metadata.uid}`, () => {
        const { uid } = pod.metadata
        for (const volume of pod.spec.volumes ?? []) {
          if (volume.emptyDir !== undefined) {
            machine.emptyDirs.add(place(uid, volume.name))
            continue
          }
          const files = projection(pod, volume, objects, own)
          if (files === undefined) throw new GantryError('Unsupported', `volume "${volume.name}" is of no known kind`)
          machine.projected.set(
            place(uid, volume.name),
            [...files].map(([path, { content }]) => `${path}=${Buffer.from(content).toString()}`).join('\n'),
          )
        }
        return Promise.resolve()
      }).catch((thrown: unknown) => Promise.reject(thrown as Error)),
    arePrepared: (pod) =>
      (pod.spec.volumes ?? []).every(({ name, emptyDir }) =>
        emptyDir === undefined
          ? machine.projected.has(place(pod.metadata.uid, name))
          : machine.emptyDirs.has(place(pod.metadata.uid, name)),
      ),
    mounts: (_pod, container) =>
      Promise.resolve(
        (container.volumeMounts ?? []).map(({ name, mountPath }) => ({
          type: 'bind' as const,
          source: `/volumes/${name}`,
          destination: mountPath,
          readOnly: true,
        })),
      ),
    oversized: () => Promise.resolve(undefined),
    remove: (uid) =>
      operate(machine, process, `remove volumes ${uid}`, () => {
        remove(uid)
        return Promise.resolve()
      }),
  }
}

export function simulatedPodDisk(machine: Machine, process: Process): PodDisk {
  return {
    writeEtc() {
      if (machine.disk.full) throw new GantryError('ResourceExhausted', 'the disk is full')
    },
    prepareInstance(uid) {
      if (machine.disk.full) return Promise.reject(new GantryError('ResourceExhausted', 'the disk is full'))
      machine.logs.add(uid)
      return Promise.resolve()
    },
    terminationMessage: () => Promise.resolve(''),
    removeLogs: (uid) =>
      operate(machine, process, `remove logs ${uid}`, () => {
        machine.logs.delete(uid)
        return Promise.resolve()
      }),
  }
}

/** Probes and hooks succeed. */
export const healthyActions: HandlerRunner = {
  probe: () => Promise.resolve({ verdict: 'success', message: '' }),
  hook: () => Promise.resolve(),
}
