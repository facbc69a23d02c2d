import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './root.ts'
import { runPart } from './run-part.ts'

describe('a part of the benchmarks', () => {
  let checkout: string

  beforeEach(() => {
    checkout = mkdtempSync(join(tmpdir(), 'gantry-part-'))
    mkdirSync(join(checkout, 'test/bench'), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'))
    writeFileSync(join(checkout, 'package.json'), '{"type":"module"}')
  })

  afterEach(() => rmSync(checkout, { recursive: true }))

  const outcomes: [what: string, program: string, outcome: object][] = [
    [
      'says what it measured',
      `writeFileSync(process.argv[3], JSON.stringify({ outcome: 'measured', figures: [] }))`,
      { outcome: 'measured', figures: [] },
    ],
    [
      'says why it failed',
      `writeFileSync(process.argv[3], JSON.stringify({ outcome: 'failed', reason: process.argv[2] })); process.exit(1)`,
      { outcome: 'failed', reason: 'cost/get' },
    ],
    ['has failed when it ends without a word', 'process.exit(3)', failed('exit code 3')],
    ['has failed when it is killed', `process.kill(process.pid, 'SIGKILL')`, failed('SIGKILL')],
  ]
  for (const [what, program, outcome] of outcomes)
    it(what, async () => {
      writeFileSync(join(checkout, 'test/bench/part.ts'), `import { writeFileSync } from 'node:fs'\n${program}\n`)
      const { name, seconds, ...found } = await runPart('cost/get', false, checkout)
      assert.deepEqual([name, found], ['cost/get', outcome])
      assert.ok(seconds > 0)
    })
})

function failed(how: string): object {
  return { outcome: 'failed', reason: `its process ended with ${how}` }
}
