/** Seconds of `up` and `down` as a person runs them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../proto/base/command.ts'
import { rigName, ROOT } from '../e2e/cluster.ts'
import { sampleCount, type Effort, type Figure } from './figures.ts'

/** After a first round, which warms the disk's cache. */
export async function upFigures(effort: Effort): Promise<Figure[]> {
  const home = mkdtempSync(join(tmpdir(), 'gantry-bench-'))
  const env = { ...process.env, GANTRY_CONFIG: join(home, 'config.yaml') }
  const seconds: Record<'up' | 'down', number[]> = { up: [], down: [] }
  try {
    for (let round = 0; round <= sampleCount(effort, 5); round++) {
      for (const verb of ['up', 'down'] as const) {
        const began = performance.now()
        await run(
          process.execPath,
          [join(ROOT, 'dist/gantry-rig.cjs'), verb, rigName('bench'), ...(verb === 'up' ? ['--demo'] : [])],
          { env, timeout: 120_000 },
        )
        if (round > 0) seconds[verb].push((performance.now() - began) / 1000)
      }
    }
  } finally {
    rmSync(home, { recursive: true })
  }
  return [
    { name: 'up', unit: 's', samples: seconds.up, goal: { atMost: 5 }, note: '3 nodes, demo running' },
    { name: 'down', unit: 's', samples: seconds.down, goal: { atMost: 2 } },
  ]
}
