/**
 * `npm run bench [-- NAME …] [--quick] [--out FOLDER]`: measures and prints; asserts nothing. Every part runs in a
 * process of its own: one that fails is named at the end, in the report and by the exit code, and the others are
 * measured all the same. The report is written after each part. `--against CHECKOUT [--rounds N]` runs each part here
 * and in another checkout of the project in turn, and prints both.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { drawChart } from './chart.ts'
import { comparePart, formatComparison } from './comparison.ts'
import { namedParts, parts } from './parts.ts'
import { beginReport, type Report } from './report.ts'
import { runPart } from './run-part.ts'
import { formatTable } from './table.ts'

const {
  positionals,
  values: { quick, out, against, rounds },
} = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: join(import.meta.dirname, 'out') },
    against: { type: 'string' },
    rounds: { type: 'string', default: '3' },
  },
})

/** `report.json` and `report.svg`, in place of those of an earlier run. */
function writeReport(report: Report): void {
  mkdirSync(out, { recursive: true })
  writeFileSync(join(out, 'report.json'), `${JSON.stringify(report, undefined, 2)}\n`)
  writeFileSync(join(out, 'report.svg'), drawChart(report))
}

/** Names of the parts that failed. */
async function measure(names: readonly string[]): Promise<string[]> {
  let report = beginReport(quick, new Date())
  for (const name of names) {
    const part = await runPart(name, quick)
    // A part that is only used by others measures nothing.
    if (part.outcome === 'measured' && part.figures.length === 0) continue
    report = { ...report, parts: [...report.parts, part] }
    writeReport(report)
    const text = part.outcome === 'measured' ? formatTable(part.figures) : `failed: ${part.reason}\n`
    process.stdout.write(`\n${name} (${part.seconds.toFixed(0)} s)\n${text}`)
  }
  process.stdout.write(`\nwritten: ${join(out, 'report.json')} and report.svg\n`)
  return report.parts.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name)
}

/** Likewise. */
async function compare(names: readonly string[], there: string): Promise<string[]> {
  const failed: string[] = []
  for (const name of names)
    try {
      const comparisons = await comparePart(name, quick, there, Number(rounds))
      process.stdout.write(`\n${name}\n${formatComparison(comparisons)}`)
    } catch (thrown) {
      failed.push(name)
      process.stdout.write(`\nfailed: ${(thrown as Error).message}\n`)
    }
  return failed
}

const names = namedParts(positionals)
const unknown = names.filter((name) => !Object.hasOwn(parts, name))
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}\n`)
  process.exit(2)
}
const failed = against === undefined ? await measure(names) : await compare(names, resolve(against))
if (failed.length > 0) {
  process.stderr.write(`failed: ${failed.join(', ')}\n`)
  process.exitCode = 1
}
