/**
 * `npm run bench [-- NAME …]`: measures and prints; asserts nothing. Names: scheduler, runtime, kube, cluster, up, rig,
 * network (or one of its parts, such as network/fabric).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../proto/base/command.ts'
import { Cluster, rigName, ROOT } from '../e2e/cluster.ts'
import { burstFigure, cliFigures, startFigures, weightFigures } from './cluster.ts'
import { printFigures, type Figure } from './figures.ts'
import { kubeFigures } from './kube/kube.ts'
import { networkBenches, runNetworkBench } from './network/network.ts'
import { rigFigures } from './rig.ts'
import { bench as runtimeBench } from './runtime.ts'
import { bench as schedulerBench } from './scheduler.ts'

async function clusterFigures(): Promise<Figure[]> {
  const cluster = await Cluster.start('bench', 3)
  try {
    const weight = weightFigures(cluster)
    const start = await startFigures(cluster, 50)
    const cli = await cliFigures(cluster, 15)
    const burst = await burstFigure(cluster, 100, 3)
    return [...start, burst.figure, ...weight, ...burst.whileRunning, ...cli]
  } finally {
    await cluster.stop()
  }
}

/** Seconds of `up` and `down` as a person runs them, after a first round that warms the disk's cache. */
async function upFigures(rounds: number): Promise<Figure[]> {
  const home = mkdtempSync(join(tmpdir(), 'gantry-bench-'))
  const env = { ...process.env, GANTRY_CONFIG: join(home, 'config.yaml') }
  const seconds: Record<'up' | 'down', number[]> = { up: [], down: [] }
  try {
    for (let round = 0; round <= rounds; round++) {
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
    { name: 'up', unit: 's', samples: seconds.up, target: '≤ 5', note: '3 nodes, demo running' },
    { name: 'down', unit: 's', samples: seconds.down, target: '≤ 2' },
  ]
}

const parts: Record<string, () => Promise<readonly Figure[]>> = {
  runtime: async () => (await runtimeBench()).map((series) => ({ ...series, unit: 'ms' })),
  scheduler: schedulerBench,
  kube: kubeFigures,
  cluster: clusterFigures,
  up: () => upFigures(5),
  rig: rigFigures,
  ...Object.fromEntries(networkBenches.map((name) => [`network/${name}`, () => runNetworkBench(name)])),
}
const chosen = process.argv
  .slice(2)
  .flatMap((name) => (name === 'network' ? networkBenches.map((part) => `network/${part}`) : name))
const unknown = chosen.filter((name) => !(name in parts))
if (unknown.length > 0) {
  process.stderr.write(`no benchmark ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}\n`)
  process.exit(2)
}
for (const name of chosen.length > 0 ? chosen : Object.keys(parts)) {
  const figures = await parts[name]!()
  // A part that is only used by others measures nothing.
  if (figures.length === 0) continue
  process.stdout.write(`\n${name}\n`)
  printFigures(figures)
}
