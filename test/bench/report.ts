/** A run of the benchmarks: its parts, and the machine. */
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { ROOT } from './root.ts'
import type { Figure } from './figures.ts'

export interface Report {
  /** When it began, as RFC 3339. */
  readonly at: string
  /** Of the working tree's last commit; with a "+" if files differ from it. */
  readonly commit: string
  readonly quick: boolean
  readonly machine: {
    readonly processors: number
    readonly model: string
    readonly memoryBytes: number
    readonly kernel: string
    readonly node: string
  }
  readonly parts: readonly PartReport[]
}

export type PartReport = { readonly name: string; readonly seconds: number } & PartOutcome

export type PartOutcome =
  | { readonly outcome: 'measured'; readonly figures: readonly Figure[] }
  | { readonly outcome: 'failed'; readonly reason: string }

export function beginReport(quick: boolean, now: Date): Report {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  const processors = cpus()
  return {
    at: now.toISOString(),
    commit: `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`,
    quick,
    machine: {
      processors: processors.length,
      model: processors[0]?.model ?? '',
      memoryBytes: totalmem(),
      kernel: release(),
      node: process.version,
    },
    parts: [],
  }
}
