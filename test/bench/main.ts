/**
 * `npm run bench [-- NAME …] [--quick] [--out FOLDER]`: measures and prints; asserts nothing. Every part runs in a
 * process of its own: one that fails is named at the end, in the report and by the exit code, and the others are
 * measured all the same. The report is written after each part.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { drawChart } from './chart.ts'
import { namedParts, parts } from './parts.ts'
import { beginReport, type PartOutcome, type PartReport, type Report } from './report.ts'
import { formatTable } from './table.ts'

/** Milliseconds: a part that hangs does not lose the others either. */
const PART_DEADLINE = 30 * 60_000

async function runPart(name: string, quick: boolean): Promise<PartReport> {
  const folder = mkdtempSync(join(tmpdir(), 'gantry-bench-part-'))
  const file = join(folder, 'outcome.json')
  const began = performance.now()
  try {
    const args = ['--import', 'tsx', join(import.meta.dirname, 'part.ts'), name, file, ...(quick ? ['--quick'] : [])]
    // Whoever sets it makes every start of Node.js a tenth of a second longer.
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env
    const stdio = ['ignore', 'inherit', 'inherit'] as const
    const child = spawn(process.execPath, args, { env, stdio: [...stdio], timeout: PART_DEADLINE })
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
    const outcome: PartOutcome = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as PartOutcome)
      : { outcome: 'failed', reason: `its process ended with ${signal ?? `exit code ${code}`}` }
    return { name, seconds: (performance.now() - began) / 1000, ...outcome }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** `report.json` and `report.svg`, in place of those of an earlier run. */
function writeReport(report: Report, folder: string): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`)
  writeFileSync(join(folder, 'report.svg'), drawChart(report))
}

const {
  positionals,
  values: { quick, out },
} = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: join(import.meta.dirname, 'out') },
  },
})
const names = namedParts(positionals)
const unknown = names.filter((name) => !(name in parts))
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}\n`)
  process.exit(2)
}
let report = beginReport(quick, new Date())
for (const name of names) {
  const part = await runPart(name, quick)
  // A part that is only used by others measures nothing.
  if (part.outcome === 'measured' && part.figures.length === 0) continue
  report = { ...report, parts: [...report.parts, part] }
  writeReport(report, out)
  const text = part.outcome === 'measured' ? formatTable(part.figures) : `failed: ${part.reason}\n`
  process.stdout.write(`\n${name} (${part.seconds.toFixed(0)} s)\n${text}`)
}
process.stdout.write(`\nwritten: ${join(out, 'report.json')} and report.svg\n`)
const failed = report.parts.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name)
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.join(', ')}\n`)
  process.exitCode = 1
}
