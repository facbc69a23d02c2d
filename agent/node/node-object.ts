/**
 * The Node that an agent registers as: a pure function of the machine and the configuration.
 * https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
import { canonicalQuantity, quantityMillis, quantityValue } from '../../proto/base/quantity.ts'
import type { ContainerImage, Node, NodeCondition } from '../../proto/gen/types.ts'
import type { NodeTaint } from '../config.ts'
import type { Image } from '../images/contract.ts'
import type { Machine } from './machine.ts'

export interface NodeSettings {
  readonly name: string
  /** Instead of the machine's own address. */
  readonly address?: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly NodeTaint[]
  /** Instead of what the machine has, and further resources: name → quantity. */
  readonly capacity: Readonly<Record<string, string>>
  /** Kept back for the machine itself: name → quantity. */
  readonly reserved: Readonly<Record<string, string>>
}

/** Pods at most, unless the configuration says otherwise. */
const DEFAULT_MAX_PODS = 250

const KUBELET_PORT = 10250

/** Images told of at most, as kubelet's --node-status-max-images. */
const MOST_IMAGES = 50

/** What changes while the agent runs. */
export interface NodeObservation {
  readonly conditions: readonly NodeCondition[]
  readonly images: readonly Image[]
}

export function nodeObject(
  machine: Machine,
  settings: NodeSettings,
  versions: { readonly agent: string; readonly runtime: string },
  present: NodeObservation,
): Node {
  const capacity = nodeCapacity(machine, settings)
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: settings.name,
      namespace: '',
      uid: '',
      resourceVersion: '',
      labels: {
        'kubernetes.io/arch': machine.architecture,
        'kubernetes.io/hostname': settings.name,
        'kubernetes.io/os': 'linux',
        ...settings.labels,
      },
    },
    spec: settings.taints.length === 0 ? {} : { taints: [...settings.taints] },
    status: {
      capacity,
      allocatable: nodeAllocatable(capacity, settings),
      conditions: [...present.conditions],
      images: nodeImages(present.images),
      addresses: [
        { type: 'InternalIP', address: nodeAddress(machine, settings) },
        { type: 'Hostname', address: settings.name },
      ],
      // Nothing listens there: it is the port at which the API server's proxy answers with the node's pages.
      daemonEndpoints: { kubeletEndpoint: { Port: KUBELET_PORT } },
      nodeInfo: {
        machineID: machine.machineId,
        systemUUID: machine.systemUuid || machine.machineId,
        bootID: machine.bootId,
        kernelVersion: machine.kernelVersion,
        osImage: machine.osImage,
        containerRuntimeVersion: versions.runtime,
        kubeletVersion: versions.agent,
        kubeProxyVersion: versions.agent,
        operatingSystem: 'linux',
        architecture: machine.architecture,
      },
    },
  }
}

/** By digest, the largest first: names are repository and digest, then every reference. */
function nodeImages(images: readonly Image[]): ContainerImage[] {
  const byDigest = new Map<string, { names: Set<string>; sizeBytes: number }>()
  for (const { reference, digest, size } of images) {
    const image = byDigest.get(digest) ?? { names: new Set(), sizeBytes: size }
    byDigest.set(digest, image)
    image.names.add(`${repositoryOf(reference)}@${digest}`).add(reference)
  }
  return [...byDigest.values()]
    .map(({ names, sizeBytes }) => ({
      names: [...names].sort((a, b) => Number(b.includes('@')) - Number(a.includes('@')) || (a < b ? -1 : 1)),
      sizeBytes,
    }))
    .sort((a, b) => b.sizeBytes - a.sizeBytes || (a.names[0]! < b.names[0]! ? -1 : 1))
    .slice(0, MOST_IMAGES)
}

/** A normalised reference without its tag or digest. */
function repositoryOf(reference: string): string {
  return reference.replace(/@.*$/, '').replace(/:[^:/]*$/, '')
}

export function nodeAddress(machine: Machine, settings: NodeSettings): string {
  return settings.address ?? machine.address
}

/** Canonical quantities by resource name. */
export function nodeCapacity(machine: Machine, settings: NodeSettings): Record<string, string> {
  const found = {
    cpu: String(machine.cpus),
    memory: `${Math.floor(machine.memory / 1024)}Ki`,
    'ephemeral-storage': `${Math.floor(machine.disk / 1024)}Ki`,
    pods: String(DEFAULT_MAX_PODS),
    ...settings.capacity,
  }
  return Object.fromEntries(Object.entries(found).map(([name, quantity]) => [name, canonicalQuantity(quantity)]))
}

/** Capacity less what is reserved, never below zero. */
export function nodeAllocatable(
  capacity: Readonly<Record<string, string>>,
  { reserved }: NodeSettings,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(capacity).map(([name, whole]) => {
      const kept = reserved[name]
      if (kept === undefined) return [name, whole]
      if (name === 'cpu')
        return [name, canonicalQuantity(`${Math.max(0, quantityMillis(whole) - quantityMillis(kept))}m`)]
      return [
        name,
        canonicalQuantity(`${Math.max(0, Math.floor((quantityValue(whole) - quantityValue(kept)) / 1024))}Ki`),
      ]
    }),
  )
}
