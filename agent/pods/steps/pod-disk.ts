/**
 * What the steps of a pod write to the node's disk and read from it, beside volumes: files in /etc, termination
 * messages, logs. Implementations: FilePodDisk below; the simulation has one in memory.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Container, Pod } from '../../../proto/gen/types.ts'
import { removeFilesBefore } from '../../streams/logs/log-files.ts'
import type { ExitedState } from '../../state/contract.ts'
import type { PodFolders } from '../../volumes/pod-folders.ts'
import { writePodFiles, type PodFileContext } from './pod-files.ts'
import { terminationMessage } from './termination-message.ts'

/** All verbs may be repeated. ResourceExhausted: the disk is full. */
export interface PodDisk {
  /** Writes the files that containers find in /etc. */
  writeEtc(pod: Pod, surroundings: PodFileContext): void
  /**
   * Makes the termination message's file and the log's folder of a container's instance, and removes what instances
   * before its predecessor have left.
   */
  prepareInstance(uid: string, container: string, attempt: number): Promise<void>
  /**
   * What the instance wrote to its termination message file, or, where its policy says so, the end of its log; '' if
   * there is nothing.
   */
  terminationMessage(uid: string, container: Container, attempt: number, exited: ExitedState): Promise<string>
  /** Removes all logs of the pod. Not there: nothing happens. */
  removeLogs(uid: string): Promise<void>
}

export class FilePodDisk implements PodDisk {
  readonly #folders: PodFolders

  constructor(folders: PodFolders) {
    this.#folders = folders
  }

  writeEtc(pod: Pod, surroundings: PodFileContext): void {
    writePodFiles(this.#folders, pod, surroundings)
  }

  async prepareInstance(uid: string, container: string, attempt: number): Promise<void> {
    const message = this.#folders.terminationMessage(uid, container, attempt)
    const log = this.#folders.log(uid, container, attempt)
    if (attempt >= 2) await Promise.all([log, message].map((path) => removeFilesBefore(dirname(path), attempt - 1)))
    makeFile(message)
    mkdirSync(dirname(log), { recursive: true, mode: 0o755 })
  }

  terminationMessage(uid: string, container: Container, attempt: number, exited: ExitedState): Promise<string> {
    const { name } = container
    return terminationMessage(
      container,
      exited,
      this.#folders.terminationMessage(uid, name, attempt),
      this.#folders.log(uid, name, attempt),
    )
  }

  removeLogs(uid: string): Promise<void> {
    return rm(this.#folders.podLogs(uid), { recursive: true, force: true })
  }
}

/** Everybody may write to it: the container may run as any user. */
function makeFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 })
  writeFileSync(path, '')
  chmodSync(path, 0o666)
}
