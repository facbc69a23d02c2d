/** The requests of the cost bench. */
import { setTimeout as delay } from 'node:timers/promises'
import { kindPrefix } from '../../../controller/store/keys.ts'
import { until } from '../../eventually.ts'
import { BenchEtcd } from '../etcd.ts'
import { RoundLoad, Watchers } from '../kube/load.ts'
import { fillNamespace, pod, PROTOBUF, RUNNING } from '../kube/pods.ts'
import type { RunningWorkload, Stage, Workload } from './workload.ts'

const WORKERS = 8
const LISTED = 500
const JSON_HEADERS = { Accept: 'application/json' }
const PROTOBUF_HEADERS = { Accept: PROTOBUF }
const LIST_PATH = `/api/v1/namespaces/listed/pods?limit=${LISTED}`
const GET_PATH = '/api/v1/namespaces/listed/pods/pod-7'

async function makeNamespace({ controller }: Stage, name: string): Promise<void> {
  await controller.send('POST', '/api/v1/namespaces', { metadata: { name } })
}

interface Read {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
}

/** Reads, beside a bare server that answers as many bytes. */
function reading(name: string, budget: number, warm: number, read: Read): Workload {
  return {
    name,
    budget,
    counts: { warm, cold: 100 },
    prepare: prepareList,
    begin: async ({ controller }) => asking(await RoundLoad.begin(controller, { workers: WORKERS, ...read })),
    beginFloor: (stage) => beginFloor(stage, read, read),
  }
}

async function prepareList(stage: Stage): Promise<void> {
  await makeNamespace(stage, 'listed')
  await fillNamespace(stage.controller, 'listed', LISTED)
}

function asking(load: RoundLoad): RunningWorkload {
  return {
    run: async (count) => {
      await load.run(count)
      return count
    },
    stop: () => load.stop(),
  }
}

/** A bare server that answers whatever is asked by as many bytes as the controller answers `sample`. */
async function beginFloor(
  { controller }: Stage,
  sample: Read,
  task: object,
): Promise<RunningWorkload & { readonly pid: number }> {
  const { bytes } = await controller.ask('GET', sample.path, undefined, sample.headers)
  const server = await controller.floor(bytes.length)
  const load = await RoundLoad.begin(controller, { workers: WORKERS, ...task, port: server.port })
  return {
    ...asking(load),
    pid: server.pid,
    stop: async () => {
      await load.stop()
      await server.stop()
    },
  }
}

let times = 0
/** Of names that were never taken before. */
function freshPrefix(): string {
  return `m${++times}-`
}

/** A pod is made, scheduled, bound, and told to its node. */
const postWithBind: Workload = {
  name: 'POST pod with bind',
  budget: 1_000,
  counts: { warm: 200, cold: 100 },
  prepare: async (stage) => {
    await makeNamespace(stage, 'made')
    await stage.controller.send('POST', '/api/v1/namespaces/made/pods', pod('first'))
  },
  begin: async ({ controller, nodes }) => {
    const load = await RoundLoad.begin(controller, { workers: WORKERS, prefix: freshPrefix(), ...makePod('made') })
    return {
      run: async (count) => {
        const before = nodes.podCount
        await load.run(count)
        await until('all are told to their nodes', () => nodes.podCount >= before + count)
        return count
      },
      stop: () => load.stop(),
    }
  },
  beginFloor: (stage) =>
    beginFloor(stage, { path: '/api/v1/namespaces/made/pods/first', headers: JSON_HEADERS }, makePod('made')),
}

function makePod(namespace: string): object {
  return {
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/pods`,
    headers: { ...JSON_HEADERS, 'Content-Type': 'application/json' },
    body: { text: JSON.stringify(pod('made-#')) },
  }
}

/** Pods of which nodes tell, how many of them at once, and milliseconds from there to the next ones. */
const OBSERVED = 64
const AT_ONCE = 8
const PACE = 20

/** Nodes tell that pods of theirs have changed. */
const statusWrite: Workload = {
  name: 'status write',
  budget: 300,
  counts: { warm: 400, cold: 100 },
  prepare: (stage) => makeNamespace(stage, 'observed'),
  begin: async ({ controller, nodes }) => {
    const etcd = new BenchEtcd(controller.etcdSocket)
    const load = await RoundLoad.begin(controller, { workers: 1, prefix: freshPrefix(), ...makePod('observed') })
    const before = nodes.podCount
    await load.run(OBSERVED)
    await load.stop()
    await until('all are told to their nodes', () => nodes.podCount >= before + OBSERVED)
    const { bytes } = await controller.ask('GET', `/api/v1/namespaces/observed/pods?limit=${OBSERVED}`)
    const { items } = JSON.parse(bytes.toString()) as { items: { metadata: { name: string; uid: string } }[] }
    const written = (): Promise<number> => etcd.writes(kindPrefix('Pod', 'observed'))
    // Addresses are left out: a node may only tell those that it was given.
    const { podIP: _, hostIP: __, ...told } = RUNNING
    const [container] = RUNNING.containerStatuses
    let restarts = 0
    const report = (index: number): void => {
      const { name, uid } = items[index % items.length]!.metadata
      const status = { ...told, containerStatuses: [{ ...container!, restartCount: ++restarts }] }
      nodes.find(uid)!.report({ namespace: 'observed', name, uid, status, released: false })
    }
    return {
      run: async (count) => {
        const already = await written()
        for (let from = 0; from < count; from += AT_ONCE) {
          for (let index = from; index < Math.min(count, from + AT_ONCE); index++) report(index)
          await delay(PACE)
        }
        // What is told of a pod again before it has been written is written once.
        const least = already + Math.min(count, OBSERVED)
        await until('what nodes tell of their pods is written', async () => (await written()) >= least)
        let now = await written()
        for (let before = -1; before !== now; now = await written()) {
          before = now
          await delay(10 * PACE)
        }
        return now - already
      },
      stop: () => Promise.resolve(etcd.close()),
    }
  },
}

const WATCHERS = 200

/** One object changes and many watch it: what is left when the change itself is taken off, for each watcher. */
const watchEvent: Workload = {
  name: 'watch event to one more watcher',
  budget: 5,
  counts: { warm: 20, cold: 1 },
  prepare: async (stage) => {
    for (const name of ['watched', 'quiet']) {
      await makeNamespace(stage, name)
      const path = `/api/v1/namespaces/${name}/configmaps`
      await stage.controller.send('POST', path, { metadata: { name: 'changed' } })
    }
  },
  begin: async ({ controller }) => {
    const watch = '/api/v1/namespaces/watched/configmaps?watch=true'
    const watchers = await Watchers.begin(controller, { watchers: WATCHERS, watch, headers: JSON_HEADERS })
    const [loud, quiet] = await Promise.all(
      ['watched', 'quiet'].map((namespace) => RoundLoad.begin(controller, { workers: 1, ...change(namespace) })),
    )
    return telling(loud!, quiet!, [watchers])
  },
  beginFloor: async ({ controller }) => {
    const { bytes } = await controller.ask('GET', '/api/v1/namespaces/watched/configmaps/changed')
    const server = await controller.floor(bytes.length)
    const at = { port: server.port }
    const watchers = await Watchers.begin(controller, { watchers: WATCHERS, watch: '/watch', ...at })
    const [loud, quiet] = await Promise.all(
      ['/tell', '/'].map((path) => RoundLoad.begin(controller, { workers: 1, path, ...at })),
    )
    return { ...telling(loud!, quiet!, [watchers, server]), pid: server.pid }
  },
}

function change(namespace: string): object {
  return {
    method: 'PATCH',
    path: `/api/v1/namespaces/${namespace}/configmaps/changed`,
    prefix: freshPrefix(),
    headers: { ...JSON_HEADERS, 'Content-Type': 'application/merge-patch+json' },
    body: { text: '{"data":{"value":"#"}}' },
  }
}

function telling(loud: RoundLoad, quiet: RoundLoad, others: readonly { stop(): Promise<void> }[]): RunningWorkload {
  return {
    run: async (count) => {
      await loud.run(count)
      return count * WATCHERS
    },
    runBaseline: async (count) => void (await quiet.run(count)),
    stop: async () => {
      for (const one of [loud, quiet, ...others]) await one.stop()
    },
  }
}

/** By the names of their parts of the bench. */
export const workloads: Readonly<Record<string, readonly Workload[]>> = {
  get: [reading('GET pod', 100, 2_000, { path: GET_PATH, headers: JSON_HEADERS })],
  post: [postWithBind],
  list: [
    reading(`LIST ${LISTED}, JSON`, 3_000, 100, { path: LIST_PATH, headers: JSON_HEADERS }),
    reading(`LIST ${LISTED}, protobuf`, 3_000, 100, { path: LIST_PATH, headers: PROTOBUF_HEADERS }),
  ],
  status: [statusWrite],
  watch: [watchEvent],
}
