/**
 * The volumes of a node's pods, as the steps of pods use them. Implementations: volume-manager.ts on a real disk; the
 * simulation has one in memory. Every call may be repeated: what stands already is left, or brought up to date.
 */
import type { Container, Pod } from '../../proto/gen/types.ts'
import type { ConfigSource } from './config-source.ts'
import type { DownwardApiContext } from './downward-api.ts'
import type { Mount } from '../runtime/contract.ts'

export interface PodVolumes {
  /** Sees to it that projected volumes stand in memory only, and removes the volumes of pods that are not known. */
  start(known: ReadonlySet<string>): Promise<void>
  /**
   * Makes what is missing and brings files up to date. NotFound: a ConfigMap, Secret or key is not there (yet);
   * FailedPrecondition: a hostPath is not as asked.
   */
  prepare(pod: Pod, objects: ConfigSource, place: DownwardApiContext): Promise<void>
  /** True if all volumes of the pod are there as `prepare` leaves them, if perhaps not up to date. */
  arePrepared(pod: Pod): boolean
  /**
   * What a container's volumeMounts are to the runtime. Binds subPaths, those of an earlier instance anew. Forbidden: a
   * subPath leads out of its volume.
   */
  mounts(pod: Pod, container: Container): Promise<Mount[]>
  /** The first emptyDir on disk that holds more than its sizeLimit, in bytes. In memory the kernel keeps the limit. */
  oversized(pod: Pod): Promise<{ readonly name: string; readonly size: number; readonly limit: number } | undefined>
  /** Unmounts and removes all volumes and other files of a pod, not its logs. Not there: nothing happens. */
  remove(uid: string): Promise<void>
}
