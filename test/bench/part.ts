/** One part in a process of its own, which main.ts starts: `part.ts NAME FILE [--quick]`; writes what came of it. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parts } from './parts.ts'
import type { PartOutcome } from './report.ts'

const {
  positionals: [name, file],
  values: { quick },
} = parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean', default: false } } })
let outcome: PartOutcome
try {
  outcome = { outcome: 'measured', figures: await parts[name!]!({ quick }) }
} catch (thrown) {
  outcome = { outcome: 'failed', reason: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) }
}
writeFileSync(file!, JSON.stringify(outcome))
// What a part that failed left open holds nobody up.
process.exit(outcome.outcome === 'measured' ? 0 : 1)
