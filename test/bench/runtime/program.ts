/** Runs one loop and prints its times as JSON: `program.ts bare|driver RUNTIME COUNTS`. */
import type { RuntimeName } from '../../../agent/runtime/oci/runtime-program.ts'
import { runBareLoop } from './bare.ts'
import { runDriverLoop } from './driver.ts'
import type { Counts } from './runtime.ts'

const [loop, runtime, counts] = process.argv.slice(2)
const run = loop === 'bare' ? runBareLoop : runDriverLoop
process.stdout.write(JSON.stringify(await run(runtime as RuntimeName, JSON.parse(counts!) as Counts)))
