/**
 * State in files: `<directory>/pods/<uid>.json` and `<directory>/node.json`. A file is written beside its place and renamed, so that a reader
 * finds the old one or the new one whole. There is no fsync: a record must survive the agent, and what must survive the machine (which pods
 * it has) comes from the control plane again.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import type { NodeRecord, PodRecord, StateStore } from './contract.ts'

const FORMAT = 1

export class FileState implements StateStore {
  readonly #directory: string
  /** The last write of each file: the next one waits for it. */
  readonly #writes = new Map<string, Promise<void>>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async load(): ReturnType<StateStore['load']> {
    const folder = join(this.#directory, 'pods')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const pods: PodRecord[] = []
    const damaged: string[] = []
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      if (!name.endsWith('.json')) {
        if (name.endsWith('.new')) await rm(path, { force: true })
        continue
      }
      const record = readRecord(await readFile(path, 'utf8'))
      if (record !== undefined && `${record.pod.metadata.uid}.json` === name) pods.push(record)
      else {
        await rename(path, `${path}.damaged`)
        damaged.push(`${path}.damaged`)
      }
    }
    return { pods, node: await this.#loadNode(damaged), damaged }
  }

  put(record: PodRecord): Promise<void> {
    return this.#write(this.#podPath(record.pod.metadata.uid), JSON.stringify({ format: FORMAT, ...record }))
  }

  remove(uid: string): Promise<void> {
    const path = this.#podPath(uid)
    return this.#after(path, () => rm(path, { force: true }))
  }

  putNode(node: NodeRecord): Promise<void> {
    return this.#write(join(this.#directory, 'node.json'), JSON.stringify({ format: FORMAT, ...node }))
  }

  #podPath(uid: string): string {
    if (!/^[\w.-]+$/.test(uid) || uid.startsWith('.')) throw new GantryError('InvalidArgument', `"${uid}" is not a uid`)
    return join(this.#directory, 'pods', `${uid}.json`)
  }

  async #loadNode(damaged: string[]): Promise<NodeRecord | undefined> {
    const path = join(this.#directory, 'node.json')
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (thrown) {
      const error = GantryError.from(thrown)
      if (error.code === 'NotFound') return undefined
      throw error
    }
    const node = parseObject(text)
    if (typeof node?.podCidr === 'string') return { podCidr: node.podCidr }
    await rename(path, `${path}.damaged`)
    damaged.push(`${path}.damaged`)
    return undefined
  }

  #write(path: string, text: string): Promise<void> {
    return this.#after(path, async () => {
      const fresh = `${path}.new`
      await writeFile(fresh, text, { mode: 0o600 })
      await rename(fresh, path)
    })
  }

  #after(path: string, act: () => Promise<void>): Promise<void> {
    const before = this.#writes.get(path) ?? Promise.resolve()
    // The caller of the write before is told of its failure; this one does not depend on it.
    const write = before.then(act, act).catch((thrown: unknown) => {
      throw GantryError.from(thrown)
    })
    this.#writes.set(path, write)
    const done = (): void => {
      if (this.#writes.get(path) === write) this.#writes.delete(path)
    }
    write.then(done, done)
    return write
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}

/** The record in a file's text; undefined when it is cut short or of another format. */
function readRecord(text: string): PodRecord | undefined {
  const value = parseObject(text)
  if (value?.format !== FORMAT || typeof value.pod !== 'object' || typeof value.containers !== 'object') return undefined
  const { format: _format, ...record } = value
  return record as unknown as PodRecord
}
