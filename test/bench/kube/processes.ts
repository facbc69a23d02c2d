/**
 * How much one controller serves with one process and with several: as many requests as go, with the sessions of ten
 * nodes.
 */
import { freePortRange } from '../../integration/free-port.ts'
import type { Effort, Figure } from '../figures.ts'
import { BenchController } from './controller.ts'
import { BenchNodes } from './nodes.ts'
import { fillNamespace } from './pods.ts'
import { JSON_BODY, JSON_HEADERS, LIST, LISTED, NEW, ONE } from './requests.ts'

/** How many serve: 1 is one process that does everything; more have one beside them that leads. */
const COUNTS = [1, 2, 4]
const NODES = 10
/** Of clients: more than one thread of the server answers. */
const WORKERS = 16

export async function processesFigures({ quick }: Effort): Promise<Figure[]> {
  const figures: Figure[] = []
  const single = new Map<string, number>()
  for (const serve of COUNTS) {
    const settings = serve === 1 ? {} : { serve, ports: { processes: await freePortRange(serve + 2) } }
    const controller = await BenchController.start([], settings)
    try {
      for (const [name, rate] of await rates(controller, quick ? 2 : 5)) {
        if (serve === 1) single.set(name, rate)
        figures.push({
          name: `${name}, ${serve} ${serve === 1 ? 'process' : 'processes'}`,
          unit: '/s',
          samples: [rate],
          ...(serve === 1 ? {} : { floor: { name: `${name}, 1 process`, value: single.get(name)! } }),
        })
      }
    } finally {
      await controller.stop()
    }
  }
  return figures
}

async function rates(controller: BenchController, seconds: number): Promise<[name: string, rate: number][]> {
  await controller.send('POST', '/api/v1/namespaces', { metadata: { name: 'new' } })
  await fillNamespace(controller, 'default', LISTED)
  const nodes = await BenchNodes.join(controller, NODES)
  try {
    const found: [string, number][] = []
    for (const [name, task] of [
      ['GET', { ...ONE, headers: JSON_HEADERS }],
      [`LIST ${LISTED}`, { ...LIST, headers: JSON_HEADERS }],
      ['POST', { ...NEW, ...JSON_BODY, prefix: 'a' }],
    ] as const) {
      const load = { is: 'workers', workers: WORKERS, ...task }
      // Every process has to warm up by itself.
      await controller.load({ ...load, seconds })
      const { count, seconds: took } = await controller.load({ ...load, ...again(task), seconds })
      found.push([name, count! / took!])
    }
    return found
  } finally {
    await nodes.stop()
  }
}

/** The same with other names, for what is made. */
function again(task: object): object {
  return 'prefix' in task ? { prefix: 'b' } : {}
}
