/** What the parts of agent/pods are handed. */
import type { ReservedPort } from '../../proto/objects/reserved-ports.ts'
import type { Clock } from '../../proto/base/clock.ts'
import type { Logger } from '../../proto/base/logger.ts'
import type { Random } from '../../proto/base/random.ts'
import type { RunGroup } from '../../proto/base/run-group.ts'
import type { Service } from '../../proto/gen/types.ts'
import type { ImageService } from '../images/contract.ts'
import type { RuntimeDriver } from '../runtime/contract.ts'
import type { StatusSink } from '../session/contract.ts'
import type { StateStore } from '../state/contract.ts'
import type { PodFolders } from '../volumes/pod-folders.ts'
import type { PodVolumes } from '../volumes/contract.ts'
import type { AssignedObjects } from './assigned-objects.ts'
import type { ImageUserCache } from './steps/image-user-cache.ts'
import type { PodDisk } from './steps/pod-disk.ts'
import type { NodeNetwork } from './node-network.ts'
import type { PodEvents } from './status/pod-events.ts'
import type { HandlerRunner } from './health/contract.ts'
import type { StatusContext } from './status/pod-status.ts'

/** What pods need to know of their node. */
export interface NodeFacts {
  readonly name: string
  readonly hostname: string
  readonly address: string
  /** As in the Node's status. */
  readonly allocatable: Readonly<Record<string, string>>
  /** Bytes. */
  readonly memoryCapacity: number
  /** Processes in a pod at most. */
  readonly pidsLimit: number
  /** Ports that the node needs beside those that every node does. */
  readonly reservedPorts?: readonly ReservedPort[]
  /** Folder of seccomp profiles of type Localhost. */
  readonly seccompFolder: string
  /** Kernel settings that pods may set beside the safe ones; one that ends in "*" is the beginning of names. */
  readonly allowedUnsafeSysctls?: readonly string[]
}

export interface PodDependencies {
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** Holds every step under way. */
  readonly group: RunGroup
  readonly runtime: RuntimeDriver
  /** For probes and hooks. */
  readonly actions: HandlerRunner
  readonly images: ImageService
  readonly network: NodeNetwork
  readonly volumes: PodVolumes
  readonly folders: PodFolders
  readonly disk: PodDisk
  readonly state: StateStore
  readonly objects: AssignedObjects
  /** Services that the node knows of: containers are told of them in their environment. */
  readonly services?: () => Iterable<Service>
  readonly accounts: Pick<ImageUserCache, 'read'>
  readonly events: PodEvents
  readonly reports: StatusSink
  readonly node: NodeFacts
  readonly origin: StatusContext
}
