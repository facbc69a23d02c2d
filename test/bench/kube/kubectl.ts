/** How long kubectl takes, beside kubectl that asks nobody. */
import { run } from '../../../proto/base/command.ts'
import { floorOf, median, type Figure } from '../figures.ts'
import type { BenchController } from './controller.ts'

/** Of `kubectl get pods`, by namespace: how many pods it has, and milliseconds that it may take beyond the floor. */
export interface KubectlList {
  readonly namespace: string
  readonly pods: number
  readonly beyond?: number
}

export async function kubectlFigures(
  controller: BenchController,
  lists: readonly KubectlList[],
  count: number,
): Promise<Figure[]> {
  const floor: Figure = {
    name: 'kubectl version --client',
    unit: 'ms',
    samples: await kubectlTimes(controller, ['version', '--client'], count),
  }
  const figures: Figure[] = [floor]
  for (const { namespace, pods, beyond } of lists)
    figures.push({
      name: `kubectl get pods, ${pods}`,
      unit: 'ms',
      samples: await kubectlTimes(controller, ['get', 'pods', '-n', namespace], count),
      floor: floorOf(floor),
      ...(beyond === undefined ? {} : { goal: { atMost: median(floor.samples) + beyond } }),
    })
  return figures
}

/** Milliseconds of kubectl with these arguments, so many times, after two that warm its cache. */
async function kubectlTimes(controller: BenchController, args: readonly string[], count: number): Promise<number[]> {
  const samples: number[] = []
  for (let index = -2; index < count; index++) {
    const began = performance.now()
    await run('kubectl', ['--kubeconfig', controller.kubeconfig, '--cache-dir', controller.folder, ...args], {
      timeout: 30_000,
    })
    if (index >= 0) samples.push(performance.now() - began)
  }
  return samples
}
