/** What a controller with many pods weighs, and how soon it is ready when it is started again. */
import type { Effort, Figure } from '../figures.ts'
import { settledPss } from '../memory.ts'
import { BenchController } from './controller.ts'
import { fillNamespace } from './pods.ts'

const PODS = 10_000
/** The goal of memory is in proportion to the pods. */
const QUICK_PODS = 2_000
const MEGABYTES = 200
const SECONDS = 2
const RESTARTS = 3

export async function scaleFigures({ quick }: Effort): Promise<Figure[]> {
  const pods = quick ? QUICK_PODS : PODS
  const controller = await BenchController.start()
  try {
    await fillNamespace(controller, 'default', pods)
    const grown = await settledPss(controller.pid)
    const restarts: number[] = []
    for (let turn = 0; turn < (quick ? 1 : RESTARTS); turn++) restarts.push(await controller.restart())
    const fresh = await settledPss(controller.pid)
    const share = pods / PODS
    return [
      { name: `memory, ${pods} pods`, unit: 'MB', samples: [grown], goal: { atMost: MEGABYTES * share } },
      {
        name: `memory, ${pods} pods, after a restart`,
        unit: 'MB',
        samples: [fresh],
        goal: { atMost: MEGABYTES * share },
        note: 'Pss',
      },
      {
        name: `start with ${pods} pods`,
        unit: 's',
        samples: restarts,
        goal: { atMost: SECONDS },
        note: 'from its process to ready, on embedded etcd and NATS',
      },
    ]
  } finally {
    await controller.stop()
  }
}
