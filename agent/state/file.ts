/**
 * State in files: `<directory>/pods/<uid>.json` and `<directory>/node.json`. A file is written beside its place and renamed, so that a reader
 * finds the old one or the new one whole. There is no fsync: a record must survive the agent, and what must survive the machine (which pods
 * it has) comes from the control plane again. A pod's record is written without waiting in between: it takes a tenth of a millisecond, while a
 * pod that starts would wait several times as long for another thread to do it.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/api/errors.ts'
import type { NodeRecord, PodRecord, StateStore } from './contract.ts'

const FORMAT = 1

export class FileState implements StateStore {
  readonly #directory: string

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
    return settled(() => rmSync(path, { force: true }))
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
    return settled(() => {
      const fresh = `${path}.new`
      writeFileSync(fresh, text, { mode: 0o600 })
      renameSync(fresh, path)
    })
  }
}

/** What was done at once, as the contract has it. */
function settled(act: () => void): Promise<void> {
  try {
    act()
    return Promise.resolve()
  } catch (thrown) {
    return Promise.reject(GantryError.from(thrown))
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
