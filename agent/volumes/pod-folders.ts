/** Where the files of pods stand on a node. */
import { join } from 'node:path'
import type { Pod } from '../../proto/gen/types.ts'

/**
 *   <stateDir>/pods/<uid>/volumes/<volume>            emptyDir
 *   <stateDir>/pods/<uid>/subpaths/<container>/<n>    binds of subPath mounts
 *   <stateDir>/logs/<uid>/<container>/<attempt>.log   CRI logs
 *   <runDir>/volumes/<uid>/…                          in memory (tmpfs):
 *     volumes/<volume>                                configMap, secret, downwardAPI, projected
 *     etc/{hosts,hostname,…}                          bound over the image's own
 *     containers/<container>/                         termination messages, by attempt
 */
export class PodFolders {
  readonly pods: string
  readonly logs: string
  readonly memory: string

  constructor(stateDir: string, runDir: string) {
    this.pods = join(stateDir, 'pods')
    this.logs = join(stateDir, 'logs')
    this.memory = join(runDir, 'volumes')
  }

  pod(uid: string): string {
    return join(this.pods, uid)
  }

  emptyDir(pod: Pod, volume: string): string {
    return join(this.pod(pod.metadata.uid), 'volumes', volume)
  }

  projected(pod: Pod, volume: string): string {
    return join(this.memory, pod.metadata.uid, 'volumes', volume)
  }

  etc(uid: string, name: string): string {
    return join(this.memory, uid, 'etc', name)
  }

  terminationMessage(uid: string, container: string, attempt: number): string {
    return join(this.memory, uid, 'containers', container, `${attempt}.termination`)
  }

  subPath(uid: string, container: string, index: number): string {
    return join(this.pod(uid), 'subpaths', container, String(index))
  }

  podLogs(uid: string): string {
    return join(this.logs, uid)
  }

  log(uid: string, container: string, attempt: number): string {
    return join(this.podLogs(uid), container, `${attempt}.log`)
  }
}
