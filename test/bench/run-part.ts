/** Runs a part of the benchmarks in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './root.ts'
import type { PartOutcome, PartReport } from './report.ts'

/** Milliseconds: a part that hangs does not lose the others either. */
const PART_DEADLINE = 30 * 60_000

/** `checkout`: another one of the project has other sources and another build, and measures those. */
export async function runPart(name: string, quick: boolean, checkout = ROOT): Promise<PartReport> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-bench-part-'))
  const file = join(folder, 'outcome.json')
  const began = performance.now()
  try {
    const args = ['--import', 'tsx', join(checkout, 'test/bench/part.ts'), name, file, ...(quick ? ['--quick'] : [])]
    // Whoever sets it makes every start of Node.js a tenth of a second longer.
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
    const stdio = ['ignore', 'inherit', 'inherit'] as const
    const child = spawn(process.execPath, args, { cwd: checkout, env, stdio: [...stdio], timeout: PART_DEADLINE })
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    const outcome: PartOutcome = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as PartOutcome)
      : { outcome: 'failed', reason: `its process ended with ${signal ?? `exit code ${code}`}` }
    return { name, seconds: (performance.now() - began) / 1000, ...outcome }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
