/**
 * Which programs run, by name, as the kernel's tracing tells it (https://docs.kernel.org/trace/events.html): whatever
 * some processes start, and what those start in turn, also while the machine has other work.
 */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { run } from '../../proto/base/command.ts'
import { readProcess } from '../../proto/base/process.ts'

/** Kilobytes for each processor: some thousand events of a few pods. */
const BUFFER_KB = 4096
/** A thread of a process comes as `task_newtask` too. */
const EVENTS = ['task/task_newtask', 'sched/sched_process_exec'] as const
const CLONE_THREAD = 0x10000

export class ProcessTrace {
  readonly #mount: string
  readonly #instance: string

  private constructor(mount: string) {
    this.#mount = mount
    this.#instance = join(mount, 'instances', basename(mount))
  }

  /** Follows these processes, with those that they have started already. */
  static async start(pids: readonly number[]): Promise<ProcessTrace> {
    const mount = mkdtempSync(join(tmpdir(), 'gantry-trace-'))
    await run('mount', ['-t', 'tracefs', 'none', mount])
    const trace = new ProcessTrace(mount)
    mkdirSync(trace.#instance)
    trace.#set('buffer_size_kb', String(BUFFER_KB))
    trace.#set('options/event-fork', '1')
    trace.#set('set_event_pid', pids.flatMap(withDescendants).flatMap(threads).join(' '))
    for (const event of EVENTS) trace.#set(`events/${event}/enable`, '1')
    return trace
  }

  /** How many processes of each name there were: the last program that each became, or what it was forked from. */
  async stop(): Promise<ReadonlyMap<string, number>> {
    for (const event of EVENTS) this.#set(`events/${event}/enable`, '0')
    const text = readFileSync(join(this.#instance, 'trace'), 'utf8')
    rmdirSync(this.#instance)
    await run('umount', [this.#mount])
    rmdirSync(this.#mount)
    return countProcesses(text)
  }

  #set(file: string, value: string): void {
    writeFileSync(join(this.#instance, file), value)
  }
}

/** From the text of a trace. */
export function countProcesses(trace: string): ReadonlyMap<string, number> {
  const names = new Map<string, string>()
  for (const line of trace.split('\n')) {
    const [, child, parent, flags] = /task_newtask: pid=(\d+) comm=(.+) clone_flags=([0-9a-f]+)/.exec(line) ?? []
    if (child !== undefined && !(parseInt(flags!, 16) & CLONE_THREAD)) names.set(child, parent!)
    const [, program, pid] = /sched_process_exec: filename=(\S+) pid=(\d+)/.exec(line) ?? []
    if (pid !== undefined) names.set(pid, basename(program!))
  }
  const counts = new Map<string, number>()
  for (const name of names.values()) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}

function withDescendants(pid: number): number[] {
  const children = readProcess(pid, `task/${pid}/children`)?.trim().split(' ') ?? []
  return [pid, ...children.filter((text) => text !== '').flatMap((text) => withDescendants(Number(text)))]
}

function threads(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
