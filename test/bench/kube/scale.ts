/** What a controller with many pods or many watches weighs, and how soon it is ready when it is started again. */
import type { Effort, Figure } from '../figures.ts'
import { settledPss } from '../memory.ts'
import { BenchController } from './controller.ts'
import { idleFigure } from './idle.ts'
import { fillNamespace } from './pods.ts'

const PODS = 10_000
const QUICK_PODS = 2_000
const RESTARTS = 3
/** With all pods: fewer do not weigh in proportion. */
const GOALS = { memory: { atMost: 200 }, start: { atMost: 2 } }

export async function scaleFigures(effort: Effort): Promise<Figure[]> {
  const figures = await podFigures(effort)
  if (effort.quick) return figures
  return [...figures, await idleFigure(1_000, 'token', 100), await idleFigure(2_000, 'certificate', 60)]
}

async function podFigures({ quick }: Effort): Promise<Figure[]> {
  const pods = quick ? QUICK_PODS : PODS
  const goal = (name: keyof typeof GOALS): Pick<Figure, 'goal'> => (quick ? {} : { goal: GOALS[name] })
  const memory = { unit: 'MB', note: 'Pss at rest', ...goal('memory') }
  const controller = await BenchController.start()
  try {
    await fillNamespace(controller, 'default', pods)
    const grown = await settledPss(controller.pid)
    const restarts: number[] = []
    for (let turn = 0; turn < (quick ? 1 : RESTARTS); turn++) restarts.push(await controller.restart())
    const fresh = await settledPss(controller.pid)
    return [
      { name: `memory, ${pods} pods`, samples: [grown], ...memory },
      { name: `memory, ${pods} pods, after a restart`, samples: [fresh], ...memory },
      {
        name: `start with ${pods} pods`,
        unit: 's',
        samples: restarts,
        ...goal('start'),
        note: 'from its process to ready, with its own etcd and NATS',
      },
    ]
  } finally {
    await controller.stop()
  }
}
