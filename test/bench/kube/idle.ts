/** What watches weigh that are told of nothing. */
import type { Figure } from '../figures.ts'
import { pss, settledPss } from '../memory.ts'
import { BenchController } from './controller.ts'
import { Watchers } from './load.ts'

/**
 * MB that so many watches add, which are told of nothing: to a controller that has done nothing else, once it has
 * collected the garbage of their beginning. An account may have 1,000 watches at most; an administrator's certificate
 * any number.
 */
export async function idleFigure(
  watchers: number,
  credentials: 'token' | 'certificate',
  goal: number,
): Promise<Figure> {
  const controller = await BenchController.start()
  try {
    const token = async (): Promise<object> => {
      const accounts = '/api/v1/namespaces/default/serviceaccounts'
      await controller.ask('POST', accounts, {
        metadata: { name: 'watcher', annotations: { 'gantry.dev/access': 'view' } },
      })
      const { bytes } = await controller.ask('POST', `${accounts}/watcher/token`, { spec: {} })
      return {
        tls: { ca: controller.tls.ca },
        headers: {
          Authorization: `Bearer ${(JSON.parse(bytes.toString()) as { status: { token: string } }).status.token}`,
        },
      }
    }
    const watch = '/api/v1/namespaces/default/configmaps?watch=true&allowWatchBookmarks=true'
    const task = { is: 'idle', watchers, watch, ...(credentials === 'token' ? await token() : {}) }
    const before = pss(controller.pid)
    const idle = await Watchers.begin(controller, task)
    const after = await settledPss(controller.pid)
    await idle.stop()
    return {
      name: `${watchers} idle watches`,
      unit: 'MB',
      goal: { atMost: goal },
      samples: [after - before],
      note: `each on a connection of its own, with a ${credentials}`,
    }
  } finally {
    await controller.stop()
  }
}
