/**
 * State in files: `<directory>/node.json`, and `<directory>/pods/<uid>.json`, to which a line is added at each change:
 * the last whole one counts. From time to time, and at the first change after a start, such a file is written anew with
 * one line, beside its place, and renamed. (To write a new file each time would cost a starting pod milliseconds on a
 * busy disk: file systems are slow at making files where many were removed lately.) There is no fsync: a record must
 * survive the agent, and what must survive the machine (which pods it has) comes from the control plane again. A record
 * is written without handing it to another thread, which takes longer than the writing.
 */
import { appendFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GantryError } from '../../proto/base/errors.ts'
import type { Attachment, NodeRanges } from '../network/contract.ts'
import type { ContainerStage, NodeRecord, PodRecord, PodStage, StateStore } from './contract.ts'
import { fromFormat1, type PodRecord1 } from './format-1.ts'

const FORMAT = 2
/** Characters in a pod's file at which it is written anew. */
const FILE_LIMIT = 256 * 1024

export class FileState implements StateStore {
  readonly #directory: string
  /** Characters in the files of pods that this process has begun. */
  readonly #sizes = new Map<string, number>()

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
    const path = this.#podPath(record.pod.metadata.uid)
    const line = JSON.stringify({ format: FORMAT, ...record })
    return settled(() => {
      const size = (this.#sizes.get(path) ?? Infinity) + line.length + 1
      // Until it is known to have gone well, the next one does not build on it.
      this.#sizes.delete(path)
      if (size > FILE_LIMIT) replace(path, line)
      else appendFileSync(path, `\n${line}`)
      this.#sizes.set(path, size > FILE_LIMIT ? line.length : size)
    })
  }

  remove(uid: string): Promise<void> {
    const path = this.#podPath(uid)
    this.#sizes.delete(path)
    return settled(() => rmSync(path, { force: true }))
  }

  putNode(node: NodeRecord): Promise<void> {
    return settled(() => replace(join(this.#directory, 'node.json'), JSON.stringify({ format: FORMAT, ...node })))
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
    const ranges = node?.ranges as Partial<NodeRanges> | undefined
    if (
      isTexts(ranges?.podCidrs) &&
      isTexts(ranges.cluster?.podCidrs) &&
      isTexts(ranges.cluster.serviceCidrs) &&
      typeof ranges.cluster.domain === 'string'
    )
      return { ranges: ranges as NodeRanges }
    // As agents wrote it that knew of one range only.
    if (typeof node?.podCidr === 'string')
      return {
        ranges: {
          podCidrs: [node.podCidr],
          cluster: { podCidrs: [node.podCidr], serviceCidrs: [], domain: 'cluster.local' },
        },
      }
    await rename(path, `${path}.damaged`)
    damaged.push(`${path}.damaged`)
    return undefined
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** A reader finds the old file or the new one whole. */
function replace(path: string, text: string): void {
  const fresh = `${path}.new`
  writeFileSync(fresh, text, { mode: 0o600 })
  renameSync(fresh, path)
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

/** The last whole record in a file's text; undefined when there is none, or it is of another format. */
function readRecord(text: string): PodRecord | undefined {
  let value: Record<string, unknown> | undefined
  for (const line of text.split('\n').reverse()) if (line !== '' && (value = parseObject(line)) !== undefined) break
  if (value === undefined || !isOfPod(value)) return undefined
  const { format, ...rest } = value
  switch (format) {
    case FORMAT:
      return hasKnownStages(rest) ? (rest as unknown as PodRecord) : undefined
    case 1: {
      if (!isFormat1(rest)) return undefined
      const record = fromFormat1(rest as unknown as PodRecord1)
      return hasKnownStages({ ...record }) ? withAddresses(record) : undefined
    }
    default:
      return undefined
  }
}

type Fields = Record<string, unknown>

const POD_STAGES: Readonly<Record<PodStage['stage'], true>> = {
  active: true,
  stopping: true,
  tornDown: true,
  released: true,
}
/** Whether a container has an instance then. */
const CONTAINER_STAGES: Readonly<Record<ContainerStage['stage'], boolean>> = {
  idle: false,
  creating: true,
  created: true,
  running: true,
  exited: true,
  ended: false,
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Whether it is a record of a pod at all. Nothing of it is checked but what an agent could not begin without: one
 * record that was written by another program must not keep it from all other pods.
 */
function isOfPod({ pod, containers }: Fields): boolean {
  return (
    isFields(pod) &&
    isFields(pod['metadata']) &&
    isFields(pod['spec']) &&
    isFields(containers) &&
    Object.values(containers).every(isFields)
  )
}

function isFormat1({ containers }: Fields): boolean {
  return Object.values(containers as Record<string, Fields>).every(
    ({ instance }) => instance === undefined || (isFields(instance) && isFields(instance['state'])),
  )
}

function hasKnownStages({ stage, containers }: Fields): boolean {
  if (!isFields(stage) || !Object.hasOwn(POD_STAGES, String(stage['stage']))) return false
  return Object.values(containers as Record<string, Fields>).every((container) => {
    const known = container['stage']
    if (!isFields(known) || !Object.hasOwn(CONTAINER_STAGES, String(known['stage']))) return false
    return !CONTAINER_STAGES[known['stage'] as ContainerStage['stage']] || isFields(known['instance'])
  })
}

/** As agents wrote it when a pod had one address. */
function withAddresses(record: PodRecord): PodRecord {
  const attachment = record.sandbox?.attachment
  if (attachment === undefined) return record
  const addresses = (attachment.addresses as Attachment['addresses'] | undefined) ?? [attachment.address]
  return { ...record, sandbox: { attachment: { ...attachment, addresses } } }
}
