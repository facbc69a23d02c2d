/**
 * What the driver writes down about each sandbox and container before it acts: a line of JSON in `record.json` in the
 * thing's own directory; the last whole line counts. A line is added without waiting in between: it costs the
 * microseconds of a copy to the page cache, far less than handing the work to another thread. It outlives the agent;
 * what must outlive the machine is not in it, since no container does.
 */
import { appendFileSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContainerRecord, SandboxSpec } from '../contract.ts'
import type { ProcessIdentity } from '../../../proto/base/process.ts'

export interface SandboxEntry {
  readonly spec: SandboxSpec
  readonly createdAt: number
}

export type Phase =
  /** Being made: after a crash, removed. */
  | { readonly phase: 'creating' }
  | { readonly phase: 'created'; readonly init: ProcessIdentity; readonly conmon: ProcessIdentity }
  /** The runtime is being told to start it: after a crash, the runtime is asked whether it did. */
  | {
      readonly phase: 'starting'
      readonly init: ProcessIdentity
      readonly conmon: ProcessIdentity
      readonly startedAt: number
    }
  | {
      readonly phase: 'running'
      readonly init: ProcessIdentity
      readonly conmon: ProcessIdentity
      readonly startedAt: number
    }
  | {
      readonly phase: 'exited'
      readonly exitCode: number
      readonly oomKilled: boolean
      readonly startedAt: number
      readonly finishedAt: number
    }

export interface ContainerEntry {
  readonly id: string
  readonly sandboxId: string
  readonly createdAt: number
  /** The first process of a shared process namespace: the driver's own. */
  readonly internal: boolean
  readonly command: string
  readonly cgroup: string
  /** It was made with a standard input. */
  readonly stdin?: boolean
  readonly phase: Phase
}

/** Highest signal number, signal(7). */
const LAST_SIGNAL = 64

/** conmon tells a signal n as 128 + n, and so cannot tell it from a program that exits with that number. */
export function containerRecord(entry: ContainerEntry): ContainerRecord {
  const { id, sandboxId, phase } = entry
  switch (phase.phase) {
    case 'creating':
    case 'created':
    case 'starting':
      return { id, sandboxId, state: { state: 'created' } }
    case 'running':
      return { id, sandboxId, state: { state: 'running', pid: phase.init.pid, startedAt: phase.startedAt } }
    case 'exited': {
      const { exitCode, oomKilled, startedAt, finishedAt } = phase
      const signal = exitCode > 128 && exitCode <= 128 + LAST_SIGNAL ? exitCode - 128 : undefined
      return { id, sandboxId, state: { state: 'exited', exitCode, signal, oomKilled, startedAt, finishedAt } }
    }
  }
}

/** Begun on a new line: one that a full disk or a loss of power cut short spoils nothing but itself. */
export function saveRecord(directory: string, record: SandboxEntry | ContainerEntry): void {
  appendFileSync(join(directory, 'record.json'), `\n${JSON.stringify(record)}`)
}

/** Undefined if there is none, or none whole: then what it was about is half-made. */
export async function loadRecord<T extends SandboxEntry | ContainerEntry>(directory: string): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(join(directory, 'record.json'), 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
  for (const line of text.split('\n').reverse()) {
    try {
      if (line !== '') return JSON.parse(line) as T
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
  }
  return undefined
}

export async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true })
}
