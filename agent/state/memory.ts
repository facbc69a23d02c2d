/** State in memory: for tests and simulation. Records go through JSON, as they do in files. */
import type { NodeRecord, PodRecord, StateStore } from './contract.ts'

export class MemoryState implements StateStore {
  readonly #pods = new Map<string, string>()
  #node: NodeRecord | undefined

  load(): ReturnType<StateStore['load']> {
    return Promise.resolve({
      pods: [...this.#pods.values()].map((text) => JSON.parse(text) as PodRecord),
      node: this.#node,
      damaged: [],
    })
  }

  put(record: PodRecord): Promise<void> {
    this.#pods.set(record.pod.metadata.uid, JSON.stringify(record))
    return Promise.resolve()
  }

  remove(uid: string): Promise<void> {
    this.#pods.delete(uid)
    return Promise.resolve()
  }

  putNode(node: NodeRecord): Promise<void> {
    this.#node = node
    return Promise.resolve()
  }
}
