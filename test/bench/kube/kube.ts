/**
 * The Kubernetes API of a controller with 1,000 pods and the sessions of ten nodes, in JSON and in protobuf: how long
 * requests take, how many go, how soon watchers are told.
 */
import { etcdPutFigure } from '../etcd.ts'
import { floorOf, sampleCount, type Effort, type Figure, type Floor, type Goal } from '../figures.ts'
import { withAdmission } from './admission.ts'
import { BenchController } from './controller.ts'
import { kubectlFigures } from './kubectl.ts'
import { RoundLoad } from './load.ts'
import { BenchNodes } from './nodes.ts'
import { fillNamespace, pod } from './pods.ts'
import { JSON_BODY, JSON_HEADERS, LIST, LISTED, NEW, ONE, PROTOBUF_BODY, PROTOBUF_HEADERS } from './requests.ts'

/** Of nodes that pods are bound to, and pods that there are before. */
const NODES = 10
const POD_COUNT = 1_000
/** The first requests after a start are cold. */
const COLD = 100
/** Seconds for which workers ask. */
const SECONDS = 3

interface Floors {
  readonly server: Floor
  readonly put: Floor
}

export async function kubeFigures(effort: Effort): Promise<Figure[]> {
  const controller = await BenchController.start(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [])
  try {
    return await measure(controller, effort)
  } finally {
    await controller.stop()
  }
}

async function measure(controller: BenchController, effort: Effort): Promise<Figure[]> {
  for (const name of ['one', 'other', 'new'])
    await controller.send('POST', '/api/v1/namespaces', { metadata: { name } })
  await controller.send('POST', '/api/v1/namespaces/one/pods', pod('single'))
  await fillNamespace(controller, 'default', POD_COUNT)
  const nodes = await BenchNodes.join(controller, NODES)
  try {
    const [server, busyServer] = await serverFigures(controller, effort)
    const put = await etcdPutFigure(controller.etcdSocket, sampleCount(effort, 500))
    const floors = { server: floorOf(server!), put: floorOf(put) }
    const figures = [server!, busyServer!, put]
    figures.push(...(await latencyFigures(controller, effort, floors)))
    figures.push(...(await workerFigures(controller, floorOf(busyServer!))))
    figures.push(...(await toldFigures(controller, effort)))
    await fillNamespace(controller, 'other', LISTED)
    const lists = [
      { namespace: 'one', pods: 1, beyond: 15 },
      { namespace: 'other', pods: LISTED, beyond: 45 },
      { namespace: 'default', pods: POD_COUNT },
    ]
    figures.push(...(await kubectlFigures(controller, lists, sampleCount(effort, 15))))
    figures.push(...(await coldFigures(controller, nodes, floors)))
    return figures
  } finally {
    await nodes.stop()
  }
}

/** The same requests to a server that does nothing for them. */
async function serverFigures(controller: BenchController, effort: Effort): Promise<Figure[]> {
  const { bytes } = await controller.ask('GET', ONE.path)
  const floor = await controller.floor(bytes.length)
  const note = 'the bytes of GET pod'
  const task = { port: floor.port, ...ONE }
  try {
    const { milliseconds } = await controller.load({ is: 'sequence', ...task, count: sampleCount(effort, 1_000) })
    const { count, seconds } = await controller.load({ is: 'workers', ...task, workers: 8, seconds: SECONDS })
    return [
      { name: 'bare HTTPS server', unit: 'ms', samples: milliseconds!, note },
      { name: 'bare HTTPS server, 8 workers', unit: '/s', samples: [count! / seconds!], note },
    ]
  } finally {
    await floor.stop()
  }
}

/** One request after the other. */
async function latencyFigures(controller: BenchController, effort: Effort, floors: Floors): Promise<Figure[]> {
  const { server, put } = floors
  const figures: Figure[] = []
  const add = async (
    name: string,
    count: number,
    goal: Goal,
    floor: Floor | undefined,
    task: object,
  ): Promise<void> => {
    const { milliseconds } = await controller.load({ is: 'sequence', count: sampleCount(effort, count), ...task })
    figures.push({ name, unit: 'ms', samples: milliseconds!, goal, ...(floor === undefined ? {} : { floor }) })
  }
  const get = { atMost: 1.5 * server.value }
  const post = { atMost: put.value + 0.8 }
  await add('GET pod, JSON', 1_000, get, server, { ...ONE, headers: JSON_HEADERS })
  await add('GET pod, protobuf', 1_000, get, server, { ...ONE, headers: PROTOBUF_HEADERS })
  await add(`LIST ${LISTED}, JSON`, 100, { atMost: 4 }, undefined, { ...LIST, headers: JSON_HEADERS })
  await add(`LIST ${LISTED}, protobuf`, 100, { atMost: 2.5 }, undefined, { ...LIST, headers: PROTOBUF_HEADERS })
  await add('POST pod, JSON', 300, post, put, { ...NEW, ...JSON_BODY, prefix: 'a' })
  await add('POST pod, protobuf', 300, post, put, { ...NEW, ...PROTOBUF_BODY })
  await withAdmission(controller, () =>
    add('POST pod, JSON, a policy in force', 300, post, put, { ...NEW, ...JSON_BODY, prefix: 'c' }),
  )
  return figures
}

/** As many as go. */
async function workerFigures(controller: BenchController, server: Floor): Promise<Figure[]> {
  const get = { goal: { atLeast: 8_000 }, floor: server }
  const figures: Figure[] = []
  for (const [name, workers, held, task] of [
    ['GET, 8 workers', 8, get, { ...ONE, headers: JSON_HEADERS }],
    ['GET, 8 workers, protobuf', 8, get, { ...ONE, headers: PROTOBUF_HEADERS }],
    ['POST, 8 workers', 8, { goal: { atLeast: 1_300 } }, { ...NEW, ...JSON_BODY, prefix: 'b' }],
    ['POST, 8 workers, protobuf', 8, { goal: { atLeast: 1_300 } }, { ...NEW, ...PROTOBUF_BODY }],
    ['POST, 64 workers', 64, { goal: { atLeast: 2_500 } }, { ...NEW, ...JSON_BODY, prefix: 'd' }],
  ] as const) {
    const { count, seconds } = await controller.load({ is: 'workers', workers, seconds: SECONDS, ...task })
    figures.push({ name, unit: '/s', samples: [count! / seconds!], ...held })
  }
  return figures
}

/** The first requests of a controller that has just been started. */
async function coldFigures(controller: BenchController, nodes: BenchNodes, { server, put }: Floors): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [name, goal, floor, task] of [
    ['GET pod, JSON, cold', { atMost: 1.5 * server.value }, server, { ...ONE, headers: JSON_HEADERS }],
    ['POST pod, JSON, cold', { atMost: put.value + 0.8 }, put, { ...NEW, ...JSON_BODY, prefix: 'e' }],
  ] as const) {
    await nodes.restart(controller)
    const load = await RoundLoad.begin(controller, { workers: 1, ...task })
    const samples = (await load.run(COLD)).milliseconds
    await load.stop()
    figures.push({ name, unit: 'ms', samples, goal, floor, note: `the first ${COLD} after a start` })
  }
  return figures
}

/** How soon many watchers of one object are told of its changes. */
async function toldFigures(controller: BenchController, effort: Effort): Promise<Figure[]> {
  await controller.send('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'watched' } })
  const figures: Figure[] = []
  for (const [name, headers] of [
    ['JSON', JSON_HEADERS],
    ['protobuf', PROTOBUF_HEADERS],
  ] as const) {
    const { milliseconds } = await controller.load({
      is: 'told',
      watchers: 200,
      watch:
        '/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan',
      changes: sampleCount(effort, 20),
      method: 'PATCH',
      path: '/api/v1/namespaces/default/configmaps/watched',
      body: { text: '{"data":{"value":"#"}}' },
      headers: { ...headers, 'Content-Type': 'application/merge-patch+json' },
    })
    figures.push({
      name: `200 watchers told, ${name}`,
      unit: 'ms',
      samples: milliseconds!,
      goal: { p99: 50 },
      note: 'from the write',
    })
  }
  return figures
}
