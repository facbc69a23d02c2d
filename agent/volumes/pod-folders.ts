/** Where the files of pods stand on a node. */
import { join } from 'node:path'
import type { Pod } from '../../proto/gen/types.ts'
import { checkedPathSegment } from '../host/safe-text.ts'

/**
 *   <stateDir>/pods/<uid>/volumes/<volume>            emptyDir
 *   <stateDir>/pods/<uid>/subpaths/<container>/<n>    binds of subPath mounts
 *   <stateDir>/logs/<uid>/<container>/<attempt>.log   CRI logs
 *   <runDir>/volumes/<uid>/…                          in memory (tmpfs):
 *     volumes/<volume>                                configMap, secret, downwardAPI, projected
 *   <sandbox's files>/…                               in memory, bounded, since containers may write to these files:
 *     etc/{hosts,hostname,…}                          bound over the image's own
 *     containers/<container>/                         termination messages, by attempt
 */
export class PodFolders {
  readonly pods: string
  readonly logs: string
  readonly memory: string
  readonly #writable: (uid: string) => string

  /** `writable`: by pod, the place for what its containers may write to (default: with the files in memory). */
  constructor(stateDir: string, runDir: string, writable?: (uid: string) => string) {
    this.pods = join(stateDir, 'pods')
    this.logs = join(stateDir, 'logs')
    this.memory = join(runDir, 'volumes')
    this.#writable = writable ?? ((uid) => join(this.memory, uid))
  }

  pod(uid: string): string {
    return join(this.pods, checkedPathSegment(uid))
  }

  emptyDir(pod: Pod, volume: string): string {
    return join(this.pod(pod.metadata.uid), 'volumes', checkedPathSegment(volume))
  }

  projected(pod: Pod, volume: string): string {
    return join(this.memory, checkedPathSegment(pod.metadata.uid), 'volumes', checkedPathSegment(volume))
  }

  etc(uid: string, name: string): string {
    return join(this.#writable(checkedPathSegment(uid)), 'etc', checkedPathSegment(name))
  }

  terminationMessage(uid: string, container: string, attempt: number): string {
    return join(
      this.#writable(checkedPathSegment(uid)),
      'containers',
      checkedPathSegment(container),
      `${attempt}.termination`,
    )
  }

  subPath(uid: string, container: string, index: number): string {
    return join(this.pod(uid), 'subpaths', checkedPathSegment(container), String(index))
  }

  podLogs(uid: string): string {
    return join(this.logs, checkedPathSegment(uid))
  }

  log(uid: string, container: string, attempt: number): string {
    return join(this.podLogs(uid), checkedPathSegment(container), `${attempt}.log`)
  }
}
