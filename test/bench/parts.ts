/**
 * The benchmarks by name. What a part measures is loaded when it runs: a part that measures what an older checkout does
 * not have fails there by itself.
 */
import { workloads } from './cost/workloads.ts'
import type { Effort, Figure } from './figures.ts'
import { networkBenches } from './network/network.ts'

/** A part that is only used by others has no figures. */
export type Part = (effort: Effort) => Promise<readonly Figure[]>

export const parts: Readonly<Record<string, Part>> = {
  ...Object.fromEntries(
    Object.keys(workloads).map((name) => [
      `cost/${name}`,
      async (effort: Effort) => (await import('./cost/cost.ts')).runCostBench(name, effort),
    ]),
  ),
  scheduler: async (effort) => (await import('./scheduler.ts')).schedulerFigures(effort),
  runtime: async (effort) => (await import('./runtime/runtime.ts')).runtimeFigures(effort),
  kube: async (effort) => (await import('./kube/kube.ts')).kubeFigures(effort),
  processes: async (effort) => (await import('./kube/processes.ts')).processesFigures(effort),
  scale: async (effort) => (await import('./kube/scale.ts')).scaleFigures(effort),
  cluster: async (effort) => (await import('./cluster.ts')).clusterFigures(effort),
  node: async (effort) => (await import('./node.ts')).nodeFigures(effort),
  up: async (effort) => (await import('./up.ts')).upFigures(effort),
  rig: async (effort) => (await import('./rig.ts')).rigFigures(effort),
  ...Object.fromEntries(
    networkBenches.map((name) => [
      `network/${name}`,
      async () => (await import('./network/network.ts')).runNetworkBench(name),
    ]),
  ),
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
