/** The benchmarks by name. */
import { clusterFigures } from './cluster.ts'
import { costBenches, runCostBench } from './cost/cost.ts'
import type { Effort, Figure } from './figures.ts'
import { kubeFigures } from './kube/kube.ts'
import { scaleFigures } from './kube/scale.ts'
import { nodeFigures } from './node.ts'
import { networkBenches, runNetworkBench } from './network/network.ts'
import { rigFigures } from './rig.ts'
import { runtimeFigures } from './runtime/runtime.ts'
import { schedulerFigures } from './scheduler.ts'
import { upFigures } from './up.ts'

/** A part that is only used by others has no figures. */
export type Part = (effort: Effort) => Promise<readonly Figure[]>

export const parts: Readonly<Record<string, Part>> = {
  ...Object.fromEntries(costBenches.map((name) => [`cost/${name}`, (effort: Effort) => runCostBench(name, effort)])),
  scheduler: schedulerFigures,
  runtime: runtimeFigures,
  kube: kubeFigures,
  scale: scaleFigures,
  cluster: clusterFigures,
  node: nodeFigures,
  up: upFigures,
  rig: rigFigures,
  ...Object.fromEntries(networkBenches.map((name) => [`network/${name}`, () => runNetworkBench(name)])),
}

/** A name without a part of its own means all that begin with it: `network`, `cost`. */
export function namedParts(names: readonly string[]): string[] {
  const all = Object.keys(parts)
  if (names.length === 0) return all
  return names.flatMap((name) => {
    const below = all.filter((part) => part.startsWith(`${name}/`))
    return below.length === 0 ? name : below
  })
}
